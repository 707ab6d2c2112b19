from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trinetra.adapters.video.capture_time import CaptureTimes
from trinetra.values import Instant, seconds_between

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
jitters = st.lists(st.floats(0.0, 0.3), min_size=20, max_size=80)


def at(seconds: float) -> Instant:
    return START + timedelta(seconds=seconds)


@given(jitters)
def test_no_frame_is_captured_after_it_arrived_nor_before_the_one_before(
    jitter: list[float],
) -> None:
    times = CaptureTimes()
    arrived = previous = START
    for number, delay in enumerate(jitter):
        arrived = max(arrived, at(number / 15 + delay))
        captured = times.stamp(arrived, number / 15)
        assert previous <= captured <= arrived
        previous = captured


@given(jitters)
def test_after_an_undelayed_frame_jitter_is_smoothed_away(jitter: list[float]) -> None:
    times = CaptureTimes()
    times.stamp(START, 0.0)
    arrived = START
    for number, delay in enumerate(jitter, start=1):
        arrived = max(arrived, at(number / 15 + delay))
        captured = times.stamp(arrived, number / 15)
        assert abs(seconds_between(at(number / 15), captured)) < 0.005 * number / 15 + 1e-3


def test_a_camera_whose_clock_runs_slow_is_followed() -> None:
    times = CaptureTimes()
    for number in range(15 * 600):  # ten minutes at 200 ppm: 120 ms in all
        arrived = at(number / 15)
        captured = times.stamp(arrived, number / 15 * (1 - 200e-6))
    assert abs(seconds_between(captured, arrived)) < 0.01


def test_a_camera_whose_clock_runs_fast_is_followed() -> None:
    times = CaptureTimes()
    for number in range(15 * 600):
        arrived = at(number / 15)
        captured = times.stamp(arrived, number / 15 * (1 + 200e-6))
    assert abs(seconds_between(captured, arrived)) < 0.01


def test_a_gap_or_a_restarted_stream_clock_anchors_anew() -> None:
    times = CaptureTimes()
    times.stamp(START, 100.0)
    assert times.stamp(at(60), 100.1) == at(60)
    assert times.stamp(at(61), 0.0) == at(61)
    assert times.stamp(at(62), 5000.0) == at(62)


def test_without_stream_times_arrival_is_all_there_is() -> None:
    assert CaptureTimes().stamp(at(7), None) == at(7)
