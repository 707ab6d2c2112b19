"""Error of the number of customers inside, minute by minute."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.intervals import Interval
from trinetra.evaluation.scores import Score
from trinetra.evaluation.truth import Inside, Presence

_MINUTE_US = 60_000_000
_BLOCK = 10
"""Minutes that are resampled together: errors of neighboring minutes are alike."""
_DRAWS = 500


def score_occupancy(
    truth: Sequence[Presence] | None, found: Sequence[Inside] | None, random: np.random.Generator
) -> tuple[Score, ...]:
    """Return the mean error and the mean absolute error in people; positive for too many."""
    names = ("occupancy_error", "occupancy_absolute_error")
    if not truth or found is None:
        lacking = "no event contains it" if truth else "the ground truth does not contain it"
        note = f"not measured: {lacking}"
        return tuple(Score(name=name, value=None, note=note) for name in names)
    first, last = min(v.started_us for v in truth), max(v.ended_us for v in truth)
    minutes = np.arange(first, last, _MINUTE_US)
    true = sum((_inside(minutes, v.started_us, v.ended_us) for v in truth), np.zeros(len(minutes)))
    told = sum(
        (one.people * _inside(minutes, one.start_us, one.end_us) for one in found),
        np.zeros(len(minutes)),
    )
    errors = told - true
    return tuple(
        Score(
            name=name,
            value=float(values.mean()),
            interval=_resampled(values, random),
            truth=float(true.mean()),
            found=float(told.mean()),
            n=len(minutes),
        )
        for name, values in zip(names, (errors, np.abs(errors)), strict=True)
    )


def _inside(minutes: NDArray[np.int64], start_us: int, end_us: int) -> NDArray[np.float64]:
    return ((minutes >= start_us) & (minutes < end_us)).astype(np.float64)


def _resampled(values: NDArray[np.float64], random: np.random.Generator) -> Interval:
    """Return the 95 % interval of the mean, by a bootstrap over blocks."""
    blocks = [values[i : i + _BLOCK] for i in range(0, len(values), _BLOCK)]
    drawn = random.integers(0, len(blocks), (_DRAWS, len(blocks)))
    means = [float(np.concatenate([blocks[i] for i in row]).mean()) for row in drawn]
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(low), float(high))
