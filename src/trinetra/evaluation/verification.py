"""False match and false non-match rates of a face embedder at each threshold.

Every two pictures are compared (ISO/IEC 19795-1): those of one person are genuine pairs, all others
impostor pairs. Pairs that share a person are correlated, so intervals come from resampling people,
not pairs (Bolle, Ratha and Pankanti, Error analysis of pattern recognition systems: the subsets
bootstrap, 2004). If no error was observed the bootstrap interval would have no width; there the
interval is Wilson's, with as many trials as there are people, or pairs of people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Floats
from trinetra.evaluation.intervals import CONFIDENCE, Interval, wilson

_RESAMPLES = 1000
_CURVE_POINTS = 101


@dataclass(frozen=True, slots=True)
class Rate:
    """A fraction of pairs with its 95 % interval."""

    value: float
    interval: Interval
    pairs: int


@dataclass(frozen=True)
class Trial:
    """All comparisons: ``similarity (n, m)`` of probes and references, and the person of each.

    ``person (n,)`` and ``against (m,)`` number people from 0; ``same_picture (n, m)`` marks pairs
    that do not count. In a square trial of pictures with themselves every pair occurs twice.
    """

    similarity: NDArray[np.float32]
    person: NDArray[np.int64]
    against: NDArray[np.int64]
    same_picture: NDArray[np.bool_]

    @classmethod
    def of(
        cls, probes: NDArray[np.float32], references: NDArray[np.float32], person: Sequence[int]
    ) -> "Trial":
        """Return the trial of pictures against the same pictures, row by row, as cosines."""
        numbers = np.asarray(person, np.int64)
        same = np.eye(len(numbers), dtype=np.bool_)
        return cls(probes @ references.T, numbers, numbers, same)

    @property
    def people(self) -> int:
        """Number of different people."""
        return int(self.person.max()) + 1

    @cached_property
    def genuine(self) -> NDArray[np.bool_]:
        """Mask of the pairs of the same person."""
        return np.equal.outer(self.person, self.against) & ~self.same_picture

    @cached_property
    def impostor(self) -> NDArray[np.bool_]:
        """Mask of the pairs of two people."""
        return np.asarray(np.not_equal.outer(self.person, self.against), np.bool_)

    def threshold_at(self, false_match_rate: float) -> float:
        """Return the least threshold at which at most that fraction of impostor pairs matches."""
        scores = np.sort(self.similarity[self.impostor])[::-1]
        allowed = int(false_match_rate * len(scores))
        return float(np.nextafter(scores[min(allowed, len(scores) - 1)], np.float32(2)))

    def false_matches(self, threshold: float, random: np.random.Generator) -> Rate:
        """Return the fraction of impostor pairs at or above a threshold."""
        wrong = self.impostor & (self.similarity >= threshold)
        pairs = self._by_people(self.impostor)
        independent = self.people * (self.people - 1) // 2
        return self._rate(self._by_people(wrong), pairs, independent, random)

    def false_non_matches(self, threshold: float, random: np.random.Generator) -> Rate:
        """Return the fraction of genuine pairs below a threshold."""
        wrong = self.genuine & (self.similarity < threshold)
        return self._rate(
            self._by_people(wrong), self._by_people(self.genuine), self.people, random
        )

    def curve(self) -> list[tuple[float, float, float]]:
        """Return cosines with their false match and false non-match rates."""
        impostor = np.sort(self.similarity[self.impostor])
        genuine = np.sort(self.similarity[self.genuine])
        at = np.linspace(-0.2, 1.0, _CURVE_POINTS, dtype=np.float32)
        matches = 1 - np.searchsorted(impostor, at) / len(impostor)
        misses = np.searchsorted(genuine, at) / len(genuine)
        return list(zip(at.tolist(), matches.tolist(), misses.tolist(), strict=True))

    def _by_people(self, chosen: NDArray[np.bool_]) -> Floats:
        """Return the number of chosen pairs between every two people, ``(p, p)``."""
        members = np.eye(self.people)[self.person]
        theirs = np.eye(self.people)[self.against]
        return np.asarray(members.T @ chosen @ theirs, np.float64)

    def _rate(
        self, wrong: Floats, pairs: Floats, independent: int, random: np.random.Generator
    ) -> Rate:
        errors, trials = float(wrong.sum()), float(pairs.sum())
        if errors in {0.0, trials}:
            interval = wilson(0 if errors == 0 else independent, independent)
        else:
            interval = _bootstrap(wrong, pairs, random)
        counted = trials / 2 if self.same_picture.any() else trials
        return Rate(errors / trials, interval, round(counted))


def _bootstrap(wrong: Floats, pairs: Floats, random: np.random.Generator) -> Interval:
    people = len(pairs)
    drawn = random.multinomial(people, np.full(people, 1 / people), size=_RESAMPLES)
    # A person drawn twice makes no pair of two people: pairs of one person count once per draw.
    own = np.eye(people, dtype=np.bool_)
    errors, trials = (
        ((drawn @ np.where(own, 0, counts)) * drawn).sum(axis=1) + drawn @ counts.diagonal()
        for counts in (wrong, pairs)
    )
    rates = errors[trials > 0] / trials[trials > 0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(rates, [tail, 1 - tail])
    return Interval(float(low), float(high))
