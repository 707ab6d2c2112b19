"""The second look at a face: its geometry, and which face of the crop is meant."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.closer_look import closer_look, landmarks_in
from trinetra.values import Faces, no_faces

POINTS = np.array([[40, 50], [88, 50], [64, 70], [46, 90], [82, 90]], np.float32)


def faces(*centers):
    """Return faces of 64 pixels around these centers, the landmarks of the n-th moved by n."""
    middle = np.array(centers, np.float32)
    marks = np.stack([POINTS + n for n in range(len(centers))])
    return Faces(np.hstack([middle - 32, middle + 32]), np.ones(len(centers), np.float32), marks)


def marked(x, y, side=400):
    image = np.zeros((side, side, 3), np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


@given(x=st.integers(60, 340), y=st.integers(60, 340), side=st.integers(16, 120))
def test_a_point_of_the_crop_is_the_same_point_of_the_picture(x, y, side):
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    look = closer_look(marked(x, y), box)
    rows, columns = np.nonzero(look.crop[..., 0] > 60)
    found = look.origin + look.step * np.array([columns.mean(), rows.mean()], np.float32)
    assert found == pytest.approx([x, y], abs=max(1.0, 1.5 * float(look.step)))


def test_a_face_fills_half_of_the_crop_also_at_the_edge_of_the_picture():
    box = np.array([-10, 380, 30, 420], np.float32)
    look = closer_look(marked(10, 390), box)
    assert look.crop.shape == (128, 128, 3)
    assert look.step == pytest.approx(2 * 40 / 128)


def test_landmarks_are_told_in_pixels_of_the_picture():
    look = closer_look(marked(200, 200), np.array([180, 180, 220, 220], np.float32))
    points = landmarks_in(look, faces((64, 64)))
    assert points == pytest.approx(POINTS * 0.625 + 160, abs=1e-3)


def test_of_two_faces_in_the_crop_the_one_in_the_middle_is_meant():
    look = closer_look(marked(200, 200), np.array([180, 180, 220, 220], np.float32))
    points = landmarks_in(look, faces((100, 64), (66, 60)))
    assert points == pytest.approx((POINTS + 1) * 0.625 + 160, abs=1e-3)


@pytest.mark.parametrize("found", [no_faces(), faces((64 + 33, 64)), faces((64, 64 - 33))])
def test_without_a_face_in_the_middle_there_are_no_landmarks(found):
    look = closer_look(marked(200, 200), np.array([180, 180, 220, 220], np.float32))
    assert landmarks_in(look, found) is None
