import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.frames.connection import CameraState, Connection, mean_rate_hz

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
FINAL = {CameraState.ENDED, CameraState.DISABLED}


def test_the_usual_life_of_a_camera_is_legal() -> None:
    connection = Connection(START)
    for state in (
        CameraState.STREAMING,
        CameraState.STALLED,
        CameraState.STREAMING,
        CameraState.STALLED,
        CameraState.BACKOFF,
        CameraState.CONNECTING,
        CameraState.STREAMING,
        CameraState.ENDED,
    ):
        connection.to(state, START)


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ([], CameraState.STALLED),
        ([CameraState.BACKOFF], CameraState.STREAMING),
        ([CameraState.STREAMING], CameraState.CONNECTING),
        ([CameraState.STREAMING], CameraState.STREAMING),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(
    before: list[CameraState], then: CameraState
) -> None:
    connection = Connection(START)
    for state in before:
        connection.to(state, START)
    with pytest.raises(ValueError, match="cannot go from"):
        connection.to(then, START)


@given(st.lists(st.sampled_from(list(CameraState)), max_size=30))
def test_final_states_are_final(wishes: list[CameraState]) -> None:
    connection = Connection(START)
    ended_as = None
    for wish in wishes:
        try:
            connection.to(wish, START)
        except ValueError:
            continue
        assert ended_as is None
        if wish in FINAL:
            ended_as = wish


def test_since_tells_when_the_state_began() -> None:
    connection = Connection(START)
    connection.to(CameraState.STREAMING, START + timedelta(seconds=3))
    connection.read(START + timedelta(seconds=9), 1280, 720)
    assert connection.status().since == START + timedelta(seconds=3)
    assert connection.status().last_frame_at == START + timedelta(seconds=9)


def test_failures_in_a_row_start_anew_after_a_steady_connection() -> None:
    connection = Connection(START)
    assert [connection.failed("lost", is_steady=False) for _ in range(3)] == [1, 2, 3]
    assert connection.failed("refused", is_steady=False) == 1
    assert connection.failed("lost", is_steady=False) == 4
    assert connection.failed("refused", is_steady=True) == 1
    assert connection.failed("lost", is_steady=False) == 1
    assert connection.status().failures == 7


def test_a_status_does_not_change_afterwards() -> None:
    connection = Connection(START)
    before = connection.status()
    connection.dropped["late"] += 1
    connection.read(START, 640, 480)
    assert (before.dropped, before.frames_read) == ({}, 0)


def test_the_sample_rate_is_that_of_the_last_samples() -> None:
    connection = Connection(START)
    slow = [START + timedelta(seconds=i) for i in range(10)]
    fast = [slow[-1] + timedelta(seconds=i / 10) for i in range(1, 17)]
    for instant in itertools.chain(slow, fast):
        connection.sampled(instant)
    assert connection.status().sample_fps == pytest.approx(10.0)


def test_one_sample_tells_no_rate() -> None:
    assert mean_rate_hz((START,)) == 0.0
    assert mean_rate_hz((START, START)) == 0.0
