"""Event log of one process that keeps its history on disk (docs/adr/0011).

It decorates the log in memory. A reader of that log writes the records of the topics to files,
also those from the outputs of a commit; the services never wait for it. A topic reader gets the
records in the files first, and those in memory from where the files end.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from trinetra.adapters.disk.journal_file import Edit, JournalFolder, read_topic
from trinetra.adapters.disk.journal_format import Entry
from trinetra.adapters.memory.event_log import MemoryEventLog, MemoryTopicReader
from trinetra.events.topics import Topic
from trinetra.ports import Delivery, Record, Subscription, TopicReader
from trinetra.streaming.concurrency import run_until
from trinetra.telemetry import (
    JOURNAL_BYTES,
    JOURNAL_DELETED,
    JOURNAL_LOST,
    JOURNALED,
    get_logger,
)
from trinetra.values import Instant, microseconds

_log = get_logger("journal")
_AT_ONCE = 500
_PRUNE_S = 60.0
_Result = TypeVar("_Result")


class JournalingEventLog:
    """An EventLog that decorates the one in memory with a journal; make one with ``open``."""

    def __init__(
        self,
        log: MemoryEventLog,
        files: JournalFolder,
        retention_s: Mapping[Topic, float],
        linger_s: float,
    ) -> None:
        self._log = log
        self._files = files
        self._linger_s = linger_s
        self._topics = frozenset(topic.name for topic in retention_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._turn = asyncio.Lock()
        self._finishing = asyncio.Event()
        self._refused = False
        self._prune_at_s = log.clock.monotonic()
        begin = {(t.name, p): 0 for t in retention_s for p in range(t.partitions)}
        self._reading = log.follow_from(begin)
        # Holds in memory what was read and is not yet in the files.
        self._written = log.follow_from(begin)
        self._ends = files.ends()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        log: MemoryEventLog,
        folder: Path,
        *,
        max_bytes: int,
        retention_s: Mapping[Topic, float],
        linger_s: float = 1.0,
    ) -> AsyncIterator[Self]:
        """Open or create the journal in a folder of its own, for the topics of ``retention_s``.

        Records are written within about ``linger_s``, and the last ones when the block ends.
        Raises ConfigurationError if the folder cannot be used or another process has it, and
        StorageFull.
        """
        kept_s = {topic.name: seconds for topic, seconds in retention_s.items()}
        files = await asyncio.to_thread(
            JournalFolder, folder, max_bytes=max_bytes, retention_s=kept_s
        )
        journal = cls(log, files, retention_s, linger_s)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(journal._keep_writing())
                try:
                    yield journal
                finally:
                    journal._finishing.set()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await journal._run(files.close)
            journal._thread.shutdown()

    async def append(self, records: Sequence[Record]) -> None:
        """Append records to the log itself."""
        await self._log.append(records)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a consumer group of the log itself."""
        return await self._log.subscribe(topics, group)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the latest values of a compacted topic of the log itself."""
        return await self._log.latest(topic, partition)

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        """Read topics from the files, since an instant, and then from memory."""
        if not {topic.name for topic in topics} <= self._topics:
            return await self._log.open_reader(topics, since=since)
        return JournalTopicReader(self, topics, since)

    async def rewrite(self, edit: Edit) -> int:
        """Put every entry so far through ``edit``; return how many were changed or dropped.

        Erases a person from the history. Raises StorageFull or ConfigurationError; segments that
        were rewritten until then stay so, and the call can be repeated.
        """
        async with self._turn:
            while self._reading.is_behind():
                await self._write_some()
            return await self._run(self._files.rewrite, edit)

    # --- for readers ------------------------------------------------------------------------

    def ends(self, topics: Sequence[Topic]) -> dict[str, int]:
        """Return the offsets at which the files end now."""
        return {topic.name: self._ends[topic.name] for topic in topics}

    def entries(
        self, since: Instant, begin: Mapping[str, int], end: Mapping[str, int]
    ) -> Iterator[Entry]:
        """Return the entries between two offsets of each topic, for a thread to read."""
        since_us = microseconds(since)
        rows = [
            read_topic(self._files.folder, topic, since_us=since_us, begin=begin[topic], end=offset)
            for topic, offset in end.items()
        ]
        return merge(*rows, key=lambda entry: entry.at)

    def live(self, topics: Sequence[Topic], since: Instant) -> MemoryTopicReader:
        """Return a reader of the records in memory, from where the files end at this moment."""
        names = {topic.name for topic in topics}
        return self._log.follow_from(
            {
                where: max(written, self._log.partition(where).first_since(since))
                for where, written in self._written.positions.items()
                if where[0] in names
            }
        )

    # --- writing ------------------------------------------------------------------------------

    async def _keep_writing(self) -> None:
        is_last = False
        while not is_last:
            await run_until(self._finishing, self._log.clock.sleep(self._linger_s))
            is_last = self._finishing.is_set()
            async with self._turn:
                while self._reading.is_behind():
                    await self._write_some()
                await self._prune()
            JOURNAL_BYTES.set(self._files.bytes)

    async def _write_some(self) -> None:
        topics: defaultdict[str, list[Entry]] = defaultdict(list)
        for (topic, partition), offset, kept in self._reading.take(_AT_ONCE):
            entry = Entry(kept.at, topic, partition, offset, kept.key, kept.value)
            topics[topic].append(entry)
        for entries in topics.values():
            entries.sort(key=lambda entry: entry.at)
        positions = dict(self._reading.positions)
        await self._run(self._write, topics)
        # Together, so that a reader finds no record both in the files and in memory, or in neither.
        self._ends = self._files.ends()
        self._written.positions.update(positions)

    def _write(self, topics: Mapping[str, Sequence[Entry]]) -> None:
        for topic, entries in topics.items():
            try:
                self._files.append(topic, entries)
            except OSError as cause:
                self._note_refusal(topic, len(entries), cause)
            else:
                JOURNALED.labels(topic).inc(len(entries))
                self._refused = False

    def _note_refusal(self, topic: str, entries: int, cause: OSError) -> None:
        JOURNAL_LOST.labels(topic).inc(entries)
        if not self._refused:
            self._refused = True
            why = (cause.strerror or str(cause)).lower()
            _log.error("the journal cannot be written: its history has a gap", cause=why)

    async def _prune(self) -> None:
        now_s = self._log.clock.monotonic()
        if now_s < self._prune_at_s and not self._files.is_too_large:
            return
        self._prune_at_s = now_s + _PRUNE_S
        try:
            deleted = await self._run(self._files.prune, self._log.clock.now())
        except OSError as cause:
            _log.error("the journal's old segments cannot be deleted", cause=str(cause))
            return
        for reason, segments in deleted.items():
            JOURNAL_DELETED.labels(reason).inc(segments)

    async def _run(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, *arguments)


class JournalTopicReader:
    """A TopicReader that reads the files to their end and continues in memory from there.

    The records that are left in the files are not counted: until all are read, ``lag`` is 1.
    """

    def __init__(
        self, journal: JournalingEventLog, topics: Sequence[Topic], since: Instant
    ) -> None:
        self._journal = journal
        self._topics = topics
        self._since = since
        self._read_to = {topic.name: 0 for topic in topics}
        self._rows: Iterator[Entry] = iter(())
        self._fetching: asyncio.Future[list[Entry]] | None = None
        self._live: MemoryTopicReader | None = None
        self._closed = False

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records, each partition in order; waits for the first only."""
        while self._live is None:
            past = await self._fetched(max_records)
            if past or self._closed:
                return [Delivery(e.topic, e.partition, e.offset, e.key, e.value) for e in past]
            self._go_on()
        return await self._live.poll(max_records=max_records, wait_s=wait_s)

    async def lag(self) -> int:
        """Return how many records are still to be read."""
        if self._live is None:
            return 0 if self._closed else 1
        return await self._live.lag()

    async def close(self) -> None:
        """Stop reading; may be called more than once."""
        self._closed = True
        if self._fetching is not None:
            await asyncio.wait({self._fetching})
        if self._live is not None:
            await self._live.close()

    async def _fetched(self, max_records: int) -> list[Entry]:
        """Return the next entries of the files; after a cancellation, the next call gets them."""
        if self._fetching is None:
            reading = asyncio.to_thread(list, islice(self._rows, max_records))
            self._fetching = asyncio.ensure_future(reading)
        entries = await asyncio.shield(self._fetching)
        self._fetching = None
        return entries

    def _go_on(self) -> None:
        """Continue with what was written to the files meanwhile or, without a gap, in memory."""
        begin, self._read_to = self._read_to, self._journal.ends(self._topics)
        if begin == self._read_to:
            self._live = self._journal.live(self._topics, self._since)
        else:
            self._rows = self._journal.entries(self._since, begin, self._read_to)
