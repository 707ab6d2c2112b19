"""Forecast of the wait of the next parties, from what is known of the queues now.

Two estimates are averaged. That of the queue: everyone who waits now is served first, by the open
tills. And the recent mean wait, since queues grow and shrink around what was usual before. On days
of the twin the average is better than either: docs/queues.md has the errors. It is the same for the
next 5, 10 and 15 minutes; the range of errors is not.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

from trinetra.events.schema import QueueVisit
from trinetra.values import Instant, after

RECENT_S = 1800.0
HORIZONS_S = (300.0, 600.0, 900.0)
COVERAGE = 0.8
LEAST_ERRORS = 20
"""Fewer errors of earlier forecasts do not tell their range."""


class QueueState(NamedTuple):
    """What is known of the queues at an instant.

    ``waiting`` parties are in a queue, ``open_tills`` served customers recently; ``service_s`` and
    ``wait_s`` are the means of the parties served recently, None without any.
    """

    waiting: int
    open_tills: int
    service_s: float | None
    wait_s: float | None


class Forecast(NamedTuple):
    """The expected mean wait of the next parties, and the range in which ``COVERAGE`` of them lie.

    Without a range there are too few earlier forecasts to tell it.
    """

    wait_s: float
    low_s: float | None
    high_s: float | None


def state_at(at: Instant, visits: Iterable[QueueVisit], waiting: int) -> QueueState:
    """Return the state at an instant; visits that ended later or long ago are left out."""
    since = after(at, -RECENT_S)
    served = [v for v in visits if v.end == "served" and since < v.captured_at <= at]
    return QueueState(
        waiting=waiting,
        open_tills=len({visit.till_id for visit in served}),
        service_s=_mean([v.service_s for v in served if v.service_s is not None]),
        wait_s=_mean([v.wait_s for v in served if v.wait_s is not None]),
    )


def expected_wait_s(state: QueueState) -> float | None:
    """Return the expected mean wait of the next parties; None if no one was served recently."""
    if state.service_s is None or not state.open_tills:
        return None
    of_queue_s = state.waiting * state.service_s / state.open_tills
    return of_queue_s if state.wait_s is None else (of_queue_s + state.wait_s) / 2


def relative_error(state: QueueState, expected_s: float, actual_s: float) -> float:
    """Return an error in proportion to the forecast and a service: long waits vary more."""
    return (actual_s - expected_s) / (expected_s + (state.service_s or 1.0))


def forecast(state: QueueState, errors: Sequence[float]) -> Forecast | None:
    """Return the forecast, with its range from the relative errors of earlier forecasts.

    They must be of the same horizon. None if no one was served recently.
    """
    expected_s = expected_wait_s(state)
    if expected_s is None:
        return None
    if len(errors) < LEAST_ERRORS:
        return Forecast(expected_s, None, None)
    scale_s = expected_s + (state.service_s or 1.0)
    low, high = (
        max(0.0, expected_s + _quantile(errors, share) * scale_s)
        for share in ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    )
    return Forecast(expected_s, low, high)


def _quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), ceil(share * len(ordered))) - 1)]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
