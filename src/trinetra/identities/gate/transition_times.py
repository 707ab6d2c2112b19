"""Usual transition times between views, learned from recognized people.

Times of one kind of walk are log-normal (Limpert, Stahel and Abbt, BioScience 51, 2001), so mean
and deviation of their logarithms are kept, online (Welford, Technometrics 4, 1962; with weights,
West, CACM 22, 1979). Older times fade. They are reported next to a verdict but never change it:
a person who stops for a coffee is no impostor.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from math import exp, log, sqrt

from trinetra.values import CameraId

Transition = tuple[CameraId, CameraId]
LONGEST_S = 600.0
"""After a longer absence a person did something else on the way."""
SURPRISING = 3.0
"""Deviations from the usual time; one genuine walk in 400 is that far off."""
_SHORTEST_S = 0.1
_FADES_OVER = 2_000
_LEAST = 20
_LEAST_DEVIATION = 0.1
_MAX_PAIRS = 20_000


@dataclass(slots=True)
class UsualTime:
    """Log-normal distribution of the times of one transition."""

    weight: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, seconds: float) -> None:
        """Learn from one more walk."""
        value, kept = log(seconds), 1.0 - 1.0 / _FADES_OVER
        self.weight = kept * self.weight + 1.0
        apart = value - self.mean
        self.mean += apart / self.weight
        self.squares = kept * self.squares + apart * (value - self.mean)

    @property
    def median_s(self) -> float:
        """The median time."""
        return exp(self.mean)

    @property
    def deviation(self) -> float:
        """The standard deviation of the times' logarithm."""
        return max(_LEAST_DEVIATION, sqrt(max(0.0, self.squares) / max(1.0, self.weight - 1.0)))

    def surprise(self, seconds: float) -> float:
        """Return how many deviations a time is above (negative: below) the median."""
        return (log(max(seconds, _SHORTEST_S)) - self.mean) / self.deviation


@dataclass(slots=True)
class TransitionTimes:
    """Usual times of all transitions; the least recently updated ones are evicted."""

    _ways: OrderedDict[Transition, UsualTime] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._ways)

    def learn(self, a: CameraId, b: CameraId, seconds: float) -> None:
        """Learn the time of a recognized person's walk from ``a`` to ``b``."""
        if a == b or not 0 < seconds <= LONGEST_S:
            return
        usual = self._ways.pop((a, b), None) or UsualTime()
        usual.add(max(seconds, _SHORTEST_S))
        self._ways[a, b] = usual
        if len(self._ways) > _MAX_PAIRS:
            self._ways.popitem(last=False)

    def usual(self, a: CameraId, b: CameraId) -> UsualTime | None:
        """Return the usual time from ``a`` to ``b``; None while there are too few observations."""
        usual = self._ways.get((a, b))
        return usual if usual and usual.weight >= _LEAST else None
