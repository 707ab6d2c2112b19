"""Errors of the figures about queues: waits, services, abandonment, changes of the queue.

A wait is that of a party which was served, as a shop reads it; parties that gave up are counted by
the abandonment.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from trinetra.evaluation.figures import (
    count_error,
    match_rows,
    median,
    median_error,
    percent,
    proportion,
)
from trinetra.evaluation.scores import Score, share
from trinetra.evaluation.truth import Stay, Wait

QUEUE_SCORES = frozenset(
    {
        "queue_wait_error",
        "queue_wait_p50_error",
        "queue_wait_p90_error",
        "service_time_error",
        "served_error",
        "service_recall",
        "service_precision",
        "abandonment_error",
        "queue_changes_error",
    }
)
NOT_TOLD_BY_TRUTH = "not measured: the ground truth does not contain it"
NOT_TOLD_BY_EVENTS = "not measured: no event contains it"
_Waits = Sequence[Wait]


def score_queues(
    truth: _Waits | None, found: _Waits | None, random: np.random.Generator
) -> Iterator[Score]:
    """Yield the scores of the queues: of each till the waits, and of all tills the rest."""
    if truth is None or found is None:
        note = NOT_TOLD_BY_TRUTH if truth is None else NOT_TOLD_BY_EVENTS
        waits_s = _known_waits_s(truth or ())
        yield Score(name="queue_wait_error", value=None, unit="s", truth=median(waits_s), note=note)
        return
    there, seen = (tuple(w for w in side if w.end == "served") for side in (truth, found))
    yield from _errors_of_waits(there, seen, random)
    yield from _errors_of_services(there, seen, random)
    yield _abandonment(truth, found)
    changes = [sum(wait.changes for wait in side if wait.end != "moved") for side in (truth, found)]
    yield Score(
        name="queue_changes_error",
        value=changes[1] - changes[0],
        truth=changes[0],
        found=changes[1],
        n=changes[0],
    )


def _errors_of_waits(there: _Waits, seen: _Waits, random: np.random.Generator) -> Iterator[Score]:
    for till in sorted({wait.till for wait in there}):
        sides = [[wait for wait in side if wait.till == till] for side in (there, seen)]
        errors = [
            mine.wait_s - real.wait_s
            for real, mine in _matched(*sides)
            if mine.wait_s is not None and real.wait_s is not None
        ]
        medians = median(_known_waits_s(sides[0])), median(_known_waits_s(sides[1]))
        yield median_error("queue_wait_error", till, np.array(errors), medians, random)
    for percentile in (50, 90):
        yield _percentile_error(percentile, _known_waits_s(there), _known_waits_s(seen))


def _percentile_error(percentile: int, there_s: Sequence[float], seen_s: Sequence[float]) -> Score:
    """Return by how much a percentile of the waits found differs from that of the true ones."""
    real, mine = (
        float(np.percentile(side, percentile)) if side else None for side in (there_s, seen_s)
    )
    return Score(
        name=f"queue_wait_p{percentile}_error",
        value=None if real is None or mine is None else mine - real,
        unit="s",
        truth=real,
        found=mine,
        n=len(there_s),
        note="" if there_s and seen_s else "no party that was served to compare",
    )


def _errors_of_services(
    there: _Waits, seen: _Waits, random: np.random.Generator
) -> Iterator[Score]:
    pairs = [
        pair for till in sorted({w.till for w in there}) for pair in _of_till(there, seen, till)
    ]
    errors = [
        mine.service_s - real.service_s
        for real, mine in pairs
        if mine.service_s is not None and real.service_s is not None
    ]
    medians = [median([w.service_s for w in s if w.service_s is not None]) for s in (there, seen)]
    yield median_error("service_time_error", "", np.array(errors), (medians[0], medians[1]), random)
    ends = [[_left_us(wait) for wait in side] for side in (there, seen)]
    yield count_error("served_error", "", ends[0], ends[1], random)
    yield proportion("service_recall", "", len(pairs), len(there))
    yield proportion("service_precision", "", len(pairs), len(seen))


def _of_till(there: _Waits, seen: _Waits, till: str) -> list[tuple[Wait, Wait]]:
    return _matched([w for w in there if w.till == till], [w for w in seen if w.till == till])


def _matched(there: _Waits, seen: _Waits) -> list[tuple[Wait, Wait]]:
    """Return pairs of parties at one till that were there at the same time."""
    spans = [[Stay("", w.till, w.joined_us, _left_us(w)) for w in side] for side in (there, seen)]
    return [(there[one], seen[two]) for one, two in match_rows(*spans)]


def _left_us(wait: Wait) -> int:
    return (
        wait.joined_us + round((wait.wait_s or 0) * 1e6) if wait.left_us is None else wait.left_us
    )


def _known_waits_s(waits: _Waits) -> list[float]:
    return [wait.wait_s for wait in waits if wait.wait_s is not None]


def _abandonment(truth: _Waits, found: _Waits) -> Score:
    rates = []
    for side in (truth, found):
        ends = [wait.end for wait in side if wait.end != "moved"]
        rates.append(percent(share(ends.count("abandoned"), len(ends))))
    real, mine = rates
    return Score(
        name="abandonment_error",
        value=None if real is None or mine is None else mine - real,
        unit="%",
        truth=real,
        found=mine,
        n=sum(wait.end != "moved" for wait in truth),
        note="percentage points",
    )
