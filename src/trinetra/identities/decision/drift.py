"""Detects drift of a camera's faces from the data that the thresholds were calibrated on.

Three quantities are watched per camera: the score of matches, the quality of usable faces, and the
norm of their embeddings before normalization, which falls when faces get worse in ways that the
quality does not measure (Meng et al., MagFace, 2021). Each is counted into bins that hold equal
shares of a reference, and old counts fade. Drift is measured by the population stability index
(PSI): 0.1 is commonly taken as worth a look and 0.25 as worth acting on (Siddiqi, Credit Risk
Scorecards, 2006).
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trinetra.values import CameraId

Quantity = Literal["score", "quality", "norm"]
_BINS = 10
_LEAST_SHARE = 1e-3
"""Share assigned to an empty bin: with 0, the logarithm makes one missing value infinite drift."""


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """Sample sizes, fading and alarm thresholds of drift detection.

    ``learn_from`` values form the reference of a quantity that the calibration does not cover.
    ``memory`` is the number of values after which a count has faded to 1/e; ``least`` values are
    needed for a PSI. An alarm is raised at ``alarm_at`` and cleared at ``calm_at``: the gap is a
    hysteresis that keeps a PSI near the limit from raising alarms repeatedly.
    """

    learn_from: int = 1000
    memory: int = 2000
    least: int = 1000
    alarm_at: float = 0.25
    calm_at: float = 0.1


@dataclass(frozen=True, slots=True)
class Reference:
    """Inner borders of the bins, in ascending order, and the share of values in each bin."""

    borders: tuple[float, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Reference":
        """Return the reference of a sample: up to ten bins of about equal shares."""
        ordered = sorted(values)
        cuts = [ordered[len(ordered) * i // _BINS] for i in range(1, _BINS)]
        borders = tuple(sorted(set(cuts) - {ordered[0]}))
        counts = [0] * (len(borders) + 1)
        for value in ordered:
            counts[bisect_right(borders, value)] += 1
        return cls(borders, tuple(count / len(ordered) for count in counts))

    @classmethod
    def between(cls, quantiles: Sequence[float]) -> "Reference":
        """Return the reference whose bins hold equal shares between ascending quantiles."""
        borders = tuple(sorted(set(quantiles)))
        below = [bisect_right(sorted(quantiles), border) for border in borders]
        edges = [0, *below, len(quantiles) + 1]
        parts = len(quantiles) + 1
        return cls(borders, tuple((b - a) / parts for a, b in itertools.pairwise(edges)))


class Finding(NamedTuple):
    """Drift of one quantity of a camera; ``is_news`` when it has just crossed the alarm level."""

    camera_id: CameraId
    quantity: Quantity
    psi: float
    is_news: bool


@dataclass(slots=True)
class _Meter:
    """Counts for one quantity of one camera; without a reference it first collects its own."""

    reference: Reference | None
    sample: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    seen: int = 0
    alarmed: bool = False

    def add(self, value: float, policy: DriftPolicy) -> None:
        if self.reference is None:
            self.sample.append(value)
            if len(self.sample) >= policy.learn_from:
                self.reference = Reference.of(self.sample)
                self.sample = []
            return
        if not self.counts:
            self.counts = [0.0] * len(self.reference.shares)
        fade = 1 - 1 / policy.memory
        self.counts = [count * fade for count in self.counts]
        self.counts[bisect_right(self.reference.borders, value)] += 1.0
        self.seen += 1

    def psi(self, policy: DriftPolicy) -> float | None:
        if self.reference is None or self.seen < policy.least:
            return None
        total = sum(self.counts)
        return stability_index(self.reference.shares, [c / total for c in self.counts])


@dataclass(slots=True)
class DriftWatch:
    """The running statistics of every camera against its references."""

    references: Mapping[Quantity, Reference] = field(default_factory=dict)
    policy: DriftPolicy = field(default_factory=DriftPolicy)
    _meters: dict[tuple[CameraId, Quantity], _Meter] = field(default_factory=dict)

    def add(self, camera_id: CameraId, quantity: Quantity, value: float) -> None:
        """Count one value; values that are not finite are ignored."""
        if not math.isfinite(value):
            return
        key = (camera_id, quantity)
        if key not in self._meters:
            self._meters[key] = _Meter(self.references.get(quantity))
        self._meters[key].add(value, self.policy)

    def findings(self) -> Iterator[Finding]:
        """Yield the drift of every quantity with enough values; an alarm is news only once."""
        for (camera_id, quantity), meter in self._meters.items():
            psi = meter.psi(self.policy)
            if psi is None:
                continue
            is_news = psi >= self.policy.alarm_at and not meter.alarmed
            meter.alarmed = is_news or (meter.alarmed and psi > self.policy.calm_at)
            yield Finding(camera_id, quantity, psi, is_news)


def stability_index(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Return the population stability index of two distributions over the same bins."""
    pairs = (
        (max(e, _LEAST_SHARE), max(a, _LEAST_SHARE)) for e, a in zip(expected, actual, strict=True)
    )
    return sum((a - e) * math.log(a / e) for e, a in pairs)
