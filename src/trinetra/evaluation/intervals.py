"""How sure a figure is: intervals that hold the true value 95 times in 100."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy

from trinetra.evaluation.boxes import Floats

CONFIDENCE = 0.95
_RESAMPLES = 2000
_LEAST_SAMPLE = 6
"""Resampling fewer than this pretends to be sure: the span of five values misses the median of what
they come from more often than one time in twenty."""
_CELLS_AT_ONCE = 4_000_000


class Interval(NamedTuple):
    """From ``low`` to ``high``, both included."""

    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the score interval of a proportion; without trials it may be anything.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))
    share, weight = successes / trials, z * z / trials
    centre = share + weight / 2
    spread = z * float(np.sqrt(share * (1 - share) / trials + weight / (4 * trials)))
    low, high = (centre - spread) / (1 + weight), (centre + spread) / (1 + weight)
    return Interval(
        0.0 if successes == 0 else max(0.0, low),
        1.0 if successes == trials else min(1.0, high),
    )


def poisson(count: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact interval of the mean of which ``count`` events were seen.

    F. Garwood, Fiducial limits for the Poisson distribution, 1936.
    """
    tail = (1 - confidence) / 2
    low = float(scipy.stats.chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return Interval(low, float(scipy.stats.chi2.ppf(1 - tail, 2 * count + 2)) / 2)


def bootstrap_median(
    values: Floats, random: np.random.Generator, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return the percentile interval of the median of ``values (n,)``; None for fewer than six.

    B. Efron, Bootstrap methods: another look at the jackknife, 1979.
    """
    if len(values) < _LEAST_SAMPLE:
        return None
    at_once = max(1, _CELLS_AT_ONCE // len(values))
    medians: list[Floats] = []
    for done in range(0, _RESAMPLES, at_once):
        shape = (min(at_once, _RESAMPLES - done), len(values))
        medians.append(np.median(values[random.integers(len(values), size=shape)], axis=1))
    return _percentiles(np.concatenate(medians), confidence)


def bootstrap_sums(
    counts: Floats,
    statistic: Callable[[Floats], Floats],
    random: np.random.Generator,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Return the percentile interval of a statistic of column sums.

    ``counts (n, k)`` has a row per block of time; blocks are drawn as a whole, since what happens
    within one hangs together (H. R. Kuensch, The jackknife and the bootstrap for general stationary
    observations, 1989). ``statistic`` maps sums ``(r, k)`` to values ``(r,)``; values that are not
    finite are left out. None where nothing is left or there are fewer than six blocks.
    """
    blocks = len(counts)
    if blocks < _LEAST_SAMPLE:
        return None
    draws = random.multinomial(blocks, np.full(blocks, 1 / blocks), size=_RESAMPLES)
    values = statistic(draws @ counts)
    values = values[np.isfinite(values)]
    return _percentiles(values, confidence) if len(values) else None


def _percentiles(values: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))
