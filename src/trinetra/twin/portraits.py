"""Faces of real people for simulated ones: what a camera's worker made of their photos.

Each photo was shown at several sizes, blurs and takes to the networks of a worker; the twin looks
up what came out. So its embeddings, quality measures and refusals are those of real pixels. Where
no photos are at hand, ``twin/embeddings.py`` stands in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

SIZES_PX = (14.0, 18.0, 22.0, 27.0, 33.0, 40.0, 50.0, 64.0, 84.0)
BLURS = (0.0, 0.07, 0.15, 0.35)
"""Lengths of motion blur, in units of the face's width."""
TAKES = 2
"""Renderings of one photo at one size and blur: they differ in turn, place, light and noise."""
MEASURES = ("score", "size_px", "sharpness", "frontality", "exposure", "total", "norm")


@dataclass(frozen=True, slots=True)
class Observed:
    """What a worker makes of some faces, found or not: ``found (n,)``, ``measures (n, 7)``.

    ``box (n, 4)`` and ``points (n, 5, 2)`` lie around the face's center in units of its size.
    ``reason`` says why a face cannot be recognized, ``""`` if it can: then ``embedding (n, d)``.
    """

    found: NDArray[np.bool_]
    measures: NDArray[np.float32]
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    reason: list[str]
    embedding: NDArray[np.float16]


@dataclass(frozen=True)
class Portraits:
    """What a worker sees in photos: arrays over photo, size, blur and take, in this order.

    ``person (photos,)`` is the real person of each photo, by number; the rest are the columns of
    ``Observed``, with ``reason`` as an index in ``reasons``.
    """

    person: Rows
    reasons: tuple[str, ...]
    found: NDArray[np.bool_]
    measures: NDArray[np.float32]
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    reason: NDArray[np.int8]
    embedding: NDArray[np.float16]

    @property
    def people(self) -> int:
        """Number of real people."""
        return int(self.person.max()) + 1

    @property
    def dimension(self) -> int:
        """Dimension of the embeddings."""
        return int(self.embedding.shape[-1])

    def photo(self, person: int, occasion: int) -> int:
        """Return the photo of a person on an occasion: each in turn, so that none repeats early."""
        photos = np.flatnonzero(self.person == person)
        return int(photos[occasion % len(photos)])

    def observe(
        self, photo: Rows, size_px: Array, blur: Array, rng: np.random.Generator
    ) -> Observed:
        """Return what a worker makes of photos ``(n,)`` at these sizes and blurs."""
        take = rng.integers(0, TAKES, len(photo))
        cell = photo, nearest(size_px, SIZES_PX), nearest(blur, BLURS), take
        return Observed(
            self.found[cell],
            self.measures[cell],
            self.box[cell],
            self.points[cell],
            [self.reasons[kind] for kind in self.reason[cell].tolist()],
            self.embedding[cell],
        )


def nearest(values: Array, grid: Sequence[float]) -> Rows:
    """Return the index of the nearest grid value to each value."""
    return np.asarray(np.abs(values[:, None] - np.asarray(grid)).argmin(axis=1), np.intp)
