"""Errors of counts and of times, and the matching of events that they need."""

from collections.abc import Iterator, Sequence

import numpy as np

from trinetra.evaluation.boxes import Floats
from trinetra.evaluation.intervals import bootstrap_median, bootstrap_sums, wilson
from trinetra.evaluation.scores import Score, share
from trinetra.evaluation.truth import Stay

_BLOCK_US, _SHORT_BLOCK_US = 300_000_000, 60_000_000
_LONG_US = 1_800_000_000
_LEAST_OVERLAP = 0.2


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
        value=percent(share(finds - truths, truths)),
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
    return [(truth[one], found[two]) for one, two in match_rows(truth, found)]


def match_rows(truth: Sequence[Stay], found: Sequence[Stay]) -> list[tuple[int, int]]:
    """Return the rows of pairs of stays, best overlap in time first, each stay at most once."""
    pairs = sorted(_overlapping(truth, found), key=lambda pair: (-pair[0], pair[1], pair[2]))
    free_truth, free_found = set(range(len(truth))), set(range(len(found)))
    matched = []
    for _, true_row, found_row in pairs:
        if true_row in free_truth and found_row in free_found:
            free_truth.remove(true_row)
            free_found.remove(found_row)
            matched.append((true_row, found_row))
    return matched


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


def median_error(
    name: str,
    of: str,
    errors: Floats,
    medians: tuple[float | None, float | None],
    random: np.random.Generator,
) -> Score:
    """Return the median of errors in seconds; ``medians`` are those of truth and findings."""
    return Score(
        name=name,
        of=of,
        value=median(errors),
        unit="s",
        interval=bootstrap_median(errors, random),
        truth=medians[0],
        found=medians[1],
        n=len(errors),
        note="median over matched pairs" if len(errors) else "no pair to compare",
    )


def median(values: Sequence[float] | Floats) -> float | None:
    """Return the median, or None of no value."""
    return float(np.median(values)) if len(values) else None


def proportion(name: str, of: str, hits: int, trials: int) -> Score:
    """Return a share as a score, with its interval."""
    interval = wilson(hits, trials) if trials else None
    return Score(name=name, of=of, value=share(hits, trials), interval=interval, n=trials)


def percent(value: float | None) -> float | None:
    """Return a share in percent."""
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
