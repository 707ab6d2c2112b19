"""Similarity of the faces in a frame to the tracks' faces, and the track they belong to."""

from datetime import UTC, datetime

import numpy as np
import pytest

from trinetra.events.codec import pack_embedding
from trinetra.events.schema import Box, DetectionEvent, FaceBox, FaceQuality, ObjectBox
from trinetra.identities.tracking.face_association import observe
from trinetra.identities.tracking.face_similarity import compare_faces, owners
from trinetra.values import CameraId, EventId, SiteId, TrackId

ANN, BOB = np.eye(4, dtype=np.float32)[:2]
POINT = (0.0, 0.0)


def face(embedding: np.ndarray | None = None, box: Box = (0, 0, 30, 40)) -> FaceBox:
    return FaceBox(
        score=0.9,
        box=box,
        landmarks=(POINT, POINT, POINT, POINT, POINT),
        quality=FaceQuality(0.9, 30, 0.9, 0.9, 0.9),
        embedding=None if embedding is None else pack_embedding(embedding),
    )


def test_every_face_is_compared_with_every_track() -> None:
    known = {TrackId("a"): ANN, TrackId("b"): BOB}
    found = compare_faces([face(BOB), None, face(), face(ANN)], known, 4)
    assert found == pytest.approx({("a", 0): 0, ("b", 0): 1, ("a", 3): 1, ("b", 3): 0})


def test_a_face_of_another_dimension_compares_to_nothing() -> None:
    assert compare_faces([face(np.ones(1, np.float32))], {TrackId("a"): ANN}, 4) == {}
    assert compare_faces([face(ANN)], {}, 4) == {}


def test_a_face_is_the_tracks_that_it_is_most_like() -> None:
    alike = {(TrackId("a"), 0): 0.6, (TrackId("b"), 0): 0.8, (TrackId("a"), 1): 0.4}
    assert owners(alike, 0.5) == {0: "b"}


def event(bodies: list[Box], faces: list[Box]) -> DetectionEvent:
    return DetectionEvent(
        event_id=EventId("e"),
        site_id=SiteId("shop"),
        camera_id=CameraId("till"),
        captured_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        frame_seq=1,
        frame_width=1920,
        frame_height=1080,
        objects=tuple(ObjectBox("person", 0.9, box) for box in bodies),
        faces=tuple(face(box=box) for box in faces),
    )


def test_a_face_above_somebodys_head_is_that_of_who_stands_behind() -> None:
    near, behind = (476.0, 459.0, 614.0, 952.0), (495.0, 260.0, 608.0, 613.0)
    seen = observe(event([near, behind], [(516.0, 269.0, 548.0, 312.0)]))
    assert seen.faces[0] is None
    assert seen.faces[1] is not None


def test_a_face_far_above_every_head_gets_a_body_of_its_own() -> None:
    near = (476.0, 459.0, 614.0, 952.0)
    seen = observe(event([near], [(516.0, 269.0, 548.0, 312.0)]))
    assert seen.faces[0] is None
    assert len(seen.boxes) == 2
    assert seen.looks == (None, None)


def test_two_side_by_side_have_each_their_own_face() -> None:
    left, right = (100.0, 100.0, 230.0, 500.0), (180.0, 110.0, 310.0, 510.0)
    faces = [(223.0, 125.0, 263.0, 180.0), (145.0, 115.0, 185.0, 170.0)]
    seen = observe(event([left, right], faces))
    assert [found and found.box for found in seen.faces] == [faces[1], faces[0]]


def test_a_face_belongs_to_the_most_similar_track_in_whatever_order_they_are_compared() -> None:
    alike = {(TrackId("a"), 0): 0.8, (TrackId("b"), 0): 0.6}
    assert owners(alike, 0.5) == owners(dict(reversed(alike.items())), 0.5) == {0: "a"}
    assert owners({(TrackId("a"), 0): 0.5}, 0.5) == {0: "a"}


def test_each_face_is_owned_by_itself() -> None:
    alike = {(TrackId("a"), 0): 0.9, (TrackId("b"), 1): 0.6}
    assert owners(alike, 0.5) == {0: "a", 1: "b"}


def test_a_face_beside_a_body_is_that_of_another_person() -> None:
    body = (100.0, 100.0, 200.0, 400.0)
    seen = observe(event([body], [(300.0, 110.0, 340.0, 160.0)]))
    assert seen.faces[0] is None
    assert seen.face_only == {1}
