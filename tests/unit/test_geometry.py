"""Homography to the floor: exact if possible, refused if underdetermined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.errors import ConfigurationError
from trinetra.geometry import Pair, fit
from trinetra.twin.camera import Camera
from trinetra.twin.shop import built_in_shop

VIEWS = [view for view in built_in_shop().views if view.reads_faces]
SQUARE: list[Pair] = [
    ((0.1, 0.9), (0.0, 0.0)),
    ((0.9, 0.9), (4.0, 0.0)),
    ((0.7, 0.4), (4.0, 6.0)),
    ((0.3, 0.4), (0.0, 6.0)),
]


def seen_from(camera: Camera, shown: list[tuple[float, float]]) -> list[Pair]:
    u, v = (np.array(axis) for axis in zip(*shown, strict=True))
    x, y = camera.to_floor(u * camera.view.width, v * camera.view.height)
    return list(zip(shown, zip(x.tolist(), y.tolist(), strict=True), strict=True))


pixels = st.tuples(st.floats(0.02, 0.98), st.floats(0.6, 0.98))


@given(camera=st.sampled_from([Camera(view) for view in VIEWS]), probe=pixels)
def test_four_points_are_enough_to_know_the_whole_floor(
    camera: Camera, probe: tuple[float, float]
) -> None:
    floor = fit(seen_from(camera, [(0.1, 0.95), (0.9, 0.95), (0.8, 0.55), (0.2, 0.55)]))
    found = floor.to_floor(*probe)
    [(_, expected)] = seen_from(camera, [probe])
    assert found is not None
    assert found[:2] == pytest.approx(expected, abs=1e-6)


@given(probe=pixels)
def test_the_scale_tells_how_far_a_small_step_in_the_picture_leads(
    probe: tuple[float, float],
) -> None:
    floor, step = fit(SQUARE), 1e-6
    here, right = floor.to_floor(*probe), floor.to_floor(probe[0] + step, probe[1])
    down = floor.to_floor(probe[0], probe[1] + step)
    assert here
    assert right
    assert down
    assert here.right_m == pytest.approx(
        np.hypot(right[0] - here[0], right[1] - here[1]) / step, rel=1e-3
    )
    assert here.down_m == pytest.approx(
        np.hypot(down[0] - here[0], down[1] - here[1]) / step, rel=1e-3
    )


def test_above_the_horizon_there_is_no_floor() -> None:
    assert fit(SQUARE).to_floor(0.5, -0.5) is None


def test_more_points_than_needed_tell_by_how_much_they_disagree() -> None:
    off = ((0.5, 0.9), (2.0, 0.4))
    floor = fit([*SQUARE, off])
    assert 0.05 < floor.rms_m < 0.4
    assert floor.worst_m >= floor.rms_m
    assert fit(SQUARE).rms_m == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (SQUARE[:3], "4 or more"),
        ([((x, x), (x, 2 * x)) for x in (0.1, 0.3, 0.5, 0.9)], "straight line"),
        ([SQUARE[0]] * 4, "the same in the picture"),
        ([(picture, (1.0, 1.0)) for picture, _ in SQUARE], "the same on the floor"),
        ([(SQUARE[0][0], SQUARE[1][1]), (SQUARE[1][0], SQUARE[0][1]), *SQUARE[2:]], "horizon"),
        ([*SQUARE, ((0.5, 0.6), (40.0, 40.0))], "disagree|horizon"),
    ],
)
def test_points_that_settle_no_floor_are_refused_with_the_reason(
    points: list[Pair], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        fit(points)
