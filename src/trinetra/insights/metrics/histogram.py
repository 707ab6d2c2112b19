"""Histogram bins for durations, from which percentiles follow with a bounded error.

Bins are 1 s wide up to a minute and then 2 % wide, so a percentile read from them is accurate to
half a second or 1 %.
"""

from collections.abc import Mapping
from math import exp, floor, log, log1p

_LINEAR_S = 60
_GROWTH = 1.02
_LAST_BIN = 800


def bin_of(seconds: float) -> int:
    """Return the bin of a duration; negative ones count as 0 s."""
    if seconds < _LINEAR_S:
        return max(0, floor(seconds))
    grown = floor(log(seconds / _LINEAR_S) / log(_GROWTH))
    return min(_LINEAR_S + grown, _LAST_BIN)


def edges_of(number: int) -> tuple[float, float]:
    """Return the lower and upper edge of a bin in seconds."""
    return _edge(number), _edge(number + 1)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the duration that ``share`` of all do not exceed, interpolated; None without any."""
    total = sum(counts.values())
    if total <= 0:
        return None
    rank, seen = share * total, 0
    for number in sorted(counts):
        count = counts[number]
        if count > 0 and seen + count >= rank:
            low, high = edges_of(number)
            return low + (high - low) * max(0.0, rank - seen) / count
        seen += count
    return edges_of(max(counts))[1]


def _edge(number: int) -> float:
    if number <= _LINEAR_S:
        return float(number)
    return _LINEAR_S * exp((number - _LINEAR_S) * log1p(_GROWTH - 1))
