"""Motion score of a camera, from small pictures of its brightness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.values import Instant, seconds_between

Luma = NDArray[np.uint8]


_QUARTILES = (25.0, 50.0, 75.0)


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """Size of the compared pictures, interval of the checks, and thresholds of a change.

    ``min_change`` (gray levels) is the smallest change of a pixel that counts. Below
    ``min_spread`` (gray levels between the quartiles) a picture is too flat to estimate its
    contrast.
    """

    width: int = 128
    height: int = 72
    check_fps: float = 5.0
    reference_age_s: float = 0.4
    min_change: float = 12.0
    min_spread: float = 8.0


def motion_score(before: Luma, after: Luma, config: MotionConfig) -> float:
    """Return the share of pixels that changed, in [0, 1].

    A lamp that is switched on, or the camera's exposure control, changes the whole picture by about
    ``gain * x + offset``. Both are estimated and removed first, from the quartiles, because mean
    and variance would follow a bright coat that enters the scene.
    """
    low_b, middle_b, high_b = np.percentile(before, _QUARTILES)
    low_a, middle_a, high_a = np.percentile(after, _QUARTILES)
    is_flat = min(high_b - low_b, high_a - low_a) < config.min_spread
    gain = 1.0 if is_flat else (high_a - low_a) / (high_b - low_b)
    expected = (before.astype(np.float32) - middle_b) * gain + middle_a
    changed = np.abs(after - expected) > config.min_change
    return int(np.count_nonzero(changed)) / int(changed.size)


class MotionMeter:
    """The motion of one camera over time.

    A frame is compared with one at least ``reference_age_s`` older, because a slow walker moves
    too little between two neighboring frames.
    """

    def __init__(self, config: MotionConfig) -> None:
        self._config = config
        self._checked_at: Instant | None = None
        self._reference: tuple[Instant, Luma] | None = None
        self._newest: tuple[Instant, Luma] | None = None
        self.score = 0.0

    def is_due(self, captured_at: Instant) -> bool:
        """Return whether the next check is due, at ``check_fps``."""
        if self._checked_at is None:
            return True
        return seconds_between(self._checked_at, captured_at) >= 1.0 / self._config.check_fps

    def update(self, captured_at: Instant, luma: Luma) -> float:
        """Return the motion score of this picture; 0.0 for the first picture or a new size."""
        self._checked_at = captured_at
        if self._reference is None or self._reference[1].shape != luma.shape:
            self._reference = self._newest = (captured_at, luma)
            self.score = 0.0
            return self.score
        self.score = motion_score(self._reference[1], luma, self._config)
        self._age_reference(captured_at, luma)
        return self.score

    def _age_reference(self, captured_at: Instant, luma: Luma) -> None:
        if self._newest is not None and self._is_old_enough(self._newest[0], captured_at):
            self._reference, self._newest = self._newest, (captured_at, luma)

    def _is_old_enough(self, reference_at: Instant, captured_at: Instant) -> bool:
        return seconds_between(reference_at, captured_at) >= self._config.reference_age_s
