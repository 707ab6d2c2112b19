"""Identification errors on labeled faces that are looked up and stored as the resolver does it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.identification import (
    HeldOut,
    Source,
    TailFit,
    Visits,
    false_positive_rate,
    fit_tails,
    hold_out,
    miss_rate,
)
from trinetra.evaluation.intervals import Interval
from trinetra.identities.decision.lifecycle import RetentionPolicy, enroll
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.decision.open_set import OpenSetTarget, derived_policy, step_up
from trinetra.identities.decision.track_identity import TrackIdentity
from trinetra.identities.tracking.track_faces import FaceGroup, Shot, TrackFaces, fuse
from trinetra.impostors import ImpostorTail
from trinetra.models.calibration import LEAST_PEOPLE, IdentificationRow, MeasuredRate
from trinetra.models.manifest import Calibration, ImpostorStatistics, SizedTail
from trinetra.values import CustomerId, Embedding, IdentityKind, TrackId

_ROUNDS = 10
_MOST_FACES = 8
"""A stranger is enrolled by then, and no stranger any more."""
_AT = datetime(2000, 1, 1, tzinfo=UTC)


TAIL_SIZES_PX = (32, 48)
"""Sizes of faces for which a tail is measured: strangers resemble each other more in small ones."""
_FEWEST_PER_SOURCE = 10
_TABLE_SIZES = tuple(10**power for power in range(2, 7))
_TRIED = (0.1, 0.01, 0.001)
_SPLITS = 50
_RATES = tuple(10.0**-power for power in range(3, 8))


class LabeledFace(NamedTuple):
    """The embedding of one picture at several sizes, ``(sizes, dimension)``, and its quality."""

    unit: NDArray[np.float32]
    quality: float


People = Sequence[Sequence[LabeledFace]]
"""The faces of the people of one source."""


class IdentificationTrial(NamedTuple):
    """Tails of impostor scores, and the error rates that follow for galleries of any size."""

    impostors: ImpostorStatistics
    rows: tuple[IdentificationRow, ...]


def measure_identification(
    sources: Sequence[People], scale: Calibration, target: float, measured_on: str
) -> IdentificationTrial | None:
    """Return what the sources show; None if they have too few people.

    The embeddings of every face are those at ``TAIL_SIZES_PX``.
    """
    people = sum(map(len, sources))
    if people < LEAST_PEOPLE or min(map(len, sources)) < _FEWEST_PER_SOURCE:
        return None
    visits = [visits_of(source, TAIL_SIZES_PX, scale) for source in sources]
    fits = fit_tails(visits, np.random.default_rng(0))
    impostors = ImpostorStatistics(
        tails=tuple(SizedTail(face_px=px, tail=_rounded(fit.tail)) for px, fit in fits.items()),
        people=people,
        pictures=sum(len(faces) for source in sources for faces in source),
        measured_on=measured_on,
        intervals=tuple(
            (px, rate, round(interval.low, 4), round(interval.high, 4))
            for px, fit in fits.items()
            for rate in _RATES
            if (interval := fit.score_interval(rate))
        ),
    )
    largest = max(map(len, sources)) - 1
    sizes = sorted({step for step in (10, 20, 50) if step <= largest} | {*_TABLE_SIZES})
    rows = (
        _row([source[px] for source in visits], fits[px], (size, px, target), scale)
        for px in reversed(TAIL_SIZES_PX)
        for size in sizes
    )
    return IdentificationTrial(impostors, tuple(rows))


def check_held_out(sources: Sequence[People], scale: Calibration) -> list[HeldOut]:
    """Return how targets hold for half of the people, with a tail fitted to the other half's."""
    visits = [visits_of(source, TAIL_SIZES_PX, scale) for source in sources]
    largest = max(source[TAIL_SIZES_PX[0]].people for source in visits) // 2 - 1
    sizes = sorted({size for size in (2, 5, 10, 20, 50, 100, 200, 500) if size <= largest})
    return [
        row
        for px in reversed(TAIL_SIZES_PX)
        for row in hold_out(visits, product(_TRIED, sizes), _threshold, splits=_SPLITS, face_px=px)
    ]


def _threshold(tail: ImpostorTail, target: float, size: int) -> float:
    """Return the threshold that a resolver derives for a gallery, without a lower limit."""
    everybody = MatchingPolicy(similarity=0.0, new_below=0.0)
    aim = OpenSetTarget(target, {0.0: tail})
    return derived_policy(everybody, aim, step_up(size), 0.0, "gallery").similarity


def _row(
    visits: Sequence[Visits], fit: TailFit, aim: tuple[int, int, float], scale: Calibration
) -> IdentificationRow:
    size, face_px, target = aim
    random = np.random.default_rng(0)
    extrapolated = size >= max(source.people for source in visits)
    derived = derived_policy(
        MatchingPolicy(similarity=scale.min_similarity),
        OpenSetTarget(target, {face_px: fit.tail}),
        size,
        face_px,
        "gallery",
    ).similarity

    def false_positives_at(score: float) -> MeasuredRate:
        if extrapolated:
            value = min(1.0, size * fit.tail.rate_at(score))
            return _told(value, fit.rate_interval(score, size), fit.people)
        return _told(*false_positive_rate(visits, score, size, random))

    return IdentificationRow(
        people=size,
        face_px=face_px,
        target=target,
        similarity=derived,
        false_positives=false_positives_at(derived),
        misses=_told(*miss_rate(visits, derived, random)),
        fixed=false_positives_at(scale.min_similarity),
        extrapolated=extrapolated,
    )


def _told(value: float, interval: Interval, people: int) -> MeasuredRate:
    return MeasuredRate(round(value, 8), round(interval.low, 8), round(interval.high, 8), people)


def _rounded(tail: ImpostorTail) -> ImpostorTail:
    return ImpostorTail(round(tail.start, 4), tail.rate, round(tail.scale, 5))


def visits_of(people: People, sizes_px: Sequence[int], scale: Calibration) -> Source:
    """Return visits of the people of one source, for each row of the embeddings.

    In every round one half of a person's pictures, chosen at random, visits, and the other half is
    enrolled. A person of one picture is not returning: visitor and identity are of that picture.
    """
    return {size: _visits(people, row, scale) for row, size in enumerate(sizes_px)}


def _visits(people: People, row: int, scale: Calibration) -> Visits:
    random = np.random.default_rng(0)
    rounds = [_round(people, row, random) for _ in range(_ROUNDS)]
    best, last = (
        scale.offset + scale.gain * np.stack(scores) for scores in zip(*rounds, strict=True)
    )
    returning = np.array([len(faces) > 1 for faces in people])
    return Visits(np.clip(best, 0, 1), np.clip(last, 0, 1), returning)


def _round(
    people: People, row: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cosines of all visitors with all identities: the best lookup's, and the last's."""
    looks, stored = [], []
    for faces in people:
        order = random.permutation(len(faces))
        shots = [_shot(faces[i], row) for i in order]
        half = (len(shots) + 1) // 2
        visitor, enrolled = shots[:half], shots[half:] or shots
        looks.append(np.stack(list(_looks(visitor[:_MOST_FACES]))))
        stored.append(_entries(enrolled))
    owner = np.repeat(np.arange(len(people)), [len(entries) for entries in stored])
    gallery = np.concatenate(stored).T
    found = [_by_identity(probes @ gallery, owner, len(people)) for probes in looks]
    best = np.stack([scores.max(axis=0) for scores in found])
    return best, np.stack([scores[-1] for scores in found])


def _shot(face: LabeledFace, row: int) -> Shot:
    return Shot(face.unit[row], face.quality, 0.0, _AT)


def _entries(shots: Sequence[Shot]) -> NDArray[np.float32]:
    entries = enroll(CustomerId(""), IdentityKind.ANONYMOUS, shots, RetentionPolicy({}))
    return np.stack([entry.embedding for entry in entries])


def _by_identity(
    cosines: NDArray[np.float32], owner: NDArray[np.intp], people: int
) -> NDArray[np.float64]:
    """Return the best cosine of each probe with each identity, from those of its entries."""
    best = np.full((len(cosines), people), -1.0)
    np.maximum.at(best.T, owner, cosines.T)
    return best


def _looks(shots: Sequence[Shot]) -> Iterator[Embedding]:
    """Yield the faces for which the gallery is searched as the shots come in."""
    if len(shots) == 1:  # a track of one face is not looked up; its rate is that of one look
        yield shots[0].embedding
        return
    identity, asked_at = TrackIdentity(TrackId(""), "person", _AT), 0
    for usable in range(1, len(shots) + 1):
        group = replace(FaceGroup.of(shots[0]), usable=usable)
        if identity.is_due(TrackFaces(groups=(group,)), asked_at, missed=False):
            asked_at = usable
            yield fuse(tuple(shots[:usable]))
