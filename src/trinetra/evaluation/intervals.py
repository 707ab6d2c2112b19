"""Confidence intervals that contain the true value 95 times in 100."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy

from trinetra.evaluation.boxes import Floats

CONFIDENCE = 0.95
_RESAMPLES = 2000
_LEAST_SAMPLE = 6
"""Minimum sample size for resampling.

The span of five values misses the median of their distribution more than one time in twenty, so
that the interval would be too narrow.
"""
_CELLS_AT_ONCE = 4_000_000


class Interval(NamedTuple):
    """From ``low`` to ``high``, both included."""

    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the score interval of a proportion; without trials it is 0 to 1.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))
    share, weight = successes / trials, z * z / trials
    center = share + weight / 2
    spread = z * float(np.sqrt(share * (1 - share) / trials + weight / (4 * trials)))
    low, high = (center - spread) / (1 + weight), (center + spread) / (1 + weight)
    return Interval(
        0.0 if successes == 0 else max(0.0, low),
        1.0 if successes == trials else min(1.0, high),
    )


def poisson(count: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact interval of a Poisson mean of which ``count`` events were observed.

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

    ``counts (n, k)`` has a row per time block; blocks are drawn as a whole, since events within a
    block are correlated (H. R. Kuensch, The jackknife and the bootstrap for general stationary
    observations, 1989). ``statistic`` maps sums ``(r, k)`` to values ``(r,)``; values that are not
    finite are left out. None if no value is left or there are fewer than six blocks.
    """
    blocks = len(counts)
    if blocks < _LEAST_SAMPLE:
        return None
    draws = random.multinomial(blocks, np.full(blocks, 1 / blocks), size=_RESAMPLES)
    values = statistic(draws @ counts)
    values = values[np.isfinite(values)]
    return _percentiles(values, confidence) if len(values) else None


def jackknife(value: float, without: Floats) -> Interval:
    """Return the interval of a statistic from its values ``(n,)`` without one block each.

    Blocks of time are left out as a whole, since events within a block are correlated (H. R.
    Kuensch, The jackknife and the bootstrap for general stationary observations, 1989). It takes
    one evaluation per block, where resampling takes thousands.
    """
    blocks = len(without)
    spread = np.sqrt((blocks - 1) / blocks * np.sum((without - without.mean()) ** 2))
    reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, blocks - 1) * spread)
    return Interval(value - reach, value + reach)


def _percentiles(values: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))
