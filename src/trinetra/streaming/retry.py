"""Outages of servers: exponential backoff until a stop, and tracking of what is unavailable."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from trinetra.errors import EventLogUnavailable, ServerUnavailable, StoreUnavailable
from trinetra.ports import Clock
from trinetra.redaction import mask_urls
from trinetra.streaming.concurrency import run_until
from trinetra.telemetry import BoundLogger

T = TypeVar("T")
Unavailable = tuple[type[ServerUnavailable], ...]
EVENTS_OR_STORE: Unavailable = (EventLogUnavailable, StoreUnavailable)


class StoppedError(Exception):
    """A stop was requested while a server was unavailable; the call was never completed."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts: ``first_s``, then twice as long each time, up to ``longest_s``."""

    first_s: float = 0.2
    longest_s: float = 2.0


class Retrier:
    """Repeats calls while their servers are unavailable, and says which outage it waits for.

    An outage is logged once, when it begins, and once when it ends. ``stop`` ends the waiting with
    StoppedError, unless ``outlasts_stop``: work that must be finished goes on until it is
    cancelled, at the latest by the drain deadline.
    """

    def __init__(
        self,
        clock: Clock,
        log: BoundLogger,
        stop: asyncio.Event,
        *,
        retry_on: Unavailable = EVENTS_OR_STORE,
        backoff: Backoff | None = None,
        outlasts_stop: bool = False,
    ) -> None:
        self.waits_for: str | None = None
        self._clock = clock
        self._log = log
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
        """Return the result of the first attempt that finds its server available.

        ``before_retry`` runs before every attempt but the first. Raises StoppedError, and whatever
        else the attempt raises.
        """
        try:
            result = await attempt()  # the usual case pays for no retrying
        except self._retry_on as cause:
            self._begin_outage(cause)
            result = await self._call_again(attempt, before_retry)
        self._end_outage()
        return result

    async def pause(self, seconds: float) -> None:
        """Return after ``seconds`` or as soon as the stop is requested.

        Raises StoppedError when it was requested before, unless waiting outlasts it.
        """
        if not self._stop.is_set():
            await run_until(self._stop, self._clock.sleep(seconds))
        elif self._outlasts_stop:
            await self._clock.sleep(seconds)
        else:
            raise StoppedError

    async def _call_again(
        self,
        attempt: Callable[[], Awaitable[T]],
        before_retry: Callable[[], Awaitable[None]] | None,
    ) -> T:
        async def prepared() -> T:
            if before_retry is not None:
                await before_retry()
            return await attempt()

        await self.pause(self._backoff.first_s)
        retrying = AsyncRetrying(
            sleep=self.pause,
            wait=wait_exponential(
                multiplier=2 * self._backoff.first_s, max=self._backoff.longest_s
            ),
            retry=retry_if_exception_type(self._retry_on),
            before_sleep=self._note_attempt,
        )
        return await retrying(prepared)

    def _note_attempt(self, state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        self.waits_for = mask_urls(str(failure))

    def _begin_outage(self, cause: Exception) -> None:
        if self.waits_for is None:
            self._log.warning("waiting for a server", cause=mask_urls(str(cause)))
        self.waits_for = mask_urls(str(cause))

    def _end_outage(self) -> None:
        if self.waits_for is not None:
            self._log.info("server available again", waited_for=self.waits_for)
        self.waits_for = None


class OutageTracker:
    """Tracks the outage of one server that its caller does not wait for.

    The outage's begin is reported once; while it lasts, ``may_ask`` lets one call through every
    ``retry_s``, so that nothing else waits for a server that does not answer.
    """

    def __init__(
        self,
        clock: Clock,
        report: Callable[[Exception], None],
        *,
        retry_s: float = 0.0,
    ) -> None:
        """``report`` is called with the cause of each outage when it begins."""
        self.cause: str | None = None
        self._clock = clock
        self._report = report
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
        """Seconds since which a retry has been due without a caller; 0 without an outage."""
        if self.cause is None:
            return 0.0
        return max(0.0, self._clock.monotonic() - self._retry_at_s)

    def note(self, cause: Exception) -> None:
        """Record that the server did not answer."""
        is_news = self.cause is None
        self.cause = str(cause)
        self._retry_at_s = self._clock.monotonic() + self._retry_s
        if is_news:
            self._report(cause)

    def end(self) -> bool:
        """Record that the server answered; return whether that ends an outage."""
        was_away, self.cause = self.cause is not None, None
        return was_away
