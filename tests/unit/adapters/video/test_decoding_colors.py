"""Tests that decoded planes have the colors of the scene for every color space of a source."""

from datetime import UTC, datetime
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.servers.clips import bgr_of

from trinetra.adapters.video.decoding import AvPicture, Scalers
from trinetra.values import YuvPlanes

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
PATCH = 16
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)
LIMITED, FULL = 1, 2
MATRICES = {1: BT709, 2: BT601, 5: BT601, 6: BT601}  # 2: unspecified, treated as BT.601
COLOR_LEVELS = 2.5
"""Tolerance of a color: rounding to 8 bits twice, and swscale's integer arithmetic."""


def scene(width: int, height: int, seed: int = 3) -> np.ndarray:
    """Return patches of random colors, as floats."""
    shape = (-(-height // PATCH), -(-width // PATCH), 3)
    colors = np.random.default_rng(seed).integers(30, 226, shape)
    return colors.repeat(PATCH, 0).repeat(PATCH, 1)[:height, :width].astype(float)


def patch_centers(image: np.ndarray) -> np.ndarray:
    """Return one pixel of each complete patch, away from its edges, where colors blend."""
    height, width = (side // PATCH * PATCH for side in image.shape[:2])
    return image[PATCH // 2 : height : PATCH, PATCH // 2 : width : PATCH]


def video_frame(bgr: np.ndarray, matrix: int, color_range: int) -> Any:
    """Return 4:2:0 video of a scene, by the formulas of ITU-R BT.601 and BT.709."""
    (red, blue), (height, width) = MATRICES[matrix], bgr.shape[:2]
    y = bgr @ np.array([blue, 1 - red - blue, red])
    u, v = (bgr[..., 0] - y) / (2 - 2 * blue), (bgr[..., 2] - y) / (2 - 2 * red)
    if color_range == LIMITED:
        y, u, v = y * 219 / 255 + 16, u * 224 / 255, v * 224 / 255
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, (y, u[::2, ::2] + 128, v[::2, ::2] + 128), strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = np.rint(values)
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, color_range
    return frame


def planes_of(frame: Any, width: int, height: int) -> YuvPlanes:
    return AvPicture(frame, START, Scalers()).planes(width, height)


@pytest.mark.parametrize("size", [(128, 96), (97, 101), (331, 187)], ids=str)
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", MATRICES)
def test_video_keeps_its_colors(matrix: int, color_range: int, size: tuple[int, int]) -> None:
    bgr = scene(*size)
    shown = bgr_of(planes_of(video_frame(bgr, matrix, color_range), *size))
    error = np.abs(patch_centers(shown) - patch_centers(bgr))
    assert error.mean(axis=(0, 1)).max() < COLOR_LEVELS


@pytest.mark.parametrize("matrix", [1, 6])
def test_scaling_does_not_change_colors(matrix: int) -> None:
    bgr = scene(256, 192)
    half = bgr_of(planes_of(video_frame(bgr, matrix, LIMITED), 128, 96))
    error = np.abs(half[4::8, 4::8] - patch_centers(bgr))
    assert error.mean(axis=(0, 1)).max() < 2 * COLOR_LEVELS


@pytest.mark.parametrize("pixels", ["bgr24", "rgb24", "bgra", "gbrp", "yuv444p", "yuvj422p"])
def test_pictures_of_other_kinds_keep_their_colors(pixels: str) -> None:
    bgr = scene(97, 101)
    frame = av.VideoFrame.from_ndarray(bgr.astype(np.uint8), format="bgr24").reformat(format=pixels)
    error = np.abs(patch_centers(bgr_of(planes_of(frame, 97, 101))) - patch_centers(bgr))
    assert error.mean(axis=(0, 1)).max() < COLOR_LEVELS


def test_a_gray_picture_is_gray() -> None:
    levels = scene(96, 64)[..., 0].astype(np.uint8)
    y, u, v = planes_of(av.VideoFrame.from_ndarray(levels, format="gray"), 96, 64)
    assert np.abs(y.astype(int) - levels).max() <= 1
    assert set(np.unique([u, v])) == {128}


@settings(max_examples=30, deadline=None)
@given(*[st.integers(16, 200)] * 2, *[st.integers(1, 200)] * 2)
def test_any_size_scales_to_any(width: int, height: int, to_width: int, to_height: int) -> None:
    planes = planes_of(video_frame(scene(width, height), 6, LIMITED), to_width, to_height)
    half = ((to_height + 1) // 2, (to_width + 1) // 2)
    assert [plane.shape for plane in planes] == [(to_height, to_width), half, half]
