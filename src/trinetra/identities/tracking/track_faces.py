"""What a track's faces say together: who they show, best shots, fused into one embedding.

A track is what the tracker took for one body. In a crowd it may go over from one person to another,
and a face may be taken for that of the body before it. So faces are sorted as they come into groups
of one person each (leader clustering, Hartigan 1975): a face joins the group it is nearest to, or
begins one of its own. One group speaks for the track. Another takes over once it has shown itself
``_TAKES_OVER`` times more often than the speaking one, counted from when it was last behind (the
one-sided cumulative sum of Page, Biometrika 1954): a passer-by's face or two change nothing.
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
"""Above this a face is of a group's person: strangers reach 0.37 at most, and seldom."""
_OTHER_COSINE = 0.25
"""Below this it is of somebody else. Faces in between tell nothing and are left out."""
_TAKES_OVER = 3


@dataclass(frozen=True, slots=True)
class Shot:
    """One usable face of a track; ``packed`` is its embedding as it came in the event."""

    embedding: Embedding
    quality: float
    size_px: float
    captured_at: Instant
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class FaceGroup:
    """Faces of one person on a track, best first: all counted, the best kept.

    ``centre`` is the shots' fused embedding. ``lead`` is by how many faces the group has been ahead
    of the one that speaks for the track, ``lead_since`` from when on.
    """

    shots: tuple[Shot, ...]
    centre: Embedding
    usable: int
    first_at: Instant
    last_at: Instant
    lead: int = 0
    lead_since: Instant | None = None

    @classmethod
    def of(cls, shot: Shot) -> "FaceGroup":
        """Return the group that a face begins."""
        at = shot.captured_at
        return cls((shot,), shot.embedding, 1, at, at, lead=1, lead_since=at)

    def joined_by(self, shot: Shot) -> "FaceGroup":
        """Return the group with one more face; of equally good ones the earlier stay."""
        shots, centre = self.shots, self.centre
        if len(shots) < _MAX_SHOTS or shot.quality > shots[-1].quality:
            best = sorted((*shots, shot), key=lambda s: s.quality, reverse=True)
            shots = tuple(best[:_MAX_SHOTS])
            centre = fuse(shots)
        return FaceGroup(
            shots,
            centre,
            self.usable + 1,
            self.first_at,
            shot.captured_at,
            self.lead + 1,
            self.lead_since or shot.captured_at,
        )

    def outdone(self) -> "FaceGroup":
        """Return the group after the speaking one showed a face."""
        lead = max(0, self.lead - 1)
        return replace(self, lead=lead, lead_since=self.lead_since if lead else None)


@dataclass(frozen=True, slots=True)
class TrackFaces:
    """The faces of one track: all counted, the unusable ones by reason, the others in groups.

    The first of ``groups`` speaks for the track. ``stretch`` counts how often another one took
    over; ``since`` is when the present one did, None where it always spoke. Before
    ``known_since`` nothing says that the track was this person: it may have gone over from somebody
    who stands to somebody who walks past.
    """

    faces_seen: int = 0
    best_face_px: float = 0.0
    groups: tuple[FaceGroup, ...] = ()
    unusable: Mapping[str, int] = field(default_factory=dict)
    stretch: int = 0
    since: Instant | None = None

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The best faces of the person who speaks for the track, best first."""
        return self.groups[0].shots if self.groups else ()

    @property
    def usable(self) -> int:
        """How many usable faces that person has shown."""
        return self.groups[0].usable if self.groups else 0

    @property
    def known_since(self) -> Instant | None:
        """When that person was first seen here, or seen again after somebody else."""
        return self.since or (self.groups[0].first_at if self.groups else None)

    @property
    def shown_at(self) -> Instant | None:
        """When that person last showed a usable face."""
        return self.groups[0].last_at if self.groups else None


def add_face(
    evidence: TrackFaces, face: FaceBox, captured_at: Instant, dimension: int
) -> TrackFaces:
    """Return the evidence with one more face.

    Raises MalformedEvent when its embedding is not a unit vector of the given dimension.
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
    """Return the evidence with a usable face in the group that it belongs to."""
    groups = evidence.groups
    if not groups:
        return replace(evidence, groups=(replace(FaceGroup.of(shot), lead=0, lead_since=None),))
    near = [float(shot.embedding @ group.centre) for group in groups]
    index = max(range(len(groups)), key=near.__getitem__)
    if near[index] > _SAME_COSINE:
        return _shown(evidence, index, groups[index].joined_by(shot))
    if near[index] > _OTHER_COSINE:
        return evidence
    return _shown(evidence, len(groups), FaceGroup.of(shot))


def _shown(evidence: TrackFaces, index: int, group: FaceGroup) -> TrackFaces:
    """Return the evidence after the group in that place has shown itself."""
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
    return replace(evidence, groups=groups, stretch=evidence.stretch + 1, since=since)


def fuse(shots: tuple[Shot, ...]) -> Embedding:
    """Return the quality-weighted mean of the shots' embeddings as a unit vector."""
    weights = np.array([max(s.quality, 1e-3) for s in shots], np.float32)
    mean = weights @ np.stack([s.embedding for s in shots])
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def mean_quality(shots: tuple[Shot, ...]) -> float:
    """Return the mean quality of the shots, 0 for none."""
    return float(np.mean([s.quality for s in shots])) if shots else 0.0
