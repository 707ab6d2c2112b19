"""Outages of servers: what is unavailable, and retrying with exponential backoff until a stop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from trinetra.errors import ServerUnavailable
from trinetra.ports import Clock
from trinetra.redaction import mask_urls
from trinetra.streaming.concurrency import run_until
from trinetra.telemetry import BoundLogger

T = TypeVar("T")


class StoppedError(Exception):
    """A stop was requested while a server was unavailable; its ``__cause__`` is the outage."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts: ``first_s``, then twice as long each time, up to ``longest_s``."""

    first_s: float = 0.2
    longest_s: float = 2.0


class OutageTracker:
    """Tracks whether a server is available; logs the begin and the end of each outage once.

    ``cause`` is None while the server is available. For callers that do not wait: ``may_ask`` lets
    a call through every ``retry_s`` during an outage, so that nothing else waits for an answer.
    """

    def __init__(
        self, clock: Clock, log: BoundLogger, server: str, *, retry_s: float = 0.0
    ) -> None:
        """``server`` names it in the log, with what waits for it if that is not obvious."""
        self.cause: str | None = None
        self._clock = clock
        self._log = log
        self._server = server
        self._retry_s = retry_s
        self._retry_at_s = 0.0

    @property
    def may_ask(self) -> bool:
        """Whether the server is available as far as is known, or a retry is due."""
        return self.cause is None or self._clock.monotonic() >= self._retry_at_s

    def claim_retry(self) -> bool:
        """Return ``may_ask``; during an outage, the caller is the only one until the next retry."""
        if not self.may_ask:
            return False
        if self.cause is not None:
            self._retry_at_s = self._clock.monotonic() + self._retry_s
        return True

    @property
    def overdue_s(self) -> float:
        """Seconds for which a retry has been due without a caller; 0 without an outage."""
        if self.cause is None:
            return 0.0
        return max(0.0, self._clock.monotonic() - self._retry_at_s)

    def note(self, cause: Exception) -> None:
        """Record that the server did not answer."""
        is_news, self.cause = self.cause is None, mask_urls(str(cause))
        self._retry_at_s = self._clock.monotonic() + self._retry_s
        if is_news:
            self._log.warning(f"{self._server} unavailable", cause=self.cause)

    def end(self) -> None:
        """Record that the server answered."""
        if self.cause is not None:
            self._log.info(f"{self._server} available again")
        self.cause = None


class Retrier:
    """Repeats calls while their server is unavailable, until a stop.

    ``stop`` ends the waiting with StoppedError, unless ``outlasts_stop``: work that must be
    finished goes on until it is cancelled, at the latest by the drain deadline.
    """

    def __init__(
        self,
        outage: OutageTracker,
        clock: Clock,
        stop: asyncio.Event,
        *,
        retry_on: tuple[type[ServerUnavailable], ...] = (ServerUnavailable,),
        backoff: Backoff | None = None,
        outlasts_stop: bool = False,
    ) -> None:
        self.outage = outage
        self._clock = clock
        self._stop = stop
        self._retry_on = retry_on
        self._backoff = backoff or Backoff()
        self._outlasts_stop = outlasts_stop

    async def call(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        before_retry: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Return the result of the first attempt that finds the server available.

        ``before_retry`` runs before every attempt but the first. Raises StoppedError, and whatever
        else the attempt raises.
        """
        try:
            result = await attempt()  # outside the retry loop: the usual case costs nothing more
        except self._retry_on as cause:
            self.outage.note(cause)
            result = await self._call_again(attempt, before_retry, cause)
        self.outage.end()
        return result

    async def _call_again(
        self,
        attempt: Callable[[], Awaitable[T]],
        before_retry: Callable[[], Awaitable[None]] | None,
        cause: ServerUnavailable,
    ) -> T:
        last = cause

        async def noted() -> T:
            nonlocal last
            try:
                if before_retry is not None:
                    await before_retry()
                return await attempt()
            except self._retry_on as again:
                self.outage.note(again)
                last = again
                raise

        async def pause(seconds: float) -> None:
            if self._stop.is_set() and not self._outlasts_stop:
                raise StoppedError from last
            await self._pause(seconds)

        await pause(self._backoff.first_s)
        retrying = AsyncRetrying(
            sleep=pause,
            wait=wait_exponential(2 * self._backoff.first_s, max=self._backoff.longest_s),
            retry=retry_if_exception_type(self._retry_on),
        )
        return await retrying(noted)

    async def _pause(self, seconds: float) -> None:
        """Return after ``seconds``, or as soon as the stop is requested the first time."""
        if self._stop.is_set():
            await self._clock.sleep(seconds)
        else:
            await run_until(self._stop, self._clock.sleep(seconds))
