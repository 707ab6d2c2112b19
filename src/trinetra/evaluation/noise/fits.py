"""Small fits for noise: quantiles, logistic regression, and correlation in time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHARES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.99, 1.0)
"""Shares at which a distribution is written down: close together in the tails."""
_LONGEST_LAG_S = 2.0
_STEADY_LAG_S = 1.4
"""What is still alike after this long is taken for constant during a walk."""
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Persistence:
    """Correlation in time of a standard normal noise: the rest, to 1, is new in every frame.

    ``steady`` is the part of the variance that is constant for one person, ``slow`` the part that
    is forgotten with time constant ``memory_s``.
    """

    steady: float
    slow: float
    memory_s: float


def quantiles(values: Floats, digits: int = 4) -> list[float]:
    """Return a distribution as its quantiles at ``SHARES``."""
    return [round(float(value), digits) for value in np.quantile(values, SHARES)]


def normal_scores(values: Floats) -> Floats:
    """Return values as standard normal ones of the same rank (van der Waerden)."""
    ranks = scipy.stats.rankdata(values)
    return np.asarray(scipy.stats.norm.ppf((ranks - 0.5) / len(values)))


def logistic(inputs: Floats, outcome: NDArray[np.bool_]) -> Floats:
    """Return the coefficients of a logistic regression; the first input must be constant 1."""
    signs = np.where(outcome, 1.0, -1.0)

    def loss(weights: Floats) -> float:
        fit = np.logaddexp(0, -signs * (inputs @ weights)).sum()
        return float(fit + _RIDGE * (weights @ weights))

    found = scipy.optimize.minimize(loss, np.zeros(inputs.shape[1]))
    return np.asarray(found.x)


def autocorrelation(values: Floats, group: Ints, frame: Ints, lags: Sequence[int]) -> list[float]:
    """Return the correlation of values of one group that are so many frames apart."""
    centered = values - values.mean()
    at = {(int(g), int(f)): v for g, f, v in zip(group, frame, centered, strict=True)}
    told = []
    for lag in lags:
        pairs = [(v, at[g, f + lag]) for (g, f), v in at.items() if (g, f + lag) in at]
        a, b = np.array(pairs or [(0.0, 0.0)]).T
        told.append(float((a * b).mean() / max(centered.var(), 1e-12)))
    return told


def persistence(values: Floats, group: Ints, frame: Ints, fps: float) -> Persistence:
    """Fit a constant, an exponentially forgotten, and a new part to the autocorrelation."""
    lags = np.unique(np.rint(np.geomspace(1, _LONGEST_LAG_S * fps, 14)).astype(int))
    told = np.array(autocorrelation(values, group, frame, lags.tolist()))
    seconds = lags / fps
    steady = float(np.clip(told[seconds >= _STEADY_LAG_S].mean(), 0, 0.95))

    def miss(parts: Floats) -> Floats:
        slow, memory_s = parts
        return np.asarray(steady + slow * np.exp(-seconds / memory_s) - told)

    bounds = ([0, 0.02], [max(1 - steady, 1e-6), _STEADY_LAG_S])
    begin = [(1 - steady) / 2, 0.3]
    slow, memory_s = scipy.optimize.least_squares(miss, begin, bounds=bounds).x
    return Persistence(round(steady, 3), round(float(slow), 3), round(float(memory_s), 3))


def mean_persistence(parts: Sequence[tuple[Persistence, int]]) -> Persistence:
    """Return the mean of fits, weighted by their numbers of values."""
    weights = np.array([count for _, count in parts], np.float64)
    table = np.array([(p.steady, p.slow, p.memory_s) for p, _ in parts])
    steady, slow, memory_s = (weights @ table / weights.sum()).tolist()
    return Persistence(round(steady, 3), round(slow, 3), round(memory_s, 3))
