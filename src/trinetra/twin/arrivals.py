"""Customer arrivals: an inhomogeneous Poisson process over the opening hours."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_STEP_S = 60.0


def crowd(day_fraction: Array) -> Array:
    """Return the relative footfall at fractions 0..1 of the opening hours.

    Footfall is low in the morning, peaks around lunch and peaks higher after work.
    """
    lunch = np.exp(-(((day_fraction - 0.28) / 0.12) ** 2))
    evening = np.exp(-(((day_fraction - 0.72) / 0.17) ** 2))
    return np.asarray(0.45 + 0.6 * lunch + 1.0 * evening)


def arrival_times(
    rng: np.random.Generator, expected: float, window: tuple[float, float], open_s: float
) -> Array:
    """Return arrival times in a window of a day, in seconds, ``expected`` of them on average.

    Thinning (Lewis and Shedler, Naval Research Logistics Quarterly 26, 1979): draw from a
    homogeneous process at the highest rate, then keep each arrival with probability rate / highest
    rate.
    """
    start, end = window
    grid = np.arange(start, end, _STEP_S)
    grid = np.minimum(grid + _STEP_S / 2, end)
    density = crowd((grid - start) / open_s)
    highest = float(density.max())
    # Densities are relative to their mean, so that a short run still gets the number of people that
    # the scenario asks for.
    candidates = rng.poisson(expected * highest / float(density.mean()))
    times = np.sort(rng.uniform(start, end, candidates))
    kept = rng.uniform(0, highest, candidates) < np.interp(times, grid, density)
    return np.asarray(times[kept])
