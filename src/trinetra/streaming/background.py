"""Work beside a consumer's batches: tasks to tend between polls, polling of a slow server."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from trinetra.ports import Clock

_PATIENCE_S = 0.25
T = TypeVar("T")


class BackgroundTask(Protocol):
    """Work that a consumer does between batches, in its own event loop."""

    async def tend(self) -> None:
        """Do what is due without blocking for long.

        A ServerUnavailable that is raised holds the consumer up until a later call succeeds; a
        task whose work can wait handles the outage itself.
        """

    async def close(self) -> None:
        """Finish and release what is held; may be called more than once."""


class Poller(Generic[T]):
    """Asks a server a question every ``every_s``, without ever waiting long for the answer."""

    def __init__(
        self, ask: Callable[[], Coroutine[Any, Any, T]], clock: Clock, *, every_s: float
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._every_s = every_s
        self._due_s = clock.monotonic()
        self._asking: asyncio.Future[T] | None = None

    @property
    def wait_s(self) -> float:
        """Seconds until the next question is due."""
        return max(0.0, self._due_s - self._clock.monotonic())

    async def answer(self) -> T | None:
        """Return the server's answer; None if no question is due or the answer is slow.

        A slow answer is returned by one of the next calls. The question's failure is raised.
        """
        if self._asking is None:
            if self.wait_s:
                return None
            self._asking = asyncio.ensure_future(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=_PATIENCE_S)
        if not done:
            return None
        self._asking, self._due_s = None, self._clock.monotonic() + self._every_s
        return done.pop().result()

    def hurry(self) -> None:
        """Make the next question due now."""
        self._due_s = self._clock.monotonic()

    async def close(self) -> None:
        """Cancel a pending question; may be called more than once."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None


class TaskSlot:
    """Holds at most one coroutine that runs beside its owner's work."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the coroutine still runs; if it failed, its exception is raised here."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        return self._task is not None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine; the previous one must have ended."""
        self._task = asyncio.create_task(work)

    async def finish(self) -> None:
        """Wait for the coroutine's end and raise its failure; may be called more than once."""
        if self._task is not None:
            task, self._task = self._task, None
            await task

    async def wait(self, longest_s: float) -> None:
        """Give the coroutine up to ``longest_s`` to end."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=longest_s)
