"""How long people usually take from one view to the next, learned from those who did.

Times of one kind of walk are log-normal (Limpert, Stahel and Abbt, BioScience 51, 2001), so mean
and deviation are kept of their logarithms, online (Welford, Technometrics 4, 1962; with weights,
West, CACM 22, 1979). Older ones fade. What they say is told beside a verdict and never refuses
anybody: whoever stops for a coffee is no impostor.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from math import exp, log, sqrt

from trinetra.values import CameraId

Transition = tuple[CameraId, CameraId]
LONGEST_S = 600.0
"""Whoever was away for longer did something else on the way."""
SURPRISING = 3.0
"""Deviations from the usual; one honest walk in 400 is that far off."""
_SHORTEST_S = 0.1
_FADES_OVER = 2_000
_LEAST = 20
_LEAST_DEVIATION = 0.1
_MAX_PAIRS = 20_000


@dataclass(slots=True)
class UsualTime:
    """The log-normal law of one way's times, as far as it was seen."""

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
        """The time that half of the people take."""
        return exp(self.mean)

    @property
    def deviation(self) -> float:
        """The standard deviation of the times' logarithm."""
        return max(_LEAST_DEVIATION, sqrt(max(0.0, self.squares) / max(1.0, self.weight - 1.0)))

    def surprise(self, seconds: float) -> float:
        """Return how many deviations a time lies above (or, negative, below) the usual one."""
        return (log(max(seconds, _SHORTEST_S)) - self.mean) / self.deviation


@dataclass(slots=True)
class TransitionTimes:
    """The usual times of every way that people take; the ways least lately taken are forgotten."""

    _ways: OrderedDict[Transition, UsualTime] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._ways)

    def learn(self, a: CameraId, b: CameraId, seconds: float) -> None:
        """Note that somebody who is known for certain went from ``a`` to ``b`` in that time."""
        if a == b or not 0 < seconds <= LONGEST_S:
            return
        usual = self._ways.pop((a, b), None) or UsualTime()
        usual.add(max(seconds, _SHORTEST_S))
        self._ways[a, b] = usual
        if len(self._ways) > _MAX_PAIRS:
            self._ways.popitem(last=False)

    def usual(self, a: CameraId, b: CameraId) -> UsualTime | None:
        """Return the usual time from ``a`` to ``b``, None while too few have gone that way."""
        usual = self._ways.get((a, b))
        return usual if usual and usual.weight >= _LEAST else None
