"""Waiting: until a stop cuts it short, for several at once, for slow servers and absent ones."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

from trinetra.ports import Clock

_PATIENCE_S = 0.25
T = TypeVar("T")


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all of them return; the first failure cancels the others and is raised.

    Not a TaskGroup: before Python 3.13, one that fails leaves its task marked as cancelled, and a
    time-out around it no longer knows its own cancellation from somebody else's.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def run_until(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, but abandon it when ``event`` is set; what goes wrong with it is raised."""
    task, told = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        task.cancel()
        told.cancel()
        await asyncio.gather(task, told, return_exceptions=True)


class OutageTracker:
    """That a server does not answer: told of once, and waited out ``retry_s`` at a time."""

    def __init__(
        self, clock: Clock, tell: Callable[[Exception], None], *, retry_s: float = 0.0
    ) -> None:
        """``tell`` is called with the cause of each outage."""
        self._clock = clock
        self._tell = tell
        self._retry_s = retry_s
        self._retry_at_s: float | None = None

    @property
    def may_ask(self) -> bool:
        """Whether no outage is known of, or it is time to try again."""
        return self._retry_at_s is None or self._clock.monotonic() >= self._retry_at_s

    def note(self, cause: Exception) -> None:
        """Note that there was no answer."""
        if self._retry_at_s is None:
            self._tell(cause)
        self._retry_at_s = self._clock.monotonic() + self._retry_s

    def end(self) -> None:
        """Note that there was one."""
        self._retry_at_s = None


class Poller(Generic[T]):
    """A question put to a server every ``every_s``; who asks waits but a moment for the answer."""

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
        """How long it is until the next question."""
        return max(0.0, self._due_s - self._clock.monotonic())

    async def answer(self) -> T | None:
        """Return what the server says, or None when it is too early or the answer slow.

        A slow answer is returned by one of the next calls; what goes wrong is raised.
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
        """Let the next call ask at once."""
        self._due_s = self._clock.monotonic()

    async def close(self) -> None:
        """Ask no more; may be called more than once."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None


class TaskSlot:
    """Work beside somebody's own, one piece at a time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the work goes on; what ended it, if it failed, is raised here."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        return self._task is not None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin with a piece of work; the last one must have ended."""
        self._task = asyncio.create_task(work)

    async def finish(self) -> None:
        """Wait for the end of the work, and raise what ended it; may be called more than once."""
        if self._task is not None:
            task, self._task = self._task, None
            await task

    async def wait(self, longest_s: float) -> None:
        """Give the work some time to end; go on beside it then."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=longest_s)
