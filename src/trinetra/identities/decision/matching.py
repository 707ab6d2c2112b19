"""The open-set decision: is this track somebody known, somebody new, or must it stay unknown?

Scores are on a calibrated 0..1 scale, ``offset + gain * cosine``: each model's manifest says how;
the specification's 0.72 is on ``(1 + cosine) / 2``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trinetra.events.schema import Candidate, GateEvidence, IdentityStatus, Thresholds
from trinetra.values import CustomerId, GalleryMatch, IdentityKind


@dataclass(frozen=True, slots=True)
class MatchingPolicy:
    """Limits of the decision, and the scale they are written in.

    ``new_below`` leaves a gap under ``similarity``: a score within it is neither a match nor proof
    of a stranger, and calls for more faces before a new identity is made.
    """

    similarity: float = 0.72
    margin: float = 0.03
    min_quality: float = 0.3
    min_face_px: float = 32.0
    new_below: float = 0.66
    enrol_after_faces: int = 3
    enrol_in_doubt_after_faces: int = 8
    scale_offset: float = 0.5
    scale_gain: float = 0.5

    def thresholds(self) -> Thresholds:
        """Return what an identity event says about these limits."""
        return Thresholds(self.similarity, self.margin, self.min_quality, self.min_face_px)

    def score(self, cosine: float) -> float:
        """Return a raw cosine on the calibrated 0..1 scale."""
        return min(1.0, max(0.0, self.scale_offset + self.scale_gain * cosine))


@dataclass(frozen=True, slots=True)
class Ranked:
    """An identity that resembles the track, with its best score over all its embeddings."""

    customer_id: CustomerId
    kind: IdentityKind
    score: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a track is, and why.

    ``own_id`` is the id under which the face is kept, where a merge has given the person another.
    """

    status: IdentityStatus
    reasons: tuple[str, ...]
    customer_id: CustomerId | None = None
    kind: IdentityKind | None = None
    own_id: CustomerId | None = None


AMBIGUOUS = Decision("unknown", ("ambiguous",))
"""The track resembles two people, and neither clearly more: they may be one."""
LEFT_OUT = Decision("unknown", ("opted_out",))
"""The track is somebody who does not want to be recognised, or may be; nothing is kept of it."""
ERASED = Decision("unknown", ("erased",))
"""The track is somebody who asked to be forgotten, while in view; nothing is kept of it."""


def rank(matches: Iterable[GalleryMatch], policy: MatchingPolicy) -> list[Ranked]:
    """Return one row per identity, best first, ties by id so that replays agree."""
    best: dict[CustomerId, Ranked] = {}
    for match in matches:
        score = policy.score(match.cosine)
        if match.customer_id not in best or score > best[match.customer_id].score:
            best[match.customer_id] = Ranked(match.customer_id, match.kind, score)
    return sorted(best.values(), key=lambda r: (-r.score, r.customer_id))


def margin_of(ranked: Sequence[Ranked]) -> float | None:
    """Return how far the best identity leads the runner-up; None without a runner-up."""
    return ranked[0].score - ranked[1].score if len(ranked) > 1 else None


def candidates_of(ranked: Sequence[Ranked]) -> tuple[Candidate, ...]:
    """Return the ranking as it goes onto the event; who opted out is not named there."""
    named = (r for r in ranked if r.kind is not IdentityKind.OPTED_OUT)
    return tuple(Candidate(r.customer_id, round(r.score, 4)) for r in named)


def wants_to_be_left_out(ranked: Sequence[Ranked], policy: MatchingPolicy) -> bool:
    """Return whether the track is somebody who opted out, or one cannot tell it from the best."""
    return any(
        row.kind is IdentityKind.OPTED_OUT
        and row.score >= policy.similarity
        and ranked[0].score - row.score < policy.margin
        for row in ranked
    )


def decide(
    ranked: Sequence[Ranked],
    gate: GateEvidence | None,
    *,
    good_faces: int,
    in_view: frozenset[CustomerId],
    policy: MatchingPolicy,
) -> Decision:
    """Return the decision for a track with ``good_faces`` usable faces.

    ``gate`` is the verdict on the best-ranked identity; ``in_view`` are the identities of other
    tracks in the same frame, since nobody stands in two places at once.
    """
    if ranked and ranked[0].score >= policy.similarity:
        return _match(ranked, gate, in_view, policy)
    doubtful = bool(ranked) and ranked[0].score >= policy.new_below
    if doubtful and ranked[0].kind is IdentityKind.OPTED_OUT:
        return Decision("unknown", ("resembles_somebody",))  # however many faces: never enrolled
    needed = policy.enrol_in_doubt_after_faces if doubtful else policy.enrol_after_faces
    if good_faces < needed:
        return Decision("unknown", ("resembles_somebody" if doubtful else "collecting_faces",))
    return Decision("new", ("no_match",), kind=IdentityKind.ANONYMOUS)


def _match(
    ranked: Sequence[Ranked],
    gate: GateEvidence | None,
    in_view: frozenset[CustomerId],
    policy: MatchingPolicy,
) -> Decision:
    best, margin = ranked[0], margin_of(ranked)
    if margin is not None and margin < policy.margin:
        return AMBIGUOUS
    if best.customer_id in in_view:
        return Decision("unknown", ("already_in_view",))
    if gate is not None and gate.verdict == "impossible":
        return Decision("unknown", ("gate_impossible",))
    verdict = f"gate_{gate.verdict}" if gate else "gate_unknown"
    return Decision("known", ("similar", verdict), best.customer_id, best.kind)


def reconsider(
    present: Decision, fresh: Decision, ranked: Sequence[Ranked], policy: MatchingPolicy
) -> Decision:
    """Return the decision on a track that has one, and now has better faces.

    It changes for another identity that leads the present one by twice the margin, and for a new
    one when the present one is out of the question: what hovers about a limit does not flicker.
    That somebody new was known already is for the consolidation to find, which can be undone.
    """
    if present.status == "unknown":  # once taken for somebody who is seen elsewhere
        return present if fresh.status == "unknown" else fresh
    if present.status == "new" or fresh.status == "unknown":
        return present
    if fresh.customer_id == present.customer_id:
        return present
    score = next((r.score for r in ranked if r.customer_id == present.customer_id), 0.0)
    if fresh.status == "new":
        return fresh if score < policy.new_below else present
    return fresh if ranked[0].score >= score + 2 * policy.margin else present


def without_faces(unusable: Iterable[str], faces_seen: int) -> Decision:
    """Return the decision for a track that showed no face good enough to recognise."""
    reasons = tuple(f"face_{reason}" for reason in sorted(unusable)) if faces_seen else ("no_face",)
    return Decision("unknown", reasons)
