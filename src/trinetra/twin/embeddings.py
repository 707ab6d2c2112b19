"""Simulated face embeddings: a direction per person, and photos that deviate as real ones do.

Fitted to measurements of the default embedder: photos of one person have a mean cosine of 0.71,
those of strangers 0.02, and small faces are less similar to each other (true accept rate at cosine
0.45: 99 % at 48 pixels, 95 % at 32, 67 % at 24).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.people import Person
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Stay

Array = NDArray[np.float64]
Vectors = NDArray[np.float32]
DIMENSION = 512
_SPREAD_DIMENSIONS = 50.0
"""Number of dimensions over which variance falls by e: 100 effective ones, as impostors show."""
_DIFFERENT = 0.028
_OCCASION_SHARE = 0.5
"""Half of the change between two photos is constant within one occasion."""
_GOOD_COSINE = 0.71
_SIZES_PX = (16.0, 24.0, 32.0, 48.0)
_COSINES = (0.35, 0.51, 0.655, _GOOD_COSINE)
"""Mean cosine of two photos of one person by face size, from true accept rates at 0.45."""
_LIKENESS_DEVIATION = 0.09
"""Standard deviation of ``q`` between occasions: light, pose and expression."""
_MAX_OCCASIONS = 10_000


def _spread() -> Vectors:
    variance = np.exp(-np.arange(DIMENSION) / _SPREAD_DIMENSIONS)
    return np.asarray(np.sqrt(variance / variance.sum()), np.float32)


@dataclass(slots=True)
class FaceBank:
    """Face directions of all people, and photos of them.

    A photo is ``q * face + sqrt(1 - q^2) * rest``: two photos of one person have cosine ``q^2`` on
    average. ``rest`` is drawn half per visit and camera, half per frame, so that the photos of one
    track are more similar to each other than those of two days.
    """

    seed: int
    people: tuple[Person, ...]
    look_alike_face: float
    _scale: Vectors = field(default_factory=_spread)
    _faces: dict[int, Vectors] = field(default_factory=dict)
    _occasions: dict[tuple[int, int], tuple[Vectors, float]] = field(default_factory=dict)
    _common: Vectors | None = None

    def photos(
        self, shown: Sequence[tuple[Stay, int]], size_px: Array, rng: np.random.Generator
    ) -> NDArray[np.float16]:
        """Return unit embeddings ``(n, 512)`` of people shown, each on a camera given by index."""
        if not shown:
            return np.zeros((0, DIMENSION), np.float16)
        faces = np.stack([self.face(stay.person.index) for stay, _ in shown])
        occasions = [self._occasion(stay.index, camera) for stay, camera in shown]
        steady = np.stack([vector for vector, _ in occasions])
        luck = np.array([deviation for _, deviation in occasions])
        fresh = rng.standard_normal(faces.shape, np.float32) * self._scale
        likeness = np.sqrt(np.interp(size_px, _SIZES_PX, _COSINES)) + luck
        q = np.clip(likeness, 0.3, 0.97).astype(np.float32)[:, None]
        rest = np.float32(np.sqrt(_OCCASION_SHARE)) * steady
        rest += np.float32(np.sqrt(1 - _OCCASION_SHARE)) * fresh
        photos = q * faces + np.sqrt(1 - q * q) * rest
        norm = np.sqrt((photos * photos).sum(axis=1, keepdims=True))
        return np.asarray((photos / norm).astype("<f2"))

    def face(self, person: int) -> Vectors:
        """Return the face direction ``(512,)`` of a person."""
        if person not in self._faces:
            own = self._draw(stream(self.seed, Part.FACE, person))
            if (twin := self.people[person].look_alike_of) is not None:
                shared = np.float32(self.look_alike_face)
                base = self.face(twin) - np.float32(np.sqrt(_DIFFERENT)) * self._mean_face()
                own = shared * base / _norm(base) + np.sqrt(1 - shared * shared) * own
            mixed = np.float32(np.sqrt(_DIFFERENT)) * self._mean_face()
            mixed = mixed + np.float32(np.sqrt(1 - _DIFFERENT)) * own
            self._faces[person] = mixed / _norm(mixed)
        return self._faces[person]

    def _mean_face(self) -> Vectors:
        """Return the component that all faces share; it gives strangers a mean cosine of 0.02."""
        if self._common is None:
            self._common = self._draw(stream(self.seed, Part.COMMON_FACE))
        return self._common

    def _occasion(self, stay: int, camera: int) -> tuple[Vectors, float]:
        key = (stay, camera)
        if key not in self._occasions:
            if len(self._occasions) >= _MAX_OCCASIONS:
                self._occasions.clear()  # drawing is deterministic: the entries come out the same
            rng = stream(self.seed, Part.OCCASION, stay, camera)
            luck = float(rng.normal(0, _LIKENESS_DEVIATION))
            self._occasions[key] = (self._draw(rng), luck)
        return self._occasions[key]

    def _draw(self, rng: np.random.Generator) -> Vectors:
        vector = rng.standard_normal(DIMENSION, np.float32) * self._scale
        return np.asarray(vector / _norm(vector))


def _norm(vector: Vectors) -> np.float32:
    return np.float32(np.sqrt((vector * vector).sum()))
