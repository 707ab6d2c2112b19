"""Open-set identification: errors over the gallery's size, and the tail that extrapolates them.

Terms follow ISO/IEC 19795-1. A visitor who is not in the gallery is a false positive if any of
the visitor's lookups scores at least the threshold with any person in it (FPIR). A visitor who is
is missed if the last lookup scores less with the visitor's own identity (FNIR).

With ``n`` people in the gallery, FPIR is at most ``n`` times the rate for one of them (Boole's
inequality), however much their scores depend on each other. So a threshold for any size follows
from the tail of that rate. People are few, so intervals come from resampling people, not pairs
(Bolle, Ratha and Pankanti 2004); people are compared only with people of the same source, because
two pictures of one camera resemble each other more than two pictures of different ones.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Floats
from trinetra.evaluation.intervals import CONFIDENCE, Interval, wilson
from trinetra.impostors import ImpostorTail

_TAIL_SHARE = 0.02
"""Share of impostor scores that the tail is fitted to.

Of 40 people of LFW this predicts the rate measured on 1,304 to within a factor of 1.3; 5 % give 3.6
times that rate, 1 % three quarters of it (docs/identity.md).
"""
_RESAMPLES = 500
_QUANTILES = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Visits:
    """Scores of the visitors of one source, ``(rounds, visitors, identities)``, calibrated.

    ``best`` is the highest score over a visitor's lookups, ``last`` that of the last lookup.
    Identity ``i`` is visitor ``i``. ``returning (visitors,)`` marks visitors with a score of their
    own: those with other pictures to enroll than those that are looked up.
    """

    best: Floats
    last: Floats
    returning: NDArray[np.bool_]

    @cached_property
    def people(self) -> int:
        """Number of people."""
        return int(self.best.shape[1])

    @cached_property
    def impostor(self) -> NDArray[np.bool_]:
        """Mask ``(visitors, identities)`` of the pairs of two people."""
        return np.asarray(~np.eye(self.people, dtype=np.bool_), np.bool_)

    @cached_property
    def own(self) -> Floats:
        """Scores ``(rounds, visitors)`` of returning visitors with their own identity."""
        return np.asarray(np.diagonal(self.last, axis1=1, axis2=2)[:, self.returning])

    def among(self, people: NDArray[np.intp]) -> "Visits":
        """Return the visits of some people with one another."""
        return Visits(
            self.best[:, people][:, :, people],
            self.last[:, people][:, :, people],
            self.returning[people],
        )


Source = Mapping[int, Visits]
"""The visits of one source's people, by the size of their faces in pixels."""


class TailFit(NamedTuple):
    """The tail of one size of faces, and the ``starts`` and ``scales (n,)`` of resampled people.

    The interval holds what few people leave open, not that other sources may be less favorable.
    """

    tail: ImpostorTail
    starts: Floats
    scales: Floats
    people: int

    def score_interval(self, rate: float) -> Interval:
        """Return the interval of the score that a share ``rate`` of visitors exceeds."""
        return _interval(self.starts + self.scales * np.log(self.tail.rate / rate))

    def rate_interval(self, score: float, people: int) -> Interval:
        """Return the interval of the false positive rate in a gallery of that many people."""
        rates = people * self.tail.rate * np.exp((self.starts - score) / self.scales)
        return _interval(np.minimum(rates, 1.0))


def _interval(resampled: Floats) -> Interval:
    low, high = np.quantile(resampled, _QUANTILES)
    return Interval(float(low), float(high))


class Identified(NamedTuple):
    """A measured rate, its interval, and the number of people it was measured on."""

    value: float
    interval: Interval
    people: int


def fit_tails(sources: Sequence[Source], random: np.random.Generator) -> dict[int, TailFit]:
    """Return the tail for each size of faces that all sources have.

    Each tail begins where the least favorable source has ``_TAIL_SHARE`` of its scores above it.
    All have one scale, the mean excess over all sources and sizes, each with equal weight: the
    maximum likelihood estimate for shape 0. A fitted shape is not used: of few people its estimate
    lies below 0, and underestimates the rates of larger galleries (docs/identity.md).
    """
    sizes = sorted(set[int].intersection(*({*source} for source in sources)))
    parts = [[_Part.of(source[size]) for size in sizes] for source in sources]
    whole = [np.ones((1, part[0].visits.people), np.int64) for part in parts]
    drawn = [
        random.multinomial(w.shape[1], np.full(w.shape[1], 1 / w.shape[1]), size=_RESAMPLES)
        for w in whole
    ]
    starts, scales = _estimate(parts, whole)
    starts_drawn, scales_drawn = _estimate(parts, drawn)
    usable = np.isfinite(scales_drawn) & (scales_drawn > 0)
    return {
        size: TailFit(
            ImpostorTail(float(starts[row, 0]), _TAIL_SHARE, float(scales[0])),
            starts_drawn[row, usable],
            scales_drawn[usable],
            sum(part[row].visits.people for part in parts),
        )
        for row, size in enumerate(sizes)
    }


class _Part(NamedTuple):
    """The tail of one source and size: ``above`` and ``excess`` are means over the rounds."""

    visits: Visits
    start: float
    above: Floats
    excess: Floats

    @classmethod
    def of(cls, visits: Visits) -> "_Part":
        start = float(np.quantile(visits.best[:, visits.impostor], 1 - _TAIL_SHARE))
        over = np.where(visits.impostor, visits.best - start, 0.0)
        return cls(visits, start, (over > 0).mean(axis=0), np.maximum(over, 0).mean(axis=0))

    def moments(self, drawn: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return the share of scores above the start, and their summed excess, per draw."""
        with np.errstate(invalid="ignore"):  # one person drawn alone makes no pair
            pairs = _pairs(drawn, self.visits.impostor.astype(float))
            return _pairs(drawn, self.above) / pairs, _pairs(drawn, self.excess) / pairs


def _estimate(
    parts: Sequence[Sequence[_Part]], drawn: Sequence[NDArray[np.int64]]
) -> tuple[Floats, Floats]:
    """Return the starts ``(sizes, n)`` and scales ``(n,)`` of ``n`` draws of people.

    ``drawn`` has, for each source, how often each person was drawn, ``(n, people)``. A person drawn
    twice is no impostor to themselves.
    """
    moments = np.array(
        [
            [part.moments(times) for part in source]
            for source, times in zip(parts, drawn, strict=True)
        ]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = moments[:, :, 1].sum(axis=(0, 1)) / moments[:, :, 0].sum(axis=(0, 1))
        shifts = scales * np.log(moments[:, :, 0] / _TAIL_SHARE)
    starts = np.array([[part.start for part in source] for source in parts])[:, :, None] + shifts
    return np.asarray(np.max(starts, axis=0)), np.asarray(scales)


def _pairs(times: NDArray[np.int64], amount: Floats) -> Floats:
    """Return the sum over all pairs of drawn people of an amount ``(people, people)``."""
    return np.asarray(((times @ amount) * times).sum(axis=1), np.float64)


def false_positives(visits: Visits, threshold: float, size: int) -> Floats:
    """Return each visitor's chance ``(rounds, visitors)`` of a match in a random gallery.

    The gallery has ``size`` of the other people: none of the ``m`` who score at least the
    threshold is in it with the hypergeometric probability ``C(M - m, n) / C(M, n)``.
    """
    others = visits.people - 1
    matches = ((visits.best >= threshold) & visits.impostor).sum(axis=2)
    spared = np.ones(others + 1)
    for m in range(others):
        spared[m + 1] = spared[m] * max(0, others - size - m) / (others - m)
    return np.asarray(1 - spared[matches])


def false_positive_rate(
    sources: Sequence[Visits], threshold: float, size: int, random: np.random.Generator
) -> Identified:
    """Return the rate of visitors taken for another person, over the sources that are so large."""
    usable = [s for s in sources if s.people > size]
    return _rate([false_positives(s, threshold, size).mean(axis=0) for s in usable], random)


def miss_rate(
    sources: Sequence[Visits], threshold: float, random: np.random.Generator
) -> Identified:
    """Return the rate of returning visitors whose last lookup scores below the threshold."""
    usable = [s for s in sources if s.returning.any()]
    return _rate([(s.own < threshold).mean(axis=0) for s in usable], random)


def _rate(by_person: Sequence[Floats], random: np.random.Generator) -> Identified:
    """Return the mean of sources, with the interval of resampled people within each."""
    people = sum(map(len, by_person))
    value = float(np.mean([rates.mean() for rates in by_person]))
    if value in {0.0, 1.0}:
        return Identified(value, wilson(round(value) * people, people), people)
    means = [
        rates[random.integers(len(rates), size=(_RESAMPLES, len(rates)))].mean(axis=1)
        for rates in by_person
    ]
    low, high = np.quantile(np.mean(means, axis=0), _QUANTILES)
    return Identified(value, Interval(float(low), float(high)), people)


class HeldOut(NamedTuple):
    """A target, and what people have of it who played no part in fitting the tail that aimed at it.

    ``observed`` and ``misses`` are means over the splits, by source; NaN for a source with too few
    people for a gallery of that size.
    """

    face_px: int
    size: int
    target: float
    threshold: float
    observed: tuple[float, ...]
    misses: tuple[float, ...]


def hold_out(
    sources: Sequence[Source],
    aims: Iterable[tuple[float, int]],
    threshold_of: Callable[[ImpostorTail, float, int], float],
    *,
    splits: int,
    face_px: int,
) -> list[HeldOut]:
    """Return how targets hold for the other half of each source's people, over random splits.

    ``aims`` are pairs of a target and a number of people in the gallery, for which ``threshold_of``
    derives the threshold from a tail.
    """
    random = np.random.default_rng(0)
    found: dict[tuple[float, int], list[tuple[float, list[tuple[float, float]]]]]
    found = {aim: [] for aim in aims}
    for _ in range(splits):
        fitted, tested = zip(*(_halves(source, random) for source in sources), strict=True)
        tail = fit_tails(fitted, random)[face_px].tail
        for (target, size), rows in found.items():
            score = threshold_of(tail, target, size)
            rows.append((score, [_tested(one[face_px], score, size) for one in tested]))
    return [
        HeldOut(
            face_px,
            size,
            target,
            float(np.mean([score for score, _ in rows])),
            *(tuple(map(float, means)) for means in np.mean([r for _, r in rows], axis=0).T),
        )
        for (target, size), rows in found.items()
    ]


def _tested(visits: Visits, threshold: float, size: int) -> tuple[float, float]:
    """Return the rates of false positives and of misses."""
    if visits.people <= size:
        return np.nan, np.nan
    missed = float(np.mean(visits.own < threshold)) if visits.returning.any() else np.nan
    return float(false_positives(visits, threshold, size).mean()), missed


def _halves(source: Source, random: np.random.Generator) -> tuple[Source, Source]:
    people = next(iter(source.values())).people
    order = random.permutation(people)
    one, other = (
        {px: visits.among(part) for px, visits in source.items()}
        for part in (order[: people // 2], order[people // 2 :])
    )
    return one, other
