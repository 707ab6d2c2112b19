"""What a track's faces say together: best shots, fused into one embedding."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trinetra.events.codec import unpack_embedding
from trinetra.events.schema import FaceBox, FaceQuality
from trinetra.values import Embedding, Instant

_MAX_SHOTS = 8
_OUTLIER_COSINE = 0.35
"""Below this a face is more likely another person's than this track's (impostors reach 0.37)."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One usable face of a track; ``packed`` is its embedding as it came in the event."""

    embedding: Embedding
    quality: float
    size_px: float
    captured_at: Instant
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class TrackEvidence:
    """The faces of one track: all counted, the best kept, the unusable ones by reason.

    ``known_since`` is when its first usable face was seen: before that, nothing says that the track
    was the same person. A track may go over from somebody who stands to somebody who walks past.
    """

    faces_seen: int = 0
    usable: int = 0
    best_face_px: float = 0.0
    shots: tuple[Shot, ...] = ()
    known_since: Instant | None = None
    unusable: Mapping[str, int] = field(default_factory=dict)


def add_face(
    evidence: TrackEvidence, face: FaceBox, captured_at: Instant, dimension: int
) -> TrackEvidence:
    """Return the evidence with one more face.

    Raises MalformedEvent when its embedding is not a unit vector of the given dimension.
    """
    seen = evidence.faces_seen + 1
    best_face_px = max(evidence.best_face_px, face.quality.size_px)
    if face.embedding is None:
        reason = face.unusable or "poor"
        unusable = {**evidence.unusable, reason: evidence.unusable.get(reason, 0) + 1}
        since, usable, shots = evidence.known_since, evidence.usable, evidence.shots
    else:
        unusable = dict(evidence.unusable)
        since, usable = evidence.known_since or captured_at, evidence.usable + 1
        shots = _best(evidence.shots, face.embedding, face.quality, captured_at, dimension)
    return TrackEvidence(seen, usable, best_face_px, shots, since, unusable)


def _best(
    shots: tuple[Shot, ...],
    packed: bytes,
    quality: FaceQuality,
    captured_at: Instant,
    dimension: int,
) -> tuple[Shot, ...]:
    """Return the best shots, best first; the very same tuple where the new one is not among them.

    Of equals the earlier ones stay.
    """
    embedding = unpack_embedding(packed, dimension)
    if len(shots) == _MAX_SHOTS and quality.total <= shots[-1].quality:
        return shots
    shot = Shot(embedding, quality.total, quality.size_px, captured_at, packed)
    best = sorted((*shots, shot), key=lambda s: s.quality, reverse=True)
    return tuple(best[:_MAX_SHOTS])


def consistent_shots(shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
    """Return the shots that show one person, best first: those near their common centre.

    The centre is the shot to which all others are nearest, weighted by quality (a medoid), so a few
    faces of somebody passing behind do not move it.
    """
    if len(shots) < 3:  # noqa: PLR2004  with two faces nobody can tell which one is wrong
        return shots
    vectors = np.stack([s.embedding for s in shots])
    cosine = vectors @ vectors.T
    centre = int(np.argmax(cosine @ np.array([s.quality for s in shots])))
    return tuple(s for s, near in zip(shots, cosine[centre], strict=True) if near > _OUTLIER_COSINE)


def fuse(shots: tuple[Shot, ...]) -> Embedding:
    """Return the quality-weighted mean of the shots' embeddings as a unit vector."""
    weights = np.array([max(s.quality, 1e-3) for s in shots], np.float32)
    mean = weights @ np.stack([s.embedding for s in shots])
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def mean_quality(shots: tuple[Shot, ...]) -> float:
    """Return the mean quality of the shots, 0 for none."""
    return float(np.mean([s.quality for s in shots])) if shots else 0.0
