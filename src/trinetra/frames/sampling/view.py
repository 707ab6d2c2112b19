"""Problems of a camera's picture: frozen, covered, or turned away from its former view.

Judged on small pictures of the brightness, every few seconds. The view is compared by where its
edges are, because these stay where they are when the light changes; the reference is learned slowly
so that goods that are moved become part of it. ``docs/alerts.md`` has the measurements behind the
thresholds.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trinetra.frames.sampling.motion import Luma
from trinetra.values import Instant, seconds_between

PictureProblem = Literal["frozen", "covered", "moved"]
PROBLEMS: tuple[PictureProblem, ...] = ("frozen", "covered", "moved")
_Map = NDArray[np.float32]
_EDGE_SHARE = 90.0
"""Percentile of the gradient from which on a pixel is an edge."""


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """Interval of the checks, and thresholds.

    A picture whose largest change stays 0 for ``frozen_after_s`` is frozen: even a still scene has
    noise. Below ``least_spread`` gray levels between the 5th and the 95th percentile it shows
    nothing. Below ``least_likeness`` (correlation of edge maps) it shows another view than the
    reference, which is known after ``learn_checks`` and then follows with ``follow_s``. A new view
    that lasts ``accept_after_s`` becomes the reference.
    """

    check_every_s: float = 2.0
    frozen_after_s: float = 30.0
    least_spread: float = 12.0
    least_likeness: float = 0.4
    learn_checks: int = 10
    follow_s: float = 600.0
    accept_after_s: float = 1800.0


def edge_map(luma: Luma) -> _Map:
    """Return where the edges of a picture are, slightly blurred, with mean 0 and length 1.

    All zero for a picture without any.
    """
    picture = luma.astype(np.float32)
    across = np.abs(np.diff(picture, axis=1))[:-1]
    down = np.abs(np.diff(picture, axis=0))[:, :-1]
    gradient = across + down
    edges = (gradient >= max(float(np.percentile(gradient, _EDGE_SHARE)), 1.0)).astype(np.float32)
    return _normalized(_blurred(edges))


def spread(luma: Luma) -> float:
    """Return the gray levels between the 5th and the 95th percentile."""
    low, high = np.percentile(luma, (5.0, 95.0))
    return float(high - low)


class ViewWatch:
    """The picture of one camera over time; frames must be passed in order of capture."""

    def __init__(self, config: ViewConfig) -> None:
        self._config = config
        self._checked_at: Instant | None = None
        self._before: Luma | None = None
        self._still_since: Instant | None = None
        self._moved_since: Instant | None = None
        self._reference: _Map | None = None
        self._checks = 0
        self.problems: frozenset[PictureProblem] = frozenset()

    def is_due(self, captured_at: Instant) -> bool:
        """Return whether the next check is due."""
        if self._checked_at is None:
            return True
        return seconds_between(self._checked_at, captured_at) >= self._config.check_every_s

    def update(self, captured_at: Instant, luma: Luma) -> frozenset[PictureProblem]:
        """Return the problems of the picture now."""
        found: set[PictureProblem] = set()
        if self._is_frozen(captured_at, luma):
            found.add("frozen")
        if spread(luma) < self._config.least_spread:
            found.add("covered")  # and there is no view to be compared
        elif self._is_moved(captured_at, luma):
            found.add("moved")
        self._checked_at = captured_at
        self.problems = frozenset(found)
        return self.problems

    def _is_frozen(self, at: Instant, luma: Luma) -> bool:
        before, self._before = self._before, luma.copy()
        if before is None or before.shape != luma.shape or not np.array_equal(before, luma):
            self._still_since = at
        since = self._still_since or at
        return seconds_between(since, at) >= self._config.frozen_after_s

    def _is_moved(self, at: Instant, luma: Luma) -> bool:
        edges = edge_map(luma)
        if self._reference is None or self._reference.shape != edges.shape:
            self._reference, self._checks = edges, 1
            return False
        likeness = float((self._reference * edges).sum())
        if self._checks < self._config.learn_checks:
            self._checks += 1
            self._learn(edges, 1.0 / self._checks)
            return False
        if likeness >= self._config.least_likeness:
            self._moved_since = None
            self._learn(edges, self._config.check_every_s / self._config.follow_s)
            return False
        self._moved_since = self._moved_since or at
        if seconds_between(self._moved_since, at) >= self._config.accept_after_s:
            self._reference, self._checks, self._moved_since = None, 0, None
        return True

    def _learn(self, edges: _Map, share: float) -> None:
        if self._reference is not None:
            self._reference = _normalized((1.0 - share) * self._reference + share * edges)


def _normalized(values: _Map) -> _Map:
    centered = values - values.mean()
    length = float(np.sqrt((centered * centered).sum()))
    return np.asarray(centered / length if length else centered, np.float32)


def _blurred(values: _Map) -> _Map:
    """Return the mean over 3 x 3 pixels."""
    padded = np.pad(values, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9.0, np.float32)
