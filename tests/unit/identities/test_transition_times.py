"""Usual transition times: learned online, fading, and never decisive."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.gate.transition_times import (
    LONGEST_S,
    SURPRISING,
    TransitionTimes,
    UsualTime,
)
from trinetra.values import CameraId

A, B, C = (CameraId(name) for name in "abc")


@given(st.lists(st.floats(0.5, 500), min_size=2, max_size=60))
def test_mean_and_deviation_are_those_of_the_logarithms(seconds: list[float]) -> None:
    usual = UsualTime()
    for each in seconds:
        usual.add(each)
    logs = np.log(seconds)
    assert math.log(usual.median_s) == pytest.approx(logs.mean(), rel=0.05, abs=0.05)
    assert usual.deviation == pytest.approx(max(0.1, logs.std(ddof=1)), rel=0.1, abs=0.05)


def test_what_is_usual_takes_a_while_to_know() -> None:
    times = TransitionTimes()
    for _ in range(19):
        times.learn(A, B, 10.0)
    assert times.usual(A, B) is None
    times.learn(A, B, 10.0)
    times.learn(A, B, 10.0)
    usual = times.usual(A, B)
    assert usual is not None
    assert usual.median_s == pytest.approx(10)
    assert times.usual(B, A) is None


def test_a_walk_far_quicker_or_slower_than_usual_is_surprising() -> None:
    usual = UsualTime()
    for number in range(200):
        usual.add(20.0 + number % 11)
    assert abs(usual.surprise(25)) < 1
    assert usual.surprise(4) < -SURPRISING
    assert usual.surprise(200) > SURPRISING


def test_after_the_shop_was_rebuilt_the_old_times_fade() -> None:
    usual = UsualTime()
    for _ in range(5_000):
        usual.add(10.0)
    for _ in range(10_000):
        usual.add(40.0)
    assert usual.median_s == pytest.approx(40, rel=0.02)
    assert usual.weight <= 2_000


def test_long_absences_and_meetings_of_views_are_no_walks() -> None:
    times = TransitionTimes()
    for seconds in (0.0, -3.0, LONGEST_S + 1):
        times.learn(A, B, seconds)
    times.learn(A, A, 5.0)
    assert not len(times)
