"""Regions of text out of probability maps, upright crops, and characters out of slots."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision.plates import (
    TextRegions,
    characters,
    clockwise,
    straightened,
    text_regions,
    with_margin,
)
from trinetra.errors import EngineFailure

HOW = TextRegions()
ALPHABET = "0123AB_"


def map_with(*rects, size=(200, 300), value=0.9):
    """Return a probability map with rotated rectangles of text."""
    marked = np.zeros(size, np.float32)
    for rect in rects:
        cv2.fillPoly(marked, [cv2.boxPoints(rect).astype(np.int32)], value)
    return marked


@given(
    st.floats(60, 240), st.floats(50, 150), st.floats(40, 90), st.floats(12, 30), st.floats(-25, 25)
)
def test_a_rotated_rectangle_is_found_and_enlarged_about_its_center(x, y, width, height, angle):
    (region,) = text_regions(map_with(((x, y), (width, height), angle)), HOW)
    assert region.corners.mean(axis=0) == pytest.approx([x, y], abs=2)
    along = np.linalg.norm(region.corners[1] - region.corners[0])
    down = np.linalg.norm(region.corners[3] - region.corners[0])
    margin = width * height * HOW.unclip_ratio / (2 * (width + height))
    assert along == pytest.approx(width + 2 * margin, abs=7)  # a pixel of the map more, enlarged
    assert down == pytest.approx(height + 2 * margin, abs=7)  # a pixel of the map more, enlarged


def test_nothing_is_found_in_an_empty_map_a_faint_one_and_one_of_specks():
    assert text_regions(np.zeros((64, 64), np.float32), HOW) == []
    assert text_regions(map_with(((150, 100), (80, 20), 0), value=0.4), HOW) == []
    specks = np.zeros((64, 64), np.float32)
    specks[10, 10] = specks[40, 40] = 1.0
    assert text_regions(specks, HOW) == []


def test_a_picture_full_of_text_has_a_bounded_number_of_regions_surest_first():
    marked = np.zeros((640, 640), np.float32)
    for number, (y, x) in enumerate((y, x) for y in range(20, 620, 60) for x in range(20, 600, 60)):
        marked[y : y + 10, x : x + 30] = 0.6 + 0.004 * number
    regions = text_regions(marked, HOW)
    assert len(regions) == 20
    scores = [region.score for region in regions]
    assert scores == sorted(scores, reverse=True)
    assert regions[0].corners.mean(axis=0) == pytest.approx([575, 565], abs=2)


@given(st.floats(-30, 30), st.permutations(range(4)), st.floats(30, 100), st.floats(5, 25))
def test_corners_begin_top_left_and_go_clockwise(angle, order, width, height):
    corners = np.asarray(cv2.boxPoints(((150, 100), (width, height), angle)), np.float32)
    top_left, top_right, bottom_right, bottom_left = clockwise(corners[list(order)])
    (ax, ay), (bx, by) = top_right - top_left, bottom_left - top_left
    assert ax * by - ay * bx > 0
    assert top_left + bottom_right == pytest.approx(top_right + bottom_left, abs=0.01)


def test_a_margin_is_a_share_of_each_side():
    corners = np.array([[10, 10], [110, 10], [110, 60], [10, 60]], np.float32)
    grown = with_margin(corners, 0.1)
    assert grown.tolist() == [[0, 5], [120, 5], [120, 65], [0, 65]]
    assert with_margin(corners, 0.0).tolist() == corners.tolist()


def test_a_tilted_plate_is_upright_in_its_crop():
    image = np.zeros((200, 300, 3), np.uint8)
    rect = ((150, 100), (100, 40), 15)
    left = cv2.boxPoints(rect)
    cv2.fillPoly(image, [left.astype(np.int32)], (255, 255, 255))
    crop = straightened(image, clockwise(np.asarray(left, np.float32)), 64, 32)
    assert crop.shape == (32, 64, 3)
    assert crop[4:-4, 4:-4].min() > 200


def slots(text, confidence=0.9, count=6):
    out = np.full((1, count, len(ALPHABET)), (1 - confidence) / (len(ALPHABET) - 1), np.float32)
    for slot, letter in enumerate(text.ljust(count, "_")):
        out[0, slot, ALPHABET.index(letter)] = confidence
    return out


@given(st.text("0123AB", max_size=6), st.floats(0.5, 1.0))
def test_characters_are_read_without_their_padding(text, confidence):
    (read,) = characters(slots(text, confidence), ALPHABET)
    assert read.text == text
    assert read.confidences == pytest.approx([confidence] * len(text), abs=1e-6)


def test_another_alphabet_is_an_engine_failure():
    with pytest.raises(EngineFailure, match="alphabet in the manifest"):
        characters(slots("01"), ALPHABET + "C")
    with pytest.raises(EngineFailure, match="alphabet in the manifest"):
        characters(slots("01")[0], ALPHABET)
