import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision.tiles import Tile, grid, join, magnification, passes, tiles
from trinetra.values import Detections, no_detections

sides = st.integers(16, 4096)
counts = st.integers(2, 4)
WIDTH, HEIGHT = 640, 480


def found(*boxes, score=0.9, label="person"):
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), score, np.float32),
        (label,) * len(boxes),
    )


def joined(by_tile):
    """Join what was found in some of the tiles of a picture in 2 x 2 tiles."""
    parts = tiles(WIDTH, HEIGHT, 2)
    return join(parts, [by_tile.get(index, no_detections()) for index in range(len(parts))])


def in_tile(index, box):
    """Return a box of the picture in pixels of one of its tiles."""
    part = tiles(WIDTH, HEIGHT, 2)[index]
    return [side - [part.left, part.top][at % 2] for at, side in enumerate(box)]


@given(sides, sides, counts)
def test_tiles_cover_the_picture_and_follow_the_whole_of_it(width, height, along):
    whole, *parts = tiles(width, height, along)
    assert whole == Tile(0, 0, width, height)
    seen = np.zeros((height, width), bool)
    for part in parts:
        assert 0 <= part.left < part.right <= width
        assert 0 <= part.top < part.bottom <= height
        part.of(seen)[:] = True
    assert seen.all()
    assert len(parts) + 1 == passes(width, height, along)


@given(st.integers(200, 4096), counts)
def test_neighboring_tiles_have_a_fifth_of_their_side_in_common(width, along):
    _, first, second, *_ = tiles(width, width // 2, along)
    side = first.right - first.left
    assert first.right - second.left == pytest.approx(side / 5, abs=2)
    assert side == pytest.approx(width / magnification(along), abs=1)


@given(sides, sides)
def test_one_tile_is_the_whole_picture_alone(width, height):
    assert tiles(width, height, 1) == [Tile(0, 0, width, height)]
    assert passes(width, height, 1) == 1


@pytest.mark.parametrize(
    ("size", "along", "expected"),
    [
        ((1920, 1080), 2, (2, 1)),
        ((1920, 1080), 3, (3, 2)),
        ((1080, 1920), 3, (2, 3)),
        ((640, 480), 2, (2, 2)),
        ((4000, 100), 4, (4, 1)),
    ],
)
def test_tiles_are_about_square(size, along, expected):
    assert grid(*size, along) == expected


def test_what_is_found_in_the_whole_picture_alone_stays_as_it_is():
    alone = found([1, 2, 3, 4])
    assert join(tiles(WIDTH, HEIGHT, 1), [alone]) is alone


def test_a_person_in_a_tile_is_reported_in_pixels_of_the_picture():
    box = [500, 300, 520, 350]
    (best,) = joined({4: found(in_tile(4, box))}).xyxy.tolist()
    assert best == box


def test_a_person_who_is_found_more_than_once_is_reported_once_with_the_best_box():
    seen = joined(
        {
            0: found([300, 200, 322, 250], score=0.5),
            1: found(in_tile(1, [301, 200, 321, 250]), score=0.6),
            2: found(in_tile(2, [302, 201, 321, 251]), score=0.8),
        }
    )
    assert seen.xyxy.tolist() == [[302, 201, 321, 251]]
    assert seen.score.tolist() == pytest.approx([0.8])


def test_people_next_to_each_other_stay_two():
    boxes = [[300, 200, 320, 250], [312, 200, 332, 250]]
    assert len(joined({0: found(boxes[0]), 1: found(in_tile(1, boxes[1]))})) == 2


def test_objects_of_different_kinds_at_one_place_stay_two():
    box = [300, 200, 320, 250]
    both = joined({0: found(box), 1: found(in_tile(1, box), label="bicycle", score=0.7)})
    assert both.label == ("person", "bicycle")


@pytest.mark.parametrize(
    ("tile", "box"),
    [
        (1, [340, 10, 355, 60]),
        (2, [285, 10, 300, 60]),
        (1, [10, 240, 30, 266]),
        (3, [10, 215, 30, 260]),
    ],
)
def test_a_person_whom_the_inner_border_of_a_tile_cuts_off_is_left_out(tile, box):
    assert len(joined({tile: found(in_tile(tile, box))})) == 0


@pytest.mark.parametrize("box", [[0, 0, 20, 50], [0, 200, 20, 230]])
def test_a_person_at_the_border_of_the_picture_stays(box):
    assert joined({1: found(box)}).xyxy.tolist() == [box]


def test_no_detection_in_any_tile_is_no_detection():
    assert len(joined({})) == 0
