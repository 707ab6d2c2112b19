"""Bodies in view and the simulated detector's output."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.twin.camera import Camera
from trinetra.twin.people import Person
from trinetra.twin.scenario import Sensing
from trinetra.twin.sensing import Bodies, detect, false_positives, hidden_share, people_in_view
from trinetra.twin.shop import built_in_shop
from trinetra.twin.walks import Trail
from trinetra.twin.world import Stay

VIEWS = built_in_shop().views
AISLE = Camera(VIEWS[2])


def standing(number: int, x: float, y: float) -> Stay:
    trail = Trail.begin(np.random.default_rng(number), 0.0, (x, y))
    trail.wait(60.0)
    person = Person(number, "shopper", is_regular=False, height_m=1.7)
    return Stay(number, person, 0, trail.path(), "browsed", None)


def look(stays: list[Stay], frames: int = 200) -> Bodies:
    heights = np.array([stay.person.height_m for stay in stays])
    return people_in_view(AISLE, np.arange(frames) / 5, stays, heights)


@given(
    view=st.sampled_from(VIEWS),
    places=st.lists(st.tuples(st.floats(-8, 26), st.floats(-8, 18)), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_every_box_lies_within_the_picture(
    view, places: list[tuple[float, float]], seed: int
) -> None:
    camera = Camera(view)
    stays = [standing(i, x, y) for i, (x, y) in enumerate(places)]
    bodies = people_in_view(camera, np.arange(5.0), stays, np.full(len(stays), 1.8))
    found, kept = detect(camera, bodies, 5.0, Sensing(), np.random.default_rng(seed))
    false = false_positives(camera, 50, Sensing(false_per_frame=0.5), np.random.default_rng(seed))
    for xyxy in (bodies.xyxy, found.xyxy, false.xyxy):
        assert (xyxy[:, :2] <= xyxy[:, 2:]).all()
        assert (xyxy >= 0).all()
        assert (xyxy[:, [0, 2]] <= view.width).all()
        assert (xyxy[:, [1, 3]] <= view.height).all()
    assert ((bodies.visible >= 0) & (bodies.visible <= 1)).all()
    assert (bodies.frame[kept] == found.frame).all()
    assert (found.score >= Sensing().min_score - 1e-9).all()
    assert ((false.frame >= 0) & (false.frame < 50)).all()


def test_people_far_from_the_camera_have_smaller_boxes() -> None:
    bodies = look([standing(0, 9.8, 13.0), standing(1, 13.0, 13.6)], 1)
    heights = bodies.xyxy[:, 3] - bodies.xyxy[:, 1]
    assert bodies.who.tolist() == [0, 1]
    assert heights[0] > 1.3 * heights[1]


def test_who_stands_behind_another_is_hidden_and_missed_more_often() -> None:
    bodies = look([standing(0, 11.4, 13.0), standing(1, 12.1, 13.0)])
    near, far = bodies.visible[bodies.who == 0], bodies.visible[bodies.who == 1]
    assert (near == 1).all()
    assert far.max() < 0.3
    _, kept = detect(AISLE, bodies, 5.0, Sensing(), np.random.default_rng(1))
    found = bodies.who[kept]
    assert np.count_nonzero(found == 0) > 190
    assert np.count_nonzero(found == 1) < np.count_nonzero(found == 0) - 50


def test_somebody_in_plain_view_is_hardly_ever_missed_and_found_where_he_is() -> None:
    bodies = look([standing(0, 11.5, 13.0)])
    found, kept = detect(AISLE, bodies, 5.0, Sensing(), np.random.default_rng(2))
    assert len(kept) > 0.95 * len(bodies)
    inside = hidden_share(found.xyxy, bodies.xyxy[kept])
    assert np.median(inside) > 0.85


def test_false_positives_are_as_frequent_as_asked_for() -> None:
    found = false_positives(AISLE, 20_000, Sensing(false_per_frame=0.05), np.random.default_rng(3))
    assert len(found.frame) == pytest.approx(1000, rel=0.15)


@given(box=st.tuples(st.floats(0, 9), st.floats(0, 9), st.floats(1, 5), st.floats(1, 5)))
def test_a_box_hides_all_of_itself_and_nothing_beside_it(box: tuple[float, ...]) -> None:
    x, y, w, h = box
    one = np.array([[x, y, x + w, y + h]])
    assert hidden_share(one, one)[0] == pytest.approx(1)
    assert hidden_share(one, one + np.array([[w + 1, 0, w + 1, 0]]))[0] == 0
