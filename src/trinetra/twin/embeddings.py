"""Simulated faces for people without photos, with the statistics of real faces.

The statistics were measured on photos that a worker's networks were shown at several sizes and
blurs (``faces`` in ``twin/noise.py``): how often a face is found and usable, its quality, and how
similar faces of one person and of two people are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.noise import FaceNoise, load_noise
from trinetra.twin.people import Person
from trinetra.twin.portraits import BLURS, MEASURES, SIZES_PX, Observed, Rows, nearest
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Stay

Array = NDArray[np.float64]
Vectors = NDArray[np.float32]
DIMENSION = 512
_MAX_OCCASIONS = 10_000
_FRACTIONS = frozenset({"score", "sharpness", "frontality", "exposure", "total"})


@dataclass(slots=True)
class SyntheticFaces:
    """Face directions of all people, and photos of them.

    A photo is ``q * face + sqrt(1 - q^2) * rest``, with ``q`` by size and blur. ``rest`` is drawn
    in part per visit and camera and in part per frame, so that the photos of one track are more
    similar to each other than those of two days.
    """

    seed: int
    people: tuple[Person, ...]
    look_alike_face: float
    noise: FaceNoise = field(default_factory=lambda: load_noise().faces)
    dimension: int = DIMENSION
    _faces: dict[int, Vectors] = field(default_factory=dict)
    _occasions: dict[tuple[int, int], tuple[Vectors, float]] = field(default_factory=dict)
    _common: Vectors | None = None

    def observe(
        self,
        shown: Sequence[tuple[Stay, int]],
        size_px: Array,
        blur: Array,
        rng: np.random.Generator,
    ) -> Observed:
        """Return what a worker makes of people, each shown on a camera given by index."""
        cell = nearest(size_px, SIZES_PX), nearest(blur, BLURS)
        kind = self._kinds(cell, rng)
        found, usable = kind >= 0, kind == 0
        count = len(shown)
        embedding = np.zeros((count, self.dimension), np.float16)
        embedding[usable] = self._photos(
            [one for one, good in zip(shown, usable, strict=True) if good],
            (cell[0][usable], cell[1][usable]),
            rng,
        )
        points = np.array(self.noise.points) + rng.normal(
            0, self.noise.points_deviation, (count, 5, 2)
        )
        return Observed(
            found,
            self._measures(cell, usable, size_px, rng),
            np.tile(np.array(self.noise.box, np.float32), (count, 1)),
            points.astype(np.float32),
            [self.noise.reasons[max(k, 0)] for k in kind.tolist()],
            embedding,
        )

    def _kinds(self, cell: tuple[Rows, Rows], rng: np.random.Generator) -> Rows:
        """Return of each face the index of its reason, 0 if it is usable, -1 if it is not found."""
        rates = np.array([np.array(table)[cell] for table in self.noise.reason])
        edges = np.cumsum(rates, axis=0)
        kind = (rng.random(len(cell[0])) >= edges).sum(axis=0)
        return np.where(kind < len(rates), kind, -1).astype(np.intp)

    def _measures(
        self,
        cell: tuple[Rows, Rows],
        usable: NDArray[np.bool_],
        size_px: Array,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        good, bad = (np.array(t)[cell] for t in (self.noise.usable, self.noise.unusable))
        moments = np.where(usable[:, None, None], good, bad)
        drawn = moments[..., 0] + moments[..., 1] * rng.standard_normal(moments.shape[:2])
        for column, name in enumerate(MEASURES):
            if name in _FRACTIONS:
                drawn[:, column] = np.clip(drawn[:, column], 0.0, 1.0)
        grid = np.asarray(SIZES_PX)[cell[0]]
        drawn[:, MEASURES.index("size_px")] *= size_px / grid
        drawn[~usable, MEASURES.index("norm")] = 0.0
        return np.asarray(np.maximum(drawn, 0.0), np.float32)

    def _photos(
        self,
        shown: Sequence[tuple[Stay, int]],
        cell: tuple[Rows, Rows],
        rng: np.random.Generator,
    ) -> NDArray[np.float16]:
        if not shown:
            return np.zeros((0, self.dimension), np.float16)
        faces = np.stack([self.face(stay.person.index) for stay, _ in shown])
        occasions = [self._occasion(stay.index, camera) for stay, camera in shown]
        steady = np.stack([vector for vector, _ in occasions])
        luck = np.array([deviation for _, deviation in occasions])
        usual, constant = self._likeness(cell)
        q = np.clip(usual + luck, 0.05, 0.97).astype(np.float32)[:, None]
        share = constant.astype(np.float32)[:, None]
        fresh = rng.standard_normal(faces.shape, np.float32) * self._scale()
        rest = np.sqrt(share) * steady + np.sqrt(1 - share) * fresh
        photos = q * faces + np.sqrt(1 - q * q) * rest
        norm = np.sqrt((photos * photos).sum(axis=1, keepdims=True))
        return np.asarray((photos / norm).astype("<f2"))

    def _likeness(self, cell: tuple[Rows, Rows]) -> tuple[Array, Array]:
        """Return ``q`` of photos, and which share of the rest is constant on one occasion."""
        cosine, takes = np.array(self.noise.cosine), np.array(self.noise.cosine_of_takes)
        best = np.sqrt(cosine[-1, 0])
        q = np.clip(cosine[cell] / best, 0.05, 0.97)
        constant = (takes[cell] - q * q) / (1 - q * q)
        return q, np.clip(constant, 0.0, 1.0)

    def face(self, person: int) -> Vectors:
        """Return the face direction ``(512,)`` of a person."""
        if person not in self._faces:
            own = self._draw(stream(self.seed, Part.FACE, person))
            shared = np.float32(np.sqrt(max(self.noise.stranger_cosine, 0.0)))
            if (twin := self.people[person].look_alike_of) is not None:
                alike = np.float32(self.look_alike_face)
                base = self.face(twin) - shared * self._mean_face()
                own = alike * base / _norm(base) + np.sqrt(1 - alike * alike) * own
            mixed = shared * self._mean_face() + np.sqrt(1 - shared * shared) * own
            self._faces[person] = mixed / _norm(mixed)
        return self._faces[person]

    def _mean_face(self) -> Vectors:
        """Return the component that all faces share; it gives strangers their mean cosine."""
        if self._common is None:
            self._common = self._draw(stream(self.seed, Part.COMMON_FACE))
        return self._common

    def _occasion(self, stay: int, camera: int) -> tuple[Vectors, float]:
        key = (stay, camera)
        if key not in self._occasions:
            if len(self._occasions) >= _MAX_OCCASIONS:
                self._occasions.clear()  # drawing is deterministic: the entries come out the same
            rng = stream(self.seed, Part.OCCASION, stay, camera)
            luck = float(rng.normal(0, self._luck()))
            self._occasions[key] = (self._draw(rng), luck)
        return self._occasions[key]

    def _luck(self) -> float:
        """Return the deviation of ``q``: what chance directions leave of the measured deviation.

        Two photos have cosine ``q1 q2 + q1 s2 e1 + q2 s1 e2 + s1 s2 e3``, with
        ``s = sqrt(1 - q^2)`` and chances ``e`` as large as the cosine of two strangers deviates.
        """
        q2 = float(self.noise.cosine[-1][0])
        chance = self.noise.stranger_deviation**2 * (2 * q2 * (1 - q2) + (1 - q2) ** 2)
        left = max(self.noise.cosine_deviation**2 - chance, 0.0)
        return float(np.sqrt(left / (2 * q2)))

    def _scale(self) -> Vectors:
        """Return the deviations ``(512,)`` of directions; they fall so that strangers deviate."""
        falling = np.arange(self.dimension) * 2 * self.noise.stranger_deviation**2
        variance = np.exp(-falling)
        return np.asarray(np.sqrt(variance / variance.sum()), np.float32)

    def _draw(self, rng: np.random.Generator) -> Vectors:
        vector = rng.standard_normal(self.dimension, np.float32) * self._scale()
        return np.asarray(vector / _norm(vector))


def _norm(vector: Vectors) -> np.float32:
    return np.float32(np.sqrt((vector * vector).sum()))
