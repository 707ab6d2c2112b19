"""Faces of a track: grouped by person, the best shots fused into one embedding.

A track is what the tracker took for one body. In a crowd it may switch from one person to another,
and a face may be assigned to the wrong body. Faces are therefore clustered online into groups of
one person each (leader clustering, Hartigan 1975): a face joins the most similar group or starts a
new one. One group is the leading group of the track. Another takes over once it has been seen
``_TAKES_OVER`` times more often than the leading one, counted from when it was last behind (the
one-sided cumulative sum of Page, Biometrika 1954): one or two faces of a passer-by change nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from trinetra.events.codec import unpack_embedding
from trinetra.events.schema import FaceBox
from trinetra.values import Embedding, Instant

_MAX_SHOTS = 8
_MAX_GROUPS = 3
_SAME_COSINE = 0.35
"""Above this a face belongs to a group's person: strangers reach 0.37 at most, and seldom."""
_OTHER_COSINE = 0.25
"""Below this it belongs to another person. Faces in between are inconclusive and are ignored."""
_TAKES_OVER = 3


@dataclass(frozen=True, slots=True)
class Shot:
    """One usable face of a track; ``packed`` is its embedding as received in the event."""

    embedding: Embedding
    quality: float
    size_px: float
    captured_at: Instant
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class FaceGroup:
    """Faces of one person on a track: all are counted, the best are kept, best first.

    ``center`` is the fused embedding of the shots. ``lead`` is the number of faces by which the
    group is ahead of the leading group, ``lead_since`` when that lead began.
    """

    shots: tuple[Shot, ...]
    center: Embedding
    usable: int
    first_at: Instant
    last_at: Instant
    lead: int = 0
    lead_since: Instant | None = None

    @classmethod
    def of(cls, shot: Shot) -> "FaceGroup":
        """Return a new group with one face."""
        at = shot.captured_at
        return cls((shot,), shot.embedding, 1, at, at, lead=1, lead_since=at)

    def joined_by(self, shot: Shot) -> "FaceGroup":
        """Return the group with one more face; among equal qualities earlier shots are kept."""
        shots, center = self.shots, self.center
        if len(shots) < _MAX_SHOTS or shot.quality > shots[-1].quality:
            best = sorted((*shots, shot), key=lambda s: s.quality, reverse=True)
            shots = tuple(best[:_MAX_SHOTS])
            center = fuse(shots)
        return FaceGroup(
            shots,
            center,
            self.usable + 1,
            self.first_at,
            shot.captured_at,
            self.lead + 1,
            self.lead_since or shot.captured_at,
        )

    def outdone(self) -> "FaceGroup":
        """Return the group after a face of the leading group: its lead shrinks by one."""
        lead = max(0, self.lead - 1)
        return replace(self, lead=lead, lead_since=self.lead_since if lead else None)


@dataclass(frozen=True, slots=True)
class TrackFaces:
    """The faces of one track: unusable ones counted by reason, usable ones in groups.

    The first of ``groups`` is the leading group. ``segment`` counts how often another group took
    over; ``since`` is when the present one did, None if it has always led. Before ``known_since``
    there is no evidence that the track showed this person: it may have switched from a person who
    stands to one who walks past.
    """

    faces_seen: int = 0
    best_face_px: float = 0.0
    groups: tuple[FaceGroup, ...] = ()
    unusable: Mapping[str, int] = field(default_factory=dict)
    segment: int = 0
    since: Instant | None = None

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The best faces of the leading group, best first."""
        return self.groups[0].shots if self.groups else ()

    @property
    def usable(self) -> int:
        """Number of usable faces in the leading group."""
        return self.groups[0].usable if self.groups else 0

    @property
    def known_since(self) -> Instant | None:
        """When the leading group took over, or else was first seen."""
        return self.since or (self.groups[0].first_at if self.groups else None)

    @property
    def shown_at(self) -> Instant | None:
        """When the last usable face of the leading group was seen."""
        return self.groups[0].last_at if self.groups else None


def add_face(
    evidence: TrackFaces, face: FaceBox, captured_at: Instant, dimension: int
) -> TrackFaces:
    """Return the evidence with one more face.

    Raises MalformedEvent if its embedding is not a unit vector of the given dimension.
    """
    counted = replace(
        evidence,
        faces_seen=evidence.faces_seen + 1,
        best_face_px=max(evidence.best_face_px, face.quality.size_px),
    )
    if face.embedding is None:
        reason = face.unusable or "poor"
        unusable = {**evidence.unusable, reason: evidence.unusable.get(reason, 0) + 1}
        return replace(counted, unusable=unusable)
    embedding = unpack_embedding(face.embedding, dimension)
    quality = face.quality
    shot = Shot(embedding, quality.total, quality.size_px, captured_at, face.embedding)
    return _sorted_in(counted, shot)


def _sorted_in(evidence: TrackFaces, shot: Shot) -> TrackFaces:
    """Return the evidence with a usable face added to its group."""
    groups = evidence.groups
    if not groups:
        return replace(evidence, groups=(replace(FaceGroup.of(shot), lead=0, lead_since=None),))
    near = [float(shot.embedding @ group.center) for group in groups]
    index = max(range(len(groups)), key=near.__getitem__)
    if near[index] > _SAME_COSINE:
        return _shown(evidence, index, groups[index].joined_by(shot))
    if near[index] > _OTHER_COSINE:
        return evidence  # could be either: added to a group, it would blur the group's center
    return _shown(evidence, len(groups), FaceGroup.of(shot))


def _shown(evidence: TrackFaces, index: int, group: FaceGroup) -> TrackFaces:
    """Return the evidence after a face of the group at ``index``."""
    speaking, *others = evidence.groups
    if index == 0:
        speaking = replace(group, lead=0, lead_since=None)
        return replace(evidence, groups=(speaking, *(other.outdone() for other in others)))
    rest = [other.outdone() for place, other in enumerate(others, start=1) if place != index]
    if speaking.usable == 1 and group.usable > 1:
        # One face was a stray: who shows a second one was here all along.
        return _taken_over(evidence, group, (*rest, speaking), evidence.since)
    if group.lead >= _TAKES_OVER:
        return _taken_over(evidence, group, (*rest, speaking), group.lead_since)
    kept = sorted((group, *rest), key=lambda g: g.last_at, reverse=True)[: _MAX_GROUPS - 1]
    return replace(evidence, groups=(speaking, *kept))


def _taken_over(
    evidence: TrackFaces,
    group: FaceGroup,
    others: tuple[FaceGroup, ...],
    since: Instant | None,
) -> TrackFaces:
    kept = sorted(others, key=lambda g: g.last_at, reverse=True)[: _MAX_GROUPS - 1]
    groups = tuple(replace(g, lead=0, lead_since=None) for g in (group, *kept))
    return replace(evidence, groups=groups, segment=evidence.segment + 1, since=since)


def fuse(shots: tuple[Shot, ...]) -> Embedding:
    """Return the quality-weighted mean of the shots' embeddings as a unit vector."""
    weights = np.array([max(s.quality, 1e-3) for s in shots], np.float32)
    mean = weights @ np.stack([s.embedding for s in shots])
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def mean_quality(shots: tuple[Shot, ...]) -> float:
    """Return the mean quality of the shots, 0 for none."""
    return float(np.mean([s.quality for s in shots])) if shots else 0.0


def mean_size_px(shots: tuple[Shot, ...]) -> float:
    """Return the mean size of the shots in pixels, 0 for none."""
    return sum(shot.size_px for shot in shots) / len(shots) if shots else 0.0
