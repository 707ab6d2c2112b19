"""Deletes what is older than the site keeps it, in batches between those of a consumer."""

from collections.abc import Awaitable, Callable

from trinetra.ports import Clock, ExpiringStore
from trinetra.telemetry import get_logger
from trinetra.values import Instant, after

_INSIGHTS_AT_ONCE = 1000
_PLATES_AT_ONCE = 200
_MERGES_AT_ONCE = 20_000


class Retention:
    """Deletes what is older than ``keeps_s``, every ``every_s``.

    ``expire(before, most)`` deletes one batch and returns how many it deleted. While batches are
    full the next one is due at once.
    """

    def __init__(
        self,
        what: str,
        expire: Callable[[Instant, int], Awaitable[int]],
        clock: Clock,
        *,
        keeps_s: float,
        every_s: float,
        most: int,
    ) -> None:
        self._what = what
        self._expire = expire
        self._clock = clock
        self._keeps_s = keeps_s
        self._every_s = every_s
        self._most = most
        self._due_s = clock.monotonic()

    async def tend(self) -> None:
        """Delete one batch, if that is due. Raises what ``expire`` raises."""
        if self._clock.monotonic() < self._due_s:
            return
        before = after(self._clock.now(), -self._keeps_s)
        deleted = await self._expire(before, self._most)
        if deleted < self._most:
            self._due_s = self._clock.monotonic() + self._every_s
        if deleted:
            get_logger("retention").info(
                f"{self._what} deleted", number=deleted, before=str(before)
            )

    async def close(self) -> None:
        """Do nothing: nothing is held."""


def insight_retention(store: ExpiringStore, clock: Clock, keeps_s: float) -> Retention:
    """Return the retention of insights."""
    return Retention(
        *("insights", store.expire, clock), keeps_s=keeps_s, every_s=600.0, most=_INSIGHTS_AT_ONCE
    )


def plate_retention(store: ExpiringStore, clock: Clock, keeps_s: float) -> Retention:
    """Return the retention of the pseudonyms of license plates."""
    return Retention(
        *("plates", store.expire_plates, clock),
        keeps_s=keeps_s,
        every_s=600.0,
        most=_PLATES_AT_ONCE,
    )


def merge_retention(store: ExpiringStore, clock: Clock, keeps_s: float) -> Retention:
    """Return the retention of merges of anonymous people.

    Directories of running services keep them until these restart. Each batch reads the whole
    customer log, so batches are large and rare.
    """
    return Retention(
        *("merges", store.expire_merges, clock),
        keeps_s=keeps_s,
        every_s=21_600.0,
        most=_MERGES_AT_ONCE,
    )
