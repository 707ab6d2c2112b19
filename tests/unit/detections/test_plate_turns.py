"""A vehicle that stands still is read rarely, one that moves as often as there is room."""

from datetime import UTC, datetime, timedelta

from trinetra.detections.plate_crops import PlatePolicy
from trinetra.detections.plate_turns import PlateTurns
from trinetra.events.schema import ObjectBox
from trinetra.values import CameraId, Instant

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
YARD, STREET = CameraId("yard"), CameraId("street")
POLICY = PlatePolicy(max_per_frame=2)


def at(seconds: float) -> Instant:
    return NOON + timedelta(seconds=seconds)


def car(left: float, wide: float = 200.0) -> ObjectBox:
    return ObjectBox("car", 0.9, (left, 100.0, left + wide, 100.0 + wide / 2))


def test_a_parked_car_is_read_eight_times_in_its_first_two_minutes() -> None:
    turns, read_at = PlateTurns(), []
    for frame in range(1200):
        shaking = car(300.0 + (frame % 3))
        if turns.take(YARD, at(frame / 10), [shaking], POLICY):
            read_at.append(frame / 10)
    assert read_at == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5]


def test_a_car_that_moves_is_read_in_every_frame() -> None:
    turns = PlateTurns()
    read = [turns.take(YARD, at(n / 10), [car(20.0 * n)], POLICY) for n in range(50)]
    assert read == [[0]] * 50


def test_parked_cars_leave_their_room_to_one_that_comes() -> None:
    turns = PlateTurns()
    parked = [car(0.0, 400.0), car(500.0, 400.0)]
    assert turns.take(YARD, at(0), parked, POLICY) == [0, 1]
    assert turns.take(YARD, at(0.1), [*parked, car(1000.0)], POLICY) == [2]


def test_cameras_have_nothing_to_do_with_each_other() -> None:
    turns = PlateTurns()
    for camera in (YARD, STREET):
        assert turns.take(camera, at(0), [car(0.0)], POLICY) == [0]


def test_a_place_is_forgotten_a_minute_after_the_car_has_left_and_when_time_begins_anew() -> None:
    turns = PlateTurns()
    for seconds in range(200):
        turns.take(YARD, at(seconds), [car(0.0)], POLICY)
    assert turns.take(YARD, at(199.1), [car(0.0)], POLICY) == []
    assert turns.take(YARD, at(260), [], POLICY) == []
    assert turns.take(YARD, at(260.1), [car(0.0)], POLICY) == [0]
    assert turns.take(YARD, at(0), [car(0.0)], POLICY) == [0]
