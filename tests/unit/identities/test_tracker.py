"""The tracker: one track per person, deterministic and bounded."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.events import samples

from trinetra.events.codec import pack_body
from trinetra.events.schema import Box
from trinetra.identities.tracking.appearance import (
    blended_body,
    body_cosine,
    difference,
    read_body,
    read_look,
)
from trinetra.identities.tracking.boxes import covered_share, iou, widened
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.identities.tracking.tracker import step
from trinetra.identities.tracking.tracks import DetectionBatch, Step, Track, TrackerState
from trinetra.values import CameraId, SiteId, TrackId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WHERE = (SiteId("shop"), CameraId("door"))
POLICY = TrackerPolicy()
boxes = st.lists(
    st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(5, 200), st.floats(5, 300)),
    min_size=1,
    max_size=6,
).map(lambda rows: [(x, y, x + w, y + h) for x, y, w, h in rows])


def person_at(x: float, y: float = 100.0) -> list[Box]:
    return [(x, y, x + 60.0, y + 160.0)]


def run(
    frames: list[list[Box]], *, fps: float = 5.0, score: float = 0.9, label: str = "person"
) -> list[Step]:
    state, steps = TrackerState(), []
    for number, xyxy in enumerate(frames):
        at = NOON + timedelta(seconds=number / fps)
        seen = DetectionBatch(xyxy, [score] * len(xyxy), [label] * len(xyxy))
        outcome = step(state, seen, at, where=WHERE, policy=POLICY)
        state = outcome.state
        steps.append(outcome)
    return steps


def ids(steps: list[Step]) -> set[str]:
    return {track.track_id for s in steps for track in s.state.tracks if track.confirmed}


NOTHING: list[Box] = []


def test_a_walking_person_is_one_track_at_five_frames_a_second() -> None:
    steps = run([person_at(20.0 * n) for n in range(30)])
    assert len(ids(steps)) == 1
    assert all(s.matched for s in steps)


def test_a_track_bridges_a_short_gap_and_ends_after_a_long_one() -> None:
    walk = [person_at(15.0 * n) for n in range(10)]
    assert len(ids(run([*walk, *[NOTHING] * 6, person_at(15.0 * 16), person_at(15.0 * 17)]))) == 1
    steps = run([*walk, *[NOTHING] * 12])
    assert sum(len(s.ended) for s in steps) == 1
    assert steps[-1].state.tracks == ()


def test_two_people_crossing_keep_their_tracks() -> None:
    frames = [person_at(20.0 * n, 100) + person_at(400 - 20.0 * n, 130) for n in range(20)]
    steps = run(frames)
    assert len(ids(steps)) == 2
    first, last = steps[1].matched, steps[-1].matched
    assert {t: d for t, d in first.items() if t in last} == last


def test_one_stray_detection_makes_no_track() -> None:
    assert ids(run([person_at(10), NOTHING, NOTHING, NOTHING, NOTHING, NOTHING])) == set()


def test_a_weak_detection_keeps_a_track_alive_but_begins_none() -> None:
    assert run([person_at(10)] * 5, score=0.3)[-1].state.tracks == ()
    state = run([person_at(10)] * 3)[-1].state
    at = NOON + timedelta(seconds=1)
    seen = DetectionBatch(person_at(12), [0.3], ["person"])
    weak = step(state, seen, at, where=WHERE, policy=POLICY)
    assert list(weak.matched.values()) == [0]


def test_a_car_and_a_person_in_one_place_are_two_tracks_but_a_truck_may_turn_car() -> None:
    box = person_at(50)
    both = box + box
    state = TrackerState()
    for number, labels in enumerate([("person", "truck"), ("person", "car")]):
        at = NOON + timedelta(seconds=number / 5)
        seen = DetectionBatch(both, [0.9, 0.9], labels)
        outcome = step(state, seen, at, where=WHERE, policy=POLICY)
        state = outcome.state
    assert len(state.tracks) == 2
    assert all(track.confirmed for track in state.tracks)


@given(frames=st.lists(boxes, max_size=8))
@settings(deadline=None)
def test_the_same_input_gives_the_same_ids_and_each_detection_feeds_one_track(
    frames: list[list[Box]],
) -> None:
    first, again = run(frames), run(frames)
    assert [s.matched for s in first] == [s.matched for s in again]
    for xyxy, outcome in zip(frames, first, strict=True):
        used = list(outcome.matched.values())
        assert len(used) == len(set(used))
        for unused in set(range(len(xyxy))).difference(used):
            assert max(covered_share(xyxy[unused], xyxy[d]) for d in used) >= POLICY.doubles_at
        tracks = outcome.state.tracks
        assert all(math.isfinite(edge) for track in tracks for edge in track.xyxy)


@given(a=boxes, b=boxes, buffer=st.floats(0, 1))
def test_similarity_is_symmetric_bounded_and_one_for_the_same_box(
    a: list[Box], b: list[Box], buffer: float
) -> None:
    one, other = widened(a[0], buffer), widened(b[0], buffer)
    assert 0 <= iou(one, other) <= 1 + 1e-9
    assert iou(one, other) == iou(other, one)
    assert math.isclose(iou(one, one), 1.0)


# --- against the textbook ---------------------------------------------------------------------


def kalman(frames: list[list[Box]], elapsed_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of center x after the frames, by the equations in matrix form."""
    height = frames[0][0][3] - frames[0][0][1]
    place = POLICY.noise.position * height
    mean = np.array([(frames[0][0][0] + frames[0][0][2]) / 2, 0.0])
    spread = np.diag([place**2, (POLICY.noise.velocity * height) ** 2])
    move, see = np.array([[1.0, elapsed_s], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    for [box] in frames[1:]:
        drift = (POLICY.noise.velocity * height) ** 2 * elapsed_s
        mean, spread = move @ mean, move @ spread @ move.T
        spread += np.diag([drift * elapsed_s**2 / 3, drift])
        gain = spread @ see.T / (see @ spread @ see.T + place**2)
        mean = mean + gain[:, 0] * ((box[0] + box[2]) / 2 - mean[0])
        spread = spread - gain @ see @ spread
    return mean, spread


@given(places=st.lists(st.floats(0, 20), min_size=1, max_size=12))
def test_a_track_moves_as_the_kalman_filter_says(places: list[float]) -> None:
    frames = [person_at(20.0 * number + place) for number, place in enumerate(places)]
    [track] = run(frames)[-1].state.tracks
    mean, spread = kalman(frames, 0.2)
    x = track.motion[0]
    np.testing.assert_allclose([x.value, x.velocity], mean, atol=1e-6)
    found = [[x.value_var, x.covariance], [x.covariance, x.velocity_var]]
    np.testing.assert_allclose(found, spread, rtol=1e-6, atol=1e-9)


# --- clothes and faces -----------------------------------------------------------------------

RED, BLUE = bytes([1]) + bytes([200, 90, 120]) * 6, bytes([1]) + bytes([90, 200, 120]) * 6
Worn = list[tuple[Box, bytes]]


def run_worn(
    frames: list[Worn], alike: dict[int, dict[tuple[str, int], float]] | None = None
) -> list[Step]:
    """Return the steps over frames of boxes with looks; ``alike`` has face cosines by frame."""
    state, steps = TrackerState(), []
    for number, objects in enumerate(frames):
        xyxy = [box for box, _ in objects]
        seen = DetectionBatch(
            xyxy,
            [0.9] * len(xyxy),
            ["person"] * len(xyxy),
            [read_look(packed, box, xyxy) for box, packed in objects],
            face_similarity={
                (TrackId(t), d): c for (t, d), c in (alike or {}).get(number, {}).items()
            },
        )
        at = NOON + timedelta(seconds=number / 5)
        steps.append(step(state, seen, at, where=WHERE, policy=POLICY))
        state = steps[-1].state
    return steps


def worn(x: float, clothes: bytes) -> Worn:
    return [(box, clothes) for box in person_at(x)]


def test_a_track_does_not_go_over_to_who_steps_into_its_place_in_other_clothes() -> None:
    steps = run_worn([*[worn(100, RED)] * 5, *[worn(110, BLUE)] * 5])
    before, after = steps[4].matched.keys(), steps[-1].matched.keys()
    assert not before & after


def test_who_comes_out_from_behind_something_goes_on_as_the_same_track() -> None:
    steps = run_worn([*[worn(100, RED)] * 5, *[[]] * 25, *[worn(150, RED)] * 3])
    assert steps[4].matched.keys() == steps[-1].matched.keys()
    assert not any(s.ended for s in steps)


def test_a_track_is_not_taken_up_by_who_looks_different_or_is_far_away() -> None:
    for later in (worn(150, BLUE), worn(900, RED)):
        steps = run_worn([*[worn(100, RED)] * 5, *[[]] * 25, *[later] * 3])
        assert not steps[4].matched.keys() & steps[-1].matched.keys()


def test_of_two_who_look_alike_nobody_is_taken_up_again() -> None:
    pair = [*worn(60, RED), *worn(150, RED)]
    steps = run_worn([*[worn(100, RED)] * 5, *[[]] * 25, *[pair] * 3])
    assert not steps[4].matched.keys() & steps[-1].matched.keys()


def test_a_paused_track_ends_after_its_time() -> None:
    steps = run_worn([*[worn(100, RED)] * 5, *[[]] * 60])
    assert sum(len(s.ended) for s in steps) == 1
    assert steps[-1].state.tracks == ()


def test_a_strangers_face_ends_a_match_whatever_the_clothes() -> None:
    [track_id] = run_worn([worn(100, RED)] * 5)[-1].matched
    frames = [worn(100, RED)] * 6
    for cosine, goes_on in ((0.05, False), (0.7, True)):
        last = run_worn(frames, {5: {(track_id, 0): cosine}})[-1]
        assert (track_id in last.matched) is goes_on


def test_those_who_cross_keep_their_tracks_where_only_clothes_tell() -> None:
    """Both people turn back where they meet; by motion alone they seem to pass each other."""
    there = [20.0 * n for n in range(10)]
    left, right = [*there, *there[::-1]], [400 - x for x in [*there, *there[::-1]]]
    steps = run_worn([[*worn(a, RED), *worn(b, BLUE)] for a, b in zip(left, right, strict=True)])
    assert dict(steps[1].matched) == steps[-1].matched
    assert len(ids(steps)) == 2


def test_a_track_with_clothes_goes_through_its_bytes_unchanged() -> None:
    [track] = run_worn([worn(100, RED)] * 3)[-1].state.tracks
    assert track.look is not None
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(track), type=Track) == track


def test_a_face_where_a_person_is_tracked_starts_no_second_track() -> None:
    state = run([person_at(100)] * 10)[-1].state
    face = msgspec.structs.replace(samples.face(), box=(140.0, 180.0, 180.0, 220.0))
    alone = DetectionBatch(
        [(100.0, 168.0, 220.0, 468.0)],
        [0.9],
        ["person"],
        [None],
        [face],
        face_only=frozenset({0}),
    )
    at = NOON + timedelta(seconds=2)
    outcome = step(state, alone, at, where=WHERE, policy=POLICY)
    assert {track.track_id for track in outcome.state.tracks} == {
        track.track_id for track in state.tracks
    }
    empty = step(TrackerState(), alone, at, where=WHERE, policy=POLICY)
    assert len(empty.state.tracks) == 1


@pytest.mark.parametrize(
    ("away_px", "is_face_alone", "goes_on"),
    [(180, False, True), (180, True, False), (20, True, True)],
)
def test_a_face_alone_continues_a_lost_track_only_nearby(
    away_px: float, is_face_alone: bool, goes_on: bool
) -> None:
    state = run([person_at(200)] * 10)[-1].state
    (track,) = state.tracks
    face = msgspec.structs.replace(samples.face(), box=(0.0, 0.0, 20.0, 20.0))
    alone = frozenset({0}) if is_face_alone else frozenset[int]()
    batch = DetectionBatch(
        person_at(200 + away_px), [0.9], ["person"], [None], [face], face_only=alone
    )
    outcome = step(state, batch, NOON + timedelta(seconds=2.4), where=WHERE, policy=POLICY)
    assert (track.track_id in outcome.matched) is goes_on


# --- cameras with few frames ------------------------------------------------------------------

UNIFORM = bytes([1]) + bytes([120, 130, 126]) * 6


def seen_at(
    instants_s: list[float], frames: list[list[Box]], *, clothes: bytes | None = None
) -> list[Step]:
    """Return the steps over frames at these instants, everyone in the same clothes."""
    state, steps = TrackerState(), []
    for instant_s, xyxy in zip(instants_s, frames, strict=True):
        looks = [read_look(clothes, box, xyxy) for box in xyxy]
        batch = DetectionBatch(xyxy, [0.9] * len(xyxy), ["person"] * len(xyxy), looks)
        at = NOON + timedelta(seconds=instant_s)
        steps.append(step(state, batch, at, where=WHERE, policy=POLICY))
        state = steps[-1].state
    return steps


def shown(steps: list[Step]) -> list[int]:
    """Return the number of confirmed tracks that each frame shows."""
    return [sum(t.confirmed and t.track_id in s.matched for t in s.state.tracks) for s in steps]


@pytest.mark.parametrize("clothes", [UNIFORM, None])
@pytest.mark.parametrize("interval_s", [1.0, 1.9, 2.1, 2.5, 5.0])
def test_a_standing_person_is_one_track_however_rare_the_frames(
    interval_s: float, clothes: bytes | None
) -> None:
    instants_s = [interval_s * n for n in range(20)]
    steps = seen_at(instants_s, [person_at(100)] * 20, clothes=clothes)
    assert shown(steps) == [0, *[1] * 19]
    assert len(ids(steps)) == 1


@pytest.mark.parametrize("clothes", [UNIFORM, None])
@pytest.mark.parametrize("interval_s", [2.5, 5.0])
def test_two_people_in_one_uniform_stay_two_tracks_when_the_rate_drops(
    interval_s: float, clothes: bytes | None
) -> None:
    instants_s = [*[n / 5 for n in range(25)], *[4.8 + interval_s * n for n in range(1, 13)]]
    frames = [person_at(100) + person_at(220)] * len(instants_s)
    steps = seen_at(instants_s, frames, clothes=clothes)
    assert shown(steps) == [0, *[2] * 36]
    assert len(ids(steps)) == 2
    first, last = steps[1].matched, steps[-1].matched
    assert first == last


@pytest.mark.parametrize(("missed", "tracks"), [(1, 1), (2, 2)])
def test_at_a_low_rate_a_track_survives_one_missed_frame_but_not_two(
    missed: int, tracks: int
) -> None:
    frames = [*[person_at(100)] * 4, *[NOTHING] * missed, *[person_at(100)] * 3]
    instants_s = [2.5 * n + 0.1 * (n % 2) for n in range(len(frames))]
    assert len(ids(seen_at(instants_s, frames))) == tracks


def test_a_silent_camera_does_not_give_a_walkers_track_to_the_person_who_came_next() -> None:
    walk = [person_at(40.0 * n) for n in range(10)]
    instants_s = [n / 5 for n in range(10)] + [9.8, 10.0]
    steps = seen_at(instants_s, [*walk, *[person_at(500)] * 2])
    assert len(ids(steps)) == 2


def test_a_silent_camera_does_not_give_a_standing_persons_track_to_other_clothes() -> None:
    red = bytes([1]) + bytes([60, 220, 120]) * 6
    state = seen_at([n / 5 for n in range(10)], [person_at(100)] * 10, clothes=UNIFORM)[-1].state
    boxes = person_at(100)
    batch = DetectionBatch(boxes, [0.9], ["person"], [read_look(red, boxes[0], boxes)])
    outcome = step(state, batch, NOON + timedelta(seconds=6), where=WHERE, policy=POLICY)
    assert not outcome.matched.keys() & {track.track_id for track in state.tracks}


# --- the limits of a track --------------------------------------------------------------------


def one_frame(
    state: TrackerState, seconds: float, box: Box, *, score: float = 0.9, label: str = "person"
) -> Step:
    at = NOON + timedelta(seconds=seconds)
    return step(state, DetectionBatch([box], [score], [label]), at, where=WHERE, policy=POLICY)


def test_a_box_is_widened_by_a_distance_on_each_side() -> None:
    assert widened((10, 20, 20, 40), 5) == (5, 15, 25, 45)
    assert widened((10, 20, 20, 40), 0.0) == (10, 20, 20, 40)


def test_the_overlap_is_the_shared_area_over_that_of_both() -> None:
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 4, 4), (1, 1, 2, 3)) == pytest.approx(2 / 16)
    assert iou((0, 0, 2, 2), (2, 0, 4, 2)) == 0
    assert iou((0, 0, 2, 2), (0, 2, 2, 4)) == 0
    assert iou((1, 1, 1, 1), (0, 0, 2, 2)) == 0


@pytest.mark.parametrize("label", ["bicycle", "car", "motorcycle", "bus", "truck"])
def test_a_vehicle_starts_a_track_at_a_lower_score_than_a_person(label: str) -> None:
    [box] = person_at(100)
    between = (POLICY.vehicle_birth_score + POLICY.birth_score) / 2
    assert one_frame(TrackerState(), 0, box, score=between, label=label).matched
    assert not one_frame(TrackerState(), 0, box, score=between).matched
    assert one_frame(TrackerState(), 0, box, score=POLICY.birth_score).matched


def test_a_track_tells_what_it_is_and_when_it_was_seen() -> None:
    [track] = run([person_at(20.0 * n) for n in range(4)])[-1].state.tracks
    assert (track.label, track.hits, track.confirmed) == ("person", 4, True)
    assert track.started_at == NOON
    assert track.seen_at == NOON + timedelta(seconds=0.6)


def test_tracks_of_other_cameras_instants_and_detections_have_other_ids() -> None:
    def born(where: tuple[SiteId, CameraId], seconds: float) -> list[str]:
        xyxy = person_at(100) + person_at(400)
        batch = DetectionBatch(xyxy, [0.9] * 2, ["person"] * 2)
        at = NOON + timedelta(seconds=seconds)
        return list(step(TrackerState(), batch, at, where=where, policy=POLICY).matched)

    other = (WHERE[0], CameraId("till"))
    found = [*born(WHERE, 0), *born(WHERE, 1), *born(other, 0)]
    assert len(set(found)) == 6


def test_a_tentative_track_is_dropped_sooner_than_a_confirmed_one_and_silently() -> None:
    gap_s = (POLICY.tentative_gap_s + POLICY.max_gap_s) / 2
    [box] = person_at(100)
    once = one_frame(TrackerState(), 0, box).state
    assert len(one_frame(once, POLICY.tentative_gap_s, (900, 0, 960, 160)).state.tracks) == 2
    dropped = one_frame(once, gap_s, (900, 0, 960, 160))
    assert (len(dropped.state.tracks), dropped.ended) == (1, ())
    twice = one_frame(once, 0.2, box).state
    kept = one_frame(twice, 0.2 + gap_s, (900, 0, 960, 160))
    assert len(kept.state.tracks) == 2


def test_a_track_that_paused_starts_over_where_it_is_found_without_its_old_speed() -> None:
    walk = [worn(100 + 20.0 * n, RED) for n in range(6)]
    steps = run_worn([*walk, *[[]] * 25, worn(230, RED)])
    [track] = steps[-1].state.tracks
    assert track.track_id in steps[5].matched
    assert track.xyxy == pytest.approx(person_at(230)[0])
    assert [axis.velocity for axis in track.motion] == [0, 0, 0, 0]


def test_a_paused_track_waits_where_it_was_last_estimated() -> None:
    walk = [worn(100 + 20.0 * n, RED) for n in range(6)]
    steps = run_worn([*walk, *[[]] * 25])
    [early], [late] = steps[-8].state.tracks, steps[-1].state.tracks
    assert early.motion == late.motion


def test_a_track_that_was_hardly_seen_is_not_taken_up_after_a_pause() -> None:
    few = POLICY.returns.least_hits - 1
    steps = run_worn([*[worn(100, RED)] * few, *[[]] * 25, *[worn(100, RED)] * 3])
    assert not steps[few - 1].matched.keys() & steps[-1].matched.keys()


@pytest.mark.parametrize(("dx", "dy"), [(400.0, 0.0), (-400.0, 0.0), (0.0, 400.0), (0.0, -400.0)])
def test_a_paused_track_is_not_taken_up_out_of_reach_in_any_direction(dx: float, dy: float) -> None:
    there = [(box, RED) for box in person_at(500 + dx, 500 + dy)]
    here = [(box, RED) for box in person_at(500, 500)]
    steps = run_worn([*[here] * 5, *[[]] * 12, *[there] * 3])
    assert not steps[4].matched.keys() & steps[-1].matched.keys()


def test_the_longer_a_pause_the_farther_away_a_person_may_come_back() -> None:
    there = worn(500, RED)
    soon = run_worn([*[worn(100, RED)] * 5, *[[]] * 12, *[there] * 3])
    later = run_worn([*[worn(100, RED)] * 5, *[[]] * 40, *[there] * 3])
    assert not soon[4].matched.keys() & soon[-1].matched.keys()
    assert later[4].matched.keys() == later[-1].matched.keys()


def test_a_stranger_by_face_is_not_taken_up_after_a_pause_however_dressed() -> None:
    [track_id] = run_worn([worn(100, RED)] * 5)[-1].matched
    frames = [*[worn(100, RED)] * 5, *[[]] * 25, worn(120, RED)]
    for cosine, goes_on in ((0.1, False), (0.8, True)):
        last = run_worn(frames, {30: {(track_id, 0): cosine}})[-1]
        assert (track_id in last.matched) is goes_on


def test_the_look_of_a_track_follows_what_it_wears_slowly() -> None:
    first = run_worn([worn(100, RED)])[-1].state.tracks[0].look
    dimmer = bytes([1]) + bytes([190, 95, 120]) * 6
    steps = run_worn([worn(100, RED), *[worn(100, dimmer)] * 20])
    [track] = steps[-1].state.tracks
    [box] = person_at(100)
    goal = read_look(dimmer, box, [box])
    assert first is not None
    assert goal is not None
    second = steps[1].state.tracks[0].look
    ways = [difference(look, goal) for look in (first, second, track.look)]
    assert ways[0] > ways[1] > ways[2]
    assert ways[2] == pytest.approx(0.0, abs=0.05 * ways[0])


def test_a_weak_detection_far_ahead_does_not_continue_a_track_and_a_strong_one_does() -> None:
    state = run([person_at(100.0)] * 10)[-1].state
    [box] = person_at(100.0 + 90.0)
    assert one_frame(state, 2.0, box, score=0.9).matched.keys() == {state.tracks[0].track_id}
    assert not one_frame(state, 2.0, box, score=0.3).matched


def test_a_strong_detection_has_the_first_choice() -> None:
    state = run([person_at(100.0)] * 5)[-1].state
    xyxy = [*person_at(101.0), *person_at(110.0)]
    batch = DetectionBatch(xyxy, [0.3, 0.9], ["person"] * 2)
    at = NOON + timedelta(seconds=1)
    outcome = step(state, batch, at, where=WHERE, policy=POLICY)
    assert outcome.matched == {state.tracks[0].track_id: 1}


def test_a_frame_from_before_the_last_moves_nothing_back() -> None:
    state = run([person_at(20.0 * n) for n in range(6)])[-1].state
    outcome = one_frame(state, 0.5, person_at(100.0)[0])
    [track] = outcome.state.tracks
    assert track.track_id == state.tracks[0].track_id
    assert all(math.isfinite(edge) for edge in track.xyxy)
    assert outcome.state.interval_s == 0


def test_one_long_interval_is_an_outage_and_two_are_a_slow_camera() -> None:
    regular = TrackerPolicy()
    assert regular.at_interval(0.1) is regular
    slow = regular.at_interval(4.0)
    assert slow.max_gap_s == slow.weak_gap_s == slow.looks.lost_after_s > 2 * 4.0
    five = regular.at_interval(0.2)
    assert (five.max_gap_s, five.weak_gap_s) == (regular.max_gap_s, regular.weak_gap_s)
    outage = run([person_at(100)] * 5)[-1].state
    [box] = person_at(900)
    assert one_frame(outage, 3.8, box).ended != ()


def test_a_person_is_not_continued_by_a_vehicle_in_the_same_place() -> None:
    state = run([person_at(100)] * 5)[-1].state
    outcome = one_frame(state, 1.0, person_at(100)[0], label="car")
    assert not outcome.matched.keys() & {track.track_id for track in state.tracks}


# --- bodies and weak detections ---------------------------------------------------------------

ANN, BEN = (np.eye(256, dtype=np.float32)[row] for row in (0, 1))


def with_bodies(
    frames: list[list[tuple[float, np.ndarray | None]]], *, scores: list[float] | None = None
) -> list[Step]:
    """Return the steps, five a second, over people at these places with these bodies."""
    state, steps = TrackerState(), []
    for number, people in enumerate(frames):
        xyxy = [box for x, _ in people for box in person_at(x)]
        score = scores[number] if scores else 0.9
        bodies = [None if body is None else read_body(pack_body(body)) for _, body in people]
        batch = DetectionBatch(xyxy, [score] * len(xyxy), ["person"] * len(xyxy), bodies=bodies)
        at = NOON + timedelta(seconds=number / 5)
        steps.append(step(state, batch, at, where=WHERE, policy=POLICY))
        state = steps[-1].state
    return steps


def test_a_track_is_not_taken_over_by_another_body_at_its_place_in_the_next_frame() -> None:
    steps = with_bodies([*[[(100, ANN)]] * 5, *[[(105, BEN)]] * 5])
    assert not steps[4].matched.keys() & steps[-1].matched.keys()


def test_a_track_goes_on_where_the_body_is_unknown_or_half_alike() -> None:
    alike = (ANN + BEN) / np.sqrt(2)
    for body in (None, alike):
        steps = with_bodies([*[[(100, ANN)]] * 5, *[[(105, body)]] * 5])
        assert steps[4].matched.keys() == steps[-1].matched.keys()


def test_people_who_turn_back_where_they_meet_keep_their_tracks_by_their_bodies() -> None:
    there = [20.0 * n for n in range(10)]
    left, right = [*there, *there[::-1]], [400 - x for x in [*there, *there[::-1]]]
    steps = with_bodies([[(a, ANN), (b, BEN)] for a, b in zip(left, right, strict=True)])
    assert dict(steps[1].matched) == steps[-1].matched
    assert len(ids(steps)) == 2


def test_a_track_is_resumed_by_its_body_and_by_no_other() -> None:
    for body, goes_on in ((ANN, True), (BEN, False)):
        steps = with_bodies([*[[(100, ANN)]] * 5, *[[]] * 25, [(150, body)]])
        assert (steps[4].matched.keys() == steps[-1].matched.keys()) is goes_on


def test_of_two_similar_bodies_neither_resumes_a_track() -> None:
    steps = with_bodies([*[[(100, ANN)]] * 5, *[[]] * 25, [(40, ANN), (170, ANN)]])
    assert not steps[4].matched.keys() & steps[-1].matched.keys()


def test_bodies_of_two_networks_are_not_compared() -> None:
    known = read_body(pack_body(ANN))
    other = read_body(pack_body(np.eye(8, dtype=np.float32)[3]))
    assert body_cosine(known, other) is None
    assert blended_body(known, other, 0.5) == other


def test_the_body_of_a_track_follows_slowly_and_keeps_its_length() -> None:
    a, b = read_body(pack_body(ANN)), read_body(pack_body(BEN))
    body = a
    cosines = []
    for _ in range(20):
        body = blended_body(body, b, 0.15)
        cosines.append(body_cosine(body, b))
    assert cosines == sorted(cosines)
    assert cosines[0] < 0.2
    assert cosines[-1] > 0.99
    assert body_cosine(body, body) == pytest.approx(1.0, abs=2e-3)


def test_weak_detections_are_told_and_make_a_track_less_steady() -> None:
    steps = with_bodies([[(100.0, None)]] * 8, scores=[0.9] * 4 + [0.4] * 4)
    assert [bool(s.weak) for s in steps] == [False] * 4 + [True] * 4
    [track] = steps[-1].state.tracks
    assert track.hits == 4
    assert track.steadiness == pytest.approx(0.9**4)


def test_a_part_of_a_person_beside_the_whole_starts_no_second_track() -> None:
    whole, part = person_at(100)[0], (105.0, 105.0, 155.0, 170.0)
    steps = run([[whole]] * 3 + [[whole, part]] * 3)
    assert len(ids(steps)) == 1
    assert len(steps[-1].state.tracks) == 1


def test_the_unit_of_stripes_follows_a_person_alone_and_stays_within_bounds() -> None:
    changing = [bytes([1]) + bytes([value, 90, 120]) * 6 for value in (160, 230)]
    steps = run_worn([worn(100, changing[n % 2]) for n in range(200)])
    assert steps[-1].state.stripes_unit > 1.2
    still = run_worn([worn(100, RED)] * 200)
    assert still[-1].state.stripes_unit == pytest.approx(0.5)


def test_the_unit_of_stripes_does_not_change_where_people_overlap() -> None:
    steps = run_worn([[*worn(100, RED), *worn(130, BLUE)]] * 20)
    assert steps[-1].state.stripes_unit == 1.0


def test_an_unseen_track_slows_down() -> None:
    steps = run([*[person_at(30.0 * n) for n in range(10)], *[NOTHING] * 6])
    speeds = [s.state.tracks[0].motion[0].velocity for s in steps[9:]]
    assert speeds[0] == speeds[1]
    assert all(a > b > 0 for a, b in pairwise(speeds[1:]))
