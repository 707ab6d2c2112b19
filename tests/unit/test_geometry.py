"""Homography to the floor: exact if possible, refused if underdetermined."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.errors import ConfigurationError
from trinetra.geometry import Homography, Pair, fit, upright_scale
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


# --- residuals, and points far from the unit square -------------------------------------------


def test_the_residuals_are_the_distances_of_the_mapped_points_and_name_the_worst() -> None:
    pairs = [*SQUARE, ((0.5, 0.9), (2.0, 0.4))]
    floor = fit(pairs)
    apart = []
    for picture, (x_m, y_m) in pairs:
        found = floor.to_floor(*picture)
        assert found is not None
        apart.append(np.hypot(found.x_m - x_m, found.y_m - y_m))
    assert floor.rms_m == pytest.approx(np.sqrt(np.mean(np.square(apart))))
    assert floor.worst_m == pytest.approx(max(apart))
    assert floor.worst == int(np.argmax(apart))


def test_points_that_disagree_are_refused_by_number_and_distance() -> None:
    grid = [((x / 4, y / 4), (8.0 * x, 8.0 * y)) for x in range(4) for y in range(4)]
    wrong = [(picture, (x_m + 6.0 * (n == 9), y_m)) for n, (picture, (x_m, y_m)) in enumerate(grid)]
    with pytest.raises(ConfigurationError, match=r"point 10 \(\d\.\d m\)"):
        fit(wrong)


@pytest.mark.parametrize("offset_m", [0.0, 5_000.0])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_floor_is_found_wherever_its_plan_begins_and_however_large_it_is(
    offset_m: float, scale: float
) -> None:
    moved = [(picture, (scale * x + offset_m, scale * y - offset_m)) for picture, (x, y) in SQUARE]
    found, here = fit(moved).to_floor(0.5, 0.7), fit(SQUARE).to_floor(0.5, 0.7)
    assert found is not None
    assert here is not None
    expected = (scale * here.x_m + offset_m, scale * here.y_m - offset_m)
    assert found[:2] == pytest.approx(expected, abs=1e-5)
    assert found[2:] == pytest.approx((scale * here.right_m, scale * here.down_m), rel=1e-5)


def test_at_the_horizon_there_is_no_floor_and_just_below_it_is_far_away() -> None:
    level = Homography(((1.0, 0.0, -0.5), (0.0, 0.0, 1.0), (0.0, 1.0, -0.5)))
    assert level.to_floor(0.5, 0.5) is None
    assert level.to_floor(0.5, 0.4) is None
    far, near = level.to_floor(0.5, 0.51), level.to_floor(0.5, 1.0)
    assert far is not None
    assert near is not None
    assert far.y_m == pytest.approx(100.0)
    assert near.y_m == pytest.approx(2.0)


# --- heights on the floor ---------------------------------------------------------------------


def pinhole(
    height_m: float, tilt: float, focal: float, aspect: float, *, y_up: bool
) -> tuple[Homography, Callable[[float, float, float], tuple[float, float]]]:
    """Return a camera's homography, and its projection of space to normalized picture points."""
    cos, sin, way = math.cos(tilt), math.sin(tilt), 1.0 if y_up else -1.0

    def project(x: float, y: float, z: float) -> tuple[float, float]:
        ahead, below = way * y, height_m - z
        depth = ahead * cos + below * sin
        right, down = x / depth, (below * cos - ahead * sin) / depth
        return 0.5 + focal * right / aspect, 0.5 + focal * down

    places = [(x, way * y) for x in (-2.0, 0.0, 2.0) for y in (3.0, 5.0, 8.0)]
    return fit([(project(x, y, 0.0), (x, y)) for x, y in places]), project


@given(
    st.floats(2.2, 5.0),
    st.floats(0.15, 0.9),
    st.floats(0.6, 1.6),
    st.sampled_from([4 / 3, 16 / 9]),
    st.booleans(),
    st.floats(0.8, 2.1),
)
def test_the_height_of_a_person_follows_from_the_floor_alone(
    height_m: float, tilt: float, focal: float, aspect: float, y_up: bool, tall_m: float
) -> None:
    floor, project = pinhole(height_m, tilt, focal, aspect, y_up=y_up)
    scale = upright_scale(floor, aspect)
    assert scale is not None
    way = 1.0 if y_up else -1.0
    for x, y in ((0.0, 4.0), (1.0, 6.0)):
        foot, head = project(x, way * y, 0.0), project(x, way * y, tall_m)
        assert scale.height_m(foot, foot[1] - head[1]) == pytest.approx(tall_m, abs=0.02)


@pytest.mark.parametrize("side_m", [-3.0, 0.0, 2.5])
@pytest.mark.parametrize("y_up", [True, False])
def test_people_who_lean_in_the_picture_stand_where_their_feet_are(
    side_m: float, y_up: bool
) -> None:
    floor, project = pinhole(3.0, 0.5, 0.6, 16 / 9, y_up=y_up)
    scale = upright_scale(floor, 16 / 9)
    assert scale is not None
    way = 1.0 if y_up else -1.0
    foot, head = (project(side_m, way * 3.0, z) for z in (0.0, 1.7))
    middle = (foot[0] + head[0]) / 2, (foot[1] + head[1]) / 2
    assert scale.foot_of(middle, foot[1], 16 / 9) == pytest.approx(foot, abs=2e-3)
    assert abs(middle[0] - foot[0]) > 0.01 or side_m == 0.0


def test_a_camera_that_looks_straight_down_tells_no_heights() -> None:
    floor = fit([((0, 0), (0, 4)), ((1, 0), (4, 4)), ((1, 1), (4, 0)), ((0, 1), (0, 0))])
    assert upright_scale(floor, 1.0) is None


def test_a_foot_above_the_horizon_has_no_height() -> None:
    floor, _ = pinhole(3.0, 0.3, 1.0, 16 / 9, y_up=True)
    scale = upright_scale(floor, 16 / 9)
    assert scale is not None
    assert scale.height_m((0.5, 0.05), 0.04) is None
