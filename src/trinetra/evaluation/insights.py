"""Errors of the figures that a shop reads: footfall, visitors, dwell, waits, conversion."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from trinetra.evaluation.boxes import Floats
from trinetra.evaluation.figures import (
    count_error,
    match_instants,
    match_stays,
    median,
    median_error,
    proportion,
)
from trinetra.evaluation.intervals import bootstrap_sums
from trinetra.evaluation.occupancy import score_occupancy
from trinetra.evaluation.queues import (
    NOT_TOLD_BY_EVENTS,
    NOT_TOLD_BY_TRUTH,
    QUEUE_SCORES,
    score_queues,
)
from trinetra.evaluation.scores import Score, ScoreSheet
from trinetra.evaluation.truth import Crossing, Facts, Presence, Stay

_CROSSING_TOLERANCE_US = 2_000_000
OF_THE_SITE = (
    frozenset(
        {
            "unique_visitors_error",
            "visits_error",
            "conversion_error",
            "occupancy_error",
            "occupancy_absolute_error",
        }
    )
    | QUEUE_SCORES
)
"""Scores of the whole site, which no single camera has."""


def score_insights(truth: Facts, found: Facts, *, seed: int = 0) -> ScoreSheet:
    """Return the errors of every insight, in the order in which a shop would ask for them.

    Errors of counts are in percent of the truth, positive for too many; their intervals are
    resampled over blocks of five minutes (of one minute if all events lie within half an hour),
    those of medians over the matched pairs, all drawn with ``seed``.
    """
    random = np.random.default_rng(seed)
    scores = (
        *_footfall(truth, found, random),
        *_visits(truth, found, random),
        *_dwell(truth, found, random),
        *score_queues(truth.waits, found.waits, random),
        *score_occupancy(truth.visits, found.inside, random),
        _conversion(truth, found, random),
    )
    return ScoreSheet("insights", scores, {"seed": seed})


def _footfall(truth: Facts, found: Facts, random: np.random.Generator) -> Iterator[Score]:
    if truth.crossings is None:
        yield Score(name="footfall_error", value=None, note=NOT_TOLD_BY_TRUTH)
        return
    lines = sorted({(c.camera, c.line) for c in truth.crossings})
    for (camera, line), direction in product(lines, ("in", "out")):
        of = f"{camera}/{line} {direction}"
        there = _instants(truth.crossings, camera, line, direction)
        counted = _instants(found.crossings or (), camera, line, direction)
        yield count_error("footfall_error", of, there, counted, random)
        hits = match_instants(there, counted, _CROSSING_TOLERANCE_US)
        yield proportion("crossing_recall", of, hits, len(there))
        yield proportion("crossing_precision", of, hits, len(counted))


def _instants(crossings: Iterable[Crossing], camera: str, line: str, direction: str) -> list[int]:
    where = (camera, line, direction)
    return [c.at_us for c in crossings if (c.camera, c.line, c.direction) == where]


def _visits(truth: Facts, found: Facts, random: np.random.Generator) -> Iterator[Score]:
    if truth.visits is None:
        yield Score(name="unique_visitors_error", value=None, note=NOT_TOLD_BY_TRUTH)
        return
    there, counted = truth.visits, found.visits or ()
    firsts = _first_visits(there), _first_visits(counted)
    yield count_error("unique_visitors_error", "", *firsts, random)
    starts = [v.started_us for v in there], [v.started_us for v in counted]
    yield count_error("visits_error", "", *starts, random)


def _first_visits(visits: Iterable[Presence]) -> list[int]:
    first: dict[str, int] = {}
    for visit in visits:
        first[visit.who] = min(visit.started_us, first.get(visit.who, visit.started_us))
    return list(first.values())


def _dwell(truth: Facts, found: Facts, random: np.random.Generator) -> Iterator[Score]:
    if truth.stays is None:
        yield Score(name="dwell_error", value=None, unit="s", note=NOT_TOLD_BY_TRUTH)
        return
    for camera, zone in sorted({(s.camera, s.zone) for s in truth.stays}):
        there = [s for s in truth.stays if (s.camera, s.zone) == (camera, zone)]
        seen = [s for s in found.stays or () if (s.camera, s.zone) == (camera, zone)]
        yield from _zone_dwell(f"{camera}/{zone}", there, seen, random)


def _zone_dwell(
    of: str, there: Sequence[Stay], seen: Sequence[Stay], random: np.random.Generator
) -> Iterator[Score]:
    pairs = match_stays(there, seen)
    errors = np.array([mine.dwell_s - real.dwell_s for real, mine in pairs])
    medians = _median_dwell(there), _median_dwell(seen)
    yield median_error("dwell_error", of, errors, medians, random)
    starts = [s.entered_us for s in there], [s.entered_us for s in seen]
    yield count_error("stays_error", of, *starts, random)
    yield proportion("stay_recall", of, len(pairs), len(there))
    yield proportion("stay_precision", of, len(pairs), len(seen))


def _conversion(truth: Facts, found: Facts, random: np.random.Generator) -> Score:
    real, mine = _conversion_rate(truth), _conversion_rate(found)
    if real is None or mine is None:
        note = NOT_TOLD_BY_TRUTH if real is None else NOT_TOLD_BY_EVENTS
        return Score(name="conversion_error", value=None, unit="%", truth=real, note=note)
    rows = np.array([*_buyer_rows(truth, 0), *_buyer_rows(found, 2)], np.float64)
    return Score(
        name="conversion_error",
        value=mine - real,
        unit="%",
        interval=bootstrap_sums(rows, _conversion_difference, random),
        truth=real,
        found=mine,
        n=len(truth.visits or ()),
        note="percentage points",
    )


def _conversion_rate(facts: Facts) -> float | None:
    """Return the percentage of visits that led to a purchase."""
    if not facts.visits or any(visit.bought is None for visit in facts.visits):
        return None
    return 100.0 * sum(bool(visit.bought) for visit in facts.visits) / len(facts.visits)


def _buyer_rows(facts: Facts, column: int) -> Iterator[list[float]]:
    for visit in facts.visits or ():
        row = [0.0] * 4
        row[column], row[column + 1] = float(visit.bought or 0), 1.0
        yield row


def _conversion_difference(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100.0 * (sums[:, 2] / sums[:, 3] - sums[:, 0] / sums[:, 1])


def _median_dwell(stays: Sequence[Stay]) -> float | None:
    return median([stay.dwell_s for stay in stays])
