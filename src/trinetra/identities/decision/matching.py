"""Open-set decision: a track shows a known identity, a new one, or stays unknown.

Scores are on a calibrated 0..1 scale, ``offset + gain * cosine``, with the constants of each
model's manifest; the specification's 0.72 is on ``(1 + cosine) / 2``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trinetra.events.schema import (
    Candidate,
    GateEvidence,
    IdentityStatus,
    ThresholdBasis,
    Thresholds,
)
from trinetra.values import CustomerId, GalleryMatch, IdentityKind


@dataclass(frozen=True, slots=True)
class MatchingPolicy:
    """Thresholds of the decision, and the scale of their scores.

    ``new_below`` leaves a gap under ``similarity``: a score within it is neither a match nor proof
    of a stranger, so more faces are required before a new identity is created. From
    ``never_new_from`` on no number of faces makes one: a stranger with that score is so rare that
    it is a returning person, seen badly. ``basis`` is what
    the thresholds were derived from, None if they are fixed.
    """

    similarity: float = 0.72
    margin: float = 0.03
    min_quality: float = 0.3
    min_face_px: float = 32.0
    new_below: float = 0.66
    never_new_from: float = math.inf
    enrol_after_faces: int = 3
    enrol_in_doubt_after_faces: int = 8
    scale_offset: float = 0.5
    scale_gain: float = 0.5
    basis: ThresholdBasis | None = None

    def thresholds(self) -> Thresholds:
        """Return the thresholds that an identity event reports."""
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
    """The identity of a track and the reasons for it.

    ``own_id`` is the id under which the face is stored, if a merge has given the customer another.
    ``linked`` is true if the customer follows from the body, not from a face.
    """

    status: IdentityStatus
    reasons: tuple[str, ...]
    customer_id: CustomerId | None = None
    kind: IdentityKind | None = None
    own_id: CustomerId | None = None
    linked: bool = False


AMBIGUOUS = Decision("unknown", ("ambiguous",))
"""The track resembles two identities, neither clearly more: they may be duplicates."""
LEFT_OUT = Decision("unknown", ("opted_out",))
"""The track shows, or may show, a person who opted out; none of its data is kept."""
ERASED = Decision("unknown", ("erased",))
"""The track shows a person who was erased while in view; none of its data is kept."""


MOTIONLESS = Decision("unknown", ("no_movement",))
"""The track's face has never moved: a poster or a photograph must not become an identity."""


def rank(matches: Iterable[GalleryMatch], policy: MatchingPolicy) -> list[Ranked]:
    """Return one row per identity, best first; ties are broken by id so that replays agree."""
    best: dict[CustomerId, Ranked] = {}
    for match in matches:
        score = policy.score(match.cosine)
        if match.customer_id not in best or score > best[match.customer_id].score:
            best[match.customer_id] = Ranked(match.customer_id, match.kind, score)
    return sorted(best.values(), key=lambda r: (-r.score, r.customer_id))


def margin_of(ranked: Sequence[Ranked]) -> float | None:
    """Return the lead of the best identity over the runner-up; None without a runner-up."""
    return ranked[0].score - ranked[1].score if len(ranked) > 1 else None


def candidates_of(ranked: Sequence[Ranked]) -> tuple[Candidate, ...]:
    """Return the ranking for the event, without opted-out customers."""
    named = (r for r in ranked if r.kind is not IdentityKind.OPTED_OUT)
    return tuple(Candidate(r.customer_id, round(r.score, 4)) for r in named)


def wants_to_be_left_out(ranked: Sequence[Ranked], policy: MatchingPolicy) -> bool:
    """Return whether the track matches an opted-out customer, best or within the margin of it.

    Within the margin the two cannot be told apart, and the doubt counts for the person's wish.
    """
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
    tracks in the same frame, since one person cannot be in two places at once.
    """
    if ranked and ranked[0].score >= policy.similarity:
        return _match(ranked, gate, in_view, policy)
    # Between new_below and similarity a known person with poor faces and a stranger look alike. A
    # duplicate identity is costlier than a late one, so enrollment waits for more faces here.
    doubtful = bool(ranked) and ranked[0].score >= policy.new_below
    if doubtful and (
        ranked[0].kind is IdentityKind.OPTED_OUT or ranked[0].score >= policy.never_new_from
    ):
        return Decision("unknown", ("resembles_somebody",))  # never enrolled, however many faces
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
    # Two candidates above the threshold and this close: picking the better one would be a coin
    # toss. The merge job looks at such faces, as the two may be one person enrolled twice.
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
    """Return the decision on a track that has one and now has better faces.

    The present decision has hysteresis: another identity must lead it by twice the margin, and a
    new identity replaces it only when its score is below ``new_below``. Scores that hover around a
    limit therefore do not make the identity flicker. If a new identity turns out to be a known one,
    the merge job finds that, and its merge can be undone.
    """
    if present.status == "unknown":  # its identity was taken away: seen on another track
        return present if fresh.status == "unknown" else fresh
    if present.status == "new" or fresh.status == "unknown":
        return present
    if fresh.customer_id == present.customer_id:
        return present
    score = next((r.score for r in ranked if r.customer_id == present.customer_id), 0.0)
    if fresh.status == "new":
        return fresh if score < policy.new_below else present
    return fresh if ranked[0].score >= score + 2 * policy.margin else present


def keep_link(
    present: Decision, fresh: Decision, ranked: Sequence[Ranked], policy: MatchingPolicy
) -> Decision:
    """Return the decision on a track that was linked by its body and now shows faces.

    Every decision from faces replaces a link. Faces that decide nothing end it if they are clearly
    not those of the linked customer, or if that customer cannot be here.
    """
    if fresh.status != "unknown" or "gate_impossible" in fresh.reasons:
        return fresh
    score = next((r.score for r in ranked if r.customer_id == present.customer_id), 0.0)
    return fresh if score < policy.new_below else present


def without_faces(unusable: Iterable[str], faces_seen: int) -> Decision:
    """Return the decision for a track that showed no face good enough for recognition."""
    reasons = tuple(f"face_{reason}" for reason in sorted(unusable)) if faces_seen else ("no_face",)
    return Decision("unknown", reasons)
