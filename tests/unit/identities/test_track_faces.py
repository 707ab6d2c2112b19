"""Best shots, outliers and faces without bodies."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.events.samples import detection, face

from trinetra.errors import MalformedEvent
from trinetra.events.codec import pack_embedding
from trinetra.events.schema import FaceBox, ObjectBox
from trinetra.identities.decision.identity_decision import resolve
from trinetra.identities.decision.lifecycle import RetentionPolicy, customer_of, enroll, renew
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.decision.open_set import MatchingRules
from trinetra.identities.decision.track_identity import TrackIdentity, TrackObservation
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.tracking.face_association import observe
from trinetra.identities.tracking.life_signs import LifeSigns
from trinetra.identities.tracking.track_faces import (
    Shot,
    TrackFaces,
    add_face,
    fuse,
    mean_quality,
)
from trinetra.identities.tracking.tracks import DetectionBatch
from trinetra.values import CameraId, IdentityKind, TrackId, after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
random = np.random.default_rng(3)


def random_person() -> np.ndarray:
    vector = random.normal(size=512).astype(np.float32)
    return vector / np.linalg.norm(vector)


def photo_of(person: np.ndarray, quality: float = 0.7, noise: float = 0.9) -> Shot:
    vector = person + noise * random_person()
    return Shot(vector / np.linalg.norm(vector), quality, 50.0, NOON)


def face_at(x: float, y: float, size: float = 40.0) -> FaceBox:
    return msgspec.structs.replace(face(), box=(x, y, x + size, y + size))


def test_the_best_faces_are_kept_and_all_are_counted() -> None:
    evidence = TrackFaces()
    for number in range(20):
        quality = msgspec.structs.replace(face().quality, total=number / 20)
        shot = msgspec.structs.replace(face(), quality=quality)
        evidence = add_face(evidence, shot, NOON, 512)
    assert (evidence.faces_seen, evidence.usable, len(evidence.shots)) == (20, 20, 8)
    assert min(s.quality for s in evidence.shots) == 12 / 20


def test_an_unusable_face_is_counted_with_its_reason_but_never_matched() -> None:
    small = msgspec.structs.replace(face(), embedding=None, unusable="too_small")
    evidence = add_face(TrackFaces(), small, NOON, 512)
    assert evidence.shots == ()
    assert evidence.unusable == {"too_small": 1}
    assert evidence.best_face_px == face().quality.size_px


def test_an_embedding_of_another_model_is_refused() -> None:
    other = msgspec.structs.replace(face(), embedding=pack_embedding(np.eye(128)[0]))
    with pytest.raises(MalformedEvent, match="128 dimensions"):
        add_face(TrackFaces(), other, NOON, 512)


def shown(*people: np.ndarray) -> TrackFaces:
    """Return the evidence of a track that showed these people's faces, one per second."""
    evidence = TrackFaces()
    for second, person in enumerate(people):
        photo = pack_embedding(photo_of(person, noise=0.6).embedding)
        seen = msgspec.structs.replace(face(), embedding=photo)
        evidence = add_face(evidence, seen, after(NOON, second), 512)
    return evidence


def test_a_face_of_somebody_passing_behind_is_left_out() -> None:
    anna, ben = random_person(), random_person()
    evidence = shown(anna, anna, ben, anna, ben, anna, anna)
    assert evidence.usable == 5
    assert all(float(shot.embedding @ anna) > 0.5 for shot in evidence.shots)
    assert (evidence.segment, evidence.since) == (0, None)


def test_a_track_that_goes_over_to_somebody_else_speaks_for_them_from_their_first_face_on() -> None:
    anna, ben = random_person(), random_person()
    evidence = shown(anna, anna, anna, anna, ben, ben, ben)
    assert evidence.usable == 3
    assert all(float(shot.embedding @ ben) > 0.5 for shot in evidence.shots)
    assert (evidence.segment, evidence.since) == (1, after(NOON, 4))
    assert evidence.known_since == after(NOON, 4)


def test_two_faces_of_somebody_else_do_not_take_a_track_over() -> None:
    anna, ben = random_person(), random_person()
    assert shown(anna, anna, ben, ben).segment == 0
    assert shown(anna, anna, ben, ben, anna, ben, ben).segment == 1


def test_a_stray_first_face_does_not_count_as_the_tracks_person() -> None:
    anna, ben = random_person(), random_person()
    evidence = shown(anna, ben, ben)
    assert all(float(shot.embedding @ ben) > 0.5 for shot in evidence.shots)
    assert evidence.since is None
    assert evidence.known_since == after(NOON, 1)


def test_who_was_on_the_track_before_is_known_again_with_all_their_faces() -> None:
    anna, ben = random_person(), random_person()
    evidence = shown(*[anna] * 4, *[ben] * 3, *[anna] * 3)
    assert (evidence.segment, evidence.usable) == (2, 7)
    assert evidence.since == evidence.known_since == after(NOON, 7)


@given(st.lists(st.integers(0, 4), max_size=60))
def test_no_group_ever_mixes_people_and_every_face_is_counted(order: list[int]) -> None:
    people = [np.eye(512, dtype=np.float32)[i] for i in range(5)]
    evidence = shown(*(people[i] for i in order))
    assert evidence.faces_seen == len(order)
    assert len(evidence.groups) <= 3
    for group in evidence.groups:
        whom = {int(np.argmax(shot.embedding)) for shot in group.shots}
        assert len(whom) == 1
        assert group.first_at <= group.last_at
        assert np.allclose(group.center, fuse(group.shots), atol=1e-6)
    assert not evidence.groups or evidence.groups[0].lead == 0


@pytest.mark.parametrize(("faces", "status"), [(11, "unknown"), (12, "new")])
def test_more_faces_can_be_required_of_a_new_person_than_are_kept(faces: int, status: str) -> None:
    evidence = shown(*[random_person()] * faces)
    assert len(evidence.shots) < faces
    identity = TrackIdentity(TrackId("trk_1"), "person", NOON, life=LifeSigns(has_moved=True))
    decided = resolve(
        TrackObservation(identity, evidence, (0.0, 0.0, 9.0, 9.0), NOON),
        [],
        camera_id=CameraId("door"),
        in_view=frozenset(),
        registry=ActiveRegistry(),
        graph=SiteGraph(),
        rules=MatchingRules(MatchingPolicy(enrol_after_faces=12, enrol_in_doubt_after_faces=20)),
        model="test@1",
    )
    assert decided.decision.status == status


def test_fusing_faces_comes_nearer_to_the_person_than_any_one_face() -> None:
    anna = random_person()
    shots = tuple(photo_of(anna) for _ in range(6))
    assert float(fuse(shots) @ anna) > max(float(s.embedding @ anna) for s in shots)
    assert np.linalg.norm(fuse(shots)) == pytest.approx(1.0, abs=1e-5)


def test_a_face_goes_to_the_person_whose_head_is_there() -> None:
    event = msgspec.structs.replace(
        detection(),
        objects=(
            ObjectBox("person", 0.9, (100, 100, 200, 400)),
            ObjectBox("person", 0.9, (400, 100, 500, 400)),
        ),
        faces=(face_at(430, 110), face_at(130, 110)),
    )
    seen = observe(event)
    assert [f.box[0] if f else None for f in seen.faces] == [130, 430]


@pytest.mark.parametrize(
    ("x", "y"), [(130, 350), (200 - 20, 110), (200 - 1, 200), (100 - 39, 250), (130, 400 - 1)]
)
def test_a_face_at_a_persons_box_that_fits_no_head_doubles_nobody(x: float, y: float) -> None:
    event = msgspec.structs.replace(
        detection(),
        objects=(ObjectBox("person", 0.3, (100, 100, 200, 400)),),
        faces=(face_at(x, y), face_at(130, 110)),
    )
    seen = observe(event)
    assert seen.labels == ("person",)
    assert seen.faces[0] == face_at(130, 110)


def test_a_face_away_from_everybody_is_a_person_of_its_own() -> None:
    event = msgspec.structs.replace(
        detection(),
        objects=(ObjectBox("person", 0.9, (300, 100, 400, 400)),),
        faces=(face_at(130, 350),),
    )
    seen = observe(event)
    assert seen.face_only == {1}
    assert len(seen.labels) == 2
    assert seen.faces[0] is None
    x1, y1, x2, y2 = seen.boxes[1]
    assert x1 < 130
    assert x2 > 170
    assert y1 <= 350
    assert y2 <= event.frame_height


def test_a_car_has_no_face() -> None:
    event = msgspec.structs.replace(
        detection(),
        objects=(ObjectBox("car", 0.9, (100, 100, 200, 400)),),
        faces=(face_at(130, 110),),
    )
    assert observe(event).labels == ("car", "person")


def test_enrolment_is_the_same_on_every_replay_and_expires_by_kind() -> None:
    customer = customer_of(TrackId("trk_1"))
    anna = random_person()
    shots = [photo_of(anna, quality=q) for q in (0.5, 0.9, 0.7)]
    entries = enroll(customer, IdentityKind.ANONYMOUS, shots, RetentionPolicy())
    again = enroll(customer, IdentityKind.ANONYMOUS, shots, RetentionPolicy())
    assert [e.entry_id for e in entries] == [e.entry_id for e in again]
    assert len({e.entry_id for e in entries}) == 3
    assert all(e.expires_at and (e.expires_at - NOON).days == 30 for e in entries)
    staff = enroll(customer, IdentityKind.STAFF, shots, RetentionPolicy())
    assert all(e.expires_at is None for e in staff)


def test_a_returning_customer_takes_one_place_in_the_gallery_however_often() -> None:
    customer = customer_of(TrackId("trk_1"))
    visits = [[photo_of(random_person())] for _ in range(5)]
    renewed = {
        renew(customer, IdentityKind.ANONYMOUS, v, RetentionPolicy()).entry_id for v in visits
    }
    assert len(renewed) == 1


# --- counts, times and the tail of a group ----------------------------------------------------


def unusable(reason: str | None) -> FaceBox:
    return msgspec.structs.replace(face(), embedding=None, unusable=reason)


def test_unusable_faces_are_counted_by_reason_and_poor_without_one() -> None:
    evidence = TrackFaces()
    for reason in ("blurred", None, "blurred"):
        evidence = add_face(evidence, unusable(reason), NOON, 512)
    assert evidence.unusable == {"blurred": 2, "poor": 1}
    assert (evidence.faces_seen, evidence.usable) == (3, 0)
    assert (evidence.known_since, evidence.shown_at) == (None, None)


def test_the_largest_face_is_told_whether_usable_or_not() -> None:
    small = msgspec.structs.replace(face().quality, size_px=20.0)
    evidence = add_face(TrackFaces(), face(), NOON, 512)
    evidence = add_face(evidence, msgspec.structs.replace(face(), quality=small), NOON, 512)
    assert evidence.best_face_px == face().quality.size_px


def test_a_shot_keeps_what_was_received() -> None:
    [kept] = add_face(TrackFaces(), face(), NOON, 512).shots
    assert (kept.packed, kept.captured_at) == (face().embedding, NOON)
    assert (kept.quality, kept.size_px) == (face().quality.total, face().quality.size_px)


def test_a_track_knows_when_its_person_was_first_and_last_shown() -> None:
    anna, ben = random_person(), random_person()
    evidence = shown(anna, anna, ben, anna, ben)
    assert evidence.known_since == NOON
    assert evidence.shown_at == after(NOON, 3)


def test_two_people_by_turns_leave_a_track_to_the_first() -> None:
    anna, ben = random_person(), random_person()
    assert shown(anna, *[ben, anna] * 20).segment == 0


def test_a_lead_is_dated_from_when_it_began_and_not_from_a_stray_face_before() -> None:
    anna, ben = random_person(), random_person()
    evidence = shown(anna, anna, ben, anna, anna, ben, ben, ben)
    assert (evidence.segment, evidence.since) == (1, after(NOON, 5))


def test_passers_by_beyond_the_bound_are_forgotten_and_the_latest_kept() -> None:
    anna, *others = (random_person() for _ in range(6))
    evidence = shown(anna, anna, *others)
    assert np.allclose(evidence.groups[0].center @ anna, 1.0, atol=0.2)
    kept = [
        max(range(5), key=lambda n: float(group.center @ others[n]))
        for group in evidence.groups[1:]
    ]
    assert sorted(kept) == [3, 4]


def test_a_face_between_two_people_counts_for_nobody() -> None:
    anna, ben = np.eye(512, dtype=np.float32)[:2]
    evidence = shown_exactly(anna, 0.3 * anna + np.sqrt(1 - 0.09, dtype=np.float32) * ben)
    assert (evidence.faces_seen, evidence.usable, len(evidence.groups)) == (2, 1, 1)


def shown_exactly(*vectors: np.ndarray) -> TrackFaces:
    evidence = TrackFaces()
    for second, vector in enumerate(vectors):
        seen = msgspec.structs.replace(face(), embedding=pack_embedding(vector))
        evidence = add_face(evidence, seen, after(NOON, second), 512)
    return evidence


def test_a_better_face_weighs_more_and_a_worthless_one_almost_nothing() -> None:
    anna, ben = np.eye(512, dtype=np.float32)[:2]
    good, bad, none = (Shot(v, q, 50.0, NOON) for v, q in ((anna, 0.9), (ben, 0.3), (ben, 0.0)))
    ratio = fuse((good, bad))
    assert ratio[0] == pytest.approx(3 * ratio[1])
    assert float(fuse((good, none)) @ anna) == pytest.approx(1.0, abs=1e-3)
    assert float(fuse((none, none)) @ ben) == pytest.approx(1.0)


def test_the_mean_quality_is_that_of_all_shots_and_zero_of_none() -> None:
    shots = tuple(Shot(random_person(), q, 50.0, NOON) for q in (0.2, 0.6))
    assert mean_quality(shots) == pytest.approx(0.4)
    assert mean_quality(()) == 0.0


# --- bodies of faces --------------------------------------------------------------------------


def alone(*faces: FaceBox, bodies: tuple[ObjectBox, ...] = ()) -> DetectionBatch:
    return observe(msgspec.structs.replace(detection(), objects=bodies, faces=faces))


def test_the_body_of_a_lone_face_hangs_below_it_in_the_middle() -> None:
    seen = alone(face_at(600, 100))
    [(x1, y1, x2, y2)] = seen.boxes
    assert (x1 + x2) / 2 == pytest.approx(620)
    assert y1 < 100
    assert 140 - y1 < y2 - 140
    assert y2 - y1 > x2 - x1 > 40
    assert (seen.scores, seen.labels) == ((face().score,), ("person",))
    assert seen.face_only == {0}


@pytest.mark.parametrize("corner", [(0.0, 0.0), (1240.0, 680.0)])
def test_the_body_of_a_face_at_the_edge_stays_within_the_picture(
    corner: tuple[float, float],
) -> None:
    [(x1, y1, x2, y2)] = alone(face_at(*corner)).boxes
    assert 0 <= x1 < x2 <= 1280
    assert 0 <= y1 < y2 <= 720


def test_bodies_keep_their_place_before_those_of_lone_faces() -> None:
    body = ObjectBox("person", 0.8, (100, 100, 200, 400))
    car = ObjectBox("car", 0.7, (300, 100, 500, 300))
    seen = alone(face_at(900, 100), face_at(130, 110), bodies=(body, car))
    assert seen.boxes[:2] == (body.box, car.box)
    assert seen.scores[:2] == (0.8, 0.7)
    assert seen.labels == ("person", "car", "person")
    assert [found and found.box[0] for found in seen.faces] == [130, None, 900]
    assert seen.face_only == {2}


def test_without_faces_every_body_is_without_one() -> None:
    body = ObjectBox("person", 0.8, (100, 100, 200, 400))
    seen = alone(bodies=(body, body))
    assert (seen.faces, seen.face_only) == ((None, None), frozenset())
    assert seen.looks == (None, None)


def test_those_who_were_on_a_track_before_are_kept_when_another_takes_over() -> None:
    anna, ben, cleo = (random_person() for _ in range(3))
    evidence = shown(*[anna] * 4, cleo, ben, ben, ben)
    assert evidence.segment == 1
    assert [
        max(float(group.center @ who) for who in (anna, ben, cleo)) > 0.5
        for group in evidence.groups
    ] == [True] * 3
    assert float(evidence.groups[0].center @ ben) > 0.5
