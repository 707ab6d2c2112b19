"""Noise of cameras and networks, as measured on labeled footage: the data in ``noise.json``.

``trinetra twin measure`` writes that file; docs/twin.md says from which sequences. Distributions
are given by their quantiles at ``shares``, so that tails are as heavy as those that were measured.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec
import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
FILE = "noise.json"


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Persistence(_Struct, frozen=True, kw_only=True):
    """Correlation in time of a standard normal noise; what is missing to 1 is new in every frame.

    ``steady`` is the part of the variance that stays with a person, ``slow`` the part that is
    forgotten with the time constant ``memory_s``.
    """

    steady: float
    slow: float
    memory_s: float


class DetectionNoise(_Struct, frozen=True, kw_only=True):
    """Misses and scores; ``miss`` weighs 1, the hidden share, and the smallness of a body."""

    miss: tuple[float, float, float]
    score_clear: tuple[float, ...]
    score_hidden: tuple[float, ...]
    persistence: Persistence


class BoxNoise(_Struct, frozen=True, kw_only=True):
    """Errors of the four sides in units of the body's height, and their correlation ``(4, 4)``."""

    clear: tuple[tuple[float, ...], ...]
    hidden: tuple[tuple[float, ...], ...]
    correlation: tuple[tuple[float, ...], ...]
    persistence: Persistence


class PartNoise(_Struct, frozen=True, kw_only=True):
    """Second boxes on parts of a person; ``place`` are their sides in units of the body's box."""

    per_person_s: float
    length_s: tuple[float, ...]
    place: tuple[tuple[float, ...], ...]
    place_correlation: tuple[tuple[float, ...], ...]
    score: tuple[float, ...]


class MergeNoise(_Struct, frozen=True, kw_only=True):
    """One box on two people: its rate by how much of the farther person is hidden."""

    hidden_from: tuple[float, ...]
    rate: tuple[float, ...]
    length_s: float


class GhostNoise(_Struct, frozen=True, kw_only=True):
    """Boxes where no one is; heights in units of the picture's longer side."""

    seconds: float
    spells_per_s: float
    spells_per_place: float
    length_s: tuple[float, ...]
    height: tuple[float, ...]
    aspect: tuple[float, ...]
    score: tuple[float, ...]
    jitter: float


class ClothesNoise(_Struct, frozen=True, kw_only=True):
    """Clothing descriptors ``(18,)`` of people, and how those of one person vary.

    ``light`` are the standard deviations of the three channels between cameras.
    """

    mean: tuple[float, ...]
    between: tuple[float, ...]
    between_stripes: tuple[tuple[float, ...], ...]
    within: tuple[float, ...]
    within_stripes: tuple[tuple[float, ...], ...]
    size_quantiles: tuple[float, ...]
    size_persistence: Persistence
    persistence: Persistence
    people: int
    light: tuple[float, float, float]


Table = tuple[tuple[float, ...], ...]
Moments = tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


class FaceNoise(_Struct, frozen=True, kw_only=True):
    """What a worker makes of faces; tables are by size and blur, as in ``twin/portraits.py``.

    ``reason`` has a table of rates for each of ``reasons``, the first, empty one being that of
    usable faces. ``usable`` and ``unusable`` are mean and deviation of each measure. ``cosine`` is
    that of a face with a large, sharp one in another photo of the same person,
    ``cosine_of_takes`` that of two takes of one photo.
    """

    reasons: tuple[str, ...]
    reason: tuple[Table, ...]
    usable: Moments
    unusable: Moments
    box: tuple[float, float, float, float]
    points: tuple[tuple[float, float], ...]
    points_deviation: float
    cosine: Table
    cosine_of_takes: Table
    cosine_deviation: float
    stranger_cosine: float
    stranger_deviation: float
    stranger_highest: float
    people: int
    photos: int


class Provenance(_Struct, frozen=True, kw_only=True):
    """Where the figures come from."""

    measured_on: tuple[str, ...]
    held_out: tuple[str, ...]
    detector: str
    faces: str
    date: str
    by: str


class Noise(_Struct, frozen=True, kw_only=True):
    """All measured noise; ``shares`` are the places of every list of quantiles."""

    provenance: Provenance
    shares: tuple[float, ...]
    clear_from: float
    small_below: float
    detection: DetectionNoise
    boxes: BoxNoise
    parts: PartNoise
    merged: MergeNoise
    ghosts: GhostNoise
    clothes: ClothesNoise
    faces: FaceNoise

    def quantile(self, of: tuple[float, ...], rank: Array) -> Array:
        """Return the values of a distribution at ranks 0..1."""
        return np.asarray(np.interp(rank, self.shares, of))


@cache
def load_noise() -> Noise:
    """Return the committed measurements."""
    content = resources.files("trinetra.twin").joinpath(FILE).read_bytes()
    return msgspec.json.decode(content, type=Noise)


@dataclass(frozen=True, slots=True)
class Walkers:
    """Who is seen in which rows: ``who (n,)``, and ``steady (people, k)`` normal draws of each."""

    who: Rows
    steady: Array
    fps: float

    def correlated(self, how: Persistence, columns: slice, rng: np.random.Generator) -> Array:
        """Return standard normal noise ``(n, k)`` for the steady draws in ``columns``."""
        steady = self.steady[self.who, columns]
        new = max(0.0, 1.0 - how.steady - how.slow)
        slow = self.forgetful(how.memory_s, steady.shape[1], rng)
        fresh = rng.standard_normal(steady.shape)
        mixed = np.sqrt(how.steady) * steady + np.sqrt(how.slow) * slow + np.sqrt(new) * fresh
        return np.asarray(mixed)

    def forgetful(self, memory_s: float, columns: int, rng: np.random.Generator) -> Array:
        """Return a first-order autoregression ``(n, columns)`` over the rows of each person."""
        memory = float(np.exp(-1 / (self.fps * max(memory_s, 1e-6))))
        fresh = rng.standard_normal((len(self.who), columns))
        noise = np.empty_like(fresh)
        for rows in rows_of_each(self.who):
            steps = fresh[rows] * np.sqrt(1 - memory * memory)
            steps[0] = fresh[rows[0]]
            noise[rows] = scipy.signal.lfilter([1.0], [1.0, -memory], steps, axis=0)
        return noise


def rank_of(normal: Array) -> Array:
    """Return the rank 0..1 of standard normal values."""
    return np.asarray(scipy.special.ndtr(normal))


def root_of(correlation: Table) -> Array:
    """Return a matrix whose square is a correlation; rounding may have made it indefinite."""
    values, vectors = np.linalg.eigh(np.array(correlation))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


def rows_of_each(who: Rows) -> list[Rows]:
    """Return the rows of each subject, in their order."""
    if not len(who):
        return []
    order = np.argsort(who, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(who[order])) + 1)
