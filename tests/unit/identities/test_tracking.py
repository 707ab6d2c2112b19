"""The tracker: one person, one track; deterministic; bounded."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trinetra.identities.tracking import (
    Step,
    TrackerPolicy,
    TrackerState,
    buffered_iou,
    step,
    to_cxcywh,
    to_xyxy,
)
from trinetra.values import CameraId, SiteId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WHERE = (SiteId("shop"), CameraId("door"))
POLICY = TrackerPolicy()
boxes = st.lists(
    st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(5, 200), st.floats(5, 300)),
    min_size=1,
    max_size=6,
).map(lambda rows: np.array([[x, y, x + w, y + h] for x, y, w, h in rows]))


def person_at(x: float, y: float = 100.0) -> np.ndarray:
    return np.array([[x, y, x + 60.0, y + 160.0]])


def run(
    frames: list[np.ndarray], *, fps: float = 5.0, score: float = 0.9, label: str = "person"
) -> list[Step]:
    state, steps = TrackerState(), []
    for number, xyxy in enumerate(frames):
        at = NOON + timedelta(seconds=number / fps)
        outcome = step(
            state,
            xyxy,
            np.full(len(xyxy), score),
            (label,) * len(xyxy),
            at,
            where=WHERE,
            policy=POLICY,
        )
        state = outcome.state
        steps.append(outcome)
    return steps


def ids(steps: list[Step]) -> set[str]:
    return {track.track_id for s in steps for track in s.state.tracks if track.confirmed}


NOTHING = np.zeros((0, 4))


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
    frames = [
        np.concatenate([person_at(20.0 * n, 100), person_at(400 - 20.0 * n, 130)])
        for n in range(20)
    ]
    steps = run(frames)
    assert len(ids(steps)) == 2
    first, last = steps[1].matched, steps[-1].matched
    assert {t: d for t, d in first.items() if t in last} == last


def test_one_stray_detection_makes_no_track() -> None:
    assert ids(run([person_at(10), NOTHING, NOTHING, NOTHING, NOTHING, NOTHING])) == set()


def test_a_weak_detection_keeps_a_track_alive_but_begins_none() -> None:
    assert run([person_at(10)] * 5, score=0.3)[-1].state.tracks == ()
    state = run([person_at(10)] * 3)[-1].state
    at = NOON + timedelta(seconds=2)
    weak = step(state, person_at(12), np.array([0.3]), ("person",), at, where=WHERE, policy=POLICY)
    assert list(weak.matched.values()) == [0]


def test_a_car_and_a_person_in_one_place_are_two_tracks_but_a_truck_may_turn_car() -> None:
    box = person_at(50)
    both = np.concatenate([box, box])
    state = TrackerState()
    for number, labels in enumerate([("person", "truck"), ("person", "car")]):
        at = NOON + timedelta(seconds=number / 5)
        outcome = step(state, both, np.array([0.9, 0.9]), labels, at, where=WHERE, policy=POLICY)
        state = outcome.state
    assert len(state.tracks) == 2
    assert all(track.confirmed for track in state.tracks)


@given(frames=st.lists(boxes, max_size=8))
@settings(deadline=None)
def test_the_same_input_gives_the_same_ids_and_each_detection_feeds_one_track(
    frames: list[np.ndarray],
) -> None:
    first, again = run(frames), run(frames)
    assert [s.matched for s in first] == [s.matched for s in again]
    for xyxy, outcome in zip(frames, first, strict=True):
        used = list(outcome.matched.values())
        assert len(used) == len(set(used))
        assert sorted(used) == list(range(len(xyxy)))
        assert all(np.isfinite(track.xyxy).all() for track in outcome.state.tracks)


@given(xyxy=boxes)
def test_corner_and_centre_forms_are_inverse(xyxy: np.ndarray) -> None:
    np.testing.assert_allclose(to_xyxy(to_cxcywh(xyxy)), xyxy, atol=1e-9)


@given(a=boxes, b=boxes, buffer=st.floats(0, 1))
def test_buffered_iou_is_symmetric_bounded_and_one_for_the_same_box(
    a: np.ndarray, b: np.ndarray, buffer: float
) -> None:
    similarity = buffered_iou(a, b, buffer)
    assert ((similarity >= 0) & (similarity <= 1 + 1e-9)).all()
    np.testing.assert_allclose(similarity, buffered_iou(b, a, buffer).T, atol=1e-12)
    np.testing.assert_allclose(np.diag(buffered_iou(a, a, buffer)), 1.0, atol=1e-9)
    assert (similarity >= buffered_iou(a, b, 0.0) - 1e-9).all() or buffer > 0
