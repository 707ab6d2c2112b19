"""An event log that goes on while the log behind it is away: records wait on disk, in order.

An append returns when its records are in the log or safe on disk. As long as anything waits on
disk, new records go behind it, so that records of one key never overtake each other. After a crash
some may be sent twice, under the same event ids. Group commit: D. DeWitt et al., Implementation
techniques for main memory database systems, 1984.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from trinetra.adapters.disk.spool_file import SpoolFolder, SpoolStatus
from trinetra.adapters.disk.spool_format import Gap, Stored, pack
from trinetra.errors import EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import Clock, EventLog, Record, Subscription, TopicReader
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
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SpoolPolicy:
    """How the spool is drained, on its clock, and how large one of its files grows."""

    batch_records: int = 500
    retry_first_s: float = 0.2
    retry_max_s: float = 2.0
    segment_bytes: int = 4 << 20


class SpoolingEventLog:
    """An EventLog that decorates another one with a bounded spool; make one with ``open``."""

    name = "spool"

    def __init__(self, log: EventLog, disk: "_Disk", clock: Clock, policy: SpoolPolicy) -> None:
        self._log = log
        self._disk = disk
        self._clock = clock
        self._policy = policy
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
        service: str = "inference-worker",
    ) -> AsyncIterator[Self]:
        """Open or create the spool in a folder of its own, and begin to send what waits there.

        What is left at the end stays for the next time. Raises ConfigurationError when the folder
        cannot be used or another process has it, StorageFull when its disk takes nothing. What goes
        wrong with sending, other than EventLogUnavailable, cancels the block and is raised.
        """
        policy = policy or SpoolPolicy()
        async with _Disk.open(folder, max_bytes, policy.segment_bytes, clock, service) as disk:
            spool = cls(log, disk, clock, policy)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(disk.keep_writing())
                    draining = group.create_task(spool._keep_draining())
                    try:
                        yield spool
                    finally:
                        draining.cancel()
                        disk.finish()
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None

    async def append(self, records: Sequence[Record]) -> None:
        """Append records to the log or, while it is away, to the disk.

        Raises EventLogUnavailable when the disk takes no more either; nothing is kept then.
        """
        if not records:
            return
        async with self._turn:
            written = None if await self._accepted(records) else self._disk.write(records)
        if written is not None:
            await written

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a consumer group of the log itself."""
        return await self._log.subscribe(topics, group)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return what the log itself keeps of a compacted topic."""
        return await self._log.latest(topic, partition)

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        """Read topics of the log itself, outside of any group."""
        return await self._log.open_reader(topics, since=since)

    def status(self) -> SpoolStatus:
        """Return what waits on disk."""
        return self._disk.status

    async def check(self) -> str:
        """Return for the health page what waits on disk."""
        waits = self.status()
        if not waits.records:
            return "empty"
        since = f", since {waits.oldest_at:%H:%M:%S} UTC" if waits.oldest_at else ""
        return f"{waits.records} records ({waits.bytes} bytes) wait for the event log{since}"

    async def _accepted(self, records: Sequence[Record]) -> bool:
        """Return whether the log has the records; it is not asked while others wait on disk."""
        if not self._disk.is_empty:
            return False
        try:
            await self._log.append(records)
        except EventLogUnavailable as cause:
            _log.warning("the event log is away: events go to disk", cause=str(cause))
            return False
        return True

    async def _keep_draining(self) -> None:
        retry_s = self._policy.retry_first_s
        while True:
            await self._disk.filled.wait()
            try:
                await self._send_some()
                if self._disk.status.records <= self._policy.batch_records:
                    await self._send_the_rest()
            except EventLogUnavailable as cause:
                _log.debug("the spool waits", cause=str(cause), retry_s=retry_s)
                await self._clock.sleep(retry_s)
                retry_s = min(2 * retry_s, self._policy.retry_max_s)
            else:
                retry_s = self._policy.retry_first_s

    async def _send_the_rest(self) -> None:
        """Hold new records back until the disk is empty; otherwise there might be no end."""
        async with self._turn:
            while not self._disk.is_empty:
                await self._disk.written()
                await self._send_some()
        _log.info("the spool is empty: events go to the log again")

    async def _send_some(self) -> None:
        records = await self._disk.head(self._policy.batch_records)
        if records:
            await self._log.append(records)
            await self._disk.advance(len(records))


class _Write(NamedTuple):
    """Records on their way to the disk."""

    packed: bytes
    records: int
    done: asyncio.Future[None]


class _Disk:
    """The spool's folder with a thread of its own; the event loop never waits for the disk.

    What was written while the disk was busy goes there together, with one fsync.
    """

    def __init__(
        self, files: SpoolFolder, folder: Path, max_bytes: int, clock: Clock, service: str
    ) -> None:
        self._files = files
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._service = service
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._unwritten: list[_Write] = []
        self._unwritten_bytes = 0
        self._arrived = asyncio.Event()
        self._finishing = False
        self.filled = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, max_bytes: int, segment_bytes: int, clock: Clock, service: str
    ) -> AsyncIterator[Self]:
        on_damage = partial(_tell_damage, service)
        files = await asyncio.to_thread(
            SpoolFolder, folder, segment_bytes=segment_bytes, on_damage=on_damage
        )
        disk = cls(files, folder, max_bytes, clock, service)
        SPOOL_MAX_BYTES.labels(service).set(max_bytes)
        disk._tell()
        try:
            yield disk
        finally:
            await asyncio.get_running_loop().run_in_executor(disk._thread, files.close)
            disk._thread.shutdown()

    @property
    def status(self) -> SpoolStatus:
        return self._files.status

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, neither on disk nor on its way there."""
        return not self.status.bytes and not self._unwritten

    def write(self, records: Sequence[Record]) -> asyncio.Future[None]:
        """Return what is done when the records are safe; raises EventLogUnavailable when full."""
        now = self._clock.now()
        packed = b"".join(pack(Stored(now, record)) for record in records)
        taken = self._files.status.bytes + self._unwritten_bytes
        if taken + len(packed) > self._max_bytes:
            raise EventLogUnavailable(
                f"the spool is full ({taken} of {self._max_bytes} bytes in {self._folder}) and the "
                "event log away; bring it back, or raise TRINETRA_SPOOL_MAX_MB"
            )
        done = asyncio.get_running_loop().create_future()
        self._unwritten.append(_Write(packed, len(records), done))
        self._unwritten_bytes += len(packed)
        self._arrived.set()
        return done

    async def written(self) -> None:
        """Return when everything given to ``write`` so far is on disk or was refused."""
        if self._unwritten:
            await asyncio.wait([write.done for write in self._unwritten])

    async def head(self, max_records: int) -> list[Record]:
        """Return the oldest records. Raises EventLogUnavailable when they cannot be read now."""
        return [stored.record for stored in await self._run(self._files.head, max_records)]

    async def advance(self, records: int) -> None:
        """Forget the oldest records: they were sent."""
        await self._run(self._files.advance, records)
        SPOOL_DRAINED.labels(self._service).inc(records)

    async def keep_writing(self) -> None:
        """Bring to the disk what is given to ``write``, until finished."""
        try:
            while self._unwritten or not self._finishing:
                await self._arrived.wait()
                self._arrived.clear()
                if self._unwritten:
                    await self._write_together()
        finally:
            for write in self._unwritten:
                write.done.cancel()

    def finish(self) -> None:
        """Let ``keep_writing`` end when everything is written."""
        self._finishing = True
        self._arrived.set()

    async def _write_together(self) -> None:
        group = tuple(self._unwritten)
        records = sum(write.records for write in group)
        failure = None
        try:
            await self._run(self._files.append, b"".join(w.packed for w in group), records)
            SPOOLED.labels(self._service).inc(records)
        except EventLogUnavailable as cause:
            failure = cause
        del self._unwritten[: len(group)]
        self._unwritten_bytes -= sum(len(write.packed) for write in group)
        for write in group:
            if failure is None and not write.done.done():
                write.done.set_result(None)
            elif not write.done.done():
                write.done.set_exception(EventLogUnavailable(str(failure)))

    async def _run(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, *arguments)
        except OSError as cause:
            raise EventLogUnavailable(_refused(self._folder, cause)) from cause
        finally:
            self._tell()

    def _tell(self) -> None:
        """Wake the drain, and show on the metrics what waits."""
        waits = self.status
        if waits.bytes:
            self.filled.set()
        else:
            self.filled.clear()
        age_s = seconds_between(waits.oldest_at, self._clock.now()) if waits.oldest_at else 0.0
        SPOOL_RECORDS.labels(self._service).set(waits.records)
        SPOOL_BYTES.labels(self._service).set(waits.bytes)
        SPOOL_OLDEST_S.labels(self._service).set(age_s)


def _tell_damage(service: str, file: Path, gap: Gap) -> None:
    SPOOL_CORRUPT.labels(service).inc()
    _log.error(
        "the spool is damaged: what stood there is lost, the file is kept aside",
        place=f"{file}:{gap.start}",
        damaged_bytes=gap.end - gap.start,
    )


def _refused(folder: Path, cause: OSError) -> str:
    if cause.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"no space left for the spool in {folder}, and the event log is away; free some"
    reason = (cause.strerror or str(cause)).lower()
    return f"the spool in {folder} does not work: {reason}; events wait for it or for the log"
