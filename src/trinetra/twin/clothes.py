"""Simulates the clothing descriptor that the inference-worker attaches to each body.

Fitted to what ``detections/vision/appearance.py`` measured on real clips, see docs/twin.md: the
variation between people of one scene, the variation of one person's stripes, and how long such a
deviation lasts. Where a nearer person occludes a body, the descriptor shows that person's clothes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
from numpy.typing import NDArray

from trinetra.twin.sensing import Bodies, Rows
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Stay

Array = NDArray[np.float64]
TAG = 1
STRIPES = 6
_PARTS = np.array([[148.0, 128.0, 124.0], [120.0, 125.0, 122.0], [108.0, 126.0, 120.0]])
"""Mean brightness, red-blue and green-magenta of head, upper body and lower body."""
_VARIETY = np.array([[22.0, 17.0, 3.0], [42.0, 20.0, 6.5], [24.0, 13.0, 4.5]])
"""Standard deviations of these values between people of one scene."""
_SHARES = np.array(
    [[1, 0, 0], [0.4, 0.6, 0], [0, 1, 0], [0, 0.8, 0.2], [0, 0.25, 0.75], [0, 0, 1]], np.float64
)
"""The part of the body that each stripe shows."""
_STRAYING = np.array(
    [
        [12.8, 5.2, 1.3],
        [14.6, 7.5, 2.4],
        [14.2, 9.6, 3.1],
        [11.4, 8.9, 2.5],
        [14.9, 12.3, 2.4],
        [21.4, 12.6, 2.6],
    ]
)
"""Standard deviations of each stripe of a walking person around that person's mean."""
_STANDING_SHARE = 0.25
"""Fraction of that variation that remains while a person stands or sits."""
_WALKING_MPS = 1.0
_MEMORY_S = 0.45
"""Time constant of the noise: its autocorrelation falls to 1/e after this time."""
_UNREST = 0.8
"""Standard deviation of the logarithm of the noise level from second to second: people turn."""
_LIGHT = np.array([8.0, 5.0, 1.5])
"""Exposure and white balance differences between cameras, assumed: no clip shows two cameras."""
_UNIFORM_VARIETY = 0.15
"""Fraction of the variation between other people's clothes that is left between uniforms."""
_MAX_STAYS = 10_000
_CLOTHES, _UNIFORM, _VIEW = range(3)
_MIDDLE = 0.5


@dataclass(slots=True)
class Wardrobe:
    """Everyone's clothes: customers wear others on every visit, staff wear the shop's uniform."""

    seed: int
    _worn: dict[int, Array] = field(default_factory=dict)

    def seen(
        self,
        camera: int,
        fps: float,
        bodies: Bodies,
        stays: Sequence[Stay],
        rng: np.random.Generator,
    ) -> list[bytes]:
        """Return each body's descriptor on a camera, given by index; ``who`` indexes ``stays``."""
        if not len(bodies):
            return []
        worn = np.stack([self.worn(stay) for stay in stays])[bodies.who]
        light = stream(self.seed, Part.CLOTHES, _VIEW, camera).normal(0, _LIGHT)
        stripes = _with_neighbors(bodies, worn) + light + _straying(bodies, fps, rng)
        return packed(stripes)

    def background(self, camera: int) -> bytes:
        """Return the descriptor of a place where there is no person."""
        rng = stream(self.seed, Part.CLOTHES, _VIEW, camera, 0)
        return packed(rng.normal(_PARTS[1], _VARIETY[1], (1, STRIPES, 3)))[0]

    def worn(self, stay: Stay) -> Array:
        """Return the stripes ``(6, 3)`` of the clothes worn on a visit."""
        if stay.index not in self._worn:
            if len(self._worn) >= _MAX_STAYS:
                self._worn.clear()  # drawing is deterministic: the entries come out the same
            self._worn[stay.index] = _SHARES @ self._parts(stay)
        return self._worn[stay.index]

    def _parts(self, stay: Stay) -> Array:
        parts = stream(self.seed, Part.CLOTHES, _CLOTHES, stay.index).normal(_PARTS, _VARIETY)
        if stay.person.kind == "staff":
            uniform = stream(self.seed, Part.CLOTHES, _UNIFORM).normal(_PARTS, _VARIETY)
            parts[1:] = uniform[1:] + _UNIFORM_VARIETY * (parts - _PARTS)[1:]
        return np.asarray(parts)


def packed(stripes: Array) -> list[bytes]:
    """Return stripes ``(n, 6, 3)`` in the inference-worker's encoding."""
    values = np.clip(np.rint(stripes), 0, 255).astype(np.uint8).reshape(len(stripes), -1)
    return [bytes([TAG]) + row.tobytes() for row in values]


def _with_neighbors(bodies: Bodies, worn: Array) -> Array:
    """Return the visible stripes of each body: its own clothes, or those of an occluding body.

    Rows of a frame go from near to far, so a row that comes later in the loop is hidden by earlier
    rows.
    """
    height = bodies.xyxy[:, 3] - bodies.xyxy[:, 1]
    middle = (np.arange(STRIPES) + 0.5) / STRIPES
    y = bodies.xyxy[:, 1, None] + middle * height[:, None]
    seen = _at(worn, bodies.whole, y)
    for lag in range(1, len(bodies)):
        far = np.flatnonzero(bodies.frame[lag:] == bodies.frame[:-lag]) + lag
        if not len(far):
            break
        near = far - lag
        hidden = _hidden(bodies.xyxy[far], bodies.xyxy[near], y[far], height[far] / STRIPES)
        rows = np.flatnonzero(hidden.any(axis=1))
        share = hidden[rows, :, None]
        over = _at(worn[near[rows]], bodies.whole[near[rows]], y[far[rows]])
        seen[far[rows]] += share * (over - seen[far[rows]])
    return seen


def _at(worn: Array, whole: Array, y: Array) -> Array:
    """Return the clothes ``(n, 6, 3)`` at image rows ``y (n, 6)``."""
    tall = np.maximum(whole[:, 3] - whole[:, 1], 1e-9)[:, None]
    place = np.clip((y - whole[:, 1, None]) / tall * STRIPES - 0.5, 0, STRIPES - 1)
    upper = np.minimum(place.astype(np.intp), STRIPES - 2)
    below = (place - upper)[:, :, None]
    row = np.arange(len(worn))[:, None]
    return np.asarray(worn[row, upper] * (1 - below) + worn[row, upper + 1] * below)


def _hidden(far: Array, near: Array, y: Array, stripe_px: Array) -> Array:
    """Return the fraction ``(n, 6)`` of the middle of each stripe that a nearer box covers."""
    center, half = (far[:, 0] + far[:, 2]) / 2, (far[:, 2] - far[:, 0]) * _MIDDLE / 2
    across = np.minimum(near[:, 2], center + half) - np.maximum(near[:, 0], center - half)
    tall = stripe_px[:, None]
    down = np.minimum(near[:, 3, None], y + tall / 2) - np.maximum(near[:, 1, None], y - tall / 2)
    wide = np.clip(across / np.maximum(2 * half, 1e-9), 0, 1)[:, None]
    return np.asarray(wide * np.clip(down / np.maximum(tall, 1e-9), 0, 1))


def _straying(bodies: Bodies, fps: float, rng: np.random.Generator) -> Array:
    """Return noise that is correlated over a body's frames: a first-order autoregression.

    It is mostly small and occasionally large; its mean strength is the measured one.
    """
    memory = float(np.exp(-1 / (fps * _MEMORY_S)))
    fresh = rng.standard_normal((len(bodies), STRIPES, 3)) * np.sqrt(1 - memory * memory)
    noise = np.empty_like(fresh)
    for rows in _of_each(bodies.who):
        begin = memory * rng.standard_normal((1, STRIPES, 3))
        noise[rows] = scipy.signal.lfilter([1.0], [1.0, -memory], fresh[rows], axis=0, zi=begin)[0]
    walks = np.clip(bodies.speed / _WALKING_MPS, _STANDING_SHARE, 1)
    strength = walks * _unrest(bodies, fps, rng)
    return np.asarray(noise * strength[:, None, None] * _STRAYING)


def _unrest(bodies: Bodies, fps: float, rng: np.random.Generator) -> Array:
    """Return a log-normal factor for each body and second, with mean square 1."""
    second = (bodies.frame / fps).astype(np.intp)
    _, which = np.unique(bodies.who * 100_000 + second, return_inverse=True)
    factor = np.exp(rng.normal(-_UNREST * _UNREST, _UNREST, int(which.max()) + 1))
    return np.asarray(factor[which])


def _of_each(who: Rows) -> list[Rows]:
    """Return the rows of each subject, in their order."""
    order = np.argsort(who, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(who[order])) + 1)
