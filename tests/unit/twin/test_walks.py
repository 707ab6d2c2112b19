"""Trails, paths and routes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.twin.scenario import MAX_WALKING_MPS
from trinetra.twin.shop import built_in_shop
from trinetra.twin.walks import Router, Trail

POINTS = st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=6)


@given(
    seed=st.integers(0, 1000),
    points=POINTS,
    speed=st.floats(0.3, 1.9),
    stays=st.lists(st.floats(0, 60), min_size=1, max_size=4),
)
def test_nobody_ever_walks_faster_than_the_limit(
    seed: int, points: list[tuple[float, float]], speed: float, stays: list[float]
) -> None:
    trail = Trail.begin(np.random.default_rng(seed), 5.0, (0.0, 0.0))
    for stay in stays:
        trail.walk(points, speed)
        trail.stand(trail.now + stay, 0.0, 0.25)
    path = trail.path()
    assert (np.diff(path.t) > 0).all()
    assert path.speed.max() <= MAX_WALKING_MPS + 1e-9
    moved = np.hypot(np.diff(path.x), np.diff(path.y))
    assert (moved <= MAX_WALKING_MPS * np.diff(path.t) + 1e-9).all()


def test_a_path_is_straight_and_steady_between_its_knots() -> None:
    trail = Trail.begin(np.random.default_rng(1), 0.0, (0.0, 0.0))
    trail.walk([(4.0, 3.0)], 1.0, exact=True)
    path = trail.path()
    x, y, facing, speed = path.at(np.array([0.0, path.end_s / 2, path.end_s]))
    assert x.tolist() == pytest.approx([0, 2, 4])
    assert y.tolist() == pytest.approx([0, 1.5, 3])
    assert facing[1] == pytest.approx(math.atan2(3, 4))
    assert speed[1] == pytest.approx(5 / path.end_s)


def test_who_stands_looks_where_there_is_something_to_see() -> None:
    trail = Trail.begin(np.random.default_rng(1), 0.0, (0.0, 0.0))
    trail.stand(600.0, 1.0, 0.2)
    _, _, facing, _ = trail.path().at(np.arange(0.0, 600.0, 1.0))
    assert np.mean(facing) == pytest.approx(1.0, abs=0.1)


def test_routes_follow_the_ways_and_are_shortest() -> None:
    plan = built_in_shop()
    router = Router(plan)
    way = router.way("door", "welcome")
    assert way == [router.place("hall"), router.place("welcome")]
    assert router.way("door", "door") == []
    names = [spot.name for spot in plan.spots]
    for start in names:
        for end in names:
            assert start == end or router.way(start, end)[-1] == router.place(end)
