"""Bodies in view of a camera."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.twin.camera import Camera
from trinetra.twin.people import Person
from trinetra.twin.sensing import NO_ROW, Bodies, hidden_share, people_in_view
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


def test_people_far_from_the_camera_have_smaller_boxes() -> None:
    bodies = look([standing(0, 9.8, 13.0), standing(1, 13.0, 13.6)], 1)
    heights = bodies.xyxy[:, 3] - bodies.xyxy[:, 1]
    assert bodies.who.tolist() == [0, 1]
    assert heights[0] > 1.3 * heights[1]


def test_a_person_behind_another_is_hidden_by_that_person() -> None:
    bodies = look([standing(0, 11.4, 13.0), standing(1, 12.1, 13.0)])
    near, far = bodies.who == 0, bodies.who == 1
    assert (bodies.visible[near] == 1).all()
    assert bodies.visible[far].max() < 0.3
    assert (bodies.hider[near] == NO_ROW).all()
    assert (bodies.who[bodies.hider[far]] == 0).all()


@given(box=st.tuples(st.floats(0, 9), st.floats(0, 9), st.floats(1, 5), st.floats(1, 5)))
def test_a_box_hides_all_of_itself_and_nothing_beside_it(box: tuple[float, ...]) -> None:
    x, y, w, h = box
    one = np.array([[x, y, x + w, y + h]])
    assert hidden_share(one, one)[0] == pytest.approx(1)
    assert hidden_share(one, one + np.array([[w + 1, 0, w + 1, 0]]))[0] == 0
