"""An event log that may not be there yet: it is opened beside the work, as soon as it answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, Self, runtime_checkable

from trinetra.errors import EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import Clock, EventLog, Record, Subscription, TopicReader
from trinetra.streaming.concurrency import run_until
from trinetra.telemetry import get_logger
from trinetra.values import Instant

_RETRY_FIRST_S = 0.2
_RETRY_MAX_S = 2.0
_logger = get_logger("event-log")


class DeferredEventLog:
    """Passes everything on to the log that ``opening`` opens; until then it is unavailable.

    So an inference-worker that starts while the log is away works all the same: a spool before this
    log keeps its events.
    """

    name = "event log"

    def __init__(self) -> None:
        self._opened: EventLog | None = None
        self._reason = "it is being opened"

    @classmethod
    @asynccontextmanager
    async def open(
        cls, opening: Callable[[], AbstractAsyncContextManager[EventLog]], clock: Clock
    ) -> AsyncIterator[Self]:
        """Begin to open the log. What waiting cannot mend cancels the block and is raised."""
        log = cls()
        try:
            async with asyncio.TaskGroup() as group:
                done = asyncio.Event()
                opener = group.create_task(log._keep_open(opening, clock, done))
                try:
                    yield log
                finally:
                    done.set()
                    if log._opened is None:
                        opener.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def append(self, records: Sequence[Record]) -> None:
        """Append records; raises EventLogUnavailable while the log is not there."""
        await self._log.append(records)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a consumer group; raises EventLogUnavailable while the log is not there."""
        return await self._log.subscribe(topics, group)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return what the log keeps of a compacted topic; raises EventLogUnavailable."""
        return await self._log.latest(topic, partition)

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        """Read topics outside of any group; raises EventLogUnavailable while the log is away."""
        return await self._log.open_reader(topics, since=since)

    async def check(self) -> str:
        """Return what the log itself says of its servers; raises EventLogUnavailable."""
        checked = self._log
        return await checked.check() if isinstance(checked, _Checked) else "open"

    @property
    def _log(self) -> EventLog:
        if self._opened is None:
            raise EventLogUnavailable(self._reason)
        return self._opened

    async def _keep_open(
        self,
        opening: Callable[[], AbstractAsyncContextManager[EventLog]],
        clock: Clock,
        done: asyncio.Event,
    ) -> None:
        """Open the log, again and again, and keep it open: who enters a context leaves it."""
        retry_s = _RETRY_FIRST_S
        while not done.is_set():
            try:
                async with opening() as self._opened:
                    await done.wait()
            except EventLogUnavailable as cause:
                if self._opened is not None:
                    raise  # it could not be closed in order
                self._reason = str(cause)
                _logger.warning("the event log is not there yet", cause=str(cause))
                await run_until(done, clock.sleep(retry_s))
                retry_s = min(2 * retry_s, _RETRY_MAX_S)


@runtime_checkable
class _Checked(Protocol):
    async def check(self) -> str: ...
