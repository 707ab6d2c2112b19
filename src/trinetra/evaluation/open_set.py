"""Open-set identification on labeled pictures of faces: strangers taken for others, and misses.

In each of several rounds, half of the people are enrolled with half of their pictures. Everyone
visits once, with the other half of the pictures: the enrolled should be found, and the others are
strangers. ISO/IEC 19795-1 calls the error rates FPIR and FNIR. People are few and their pictures
correlated, so intervals come from resampling people, with all their rounds; without any error they
are Wilson's, with as many trials as there are people in a round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Floats
from trinetra.evaluation.intervals import Interval, bootstrap_sums, wilson
from trinetra.evaluation.scores import Score, share

_ROUNDS = 20
_Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """When a face matches: minimum cosine, and its lead over the next person."""

    cosine: float
    margin: float


def identification_scores(
    vectors: _Vectors, person: Sequence[int], accepts: Acceptance, *, seed: int = 0
) -> list[Score]:
    """Return false positive and false negative identification rates of people with two pictures.

    ``vectors (n, d)`` are unit embeddings and ``person (n,)`` whose they are. A false negative is
    also a returning person who is taken for another.
    """
    numbers = np.asarray(person)
    random = np.random.default_rng(seed)
    several = [vectors[numbers == p] for p in np.unique(numbers) if (numbers == p).sum() > 1]
    counts = np.zeros((len(several), 4))
    for _ in range(_ROUNDS):
        counts += _round(several, accepts, random)
    size = len(several) // 2
    return [
        _rate("false_positive_identification_rate", counts[:, :2], size, random),
        _rate("false_negative_identification_rate", counts[:, 2:], size, random),
    ]


def _round(people: Sequence[_Vectors], accepts: Acceptance, random: np.random.Generator) -> Floats:
    """Return strangers accepted, strangers, returning people missed and returning, by person."""
    visitors, enrolled = zip(*(_halves(of_one, random) for of_one in people), strict=True)
    gallery = random.permutation(len(people))[: len(people) // 2]
    scores = np.stack(visitors) @ np.stack([enrolled[i] for i in gallery]).T
    ranked = np.sort(scores, axis=1)[:, ::-1]
    lead = ranked[:, 0] - ranked[:, 1] if len(gallery) > 1 else np.inf
    accepted = (ranked[:, 0] >= accepts.cosine) & (lead >= accepts.margin)
    returns = np.isin(np.arange(len(people)), gallery)
    is_right = accepted & (gallery[np.argmax(scores, axis=1)] == np.arange(len(people)))
    columns = (accepted & ~returns, ~returns, returns & ~is_right, returns)
    return np.stack(columns, axis=1).astype(np.float64)


def _halves(vectors: _Vectors, random: np.random.Generator) -> tuple[_Vectors, _Vectors]:
    order = random.permutation(len(vectors))
    half = (len(vectors) + 1) // 2
    return _fused(vectors[order[:half]]), _fused(vectors[order[half:]])


def _fused(vectors: _Vectors) -> _Vectors:
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _rate(name: str, counts: Floats, size: int, random: np.random.Generator) -> Score:
    errors, trials = map(float, counts.sum(axis=0))
    return Score(
        name=name,
        value=share(errors, trials),
        interval=_interval(counts, random) if errors else wilson(0, size),
        n=round(trials),
        note=f"{size} people enrolled",
    )


def _interval(counts: Floats, random: np.random.Generator) -> Interval | None:
    return bootstrap_sums(counts, lambda sums: sums[:, 0] / sums[:, 1], random)
