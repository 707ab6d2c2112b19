"""Usual transition times: learned online, fading, and never decisive."""

import itertools
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


def test_the_median_time_is_no_surprise_and_the_deviation_its_unit() -> None:
    usual = UsualTime()
    for seconds in (10.0, 20.0, 40.0) * 40:
        usual.add(seconds)
    assert usual.surprise(usual.median_s) == pytest.approx(0.0)
    assert usual.surprise(usual.median_s * math.exp(usual.deviation)) == pytest.approx(1.0)


def test_people_who_all_take_the_same_time_still_allow_for_some_deviation() -> None:
    usual = UsualTime()
    for _ in range(100):
        usual.add(10.0)
    assert 0 < usual.surprise(11.0) < 1
    assert usual.surprise(0.0) == usual.surprise(0.05) < -SURPRISING


def test_the_longest_walk_counts_and_times_are_kept_by_direction() -> None:
    times = TransitionTimes()
    for _ in range(25):
        times.learn(A, B, LONGEST_S)
        times.learn(B, A, 1.0)
    there, back = times.usual(A, B), times.usual(B, A)
    assert there is not None
    assert back is not None
    assert (there.median_s, back.median_s) == pytest.approx((LONGEST_S, 1.0))
    assert len(times) == 2


def test_at_the_bound_the_transition_learned_longest_ago_is_evicted() -> None:
    times = TransitionTimes()
    for _ in range(25):
        times.learn(A, B, 10.0)
        times.learn(A, C, 10.0)
    times.learn(A, B, 10.0)
    others = (CameraId(f"camera{number}") for number in itertools.count())
    bound = 0
    while bound < len(times):
        bound = len(times)
        times.learn(B, next(others), 10.0)
    assert times.usual(A, B) is not None
    assert times.usual(A, C) is None
