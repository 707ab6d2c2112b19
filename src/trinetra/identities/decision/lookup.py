"""What the gallery is asked for one batch of frames: everything at once, before any is decided.

Frames are decided one after the other, and what is decided for one settles whether a later one
still has a question. So every question that may come up is asked: a few too many, but one call.
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
"""A track, which of its stretches, and how many usable faces its person had shown."""


def question_of(seen: TrackObservation) -> Question:
    """Return what the gallery is asked about a track as it was in one frame."""
    return seen.identity.track_id, seen.evidence.stretch, seen.evidence.usable


@dataclass(frozen=True, slots=True)
class LookupResults:
    """What the gallery answered to each question, with the face that was searched for."""

    probes: Mapping[Question, Embedding]
    matches: Mapping[Question, Sequence[GalleryMatch]]


@dataclass(slots=True)
class LookupBatch:
    """The questions of one batch."""

    _asked: dict[tuple[TrackId, int], int] = field(default_factory=dict)
    _probes: dict[Question, Embedding] = field(default_factory=dict)

    def note(self, outcome: FrameOutcome) -> None:
        """Add what a frame may ask, in the order of its tracks."""
        for seen in outcome.visible:
            identity, evidence = seen.identity, seen.evidence
            stretch = identity.track_id, evidence.stretch
            asked_at = self._asked.get(stretch)
            missed = False
            if asked_at is None:
                asked_at, missed = _last_look(identity, evidence)
            if identity.is_due(evidence, asked_at, missed=missed):
                self._asked[stretch] = evidence.usable
                self._probes[question_of(seen)] = evidence.groups[0].centre

    def probes(self) -> dict[Question, Embedding]:
        """Return the faces to search for."""
        return self._probes


def _last_look(identity: TrackIdentity, evidence: TrackFaces) -> tuple[int, bool]:
    """Return at how many faces of this person the gallery was asked, and whether it was away."""
    if identity.stretch != evidence.stretch:
        return 0, False
    return identity.asked_at, identity.gallery_missed


def merge(
    found: Iterable[GalleryMatch], newer: Sequence[GalleryMatch], top_k: int
) -> list[GalleryMatch]:
    """Return the best matches of the gallery and of entries it does not have in this form yet."""
    replaced = {match.entry_id for match in newer}
    together = [match for match in found if match.entry_id not in replaced]
    if newer:
        together = sorted([*together, *newer], key=lambda match: -match.cosine)
    return together[:top_k]
