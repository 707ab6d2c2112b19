"""Tests for the appearance descriptor: mean colors of stripes of a person's box."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision.appearance import STRIPES, TAG, describe

GRAY = 128


def picture(upper: tuple[int, int, int], lower: tuple[int, int, int]) -> np.ndarray:
    """Return a picture with one color (BGR) in its upper half and another in its lower half."""
    image = np.empty((120, 80, 3), np.uint8)
    image[:60], image[60:] = upper, lower
    return image


def stripes(description: bytes) -> np.ndarray:
    return np.frombuffer(description[1:], np.uint8).reshape(STRIPES, 3).astype(int)


def one(image: np.ndarray, *box: float) -> bytes:
    [description] = describe(image, np.array([box], np.float32))
    return description


def test_a_description_has_a_tag_and_three_bytes_a_stripe() -> None:
    description = one(picture((10, 10, 10), (200, 200, 200)), 10, 0, 70, 120)
    assert description[0] == TAG
    assert len(description) == 1 + 3 * STRIPES


def test_shirt_and_trousers_are_told_apart_from_head_to_feet() -> None:
    seen = stripes(one(picture((20, 20, 180), (150, 40, 40)), 10, 0, 70, 120))
    assert (seen[:3, 1] > GRAY + 50).all()  # a red shirt
    assert (seen[3:, 1] < GRAY - 50).all()  # blue trousers
    assert np.ptp(seen[:3], axis=0).max() == np.ptp(seen[3:], axis=0).max() == 0


def test_gray_has_no_color_and_is_as_bright_as_it_is() -> None:
    dark, light = (stripes(one(picture((v, v, v), (v, v, v)), 0, 0, 80, 120)) for v in (25, 225))
    assert (dark[:, 1:] == GRAY).all()
    assert (light[:, 1:] == GRAY).all()
    assert (dark[:, 0] == 80).all()  # 16 * sqrt(25)
    assert (light[:, 0] == 240).all()


def test_light_of_half_the_strength_changes_brightness_more_than_color() -> None:
    full = stripes(one(picture((60, 100, 200), (60, 100, 200)), 0, 0, 80, 120))
    half = stripes(one(picture((30, 50, 100), (30, 50, 100)), 0, 0, 80, 120))
    assert abs(full - half)[:, 1:].max() < abs(full - half)[:, 0].min()


@given(
    st.lists(
        st.tuples(*[st.floats(-200, 400, width=32)] * 2, *[st.floats(0, 500, width=32)] * 2),
        min_size=1,
        max_size=5,
    )
)
def test_any_box_has_a_description_wherever_it_lies(
    boxes: list[tuple[float, float, float, float]],
) -> None:
    image = picture((0, 128, 255), (255, 128, 0))
    xyxy = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32)
    assert [len(found) for found in describe(image, xyxy)] == [1 + 3 * STRIPES] * len(boxes)


def test_no_boxes_have_no_descriptions() -> None:
    assert describe(picture((0, 0, 0), (0, 0, 0)), np.zeros((0, 4), np.float32)) == []
