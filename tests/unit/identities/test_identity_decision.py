"""A track's decision with its evidence: what the gate is asked, and what an event may show."""

from datetime import UTC, datetime

import numpy as np
import pytest

from trinetra.events.schema import Candidate, ThresholdBasis
from trinetra.identities.decision.identity_decision import (
    ExplainedDecision,
    explain,
    resolve,
    unrecognized,
)
from trinetra.identities.decision.matching import (
    LEFT_OUT,
    MOTIONLESS,
    Decision,
    MatchingPolicy,
)
from trinetra.identities.decision.open_set import (
    MatchingRules,
    OpenSetTarget,
    Rivals,
    ThresholdTable,
)
from trinetra.identities.decision.track_identity import (
    SEEN_ELSEWHERE,
    TrackIdentity,
    TrackObservation,
)
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import Sighting, build_graph
from trinetra.identities.tracking.life_signs import LifeSigns
from trinetra.identities.tracking.track_faces import FaceGroup, Shot, TrackFaces
from trinetra.impostors import ImpostorTail
from trinetra.values import (
    CameraId,
    CustomerId,
    GalleryMatch,
    IdentityKind,
    TrackId,
    after,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN, BEN = CustomerId("ann"), CustomerId("ben")
DOOR, TILL = CameraId("door"), CameraId("till")
GRAPH = build_graph([DOOR, TILL], [(DOOR, TILL, 100.0)])
POLICY = MatchingPolicy(similarity=0.75, margin=0.125, scale_offset=0.0, scale_gain=1.0)
FACE = np.eye(8, dtype=np.float32)[0]
ALIVE, STILL = LifeSigns(has_body=True, has_moved=True), LifeSigns(has_body=True)


def shot(quality: float = 0.8) -> Shot:
    return Shot(FACE, quality, 60.0, NOON)


def faces(usable: int = 5, *shots: Shot) -> TrackFaces:
    group = FaceGroup(shots or (shot(),), FACE, usable, after(NOON, 60), after(NOON, 62))
    return TrackFaces(usable + 2, 71.26, groups=(group,))


def match(
    who: CustomerId, cosine: float, kind: IdentityKind = IdentityKind.ANONYMOUS
) -> GalleryMatch:
    return GalleryMatch(f"emb_{who}", who, kind, cosine)


def resolved(
    *matches: GalleryMatch,
    decision: Decision | None = None,
    in_view: frozenset[CustomerId] = frozenset(),
    last_seen_s: float | None = None,
    evidence: TrackFaces | None = None,
    life: LifeSigns = ALIVE,
    rules: MatchingRules | None = None,
) -> ExplainedDecision:
    """Return the decision on a track at the door, first shown a minute past noon.

    ``last_seen_s`` is when ann was last seen at the till, 100 m away, in seconds past noon.
    """
    registry = ActiveRegistry()
    if last_seen_s is not None:
        seen = Sighting(TILL, NOON, after(NOON, last_seen_s))
        registry.see(ANN, IdentityKind.ANONYMOUS, seen)
    shown = evidence or faces()
    identity = TrackIdentity(TrackId("t"), "person", NOON, shown, decision, life=life)
    observation = TrackObservation(identity, shown, (0, 0, 9, 9), after(NOON, 62))
    return resolve(
        observation,
        matches,
        camera_id=DOOR,
        in_view=in_view,
        registry=registry,
        graph=GRAPH,
        rules=rules or MatchingRules(POLICY),
        model="arcface@1",
    )


CROWD = MatchingRules(
    POLICY,
    ThresholdTable(POLICY, OpenSetTarget(0.001, {48.0: ImpostorTail(0.7, 0.02, 0.02)})),
    Rivals().updated(5000, 10),
)
"""Five thousand people are known: 0.968 for them, 0.845 for the ten on site."""


def test_of_many_people_only_those_on_site_are_recognized_at_a_lower_score() -> None:
    away = resolved(match(ANN, 0.9), match(BEN, 0.5), rules=CROWD)
    assert (away.decision.status, away.decision.reasons) == ("unknown", ("resembles_somebody",))
    assert away.evidence.basis == ThresholdBasis(0.001, 5000, "gallery", 48.0)
    here = resolved(match(ANN, 0.9), match(BEN, 0.5), last_seen_s=10, rules=CROWD)
    assert here.decision.customer_id == ANN
    assert here.evidence.basis == ThresholdBasis(0.001, 10, "on_site", 48.0)
    assert here.evidence.thresholds.similarity < away.evidence.thresholds.similarity


@pytest.mark.parametrize(("score", "reason"), [(0.8, "opted_out"), (0.7, "resembles_somebody")])
def test_a_person_who_opted_out_is_left_out_at_the_given_threshold_among_however_many_others(
    score: float, reason: str
) -> None:
    out = match(ANN, score, IdentityKind.OPTED_OUT)
    assert resolved(out, rules=CROWD).decision.reasons == (reason,)
    assert resolved(match(ANN, score), rules=CROWD).decision.status == "new"


def test_a_match_that_can_have_walked_here_is_known() -> None:
    found = resolved(match(ANN, 0.9), match(BEN, 0.5), last_seen_s=10)
    assert (found.decision.status, found.decision.customer_id) == ("known", ANN)
    assert found.gate is not None
    assert (found.gate.verdict, found.gate.customer_id, found.gate.from_camera) == (
        "plausible",
        ANN,
        TILL,
    )
    assert found.evidence.gate == (found.gate,)


def test_a_match_that_cannot_have_walked_here_is_unknown_and_the_gate_says_why() -> None:
    found = resolved(match(ANN, 0.9), last_seen_s=50)
    assert found.decision == Decision("unknown", ("gate_impossible",))
    assert found.gate is not None
    assert found.gate.reason == "too_fast"


def test_the_gate_is_asked_from_the_limit_on_and_about_the_best_match_only() -> None:
    assert resolved(match(ANN, 0.75), last_seen_s=50).gate is not None
    weak = resolved(match(ANN, 0.74), last_seen_s=50)
    assert (weak.gate, weak.evidence.gate) == (None, ())
    other = resolved(match(BEN, 0.95), match(ANN, 0.8), last_seen_s=50)
    assert (other.decision.status, other.decision.customer_id) == ("known", BEN)


def test_the_evidence_shows_the_ranking_and_the_lead_of_the_best() -> None:
    found = resolved(match(BEN, 0.5), match(ANN, 0.912345))
    assert found.evidence.candidates == (Candidate(ANN, 0.9123), Candidate(BEN, 0.5))
    assert found.evidence.margin == 0.4123
    assert resolved(match(ANN, 0.9)).evidence.margin is None


def test_the_evidence_shows_the_faces_and_the_limits() -> None:
    evidence = explain(faces(5, shot(0.81234), shot(0.5)), "arcface@1", POLICY)
    assert (evidence.faces_seen, evidence.faces_used) == (7, 2)
    assert (evidence.best_face_px, evidence.quality) == (71.3, 0.656)
    assert (evidence.model, evidence.thresholds) == ("arcface@1", POLICY.thresholds())
    assert evidence.known_since == after(NOON, 60)


def test_of_a_person_who_opted_out_neither_candidates_nor_gate_are_kept() -> None:
    opted_out = match(ANN, 0.9, IdentityKind.OPTED_OUT)
    found = resolved(opted_out, match(BEN, 0.85), last_seen_s=50)
    assert (found.decision, found.gate) == (LEFT_OUT, None)
    assert (found.evidence.candidates, found.evidence.gate) == ((), ())
    assert found.evidence.margin is None
    assert found.evidence.faces_seen == 7


def test_a_decided_track_keeps_its_identity_unless_another_leads_clearly() -> None:
    known = Decision("known", ("similar", "gate_unknown"), BEN, IdentityKind.ANONYMOUS)
    assert resolved(match(ANN, 0.96), match(BEN, 0.8), decision=known).decision == known
    assert resolved(match(ANN, 1.0), match(BEN, 0.7), decision=known).decision.customer_id == ANN


def test_an_undecided_track_takes_any_decision() -> None:
    doubt = Decision("unknown", ("collecting_faces",))
    assert resolved(match(ANN, 0.8), decision=doubt).decision.customer_id == ANN
    fresh = resolved(match(ANN, 0.9), match(BEN, 0.89), decision=doubt).decision
    assert fresh.reasons == ("ambiguous",)
    gone = resolved(match(ANN, 0.9), match(BEN, 0.89), decision=SEEN_ELSEWHERE).decision
    assert gone == SEEN_ELSEWHERE


def test_an_identity_of_another_track_in_view_is_not_taken() -> None:
    found = resolved(match(ANN, 0.9), in_view=frozenset({ANN}))
    assert found.decision.reasons == ("already_in_view",)


@pytest.mark.parametrize(("usable", "status"), [(2, "unknown"), (3, "new")])
def test_a_new_identity_needs_enough_usable_faces(usable: int, status: str) -> None:
    assert resolved(evidence=faces(usable)).decision.status == status


def test_a_face_that_has_not_moved_is_recognized_but_never_becomes_an_identity() -> None:
    assert resolved(life=STILL).decision == MOTIONLESS
    assert resolved(match(ANN, 0.9), life=STILL).decision.customer_id == ANN


def test_a_track_that_ends_without_a_decision_says_what_was_missing() -> None:
    def ended(evidence: TrackFaces) -> ExplainedDecision:
        identity = TrackIdentity(TrackId("t"), "person", NOON, evidence)
        return unrecognized(identity, "arcface@1", POLICY)

    few = ended(faces(1))
    assert few.decision == Decision("unknown", ("too_few_good_faces",))
    assert (few.gate, few.evidence) == (None, explain(faces(1), "arcface@1", POLICY))
    blurred = TrackFaces(3, unusable={"blurred": 3})
    assert ended(blurred).decision.reasons == ("face_blurred",)
    assert ended(TrackFaces()).decision.reasons == ("no_face",)
