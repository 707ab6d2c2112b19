"""The clock of the Redis server, as told by the monotonic clock of this process."""

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from redis.asyncio import Redis

from trinetra.ports import Clock

_EVERY_S = 10.0
_LONGEST_ANSWER_S = 0.5
"""An answer that took longer, for example because this process stood still, tells too little."""


class ServerClock:
    """Translates the server's time into the monotonic time of this process.

    The difference is measured every 10 s. A step of the server's clock is thus wrong for as long;
    after a step back, Redis itself keeps the ids of entries ahead until the time has caught up, and
    entries count as new until then.
    """

    def __init__(
        self,
        redis: "Redis",
        answering: Callable[[], AbstractAsyncContextManager[None]],
        clock: Clock,
    ) -> None:
        self._redis = redis
        self._answering = answering
        self._clock = clock
        self._ahead_s: float | None = None  # of the monotonic clock
        self._due_s = -math.inf

    async def keep_calibrated(self) -> None:
        """Measure the difference if that is due. Raises BufferUnavailable."""
        asked_s = self._clock.monotonic()
        if asked_s < self._due_s:
            return
        async with self._answering():
            seconds, microseconds = await self._redis.time()
        answered_s = self._clock.monotonic()
        if answered_s - asked_s <= _LONGEST_ANSWER_S or self._ahead_s is None:
            self._ahead_s = seconds + microseconds / 1e6 - (asked_s + answered_s) / 2
        self._due_s = answered_s + _EVERY_S

    def monotonic_at(self, server_s: float) -> float:
        """Return the monotonic time of a Unix time of the server; now for its future."""
        now_s = self._clock.monotonic()
        return now_s if self._ahead_s is None else min(now_s, server_s - self._ahead_s)
