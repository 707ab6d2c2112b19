"""Regions of a picture are reduced so far that nothing can be recognized, whatever their boxes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trinetra.values import Frame, Letterbox
from trinetra.web.live.redaction import (
    Label,
    Regions,
    cover,
    draw,
    hide_people,
    open_content,
    smaller,
    to_jpeg,
)

SIDES = st.floats(-3000, 3000, width=32)
BOXES = st.tuples(SIDES, SIDES, SIDES, SIDES)


def noise(height: int = 120, width: int = 200) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


@given(st.lists(BOXES, max_size=5), st.lists(BOXES, max_size=5))
def test_boxes_of_any_numbers_are_drawn_and_hidden(people: list, faces: list) -> None:
    image = noise()
    hide_people(image, Regions(people, faces, faces), 0.5)
    draw(image, [Label(box, "a", "watchlist") for box in people], 0.5)
    assert image.shape == (120, 200, 3)


@given(st.integers(0, 150), st.integers(0, 80), st.integers(1, 300), st.integers(1, 300))
def test_a_hidden_face_has_at_most_six_by_six_colors(x: int, y: int, w: int, h: int) -> None:
    image = noise()
    before = image.copy()
    hide_people(image, Regions(faces=[(x, y, x + w, y + h)]), 1.0)
    changed = (image != before).any(axis=2)
    colors = np.unique(image[changed].reshape(-1, 3), axis=0)
    assert len(colors) <= 36
    rows, columns = np.nonzero(changed)
    inside = image[y : y + h, x : x + w]
    if min(inside.shape[:2]) > 6:
        assert rows.min() <= y
        assert columns.min() <= x


def test_of_a_person_only_the_upper_part_is_hidden() -> None:
    image = noise()
    before = image.copy()
    hide_people(image, Regions(people=[(50, 10, 80, 110)]), 1.0)
    changed = (image != before).any(axis=2)
    assert changed[10:32, 50:80].mean() > 0.95
    assert not changed[45:].any()


def test_of_a_person_who_is_cut_off_below_more_is_hidden() -> None:
    image = noise()
    before = image.copy()
    hide_people(image, Regions(people=[(50, 60, 150, 120)]), 1.0)
    assert (image != before).any(axis=2)[60:110, 50:150].mean() > 0.95


def test_a_covered_picture_has_few_blocks() -> None:
    image, coarse = noise(360, 640), noise(360, 640)
    cover(image)
    cover(coarse, is_coarse=True)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) <= 24 * 14
    assert len(np.unique(coarse.reshape(-1, 3), axis=0)) <= 96 * 54


def test_padding_is_cut_off_and_a_small_picture_keeps_its_shape() -> None:
    square = np.zeros((640, 640, 3), np.uint8)
    square[140:500] = 200
    frame = Frame(
        camera_id="door",
        seq=1,
        captured_at=None,
        width=1280,
        height=720,
        letterbox=Letterbox.fit(1280, 720, 640),
        jpeg=to_jpeg(square),
    )
    content = open_content(frame)
    assert content.shape == (360, 640, 3)
    assert content.mean() > 190
    assert smaller(content, 320)[0].shape == (180, 320, 3)
    assert smaller(content, 1000)[1] == 1.0
