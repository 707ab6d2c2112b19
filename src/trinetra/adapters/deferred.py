"""An event log and last frames that are opened later, because their server may not be up yet."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol, Self, runtime_checkable

from trinetra.errors import EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import Clock, EventLog, LatestFrames, Record, Subscription, TopicReader
from trinetra.streaming.retry import OutageTracker, Retrier, StoppedError
from trinetra.telemetry import get_logger
from trinetra.values import CameraId, Frame, Instant

_logger = get_logger("event-log")


class DeferredEventLog:
    """Delegates to the log that ``opening`` opens; every call fails until it is open.

    This lets an inference-worker start while the log is down: a spool in front of this log keeps
    its events.
    """

    name = "event log"

    def __init__(self, clock: Clock) -> None:
        self._opened: EventLog | None = None
        self._outage = OutageTracker(clock, _logger, "event log")

    @classmethod
    @asynccontextmanager
    async def open(
        cls, opening: Callable[[], AbstractAsyncContextManager[EventLog]], clock: Clock
    ) -> AsyncIterator[Self]:
        """Start to open the log. An error that no retry can fix cancels the block and is raised."""
        log = cls(clock)
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
            raise EventLogUnavailable(self._outage.cause or "it is being opened")
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
        retrier = Retrier(self._outage, clock, done, retry_on=(EventLogUnavailable,))
        async with AsyncExitStack() as stack:
            try:
                self._opened = await retrier.call(lambda: stack.enter_async_context(opening()))
            except StoppedError:
                return
            await done.wait()


@runtime_checkable
class _Checked(Protocol):
    async def check(self) -> str: ...


class DeferredLatestFrames:
    """Last frames that are opened when they are asked for, and tried again at the next question.

    The dashboard shows figures while the frame buffer is down.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[LatestFrames]]) -> None:
        self._opening = opening
        self._opened: LatestFrames | None = None
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def latest(self, camera_id: CameraId) -> Frame | None:
        """Return a camera's last frame. Raises BufferUnavailable or ConfigurationError."""
        async with self._lock:
            if self._opened is None:
                self._opened = await self._stack.enter_async_context(self._opening())
        return await self._opened.latest(camera_id)

    async def close(self) -> None:
        """Close what was opened."""
        await self._stack.aclose()
