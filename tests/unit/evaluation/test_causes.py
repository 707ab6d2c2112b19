"""Likely causes of wrong counts: each is named where it was planted, and none on a good clip."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from trinetra.evaluation.boxes import Boxes, BoxesBuilder
from trinetra.evaluation.causes import (
    CROSSINGS,
    PEOPLE,
    RECOGNIZED,
    STAYS,
    Cause,
    CountedPlace,
    camera_height_m,
    likely_causes,
)
from trinetra.evaluation.evidence import Evidence, EvidenceGathering
from trinetra.events.schema import (
    DetectionEvent,
    FaceBox,
    FaceQuality,
    ObjectBox,
    TrackPosition,
    TracksEvent,
)
from trinetra.values import CameraId, EventId, SiteId, TrackId, instant_at

Box = tuple[float, float, float, float]
WIDTH, HEIGHT = 1280, 720
FRAMES = 200
STEP_US = 200_000
ALL = frozenset({PEOPLE, RECOGNIZED, CROSSINGS, STAYS})
LINE = CountedPlace("door", ((0.5, 0.2), (0.5, 1.0)))
ZONE = CountedPlace("table", ((0.45, 0.4), (0.55, 0.4), (0.55, 0.9), (0.45, 0.9)))


def person(x: float, depth_m: float, camera_m: float = 3.0) -> Box:
    """Return the box of a person of 1.7 m at a depth, seen by a level camera."""
    focal, horizon = 900.0, 100.0
    feet, tall = horizon + focal * camera_m / depth_m, focal * 1.7 / depth_m
    return x - tall / 6, feet - tall, x + tall / 6, feet


def walkers(
    camera_m: float = 3.0, depths_m: tuple[float, ...] = (5.0, 5.5, 6.5, 8.0)
) -> list[list[tuple[int, Box]]]:
    """Return people who cross the whole picture one after the other, at several depths."""
    return [
        [(50 * n + i, person(i * WIDTH / 49, depth_m, camera_m)) for i in range(50)]
        for n, depth_m in enumerate(depths_m)
    ]


def boxes_of(tracks: list[list[tuple[int, Box]]], *, score: float = 0.8) -> Boxes:
    builder = BoxesBuilder()
    for frame in range(FRAMES):
        builder.frame(frame * STEP_US)
    for name, positions in enumerate(tracks):
        for frame, box in positions:
            builder.add(frame * STEP_US, f"t{name}", box, score)
    return builder.build()


def evidence(
    tracks: list[list[tuple[int, Box]]] | None = None, *, face_px: float = 60.0
) -> Evidence:
    boxes = boxes_of(walkers() if tracks is None else tracks)
    return Evidence(WIDTH, HEIGHT, boxes, boxes, np.full(40, face_px), Counter(), birth_score=0.45)


def named(found: Evidence, *places: CountedPlace, wrong: frozenset[str] = ALL) -> set[str]:
    return {cause.name for cause in likely_causes(found, wrong, places, 32.0)}


def cut(tracks: list[list[tuple[int, Box]]], first: int, last: int) -> list[list[tuple[int, Box]]]:
    """Return walks that are lost in the middle of the picture."""
    return [part for track in tracks for part in (track[:first], track[last:])]


def test_a_good_clip_has_no_cause() -> None:
    assert named(evidence(), LINE, ZONE) == set()


@pytest.mark.parametrize("camera_m", [1.2, 1.8, 3.0, 5.0])
def test_the_height_of_the_camera_follows_from_the_sizes_of_people(camera_m: float) -> None:
    depths = (1 + camera_m) * np.array([1.6, 2.0, 2.5, 3.0])
    people = [[(i, person(640, float(d), camera_m)) for i in range(10)] for d in depths]
    assert camera_height_m(evidence(people)) == pytest.approx(camera_m, rel=0.01)


def test_the_height_of_the_camera_is_not_told_from_one_distance() -> None:
    assert camera_height_m(evidence([[(i, person(640, 6.0)) for i in range(30)]])) is None


def faces(px: float, **unusable: int) -> Callable[[], Evidence]:
    return lambda: replace(evidence(face_px=px), unusable=Counter(unusable))


def small() -> Evidence:
    return evidence([[(f, person(x[0] / 2, 20.0)) for f, x in t] for t in walkers()])


def missed() -> Evidence:
    return evidence([[p for i, p in enumerate(t) if i % 3] for t in walkers()])


def fast() -> Evidence:
    return evidence(
        [[(f, (4 * b[0] % 900, b[1], 4 * b[0] % 900 + 90, b[3])) for f, b in t] for t in walkers()]
    )


def flat() -> Evidence:
    return evidence(walkers(1.3, (3.0, 3.5, 4.0, 5.0)))


def crowded() -> Evidence:
    doubled = [[(f, (b[0] + 20, b[1], b[2] + 20, b[3])) for f, b in t] for t in walkers()]
    return evidence(walkers() + doubled)


def mannequin() -> Evidence:
    return evidence([*walkers(), [(f, person(300, 6.0)) for f in range(FRAMES)]])


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        (faces(14.0), "faces_too_small"),
        (faces(60.0, turned_away=30, blurred=5), "faces_unusable"),
        (lambda: replace(evidence(), face_px=np.zeros(0)), "no_faces"),
        (small, "people_too_small"),
        (missed, "detections_missed"),
        (fast, "rate_too_low"),
        (flat, "view_too_flat"),
        (crowded, "people_overlap"),
        (lambda: evidence(cut(walkers(), 20, 24)), "tracks_broken"),
        (mannequin, "still_figures"),
    ],
)
def test_a_planted_condition_is_named(planted: Callable[[], Evidence], name: str) -> None:
    assert name in named(planted())


def test_only_causes_of_what_is_wrong_are_named() -> None:
    small_faces = evidence(face_px=14.0)
    assert named(small_faces, wrong=frozenset({CROSSINGS})) == set()
    assert named(small_faces, wrong=frozenset({RECOGNIZED})) == {"faces_too_small"}
    assert named(mannequin(), wrong=frozenset({CROSSINGS})) == set()
    assert named(evidence(cut(walkers(), 20, 24)), wrong=frozenset()) == set()


def test_a_line_or_zone_at_the_ends_of_tracks_is_named() -> None:
    broken = evidence(cut(walkers(), 23, 27))
    assert "line_at_track_ends" in named(broken, LINE)
    assert "zone_at_track_ends" in named(broken, ZONE)
    far = CountedPlace("far", ((0.1, 0.2), (0.1, 1.0)))
    assert "line_at_track_ends" not in named(broken, far)


def test_a_line_that_no_track_reaches_is_named() -> None:
    sky = CountedPlace("sky", ((0.1, 0.01), (0.9, 0.01)))
    assert named(evidence(), sky) == {"place_not_reached"}


def test_feet_below_the_picture_are_named() -> None:
    below = [[(f, (b[0], 200.0, b[2], 719.0)) for f, b in t] for t in walkers()]
    low = CountedPlace("low", ((0.2, 0.9), (0.8, 0.9)))
    assert "feet_cut_off" in named(evidence(below), low)


def test_every_cause_says_what_was_measured_and_what_to_do() -> None:
    (cause,) = likely_causes(evidence(face_px=16.0), frozenset({RECOGNIZED}), (), 32.0)
    assert cause.measured == "100% of 40 faces are smaller than 32 px (median 16 px)"
    assert "zoom in 2.0 times" in cause.advice
    assert cause.as_json()["value"] == 1.0


def of_small_people(tiles: int) -> list[Cause]:
    found = likely_causes(small(), frozenset({CROSSINGS}), (), 32.0, tiles)
    return [cause for cause in found if cause.name == "people_too_small"]


def test_where_people_are_too_small_the_tiles_that_make_them_large_enough_are_advised() -> None:
    (cause,) = of_small_people(tiles=1)
    assert -cause.value == pytest.approx(0.0598, abs=0.0005)
    assert cause.measured.startswith("people are 6% of the longer side of the picture tall")
    assert cause.advice.endswith("if neither can be done, set tiles to 3")


def test_a_camera_that_has_these_tiles_is_judged_by_them() -> None:
    (cause,) = of_small_people(tiles=2)
    assert cause.measured.startswith("people are 12% of the longer side of its tiles tall")
    assert of_small_people(tiles=3) == []
    crop = "crop the picture to where people walk"
    tiny = [[(f, person(x[0] / 2, 80.0)) for f, x in t] for t in walkers()]
    (cause,) = (
        cause
        for cause in likely_causes(evidence(tiny), frozenset({CROSSINGS}), (), 32.0, 4)
        if cause.name == "people_too_small"
    )
    assert cause.advice.endswith(crop), "no more than four tiles can be set"


def test_evidence_is_gathered_from_the_events_of_one_camera() -> None:
    gathering = EvidenceGathering("till", 0.45)
    face = FaceBox(
        0.9,
        (10, 10, 30, 34),
        ((0, 0),) * 5,
        FaceQuality(0.5, 20.0, 1.0, 1.0, 1.0),
        unusable="too_small",
    )
    for camera in ("till", "door"):
        head = {
            "event_id": EventId(camera),
            "site_id": SiteId("shop"),
            "camera_id": CameraId(camera),
            "captured_at": instant_at(1_000_000),
            "frame_seq": 1,
            "frame_width": 640,
            "frame_height": 480,
        }
        people = (ObjectBox("person", 0.3, (0, 0, 9, 9)), ObjectBox("car", 0.9, (0, 0, 9, 9)))
        gathering.add(DetectionEvent(**head, objects=people, faces=(face,)))
        position = {"track_id": TrackId("t"), "label": "person", "box": (0, 0, 9, 9)}
        gathering.add(TracksEvent(**head, tracks=(TrackPosition(**position),)))
    found = gathering.evidence()
    assert (found.width, found.height, found.fps) == (640, 480, 0.0)
    assert (len(found.people), len(found.tracks)) == (1, 1)
    assert found.face_px.tolist() == [20.0]
    assert found.unusable == {"too_small": 1}
