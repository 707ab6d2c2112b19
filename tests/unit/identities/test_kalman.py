"""The motion filter: every coordinate follows the textbook, and sizes move less than positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.events.schema import Box
from trinetra.identities.tracking.kalman import (
    Axis,
    Motion,
    MotionNoise,
    box_of,
    initial_motion,
    predict,
    update,
)

NOISE = MotionNoise(position=0.05, velocity=0.35)
boxes = st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(20, 200), st.floats(20, 300)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
gaps_s = st.floats(0.01, 2.0)


def measured(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def mean(axis: Axis) -> np.ndarray:
    return np.array([axis.value, axis.velocity])


def covariance(axis: Axis) -> np.ndarray:
    return np.array([[axis.value_var, axis.covariance], [axis.covariance, axis.velocity_var]])


def assert_same(axis: Axis, expected_mean: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(mean(axis), expected_mean, atol=1e-6)
    np.testing.assert_allclose(covariance(axis), expected, rtol=1e-6, atol=1e-6)


def moved(first: Box, gap_s: float, second: Box) -> Motion:
    return update(predict(initial_motion(first, NOISE), gap_s, NOISE), second, NOISE)


@given(box=boxes)
def test_a_box_that_was_seen_once_is_where_it_was_seen(box: Box) -> None:
    assert box_of(initial_motion(box, NOISE)) == pytest.approx(box)


@given(box=boxes)
def test_a_new_motion_is_as_uncertain_as_its_box_is_tall(box: Box) -> None:
    height = box[3] - box[1]
    for axis in initial_motion(box, NOISE):
        assert (axis.velocity, axis.covariance) == (0.0, 0.0)
        assert axis.value_var == pytest.approx((NOISE.position * height) ** 2)


@given(box=boxes)
def test_positions_may_move_at_once_and_alike_and_sizes_less(box: Box) -> None:
    x, y, w, h = (axis.velocity_var for axis in initial_motion(box, NOISE))
    assert x == y == pytest.approx((NOISE.velocity * (box[3] - box[1])) ** 2)
    assert w == h
    assert 0 < w < x


@given(first=boxes, second=boxes, gap_s=gaps_s)
def test_prediction_moves_each_coordinate_by_its_velocity(
    first: Box, second: Box, gap_s: float
) -> None:
    before = moved(first, 0.2, second)
    move = np.array([[1.0, gap_s], [0.0, 1.0]])
    height = max(before[3].value, 1.0)
    acceleration = np.array([[gap_s**3 / 3, 0.0], [0.0, gap_s]])
    for index, (old, new) in enumerate(zip(before, predict(before, gap_s, NOISE), strict=True)):
        ratio = np.sqrt(initial_motion(first, NOISE)[index].velocity_var) / (
            NOISE.velocity * (first[3] - first[1])
        )
        noise = (ratio * NOISE.velocity * height) ** 2 * acceleration
        expected = move @ mean(old)
        if index >= 2 and expected[0] < 1.0:
            expected[0] = 1.0
        assert_same(new, expected, move @ covariance(old) @ move.T + noise)


@given(first=boxes, second=boxes, gap_s=gaps_s)
def test_a_measurement_corrects_each_coordinate_by_the_kalman_gain(
    first: Box, second: Box, gap_s: float
) -> None:
    before = predict(initial_motion(first, NOISE), gap_s, NOISE)
    error = (NOISE.position * (second[3] - second[1])) ** 2
    see = np.array([[1.0, 0.0]])
    for old, new, value in zip(
        before, update(before, second, NOISE), measured(second), strict=True
    ):
        spread = covariance(old)
        gain = (spread @ see.T / (see @ spread @ see.T + error))[:, 0]
        expected = mean(old) + gain * (value - old.value)
        assert_same(new, expected, spread - np.outer(gain, see @ spread))


def test_a_box_that_shrinks_away_keeps_a_pixel() -> None:
    shrinking = moved((0, 0, 100, 100), 0.2, (45, 45, 55, 55))
    x1, y1, x2, y2 = box_of(predict(shrinking, 10.0, NOISE))
    assert (x2 - x1, y2 - y1) == pytest.approx((1.0, 1.0))


def test_a_box_without_height_still_has_some_uncertainty() -> None:
    for axis in initial_motion((10, 10, 20, 10), NOISE):
        assert axis.value_var == pytest.approx(NOISE.position**2)
    flat = predict(initial_motion((10, 10, 20, 10), NOISE), 1.0, NOISE)
    assert flat[0].velocity_var == pytest.approx(2 * NOISE.velocity**2)
    assert update(flat, (10, 10, 20, 10), NOISE)[0].value_var > 0
