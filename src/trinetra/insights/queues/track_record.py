"""Errors of earlier forecasts of the wait, each as it would have been made then.

A forecast sees only what had ended before it, and the number of parties in the queue. Its outcome
is the mean wait of the parties that joined within the horizon after it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from trinetra.events.schema import QueueVisit
from trinetra.insights.queues.forecast import (
    RECENT_S,
    QueueState,
    expected_wait_s,
    relative_error,
    state_at,
)
from trinetra.values import Instant, after, seconds_between

EVERY_S = 120.0
_WARM_UP_S = 3600.0
_LONGEST_S = 7200.0
"""No one is in a queue for longer."""


class PastForecast(NamedTuple):
    """A forecast and its outcome, known at ``known_at``; ``ended`` are the visits it knew of."""

    at: Instant
    state: QueueState
    ended: Sequence[QueueVisit]
    expected_s: float
    actual_s: float
    known_at: Instant

    @property
    def error(self) -> float:
        """The relative error."""
        return relative_error(self.state, self.expected_s, self.actual_s)


def walk(visits: Sequence[QueueVisit], horizon_s: float) -> Iterator[PastForecast]:
    """Yield the forecasts that could have been made, in order.

    Times after which no one joined the queue within the horizon are left out.
    """
    by_end, by_joining = _Ordered(visits, _ended_at), _Ordered(visits, _joined_at)
    for at in _times(visits, horizon_s):
        ended = by_end.between(after(at, -RECENT_S), at)
        here = by_joining.between(after(at, -_LONGEST_S), at)
        state = state_at(at, ended, sum(_is_waiting(visit, at) for visit in here))
        expected_s = expected_wait_s(state)
        joined = [v for v in by_joining.between(at, after(at, horizon_s)) if v.served_at]
        if expected_s is None or not joined:
            continue
        actual_s = fmean(visit.wait_s or 0.0 for visit in joined)
        known_at = max(visit.served_at or at for visit in joined)
        yield PastForecast(at, state, ended, expected_s, actual_s, known_at)


class _Ordered:
    """Visits in the order of an instant, to find those of a span."""

    def __init__(
        self, visits: Sequence[QueueVisit], instant_of: Callable[[QueueVisit], Instant]
    ) -> None:
        self._visits = sorted(visits, key=instant_of)
        self._at = [instant_of(visit) for visit in self._visits]

    def between(self, after_: Instant, until: Instant) -> list[QueueVisit]:
        """Return the visits after an instant, up to and including another."""
        return self._visits[bisect_right(self._at, after_) : bisect_right(self._at, until)]


def _ended_at(visit: QueueVisit) -> Instant:
    return visit.captured_at


def _joined_at(visit: QueueVisit) -> Instant:
    return visit.joined_at


def _times(visits: Sequence[QueueVisit], horizon_s: float) -> Iterator[Instant]:
    """Yield when forecasts are made: after an hour, until the last outcome is known."""
    if not visits:
        return
    at = after(min(visit.joined_at for visit in visits), _WARM_UP_S)
    last = max(visit.captured_at for visit in visits)
    while seconds_between(at, last) > horizon_s:
        yield at
        at = after(at, EVERY_S)


def _is_waiting(visit: QueueVisit, at: Instant) -> bool:
    return visit.joined_at <= at < (visit.served_at or visit.captured_at)
