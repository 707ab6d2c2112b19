import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision.align import SIDE, TEMPLATE, align, similarity


def moved(angle, scale, dx, dy):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (scale * TEMPLATE @ turn.T + [dx, dy]).astype(np.float32)


@given(st.floats(-3, 3), st.floats(0.2, 8), st.floats(-900, 900), st.floats(-900, 900))
def test_a_face_turned_scaled_and_shifted_returns_to_the_template(angle, scale, dx, dy):
    landmarks = moved(angle, scale, dx, dy)
    matrix = similarity(landmarks[None])[0]
    restored = landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert restored == pytest.approx(TEMPLATE, abs=0.05)


def test_the_fit_is_as_good_as_a_general_least_squares_solution():
    landmarks = TEMPLATE * 2 + np.random.default_rng(0).normal(0, 3, (5, 2)).astype(np.float32)
    design = np.zeros((10, 4))
    design[0::2] = np.column_stack([landmarks[:, 0], -landmarks[:, 1], np.ones(5), np.zeros(5)])
    design[1::2] = np.column_stack([landmarks[:, 1], landmarks[:, 0], np.zeros(5), np.ones(5)])
    a, b, tx, ty = np.linalg.lstsq(design, TEMPLATE.ravel(), rcond=None)[0]
    expected = np.array([[a, -b, tx], [b, a, ty]])
    assert similarity(landmarks[None])[0] == pytest.approx(expected, abs=1e-3)


def test_landmarks_in_one_point_yield_a_finite_matrix():
    assert np.isfinite(similarity(np.full((1, 5, 2), 7, np.float32))).all()


def test_no_faces_yield_no_matrices():
    assert similarity(np.zeros((0, 5, 2), np.float32)).shape == (0, 2, 3)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.9, 2.5, 7.0])
def test_a_face_of_any_size_is_cut_out_where_its_landmarks_are(scale):
    pattern = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8), (0, 0), 4
    )
    size = round(SIDE * scale)
    picture = np.zeros((1000, 1000, 3), np.uint8)
    picture[90 : 90 + size, 60 : 60 + size] = cv2.resize(pattern, (size, size))
    landmarks = (TEMPLATE * scale + [60, 90]).astype(np.float32)
    face = align(picture, similarity(landmarks[None])[0])
    inner = slice(4, -4)
    difference = np.abs(face.astype(int) - pattern)[inner, inner]
    assert face.shape == (SIDE, SIDE, 3)
    assert difference.mean() < 2


def test_a_large_face_is_averaged_rather_than_sampled():
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)
    face = align(noise, similarity((TEMPLATE * 8)[None])[0])
    assert face.std() < noise.std() / 4


def test_a_face_outside_the_image_is_black():
    picture = np.full((50, 50, 3), 255, np.uint8)
    far = (TEMPLATE * 4 + 500).astype(np.float32)
    assert align(picture, similarity(far[None])[0]).max() == 0
