import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trinetra.detections.vision.align import TEMPLATE
from trinetra.detections.vision.quality import (
    QualityPolicy,
    frontality_of,
    measure,
    unusable_reason,
)

BOX = np.array([0, 0, 112, 112], np.float32)


def textured(brightness=128, blur=0.0):
    noise = np.random.default_rng(0).normal(0, 1, (112, 112, 3))
    relief = cv2.GaussianBlur(noise, (0, 0), 1.0 + blur)
    relief /= cv2.GaussianBlur(noise, (0, 0), 1.0).std()
    return np.clip(brightness * (1 + 0.2 * relief), 0, 255).astype(np.uint8)


def reason(image, landmarks=TEMPLATE, size_px=112.0, min_face_px=32.0):
    judged = measure(image, BOX, landmarks, size_px)
    return unusable_reason(judged, min_face_px, QualityPolicy())


def turned(by):
    landmarks = TEMPLATE.copy()
    landmarks[2, 0] += by
    return landmarks


def test_a_good_face_is_usable():
    assert reason(textured()) is None


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        ("too_small", {"image": textured(), "size_px": 31.9}),
        ("too_dark", {"image": textured(brightness=12)}),
        ("too_bright", {"image": np.full((112, 112, 3), 250, np.uint8)}),
        ("turned_away", {"image": textured(), "landmarks": turned(30)}),
        ("blurred", {"image": textured(blur=6)}),
        ("poor", {"image": textured(), "size_px": 16.2, "min_face_px": 10.0}),
    ],
)
def test_a_face_that_cannot_be_recognized_says_why(expected, arguments):
    assert reason(**arguments) == expected


def test_blur_and_darkness_and_turning_each_lower_the_total():
    best = measure(textured(), BOX, TEMPLATE, 112).quality
    worse = [
        measure(textured(blur=2), BOX, TEMPLATE, 112).quality,
        measure(textured(brightness=40), BOX, TEMPLATE, 112).quality,
        measure(textured(), BOX, turned(12), 112).quality,
        measure(textured(), BOX, TEMPLATE, 40).quality,
    ]
    assert all(quality.total < best.total for quality in worse)


def test_brightness_alone_does_not_make_a_face_sharper():
    dim = measure(textured(brightness=70), BOX, TEMPLATE, 112).quality.sharpness
    lit = measure(textured(brightness=140), BOX, TEMPLATE, 112).quality.sharpness
    assert dim == pytest.approx(lit, abs=0.1)


@given(st.floats(-1, 1), st.floats(0.3, 5))
def test_frontality_does_not_depend_on_roll_or_size(angle, scale):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rolled = (TEMPLATE @ turn.T * scale).astype(np.float32)
    assert frontality_of(rolled) == pytest.approx(frontality_of(TEMPLATE), abs=0.02)


@given(hnp.arrays(np.float32, (5, 2), elements=st.floats(-50, 200, width=16)))
def test_any_landmarks_and_any_box_give_numbers_between_0_and_1(landmarks):
    box = np.array([landmarks[0, 0], landmarks[0, 1], *landmarks.max(axis=0)], np.float32)
    quality = measure(textured(), box, landmarks, 20).quality
    parts = (quality.total, quality.sharpness, quality.frontality, quality.exposure)
    assert all(0 <= part <= 1 for part in parts)
