"""The forecast of the wait follows from the queue now and the waits of before."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.tills import NOON, stay, visits

from trinetra.events.schema import QueueVisit
from trinetra.insights.queues.forecast import (
    LEAST_ERRORS,
    Forecast,
    QueueState,
    expected_wait_s,
    forecast,
    relative_error,
    state_at,
)
from trinetra.values import after


def served(till: str, ended_s: float, wait_s: float | None, service_s: float) -> QueueVisit:
    (visit,) = visits(stay("desk-1", ended_s - service_s, ended_s, f"{till}{ended_s}"))
    return msgspec.structs.replace(visit, till_id=till, wait_s=wait_s)


def test_the_state_tells_what_was_usual_in_the_last_half_hour() -> None:
    long_ago = served("till-3", -1900, 500, 300)
    recent = served("till-1", -100, 30, 20), served("till-2", -50, 50, 40)
    later = served("till-4", 10, 900, 200)
    state = state_at(NOON, [long_ago, *recent, later], waiting=3)
    assert state == QueueState(waiting=3, open_tills=2, service_s=30.0, wait_s=40.0)


def test_parties_that_gave_up_tell_neither_service_nor_wait() -> None:
    (abandoned,) = visits(stay("queue-1", -100, -50, "a"))
    assert state_at(NOON, [abandoned], 0) == QueueState(0, 0, None, None)


def test_an_unknown_wait_is_no_wait_of_0() -> None:
    state = state_at(NOON, [served("till-1", -100, None, 20), served("till-1", -50, 60, 40)], 0)
    assert state.wait_s == 60.0


def test_the_expected_wait_is_the_mean_of_the_queue_and_of_what_was_usual() -> None:
    assert expected_wait_s(QueueState(4, 2, 30.0, 20.0)) == (4 * 30 / 2 + 20) / 2


def test_without_a_known_wait_the_queue_alone_tells() -> None:
    assert expected_wait_s(QueueState(4, 2, 30.0, None)) == 60.0


def test_without_anyone_served_nothing_is_foretold() -> None:
    assert expected_wait_s(QueueState(4, 0, None, None)) is None
    assert forecast(QueueState(4, 0, None, None), [0.0] * 100) is None


def test_few_earlier_forecasts_tell_no_range() -> None:
    state = QueueState(4, 2, 30.0, 20.0)
    assert forecast(state, [0.1] * (LEAST_ERRORS - 1)) == Forecast(40.0, None, None)


def test_the_range_is_that_of_the_errors_of_earlier_forecasts() -> None:
    state = QueueState(4, 2, 30.0, 20.0)
    actual_s = [float(second) for second in range(1, 101)]
    errors = [relative_error(state, 40.0, second) for second in actual_s]
    made = forecast(state, errors)
    assert made is not None
    assert (made.low_s, made.high_s) == (pytest.approx(10.0), pytest.approx(90.0))


@given(
    st.builds(
        QueueState, st.integers(0, 50), st.integers(1, 9), st.floats(1, 600), st.floats(0, 3600)
    ),
    st.lists(st.floats(-1, 5), min_size=LEAST_ERRORS, max_size=60),
)
def test_no_wait_is_below_0_and_a_longer_queue_is_no_shorter_wait(
    state: QueueState, errors: list[float]
) -> None:
    made, longer = forecast(state, errors), forecast(state._replace(waiting=51), errors)
    assert made is not None
    assert longer is not None
    assert made.low_s is not None
    assert made.high_s is not None
    assert 0 <= made.low_s <= made.high_s
    assert 0 <= made.wait_s <= longer.wait_s


def test_a_forecast_does_not_know_what_comes_after_it() -> None:
    before = [served("till-1", -60 * n, 30, 20) for n in range(1, 20)]
    after_it = [served("till-1", 60 * n, 900, 600) for n in range(1, 20)]
    assert state_at(after(NOON, -1), [*before, *after_it], 1) == state_at(
        after(NOON, -1), before, 1
    )
