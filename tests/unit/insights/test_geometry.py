"""Geometry: the conventions by example, the invariants by property."""

import itertools
import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trinetra.insights.camera.geometry import (
    Polygon,
    Ruler,
    crossing,
    foot_point,
    is_simple,
    polygon_area,
)
from trinetra.insights.config import Line, Zone
from trinetra.values import longest

SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
HORSESHOE = ((0, 0), (1, 0), (1, 1), (0.7, 1), (0.7, 0.3), (0.3, 0.3), (0.3, 1), (0, 1))
BOW_TIE = ((0, 0), (1, 1), (1, 0), (0, 1))

unit = st.floats(0, 1)
point = st.tuples(unit, unit)


def inside_polygon(points: np.ndarray, polygon: object) -> np.ndarray:
    area = Polygon.of(polygon)
    return np.array([area.holds(x, y) for x, y in points.tolist()], np.bool_)


def signed_distance(points: np.ndarray, a: object, b: object, aspect: float = 1.0) -> np.ndarray:
    ruler = Ruler.of(a, b, aspect)
    return np.array([ruler.distance((x, y)) for x, y in points.tolist()])


def turned(p: tuple[float, float], angle: float, by: tuple[float, float]) -> tuple[float, float]:
    c, s = math.cos(angle), math.sin(angle)
    return (c * p[0] - s * p[1] + by[0], s * p[0] + c * p[1] + by[1])


@st.composite
def star_polygons(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Star-shaped around (0.5, 0.5): simple by construction."""
    count = draw(st.integers(3, 9))
    radii = draw(st.lists(st.floats(0.1, 0.5), min_size=count, max_size=count))
    step = 2 * math.pi / count
    return [
        (0.5 + r * math.cos(i * step), 0.5 + r * math.sin(i * step)) for i, r in enumerate(radii)
    ]


def test_a_box_stands_on_the_middle_of_its_lower_edge() -> None:
    assert foot_point((100.0, 50.0, 300.0, 200.0), 400, 400) == (0.5, 0.5)


def test_a_foot_below_the_frame_is_taken_to_its_edge() -> None:
    assert foot_point((-50.0, 50.0, 10.0, 900.0), 400, 400) == (0.0, 1.0)


def test_the_boundary_and_the_corners_belong_to_a_polygon() -> None:
    points = np.array([(0.2, 0.5), (0.5, 0.8), (0.8, 0.5), (0.5, 0.2), *SQUARE])
    assert inside_polygon(points, SQUARE).all()


def test_the_notch_of_a_concave_polygon_is_outside() -> None:
    points = np.array([(0.5, 0.8), (0.1, 0.8), (0.9, 0.8), (0.5, 0.1)])
    assert inside_polygon(points, HORSESHOE).tolist() == [False, True, True, True]


@given(star_polygons(), st.lists(point, min_size=1, max_size=20))
@example(
    [(1.0, 0.5), (0.5, 1.0), (0.0, 0.5000000000000001), (0.4999999999999999, 0.0)],
    [(0.5, 0.49999999999999994)],
)
def test_a_polygon_is_the_same_wherever_its_corners_start_and_whichever_way_they_run(
    polygon: list[tuple[float, float]], points: list[tuple[float, float]]
) -> None:
    at = np.array(points)
    expected = inside_polygon(at, polygon).tolist()
    assert inside_polygon(at, polygon[1:] + polygon[:1]).tolist() == expected
    assert inside_polygon(at, polygon[::-1]).tolist() == expected


@given(star_polygons(), point, st.floats(0, 6.3), st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
def test_inside_stays_inside_when_everything_turns_and_moves(
    polygon: list[tuple[float, float]],
    p: tuple[float, float],
    angle: float,
    by: tuple[float, float],
) -> None:
    corners = np.array(polygon)
    nearest = min(
        abs(float(signed_distance(np.array([p]), tuple(a), tuple(b))[0]))
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)
    )
    assume(nearest > 1e-6)
    moved = [turned(corner, angle, by) for corner in polygon]
    assert (
        inside_polygon(np.array([turned(p, angle, by)]), moved)[0]
        == (inside_polygon(np.array([p]), polygon)[0])
    )


@given(star_polygons(), st.integers(0, 8), st.floats(0.01, 0.95), st.floats(1.05, 3))
def test_a_star_holds_what_lies_between_its_centre_and_its_corners_and_nothing_beyond(
    polygon: list[tuple[float, float]], corner: int, within: float, beyond: float
) -> None:
    ray = np.array(polygon[corner % len(polygon)]) - 0.5
    points = np.array([0.5 + within * ray, 0.5 + beyond * ray])
    assert inside_polygon(points, polygon).tolist() == [True, False]


def test_right_of_a_line_that_runs_to_the_right_is_below_it_in_the_image() -> None:
    distance = signed_distance(np.array([(0.5, 0.7), (0.5, 0.4)]), (0.0, 0.5), (1.0, 0.5))
    assert distance == pytest.approx([0.2, -0.1])


def test_distances_are_in_frame_heights_whatever_the_frames_shape() -> None:
    sideways = signed_distance(np.array([(0.6, 0.5)]), (0.5, 1.0), (0.5, 0.0), aspect=2.0)
    assert sideways == pytest.approx([0.2])


@given(point, point, point, st.floats(0.5, 2))
def test_reversing_a_line_changes_the_sign_of_every_distance(
    p: tuple[float, float], a: tuple[float, float], b: tuple[float, float], aspect: float
) -> None:
    assume(math.dist(a, b) > 1e-3)
    there, back = (signed_distance(np.array([p]), *ends, aspect) for ends in ((a, b), (b, a)))
    assert there == pytest.approx(-back, abs=1e-9)


def test_walking_down_over_a_line_that_runs_to_the_right_is_in() -> None:
    assert crossing((0.5, 0.4), (0.5, 0.6), (0.0, 0.5), (1.0, 0.5)) == 1
    assert crossing((0.5, 0.6), (0.5, 0.4), (0.0, 0.5), (1.0, 0.5)) == -1


def test_passing_beside_the_segment_is_no_crossing() -> None:
    assert crossing((0.5, 0.4), (0.5, 0.6), (0.6, 0.5), (1.0, 0.5)) == 0


def test_the_ends_of_a_segment_belong_to_it() -> None:
    assert crossing((0.25, 0.25), (0.25, 0.75), (0.25, 0.5), (1.0, 0.5)) == 1


@given(point, point, point, point, st.floats(0, 6.3))
def test_crossings_reverse_with_the_walk_and_with_the_line_and_turn_with_the_image(
    p: tuple[float, float],
    q: tuple[float, float],
    a: tuple[float, float],
    b: tuple[float, float],
    angle: float,
) -> None:
    assume(math.dist(a, b) > 1e-2)
    assume(all(abs(d) > 1e-6 for d in signed_distance(np.array([p, q]), a, b)))
    assume(math.dist(p, q) > 1e-2)
    assume(all(abs(d) > 1e-6 for d in signed_distance(np.array([a, b]), p, q)))
    expected = crossing(p, q, a, b)
    assert crossing(q, p, a, b) == -expected
    assert crossing(p, q, b, a) == -expected
    p, q, a, b = (turned(x, angle, (0.3, -0.2)) for x in (p, q, a, b))
    assert crossing(p, q, a, b) == expected


@given(st.lists(st.tuples(unit, st.sampled_from([0.3, 0.5, 0.7])), min_size=2, max_size=30))
def test_the_crossings_of_a_path_that_touches_the_line_add_up_to_its_change_of_side(
    path: list[tuple[float, float]],
) -> None:
    total = sum(crossing(p, q, (0, 0.5), (1, 0.5)) for p, q in itertools.pairwise(path))
    assert total == (path[-1][1] >= 0.5) - (path[0][1] >= 0.5)


@given(star_polygons(), st.floats(0, 6.3))
def test_area_does_not_depend_on_orientation_and_position(
    polygon: list[tuple[float, float]], angle: float
) -> None:
    moved = [turned(p, angle, (3, -1)) for p in polygon[::-1]]
    assert polygon_area(moved) == pytest.approx(polygon_area(polygon))


def test_the_area_of_a_square_is_its_side_squared() -> None:
    assert polygon_area(SQUARE) == pytest.approx(0.36)


@given(star_polygons())
def test_a_star_is_simple_both_ways_round(polygon: list[tuple[float, float]]) -> None:
    assert is_simple(polygon)
    assert is_simple(polygon[::-1])


@pytest.mark.parametrize(
    "polygon",
    [
        BOW_TIE,
        ((0, 0), (1, 0), (0, 0), (0, 1)),  # a corner twice
        ((0, 0), (1, 0), (0.5, 0)),  # folded back on itself
        ((0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)),  # a corner on an edge
    ],
)
def test_a_polygon_that_meets_itself_is_not_simple(polygon: tuple[tuple[float, float]]) -> None:
    assert not is_simple(polygon)
    with pytest.raises(ValueError, match="zone z"):
        Zone("z", polygon)


def test_a_zone_of_two_corners_and_a_line_of_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="three corners"):
        Zone("z", ((0, 0), (1, 1)))
    with pytest.raises(ValueError, match="same point"):
        Line("l", (0.5, 0.5), (0.5, 0.5))


def test_a_foot_is_a_share_of_the_frame_in_each_direction() -> None:
    assert foot_point((100.0, 50.0, 300.0, 200.0), 800, 400) == (0.25, 0.5)


@given(point, point, st.lists(point, max_size=4), st.floats(0.3, 3))
def test_a_distance_is_to_the_last_bit_the_one_that_was_computed_for_all_feet_at_once(
    a: tuple[float, float], b: tuple[float, float], feet: list[tuple[float, float]], aspect: float
) -> None:
    assume(a != b)
    scale = np.array([aspect, 1.0])
    direction = (np.asarray(b) - np.asarray(a)) * scale
    assume(np.hypot(*direction) > 0)
    offset = (np.array(feet).reshape(-1, 2) - np.asarray(a)) * scale
    cross = direction[0] * offset[:, 1] - direction[1] * offset[:, 0]
    ruler = Ruler.of(a, b, aspect)
    assert [ruler.distance(foot) for foot in feet] == (cross / np.hypot(*direction)).tolist()


@given(star_polygons(), st.lists(point, min_size=1, max_size=9))
def test_a_foot_outside_of_the_box_around_a_polygon_is_outside_of_it(
    polygon: list[tuple[float, float]], feet: list[tuple[float, float]]
) -> None:
    area = Polygon.of(polygon)
    everywhere = Polygon(area.edges, (-math.inf, -math.inf), (math.inf, math.inf))
    corners = [(x + dx, y) for x, y in polygon for dx in (-1e-8, -1e-9, 0.0, 1e-9, 1e-8)]
    for foot in (*feet, *corners):
        assert area.holds(*foot) == everywhere.holds(*foot)


@given(st.floats(0, 1e7) | st.integers(0, 10_000_000).map(lambda micros: micros / 1_000_000))
def test_the_longest_time_that_is_not_longer_than_some_seconds(seconds: float) -> None:
    span = longest(seconds)
    assert span.total_seconds() <= seconds < (span + timedelta.resolution).total_seconds()


def test_a_line_that_runs_down_has_the_left_of_the_image_on_its_right() -> None:
    a, b = (0.5, 0.25), (0.5, 0.75)
    distances = signed_distance(np.array([[0.25, 0.5], [1.0, 0.5], [0.5, 0.9]]), a, b, aspect=2.0)
    assert distances.tolist() == pytest.approx([0.5, -1.0, 0.0])


@pytest.mark.parametrize(("start", "end"), [((0.5, 0.5), (0.5, 0.7)), ((0.5, 0.7), (0.5, 0.5))])
def test_a_step_that_begins_or_ends_on_the_line_stays_on_its_right(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    assert crossing(start, end, (0.0, 0.5), (1.0, 0.5)) == 0


def test_a_slanted_step_crosses_where_it_meets_the_line() -> None:
    a, b = (0.4, 0.5), (0.6, 0.5)
    assert crossing((0.0, 0.0), (1.0, 1.0), a, b) == 1
    assert crossing((0.0, 0.3), (1.0, 0.6), a, b) == 0
    assert crossing((0.3, 0.4), (0.5, 0.6), a, b) == 1
    assert crossing((0.29, 0.4), (0.49, 0.6), a, b) == 0


def test_a_polygon_that_only_touches_itself_is_not_simple() -> None:
    corner_on_edge = ((0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1))
    back_on_itself = ((0, 0), (1, 0), (0.5, 0), (0.5, 1))
    assert not is_simple(corner_on_edge)
    assert not is_simple(back_on_itself)
    assert not is_simple((*SQUARE, SQUARE[0]))
    assert is_simple(HORSESHOE)


def test_the_area_of_a_triangle_is_half_of_base_times_height() -> None:
    assert polygon_area(((0.1, 0.2), (0.5, 0.2), (0.3, 0.7))) == pytest.approx(0.1)


def test_a_point_just_outside_an_edge_is_outside_and_one_just_inside_is_inside() -> None:
    off = 1e-6
    sides = [(0.5, 0.2), (0.8, 0.5), (0.5, 0.8), (0.2, 0.5)]
    center = 0.5
    outside = [(x + off * np.sign(x - center), y + off * np.sign(y - center)) for x, y in sides]
    inside = [(x - off * np.sign(x - center), y - off * np.sign(y - center)) for x, y in sides]
    assert not inside_polygon(np.array(outside), SQUARE).any()
    assert inside_polygon(np.array(inside), SQUARE).all()
