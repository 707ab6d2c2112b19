"""Gallery lookups for one batch of frames, collected before any frame is decided.

Frames are decided one after the other, and the decision on one determines whether a later one still
needs a lookup. All lookups that may be needed are therefore made in one search: a few more than
necessary, but a single call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trinetra.identities.decision.track_identity import (
    FrameOutcome,
    TrackIdentity,
    TrackObservation,
)
from trinetra.identities.tracking.track_faces import TrackFaces
from trinetra.values import Embedding, GalleryMatch, TrackId

Question = tuple[TrackId, int, int]
"""A track, the number of its segment, and how many usable faces that segment had shown."""


def question_of(observation: TrackObservation) -> Question:
    """Return the key of the lookup for a track as it was in one frame."""
    return observation.identity.track_id, observation.evidence.segment, observation.evidence.usable


@dataclass(frozen=True, slots=True)
class LookupResults:
    """The gallery's matches for each lookup, with the face that was searched for."""

    probes: Mapping[Question, Embedding]
    matches: Mapping[Question, Sequence[GalleryMatch]]


@dataclass(slots=True)
class LookupBatch:
    """The lookups of one batch."""

    _asked: dict[tuple[TrackId, int], int] = field(default_factory=dict)
    _probes: dict[Question, Embedding] = field(default_factory=dict)

    def note(self, outcome: FrameOutcome) -> None:
        """Add the lookups that a frame may need, in the order of its tracks."""
        for observation in outcome.visible:
            identity, evidence = observation.identity, observation.evidence
            segment = identity.track_id, evidence.segment
            asked_at = self._asked.get(segment)
            missed = False
            if asked_at is None:
                asked_at, missed = _last_look(identity, evidence)
            if identity.is_due(evidence, asked_at, missed=missed):
                self._asked[segment] = evidence.usable
                self._probes[question_of(observation)] = evidence.groups[0].center

    def probes(self) -> dict[Question, Embedding]:
        """Return the faces to search for."""
        return self._probes


def _last_look(identity: TrackIdentity, evidence: TrackFaces) -> tuple[int, bool]:
    """Return the face count at this segment's last lookup, and whether the gallery was down."""
    if identity.segment != evidence.segment:
        return 0, False
    return identity.asked_at, identity.gallery_missed


def merge(
    found: Iterable[GalleryMatch], newer: Sequence[GalleryMatch], top_k: int
) -> list[GalleryMatch]:
    """Return the best matches of the gallery and of newer entries that it does not have yet."""
    replaced = {match.entry_id for match in newer}
    together = [match for match in found if match.entry_id not in replaced]
    if newer:
        together = sorted([*together, *newer], key=lambda match: -match.cosine)
    return together[:top_k]
