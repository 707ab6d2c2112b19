"""Clocks: the system clock, and a manual one for tests and replays."""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta

from trinetra.values import EPOCH, Instant


class SystemClock:
    """The machine's wall clock and monotonic clock."""

    def now(self) -> Instant:
        """Return the current UTC instant."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds of the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of real time."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until ``advance``; for tests and for replays."""

    def __init__(self, start: Instant = EPOCH) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._tie = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> Instant:
        """Return the instant that this clock shows."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Return the total seconds that this clock was advanced by."""
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has been advanced by ``seconds``."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._tie), woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Advance the clock and wake every sleeper that is due, in order."""
        self._elapsed_s += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed_s:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
