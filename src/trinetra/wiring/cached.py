"""An answer that is asked for often and made rarely."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from trinetra.ports import Clock

T = TypeVar("T")


class Cached(Generic[T]):
    """Makes an answer at most every ``every_s``, once at a time, for everyone who asks."""

    def __init__(self, make: Callable[[], Awaitable[T]], every_s: float, clock: Clock) -> None:
        self._make = make
        self._every_s = every_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._made: tuple[T, float] | None = None

    async def get(self) -> T:
        """Return the answer; what ``make`` raises is raised, and tried again next time."""
        async with self._lock:
            now_s = self._clock.monotonic()
            if self._made is None or now_s - self._made[1] >= self._every_s:
                self._made = await self._make(), now_s
            return self._made[0]
