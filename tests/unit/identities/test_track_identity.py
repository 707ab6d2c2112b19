"""Identities of one camera's tracks: who is in view, who was doubled, and what a switch drops."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from tests.unit.events.samples import detection, face

from trinetra.events.codec import pack_embedding
from trinetra.events.schema import (
    Candidate,
    DetectionEvent,
    Evidence,
    FaceBox,
    GateEvidence,
    ObjectBox,
    Thresholds,
)
from trinetra.identities.decision.matching import ERASED, LEFT_OUT, Decision
from trinetra.identities.decision.track_identity import (
    SEEN_ELSEWHERE,
    CameraState,
    EnrolledShots,
    FrameHeader,
    FrameOutcome,
    TrackIdentity,
    TrackObservation,
    advance,
    end_all,
)
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.identities.tracking.track_faces import FaceGroup, Shot, TrackFaces
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    Instant,
    SiteId,
    TrackId,
    after,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN, BEN = CustomerId("ann"), CustomerId("ben")
DOOR, SHOP = CameraId("door"), SiteId("shop")
FACE = np.eye(8, dtype=np.float32)[0]
NO_FACES = TrackFaces()


def at(seconds: float) -> Instant:
    return after(NOON, seconds)


def known(customer: CustomerId) -> Decision:
    return Decision("known", ("similar",), customer, IdentityKind.ANONYMOUS)


def faces(first_s: float, last_s: float, usable: int = 5, segment: int = 0) -> TrackFaces:
    """Return the evidence of a track that showed its person's face from then to then."""
    shot = Shot(FACE, 0.9, 60.0, at(first_s))
    group = FaceGroup((shot,), FACE, usable, at(first_s), at(last_s))
    return TrackFaces(usable, groups=(group,), segment=segment)


def track(
    name: str, decision: Decision | None = None, evidence: TrackFaces = NO_FACES
) -> TrackObservation:
    identity = TrackIdentity(TrackId(name), "person", NOON, evidence, decision)
    return TrackObservation(identity, evidence, (0, 0, 9, 9), at(20))


def frame(*visible: TrackObservation) -> FrameOutcome:
    return FrameOutcome(visible, (), ())


# --- one person, one place --------------------------------------------------------------------


def test_in_view_are_the_customers_of_the_other_tracks() -> None:
    mine, other = track("t1", known(ANN)), track("t2", known(BEN))
    assert frame(mine, other, track("t3")).in_view(mine) == {BEN}
    assert frame(mine).in_view(mine) == frozenset()


@pytest.mark.parametrize(("last_seen_s", "in_view"), [(9, set()), (10, {BEN}), (11, {BEN})])
def test_a_customer_last_shown_before_this_person_appeared_is_not_in_view(
    last_seen_s: float, in_view: set[CustomerId]
) -> None:
    mine = track("t1", evidence=faces(10, 12))
    other = track("t2", known(BEN), faces(0, last_seen_s))
    assert frame(mine, other).in_view(mine) == in_view


def test_of_two_tracks_of_one_customer_the_one_with_the_older_face_is_the_double() -> None:
    stale, fresh = track("t1", known(ANN), faces(0, 5)), track("t2", known(ANN), faces(8, 9))
    for visible in ((stale, fresh), (fresh, stale)):
        assert frame(*visible).doubles() == [(stale, at(8))]


def test_a_double_ends_at_its_own_last_face_at_the_earliest() -> None:
    stale, fresh = track("t1", known(ANN), faces(0, 5)), track("t2", known(ANN), faces(2, 9))
    assert frame(stale, fresh).doubles() == [(stale, at(5))]


def test_of_three_tracks_of_one_customer_two_are_doubles() -> None:
    tracks = [track(f"t{n}", known(ANN), faces(n, 4 * n)) for n in (1, 3, 2)]
    doubles = [seen.identity.track_id for seen, _ in frame(*tracks).doubles()]
    assert sorted(doubles) == ["t1", "t2"]


def test_different_customers_unknown_tracks_and_tracks_without_faces_are_no_doubles() -> None:
    seen = frame(
        track("t1", known(ANN), faces(0, 5)),
        track("t2", known(BEN), faces(0, 6)),
        track("t3", None, faces(0, 7)),
        track("t4", known(ANN)),
    )
    assert seen.doubles() == []


def test_a_person_has_certainly_been_in_view_since_the_first_face() -> None:
    graph = SiteGraph()
    shown = track("t1", evidence=faces(4, 9)).segment(DOOR, graph)
    assert (shown.camera_id, shown.first_at, shown.last_at) == (DOOR, at(4), at(20))
    assert track("t1").segment(DOOR, graph).first_at == NOON


# --- decisions that are withdrawn -------------------------------------------------------------


def test_a_withdrawn_identity_returns_only_at_a_review_after_three_more_faces() -> None:
    identity = TrackIdentity(TrackId("t"), "person", NOON, decision=SEEN_ELSEWHERE, asked_at=6)
    due = [n for n in range(1, 70) if identity.is_due(faces(0, 1, n), 6, missed=False)]
    assert due == [16, 32, 64]
    identity.asked_at = 5
    assert identity.is_due(faces(0, 1, 8), 5, missed=False)


def test_a_person_who_is_left_out_is_never_looked_up_again() -> None:
    for decision in (LEFT_OUT, ERASED):
        identity = TrackIdentity(TrackId("t"), "person", NOON, decision=decision)
        assert not any(identity.is_due(faces(0, 1, n), 0, missed=True) for n in range(1, 70))
        assert not identity.follow(faces(0, 1, segment=1))
        assert identity.decision == decision


def test_a_switch_to_another_person_drops_the_decision_and_asks_anew() -> None:
    identity = TrackIdentity(
        TrackId("t"), "person", NOON, decision=known(ANN), asked_at=9, gallery_missed=True
    )
    assert not identity.follow(faces(0, 1))
    evidence = switched(at(7))
    assert identity.follow(evidence)
    assert (identity.decision, identity.segment, identity.since) == (None, 1, at(7))
    assert (identity.asked_at, identity.gallery_missed) == (0, False)
    assert not identity.follow(evidence)


def test_a_switch_without_a_decision_drops_none() -> None:
    identity = TrackIdentity(TrackId("t"), "person", NOON)
    assert not identity.follow(faces(0, 1, segment=1))
    assert identity.segment == 1


def switched(since: Instant) -> TrackFaces:
    shown = faces(7, 9, segment=1)
    return TrackFaces(shown.faces_seen, groups=shown.groups, segment=1, since=since)


def test_after_a_withdrawn_identity_the_next_person_begins_where_it_was_withdrawn() -> None:
    identity = TrackIdentity(TrackId("t"), "person", NOON, decision=SEEN_ELSEWHERE, since=at(3))
    identity.follow(switched(at(7)))
    assert identity.since == at(3)
    identity = TrackIdentity(TrackId("t"), "person", NOON, decision=known(ANN), since=at(3))
    identity.follow(switched(at(7)))
    assert identity.since == at(7)


def test_leaving_a_person_out_drops_all_that_points_to_them() -> None:
    gate = GateEvidence(customer_id=ANN, verdict="plausible", reason="walkable")
    explained = Evidence(
        5,
        5,
        80.0,
        0.8,
        "m",
        Thresholds(0.72, 0.03, 0.3, 32),
        candidates=(Candidate(ANN, 0.9),),
        margin=0.1,
        gate=(gate,),
        known_since=NOON,
    )
    identity = TrackIdentity(
        TrackId("t"),
        "person",
        NOON,
        faces(0, 1),
        known(ANN),
        explained,
        alerted={ANN},
        since=at(1),
    )
    identity.leave_out(ERASED)
    assert (identity.decision, identity.evidence, identity.since) == (ERASED, TrackFaces(), None)
    assert identity.explained is not None
    assert str(ANN) not in repr(identity)
    assert (identity.explained.margin, identity.explained.known_since) == (None, None)


def test_a_track_is_of_an_erased_customer_under_either_id() -> None:
    merged = Decision("known", ("merged",), BEN, IdentityKind.ANONYMOUS, ANN)
    identity = TrackIdentity(TrackId("t"), "person", NOON, decision=merged)
    assert identity.is_of({ANN}.__contains__)
    assert identity.is_of({BEN}.__contains__)
    assert not identity.is_of({CustomerId("cleo")}.__contains__)
    assert not TrackIdentity(TrackId("t"), "person", NOON).is_of(lambda _: True)


# --- frames -----------------------------------------------------------------------------------


def shown(n: int, *people: tuple[float, np.ndarray | None]) -> DetectionEvent:
    """Return the n-th frame, five a second: bodies at these places, with the face of each."""
    bodies = tuple(ObjectBox("person", 0.9, (x, 100.26, x + 100.0, 400.26)) for x, _ in people)
    heads = tuple(head(x, vector) for x, vector in people if vector is not None)
    return msgspec.structs.replace(
        detection(heads), objects=bodies, captured_at=at(n / 5), frame_seq=n
    )


def head(x: float, vector: np.ndarray) -> FaceBox:
    box = (x + 30.0, 110.0, x + 70.0, 160.0)
    return msgspec.structs.replace(face(), box=box, embedding=pack_embedding(vector))


def played(*events: DetectionEvent) -> tuple[CameraState, list[FrameOutcome]]:
    camera = CameraState(DOOR)
    policy = TrackerPolicy()
    outcomes = [
        advance(camera, event, site_id=SHOP, dimension=8, policy=policy) for event in events
    ]
    return camera, outcomes


def test_a_track_is_visible_once_confirmed_with_the_box_and_time_of_the_frame() -> None:
    camera, (first, second) = played(shown(0, (10.26, None)), shown(1, (12.26, None)))
    assert first.visible == ()
    [seen] = second.visible
    assert (seen.box, seen.seen_at) == ((12.3, 100.3, 112.3, 400.3), at(0.2))
    assert (seen.frame, seen.identity.started_at) == ((1280, 720), NOON)
    assert camera.last == FrameHeader(EventId("det_1"), SiteId("shop"), DOOR, at(0.2), 1, 1280, 720)


def test_faces_gather_on_the_track_of_their_body() -> None:
    ann, ben = np.eye(8, dtype=np.float32)[:2]
    events = [shown(n, (10.0, ann), (600.0, ben)) for n in range(4)]
    _, outcomes = played(*events)
    at_left, at_right = sorted(outcomes[-1].visible, key=lambda seen: seen.box)
    assert (at_left.evidence.usable, at_right.evidence.usable) == (4, 4)
    assert np.allclose(at_left.evidence.groups[0].center, ann)
    assert np.allclose(at_right.evidence.groups[0].center, ben)


def test_a_face_of_another_track_is_not_taken_for_that_of_the_body_it_lies_in() -> None:
    ann, ben = np.eye(8, dtype=np.float32)[:2]
    before = [shown(n, (10.0, ann), (120.0, ben)) for n in range(4)]
    _, outcomes = played(*before, shown(4, (10.0, None), (120.0, ann)))
    at_right = max(outcomes[-1].visible, key=lambda seen: seen.box)
    assert len(at_right.evidence.groups) == 1
    assert at_right.evidence.usable == 4


def test_a_malformed_face_is_reported_and_the_frame_goes_on() -> None:
    short = np.ones(1, np.float32)
    _, outcomes = played(shown(0, (10.0, short)), shown(1, (10.0, None)))
    assert [len(outcome.faults) for outcome in outcomes] == [1, 0]
    [seen] = outcomes[-1].visible
    assert seen.evidence.faces_seen == 0


def test_tracks_that_end_are_told_once_and_dropped() -> None:
    walk = [shown(n, (10.0, None)) for n in range(3)]
    camera, outcomes = played(*walk, *(shown(n) for n in range(3, 30)))
    assert [len(outcome.ended) for outcome in outcomes].count(1) == 1
    assert camera.identities == {}


def test_the_end_of_a_stream_ends_confirmed_tracks_only() -> None:
    camera, _ = played(shown(0, (10.0, None)), shown(1, (10.0, None), (600.0, None)))
    [ended] = end_all(camera)
    assert ended.started_at == NOON
    assert (camera.identities, camera.tracker.tracks) == ({}, ())


def of_qualities(*qualities: float) -> TrackFaces:
    shots = tuple(Shot(FACE, quality, 60.0, NOON) for quality in qualities)
    return TrackFaces(groups=(FaceGroup(shots, FACE, 9, NOON, NOON),))


def test_a_new_identity_is_stored_again_once_its_best_shots_are_clearly_better() -> None:
    stored = EnrolledShots.of(of_qualities(0.5, 0.5, 0.5, 0.1))
    assert (stored.usable, stored.quality) == (9, pytest.approx(0.5))
    assert not stored.is_clearly_worse(of_qualities(0.5, 0.5, 0.5, 0.5))
    assert not stored.is_clearly_worse(of_qualities(0.6, 0.5, 0.5))
    assert stored.is_clearly_worse(of_qualities(0.9, 0.9, 0.9, 0.1))
