"""An event log that is opened in the background, because its server may not be up yet."""

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
    """Delegates to the log that ``opening`` opens; every call fails until it is open.

    This lets an inference-worker start while the log is down: a spool in front of this log keeps
    its events.
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
        """Start to open the log. An error that no retry can fix cancels the block and is raised."""
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
        """Append records. Raises EventLogUnavailable while the log is not open."""
        await self._log.append(records)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a consumer group. Raises EventLogUnavailable while the log is not open."""
        return await self._log.subscribe(topics, group)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the last value of every key of a compacted topic. Raises EventLogUnavailable."""
        return await self._log.latest(topic, partition)

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        """Open a reader outside any group. Raises EventLogUnavailable while the log is not open."""
        return await self._log.open_reader(topics, since=since)

    async def check(self) -> str:
        """Return the log's own description of its servers. Raises EventLogUnavailable."""
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
        """Retry until the log is open, then hold it open until ``done``.

        One task does both, since a context manager has to be left by the task that entered it.
        """
        retry_s = _RETRY_FIRST_S
        while not done.is_set():
            try:
                async with opening() as self._opened:
                    await done.wait()
            except EventLogUnavailable as cause:
                if self._opened is not None:
                    raise  # closing failed, not opening: a retry would hide that
                self._reason = str(cause)
                _logger.warning("the event log is not available yet", cause=str(cause))
                await run_until(done, clock.sleep(retry_s))
                retry_s = min(2 * retry_s, _RETRY_MAX_S)


@runtime_checkable
class _Checked(Protocol):
    async def check(self) -> str: ...
