"""Simulates the clothing descriptor that the inference-worker attaches to each body.

The wire format is six stripes of a box from its top to its bottom, with three numbers each, after a
byte that names the format. What a stripe shows follows from the box: a wrong box shows other parts
of the body, or the background, and where a nearer person hides a body it shows that person. How
people differ, and how one person varies beyond that, was measured (``twin/noise.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.detector import Found
from trinetra.twin.noise import Noise, Walkers, load_noise, rank_of, root_of
from trinetra.twin.sensing import NO_ROW, Bodies, Rows
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Stay

Array = NDArray[np.float64]
_FORMAT = 1
_STRIPES, _VALUES = 6, 3
_UNIFORM_VARIETY = 0.15
"""Fraction of the variation between other people's clothes that is left between uniforms; assumed:
no labeled clip shows uniforms."""
_MAX_STAYS = 10_000
_CLOTHES, _UNIFORM, _VIEW = range(3)


@dataclass(slots=True)
class Wardrobe:
    """Everyone's clothes: customers wear others on every visit, staff wear the shop's uniform.

    ``factor`` multiplies how much one person varies.
    """

    seed: int
    factor: float = 1.0
    noise: Noise = field(default_factory=load_noise)
    _worn: dict[int, Array] = field(default_factory=dict)

    def seen(
        self,
        camera: int,
        bodies: Bodies,
        walkers: Walkers,
        found: Found,
        stays: Sequence[Stay],
        rng: np.random.Generator,
    ) -> list[bytes]:
        """Return the descriptor of each box on a camera, given by index.

        ``bodies.who`` indexes ``stays``, and so does ``walkers``.
        """
        shown = self.background(camera, len(found))
        of_body = np.flatnonzero(found.row != NO_ROW)
        if len(of_body):
            worn = np.stack([self.worn(stay) for stay in stays])[bodies.who]
            rows, boxes = found.row[of_body], found.xyxy[of_body]
            shown[of_body] = _through(boxes, rows, bodies, worn, shown[of_body])
            shown[of_body] += self._variation(walkers, rng)[rows]
        shown += stream(self.seed, Part.CLOTHES, _VIEW, camera).normal(0, self.noise.clothes.light)
        return _packed(shown)

    def background(self, camera: int, count: int) -> Array:
        """Return what the stripes ``(count, 6, 3)`` of a box show where there is no person."""
        rng = stream(self.seed, Part.CLOTHES, _VIEW, camera, 0)
        one = self._mean()[_STRIPES // 2] + rng.normal(0, self._between()[_STRIPES // 2])
        return np.tile(one, (count, _STRIPES, 1))

    def worn(self, stay: Stay) -> Array:
        """Return the stripes ``(6, 3)`` of the clothes worn on a visit."""
        if stay.index not in self._worn:
            if len(self._worn) >= _MAX_STAYS:
                self._worn.clear()  # drawing is deterministic: the entries come out the same
            self._worn[stay.index] = self._drawn(stay)
        return self._worn[stay.index]

    def _drawn(self, stay: Stay) -> Array:
        own = self._outfit(stream(self.seed, Part.CLOTHES, _CLOTHES, stay.index))
        if stay.person.kind != "staff":
            return self._mean() + own
        uniform = self._outfit(stream(self.seed, Part.CLOTHES, _UNIFORM))
        worn = self._mean() + uniform + _UNIFORM_VARIETY * own
        worn[0] = self._mean()[0] + own[0]  # a uniform has no face
        return np.asarray(worn)

    def _outfit(self, rng: np.random.Generator) -> Array:
        """Return how one person's clothes differ from the mean of all."""
        mix = root_of(self.noise.clothes.between_stripes)
        normal = rng.standard_normal((1, _STRIPES, _VALUES))
        return np.asarray((_mixed(mix, normal) * self._between())[0])

    def _variation(self, walkers: Walkers, rng: np.random.Generator) -> Array:
        """Return noise ``(n, 6, 3)``: correlated over stripes and time, and now and then large."""
        noise = self.noise.clothes
        kept = noise.persistence.slow + noise.persistence.steady
        shape = len(walkers.who), _STRIPES, _VALUES
        slow = walkers.forgetful(noise.persistence.memory_s, _STRIPES * _VALUES, rng)
        normal = np.sqrt(kept) * slow.reshape(shape)
        normal += np.sqrt(max(0.0, 1 - kept)) * rng.standard_normal(shape)
        size = walkers.forgetful(noise.size_persistence.memory_s, 1, rng)
        strength = np.exp(self.noise.quantile(noise.size_quantiles, rank_of(size[:, 0])))
        strength *= self.factor / self._mean_strength()
        within = np.array(noise.within).reshape(_STRIPES, _VALUES)
        return np.asarray(
            _mixed(root_of(noise.within_stripes), normal) * strength[:, None, None] * within
        )

    def _mean_strength(self) -> float:
        """Return the root mean square of the strengths: ``within`` contains it already."""
        ranks = np.linspace(0, 1, 201)
        return float(
            np.sqrt(
                np.exp(2 * self.noise.quantile(self.noise.clothes.size_quantiles, ranks)).mean()
            )
        )

    def _mean(self) -> Array:
        return np.array(self.noise.clothes.mean).reshape(_STRIPES, _VALUES)

    def _between(self) -> Array:
        return np.array(self.noise.clothes.between).reshape(_STRIPES, _VALUES)


def _packed(stripes: Array) -> list[bytes]:
    """Return stripes ``(n, 6, 3)`` as bytes of the wire format."""
    values = np.clip(np.rint(stripes), 0, 255).astype(np.uint8).reshape(-1, _STRIPES * _VALUES)
    return [bytes([_FORMAT]) + row.tobytes() for row in values]


def _mixed(mix: Array, normal: Array) -> Array:
    """Return normal values ``(n, 6, 3)`` with the correlation of ``mix`` between the stripes."""
    # Written out instead of a product of matrices: bit-identical for any number of threads.
    return np.asarray((mix[None, :, :, None] * normal[:, None, :, :]).sum(axis=2))


def _through(boxes: Array, rows: Rows, bodies: Bodies, worn: Array, background: Array) -> Array:
    """Return what the stripes ``(n, 6, 3)`` of boxes on bodies show: body, hider, background."""
    height = boxes[:, 3] - boxes[:, 1]
    middle = (np.arange(_STRIPES) + 0.5) / _STRIPES
    y = boxes[:, 1, None] + middle * height[:, None]
    shown = background
    for row in (rows, bodies.hider[rows]):
        real = np.flatnonzero(row != NO_ROW)
        body = bodies.whole[row[real]]
        share = _covered(boxes[real], body, y[real])[:, :, None]
        shown[real] += share * (_at(worn[row[real]], body, y[real]) - shown[real])
    return shown


def _covered(box: Array, body: Array, y: Array) -> Array:
    """Return the fraction ``(n, 6)`` of each stripe's middle half that a body covers."""
    center, half = (box[:, 0] + box[:, 2]) / 2, np.maximum((box[:, 2] - box[:, 0]) / 4, 1e-9)
    across = np.minimum(body[:, 2], center + half) - np.maximum(body[:, 0], center - half)
    wide = np.clip(across / (2 * half), 0, 1)[:, None]
    return np.asarray(wide * ((y >= body[:, 1, None]) & (y <= body[:, 3, None])))


def _at(worn: Array, whole: Array, y: Array) -> Array:
    """Return the clothes ``(n, 6, 3)`` at image rows ``y (n, 6)``."""
    tall = np.maximum(whole[:, 3] - whole[:, 1], 1e-9)[:, None]
    place = np.clip((y - whole[:, 1, None]) / tall * _STRIPES - 0.5, 0, _STRIPES - 1)
    upper = np.minimum(place.astype(np.intp), _STRIPES - 2)
    below = (place - upper)[:, :, None]
    row = np.arange(len(worn))[:, None]
    return np.asarray(worn[row, upper] * (1 - below) + worn[row, upper + 1] * below)
