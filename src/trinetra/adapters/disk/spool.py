"""Event log that keeps accepting records while the log behind it is unavailable (docs/adr/0008).

An append returns when its records are in the log or safe on disk. While records wait on disk, new
ones queue up behind them, so that records of one key never overtake each other. After a crash some
may be sent twice, under the same event ids. Group commit: D. DeWitt et al., Implementation
techniques for main memory database systems, 1984.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from trinetra.adapters.disk.framing import HEADER_BYTES, Gap
from trinetra.adapters.disk.spool_file import SpoolFolder, SpoolStatus, Stored, encode
from trinetra.customers.spool_erasure import SpoolParticipant, erase_biometrics
from trinetra.errors import EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import Clock, EventLog, Record, Subscription, TopicReader
from trinetra.streaming.concurrency import run_until
from trinetra.streaming.retry import Backoff, OutageTracker, Retrier
from trinetra.telemetry import (
    SPOOL_BYTES,
    SPOOL_CORRUPT,
    SPOOL_DRAINED,
    SPOOL_MAX_BYTES,
    SPOOL_OLDEST_S,
    SPOOL_RECORDS,
    SPOOLED,
    get_logger,
)
from trinetra.values import Instant, seconds_between

_log = get_logger("spool")
_SERVICE = "inference-worker"
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SpoolPolicy:
    """Batch size and retry delays of the drain, and the size of a segment."""

    batch_records: int = 500
    backoff: Backoff = field(default_factory=Backoff)
    segment_bytes: int = 4 << 20


class SpoolingEventLog:
    """An EventLog that decorates another one with a bounded spool; make one with ``open``."""

    name = "spool"

    def __init__(
        self,
        log: EventLog,
        disk: "_Disk",
        clock: Clock,
        policy: SpoolPolicy,
        participant: SpoolParticipant | None,
    ) -> None:
        self._log = log
        self._disk = disk
        self._clock = clock
        self._policy = policy
        self._participant = participant
        self._is_erasing = False
        self._erased_records = 0
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        log: EventLog,
        folder: Path,
        *,
        max_bytes: int,
        clock: Clock,
        policy: SpoolPolicy | None = None,
        participant: SpoolParticipant | None = None,
    ) -> AsyncIterator[Self]:
        """Open or create the spool in a folder of its own, and begin to drain it to the log.

        Unsent records stay for the next time. ``participant`` takes part in erasures. Raises
        ConfigurationError if the folder cannot be used or another process has it, and StorageFull
        if its disk is full. A failure to send other than EventLogUnavailable cancels the block and
        is raised.
        """
        policy = policy or SpoolPolicy()
        files = await asyncio.to_thread(
            SpoolFolder,
            folder,
            segment_bytes=policy.segment_bytes,
            on_damage=_report_damage,
        )
        group = asyncio.TaskGroup()
        disk = _Disk(files, max_bytes, clock, group)
        spool = cls(log, disk, clock, policy, participant)
        try:
            async with group:
                draining = group.create_task(spool._keep_draining())
                try:
                    yield spool
                finally:
                    draining.cancel()
            await spool._leave()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await disk.close()

    async def append(self, records: Sequence[Record]) -> None:
        """Append records to the log or, while it is unavailable, to the disk.

        Raises EventLogUnavailable, with nothing kept, if the spool or the disk is full or broken.
        """
        if not records:
            return
        async with self._turn:
            batch = None if await self._accepted(records) else self._disk.write(records)
        if batch is not None:
            await batch.done.wait()
            if batch.failure is not None:
                raise EventLogUnavailable(batch.failure)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a consumer group of the log itself."""
        return await self._log.subscribe(topics, group)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the latest values of a compacted topic of the log itself."""
        return await self._log.latest(topic, partition)

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        """Read topics of the log itself, outside of any group."""
        return await self._log.open_reader(topics, since=since)

    def status(self) -> SpoolStatus:
        """Return how much waits on disk."""
        return self._disk.status

    async def check(self) -> str:
        """Describe for the health page how much waits on disk."""
        waits = self.status()
        if not waits.records:
            return "empty"
        since = f", since {waits.oldest_at:%H:%M:%S} UTC" if waits.oldest_at else ""
        return f"{waits.records} records ({waits.bytes} bytes) wait for the event log{since}"

    async def _accepted(self, records: Sequence[Record]) -> bool:
        """Append to the log unless others wait on disk; return whether it took the records."""
        if not self._disk.is_empty:
            return False
        try:
            await self._log.append(records)
        except EventLogUnavailable as cause:
            _log.warning("the event log is unavailable: events go to disk", cause=str(cause))
            if self._participant is not None:
                self._participant.hurry()
            return False
        return True

    async def _keep_draining(self) -> None:
        outage = OutageTracker(self._clock, _log, "event log behind the spool")
        never = asyncio.Event()  # closing the spool cancels this task
        retrier = Retrier(outage, self._clock, never, backoff=self._policy.backoff)
        while True:
            await self._until_there_is_work()
            await retrier.call(self._drain_once)

    async def _until_there_is_work(self) -> None:
        if self._participant is None:
            await self._disk.filled.wait()
        else:
            await run_until(self._disk.filled, self._clock.sleep(self._participant.wait_s))

    async def _drain_once(self) -> None:
        if self._participant is not None and await self._participant.is_erasing():
            # Asked before anything is sent: what was spooled before a request must not be stored
            # by those who have carried it out already.
            self._is_erasing = True
        if not self._disk.is_empty:
            await self._send_some()
            if self._disk.status.records <= self._policy.batch_records:
                await self._send_the_rest()
        if self._participant is not None and self._is_erasing and self._disk.is_empty:
            await self._finish_erasure(self._participant)

    async def _finish_erasure(self, participant: SpoolParticipant) -> None:
        """Acknowledge: all that was on the disk before the request was sent or set aside."""
        files = await self._disk.purge()
        removed = {"spooled_records": self._erased_records, "damaged_spool_files": files}
        await participant.acknowledge(removed)
        self._is_erasing, self._erased_records = False, 0

    async def _leave(self) -> None:
        """Let no erasure wait for an empty spool whose process ends."""
        if self._participant is None or not self._disk.is_clean:
            return
        try:
            await self._participant.leave()
        except EventLogUnavailable as cause:
            _log.warning("erasures will wait for this spool until it runs again", cause=str(cause))

    async def _send_the_rest(self) -> None:
        """Drain with appends held back; otherwise a busy writer could keep the disk from empty."""
        async with self._turn:
            while not self._disk.is_empty:
                await self._send_some()
        _log.info("the spool is empty: events go to the log again")

    async def _send_some(self) -> None:
        records = await self._disk.head(self._policy.batch_records)
        if records:
            allowed = (
                [erase_biometrics(record) for record in records] if self._is_erasing else records
            )
            await self._log.append([record for record in allowed if record is not None])
            await self._disk.advance(len(records))
            changes = zip(allowed, records, strict=True)
            self._erased_records += sum(new is not old for new, old in changes)


@dataclass(slots=True)
class _Batch:
    """Encoded records that share an fsync; without a failure, they are safe when it is done."""

    payloads: list[bytes] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str | None = "the spool was closed before the records were written"


class _Disk:
    """Runs the spool's folder in a thread of its own; the event loop never waits for the disk.

    Appends that arrive while the disk is busy form a batch, which is written with one fsync.
    """

    def __init__(
        self,
        files: SpoolFolder,
        max_bytes: int,
        clock: Clock,
        group: asyncio.TaskGroup,
    ) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._clock = clock
        self._group = group
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._writing = asyncio.Lock()
        self._open_batch: _Batch | None = None
        self._unwritten_bytes = 0
        self.filled = asyncio.Event()
        SPOOL_MAX_BYTES.labels(_SERVICE).set(max_bytes)
        self._report()

    @property
    def status(self) -> SpoolStatus:
        return self._files.status

    @property
    def is_empty(self) -> bool:
        """Whether no record is on disk or on its way there."""
        return not self.status.bytes and not self._unwritten_bytes

    @property
    def is_clean(self) -> bool:
        """Whether no file holds a record, waiting or not."""
        return self.is_empty and not self._files.leftovers()

    def write(self, records: Sequence[Record]) -> _Batch:
        """Add records to the batch that is written next. Raises EventLogUnavailable when full."""
        now = self._clock.now()
        payloads = [encode(Stored(now, record)) for record in records]
        size = _frames_bytes(payloads)
        taken = self.status.bytes + self._unwritten_bytes
        if taken + size > self._max_bytes:
            raise EventLogUnavailable(
                f"the spool is full ({taken} of {self._max_bytes} bytes in {self._files.folder}) "
                "and the event log unavailable; bring it back, or raise TRINETRA_SPOOL_MAX_MB"
            )
        if self._open_batch is None:
            self._open_batch = _Batch()
            self._group.create_task(self._write_batch(self._open_batch))
        self._open_batch.payloads += payloads
        self._unwritten_bytes += size
        return self._open_batch

    async def head(self, max_records: int) -> list[Record]:
        """Return the oldest records. Raises EventLogUnavailable if they cannot be read now."""
        return [stored.record for stored in await self._run(self._files.head, max_records)]

    async def advance(self, records: int) -> None:
        """Remove the oldest records: they were sent."""
        await self._run(self._files.advance, records)
        SPOOL_DRAINED.labels(_SERVICE).inc(records)

    async def purge(self) -> int:
        """Delete files of records that no longer wait. Raises EventLogUnavailable if one stays."""
        return await self._run(self._files.purge)

    async def close(self) -> None:
        """Close the files when the thread is done with them."""
        await self._run(self._files.close)
        self._thread.shutdown()

    async def _write_batch(self, batch: _Batch) -> None:
        try:
            async with self._writing:  # until then, records are added to the batch
                self._open_batch = None
                await self._run(self._files.append, batch.payloads)
            batch.failure = None
            SPOOLED.labels(_SERVICE).inc(len(batch.payloads))
        except EventLogUnavailable as cause:
            batch.failure = str(cause)
        finally:
            self._unwritten_bytes -= _frames_bytes(batch.payloads)
            batch.done.set()

    async def _run(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, *arguments)
        except OSError as cause:
            reason = (cause.strerror or str(cause)).lower()
            raise EventLogUnavailable(
                f"the spool in {self._files.folder} cannot be used ({reason}) and the event log is "
                "unavailable; bring either of them back"
            ) from cause
        finally:
            self._report()

    def _report(self) -> None:
        """Wake the drain if there is something to send, and update the metrics."""
        waits = self.status
        if waits.bytes:
            self.filled.set()
        else:
            self.filled.clear()
        age_s = seconds_between(waits.oldest_at, self._clock.now()) if waits.oldest_at else 0.0
        SPOOL_RECORDS.labels(_SERVICE).set(waits.records)
        SPOOL_BYTES.labels(_SERVICE).set(waits.bytes)
        SPOOL_OLDEST_S.labels(_SERVICE).set(age_s)


def _frames_bytes(payloads: Sequence[bytes]) -> int:
    return sum(map(len, payloads)) + len(payloads) * HEADER_BYTES


def _report_damage(file: Path, gap: Gap) -> None:
    SPOOL_CORRUPT.labels(_SERVICE).inc()
    _log.error(
        "the spool is damaged: the records there are lost, the file is kept aside",
        place=f"{file}:{gap.start}",
        damaged_bytes=gap.end - gap.start,
    )
