"""Errors of the figures that a shop reads: footfall, visitors, dwell, waits, conversion."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from trinetra.evaluation.boxes import Floats
from trinetra.evaluation.intervals import bootstrap_median, bootstrap_sums, wilson
from trinetra.evaluation.scores import Score, ScoreSheet, share
from trinetra.evaluation.truth import Crossing, Facts, Presence, Stay

_BLOCK_US, _SHORT_BLOCK_US = 300_000_000, 60_000_000
_LONG_US = 1_800_000_000
_CROSSING_TOLERANCE_US = 2_000_000
_LEAST_OVERLAP = 0.2
OF_THE_SITE = frozenset(
    {"unique_visitors_error", "visits_error", "queue_wait_error", "conversion_error"}
)
"""Scores of the whole site, which no single camera has."""
_NOT_TOLD_BY_TRUTH = "not measured: the ground truth does not contain it"
_NOT_TOLD_BY_EVENTS = "not measured: no event contains it"


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
        *_waits(truth, found, random),
        _conversion(truth, found, random),
    )
    return ScoreSheet("insights", scores, {"seed": seed})


def count_error(
    name: str,
    of: str,
    truth_us: Sequence[int],
    found_us: Sequence[int],
    random: np.random.Generator,
) -> Score:
    """Return the error of an event count in percent, given the times of the events."""
    truths, finds = len(truth_us), len(found_us)
    return Score(
        name=name,
        of=of,
        value=_percent(share(finds - truths, truths)),
        unit="%",
        interval=bootstrap_sums(_per_block(truth_us, found_us), _error_percent, random),
        truth=truths,
        found=finds,
        n=truths,
        note="" if truths else "none in the ground truth: no percentage",
    )


def match_instants(truth_us: Sequence[int], found_us: Sequence[int], tolerance_us: int) -> int:
    """Return how many events can be matched one to one within the tolerance.

    Matching greedily with the earliest candidate is optimal, because all windows have the same
    length.
    """
    truth, matches, row = sorted(truth_us), 0, 0
    for at_us in sorted(found_us):
        while row < len(truth) and truth[row] < at_us - tolerance_us:
            row += 1
        if row < len(truth) and truth[row] <= at_us + tolerance_us:
            matches, row = matches + 1, row + 1
    return matches


def match_stays(truth: Sequence[Stay], found: Sequence[Stay]) -> list[tuple[Stay, Stay]]:
    """Return pairs of stays, best overlap in time first, each stay at most once."""
    pairs = sorted(_overlapping(truth, found), key=lambda pair: (-pair[0], pair[1], pair[2]))
    free_truth, free_found = set(range(len(truth))), set(range(len(found)))
    matched = []
    for _, true_row, found_row in pairs:
        if true_row in free_truth and found_row in free_found:
            free_truth.remove(true_row)
            free_found.remove(found_row)
            matched.append((truth[true_row], found[found_row]))
    return matched


def _footfall(truth: Facts, found: Facts, random: np.random.Generator) -> Iterator[Score]:
    if truth.crossings is None:
        yield Score(name="footfall_error", value=None, note=_NOT_TOLD_BY_TRUTH)
        return
    lines = sorted({(c.camera, c.line) for c in truth.crossings})
    for (camera, line), direction in product(lines, ("in", "out")):
        of = f"{camera}/{line} {direction}"
        there = _instants(truth.crossings, camera, line, direction)
        counted = _instants(found.crossings or (), camera, line, direction)
        yield count_error("footfall_error", of, there, counted, random)
        hits = match_instants(there, counted, _CROSSING_TOLERANCE_US)
        yield _proportion("crossing_recall", of, hits, len(there))
        yield _proportion("crossing_precision", of, hits, len(counted))


def _instants(crossings: Iterable[Crossing], camera: str, line: str, direction: str) -> list[int]:
    where = (camera, line, direction)
    return [c.at_us for c in crossings if (c.camera, c.line, c.direction) == where]


def _visits(truth: Facts, found: Facts, random: np.random.Generator) -> Iterator[Score]:
    if truth.visits is None:
        yield Score(name="unique_visitors_error", value=None, note=_NOT_TOLD_BY_TRUTH)
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
        yield Score(name="dwell_error", value=None, unit="s", note=_NOT_TOLD_BY_TRUTH)
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
    yield _median_error("dwell_error", of, errors, medians, random)
    starts = [s.entered_us for s in there], [s.entered_us for s in seen]
    yield count_error("stays_error", of, *starts, random)
    yield _proportion("stay_recall", of, len(pairs), len(there))
    yield _proportion("stay_precision", of, len(pairs), len(seen))


def _waits(truth: Facts, found: Facts, random: np.random.Generator) -> Iterator[Score]:
    if truth.waits is None or found.waits is None:
        note = _NOT_TOLD_BY_TRUTH if truth.waits is None else _NOT_TOLD_BY_EVENTS
        true_wait_s = _median([wait.wait_s for wait in truth.waits or ()])
        yield Score(name="queue_wait_error", value=None, unit="s", truth=true_wait_s, note=note)
        return
    for till in sorted({wait.till for wait in truth.waits}):
        there = [wait for wait in truth.waits if wait.till == till]
        seen = [wait for wait in found.waits if wait.till == till]
        spans = [
            [Stay("", till, w.joined_us, w.joined_us + round(w.wait_s * 1e6)) for w in waits]
            for waits in (there, seen)
        ]
        errors = np.array([b.dwell_s - a.dwell_s for a, b in match_stays(*spans)])
        medians = _median([w.wait_s for w in there]), _median([w.wait_s for w in seen])
        yield _median_error("queue_wait_error", till, errors, medians, random)


def _conversion(truth: Facts, found: Facts, random: np.random.Generator) -> Score:
    real, mine = _conversion_rate(truth), _conversion_rate(found)
    if real is None or mine is None:
        note = _NOT_TOLD_BY_TRUTH if real is None else _NOT_TOLD_BY_EVENTS
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


def _error_percent(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100.0 * (sums[:, 1] - sums[:, 0]) / sums[:, 0]


def _per_block(truth_us: Sequence[int], found_us: Sequence[int]) -> Floats:
    """Return event counts of truth and findings ``(blocks, 2)``, from first block to last."""
    both = np.array([*truth_us, *found_us], np.int64)
    if not len(both):
        return np.zeros((0, 2))
    span_us = int(both.max() - both.min())
    block = (both - both.min()) // (_BLOCK_US if span_us >= _LONG_US else _SHORT_BLOCK_US)
    side = np.repeat([0, 1], [len(truth_us), len(found_us)])
    counts = np.zeros((int(block.max()) + 1, 2))
    np.add.at(counts, (block, side), 1.0)
    return counts


def _median_error(
    name: str,
    of: str,
    errors: Floats,
    medians: tuple[float | None, float | None],
    random: np.random.Generator,
) -> Score:
    return Score(
        name=name,
        of=of,
        value=_median(errors),
        unit="s",
        interval=bootstrap_median(errors, random),
        truth=medians[0],
        found=medians[1],
        n=len(errors),
        note="median over matched pairs" if len(errors) else "no pair to compare",
    )


def _median_dwell(stays: Sequence[Stay]) -> float | None:
    return _median([stay.dwell_s for stay in stays])


def _median(values: Sequence[float] | Floats) -> float | None:
    return float(np.median(values)) if len(values) else None


def _proportion(name: str, of: str, hits: int, trials: int) -> Score:
    interval = wilson(hits, trials) if trials else None
    return Score(name=name, of=of, value=share(hits, trials), interval=interval, n=trials)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100.0 * value


def _overlapping(truth: Sequence[Stay], found: Sequence[Stay]) -> Iterator[tuple[float, int, int]]:
    """Yield overlap and rows of every two stays that overlap enough in time."""
    order = sorted(range(len(found)), key=lambda row: found[row].entered_us)
    entered = np.array([found[row].entered_us for row in order], np.int64)
    longest = max((stay.left_us - stay.entered_us for stay in found), default=0)
    for true_row, stay in enumerate(truth):
        first = int(np.searchsorted(entered, stay.entered_us - longest))
        last = int(np.searchsorted(entered, stay.left_us, side="right"))
        for found_row in order[first:last]:
            overlap = _time_overlap(stay, found[found_row])
            if overlap >= _LEAST_OVERLAP:
                yield overlap, true_row, found_row


def _time_overlap(a: Stay, b: Stay) -> float:
    """Return shared time divided by total time; 1 for two equal instants."""
    shared = min(a.left_us, b.left_us) - max(a.entered_us, b.entered_us)
    total = max(a.left_us, b.left_us) - min(a.entered_us, b.entered_us)
    if total == 0:
        return 1.0
    return max(0, shared) / total
