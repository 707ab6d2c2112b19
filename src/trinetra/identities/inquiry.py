"""What the gallery is asked for one batch of frames: everything at once, before any is decided.

Frames are decided one after the other, and what is decided for one settles whether a later one
still has a question. So every question that may come up is asked: a few too many, but one call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trinetra.identities.evidence import TrackEvidence, consistent_shots, fuse
from trinetra.identities.resolver import FrameOutcome, Visible
from trinetra.values import Embedding, GalleryMatch, TrackId

Question = tuple[TrackId, int]
"""A track, and how many usable faces it had shown."""


def question_of(seen: Visible) -> Question:
    """Return what the gallery is asked about a track as it was in one frame."""
    return seen.identity.track_id, seen.evidence.usable


def probe(evidence: TrackEvidence) -> Embedding:
    """Return the face that the gallery is searched for."""
    return fuse(consistent_shots(evidence.shots))


@dataclass(frozen=True, slots=True)
class Answers:
    """What the gallery answered to each question, with the face that was searched for."""

    probes: Mapping[Question, Embedding]
    matches: Mapping[Question, Sequence[GalleryMatch]]


@dataclass(slots=True)
class Inquiry:
    """The questions of one batch."""

    _asked: dict[TrackId, int] = field(default_factory=dict)
    _evidence: dict[Question, TrackEvidence] = field(default_factory=dict)

    def note(self, outcome: FrameOutcome) -> None:
        """Add what a frame may ask, in the order of its tracks."""
        for seen in outcome.visible:
            identity = seen.identity
            asked_at = self._asked.get(identity.track_id)
            missed = identity.gallery_missed and asked_at is None
            since = identity.asked_at if asked_at is None else asked_at
            if identity.is_due(seen.evidence, since, missed=missed):
                self._asked[identity.track_id] = seen.evidence.usable
                self._evidence[question_of(seen)] = seen.evidence

    def probes(self) -> dict[Question, Embedding]:
        """Return the faces to search for."""
        return {question: probe(evidence) for question, evidence in self._evidence.items()}


def merge(
    found: Iterable[GalleryMatch], newer: Sequence[GalleryMatch], top_k: int
) -> list[GalleryMatch]:
    """Return the best matches of the gallery and of entries it does not have in this form yet."""
    replaced = {match.entry_id for match in newer}
    together = [match for match in found if match.entry_id not in replaced]
    if newer:
        together = sorted([*together, *newer], key=lambda match: -match.cosine)
    return together[:top_k]
