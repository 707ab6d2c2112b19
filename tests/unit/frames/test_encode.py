from datetime import UTC, datetime

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from trinetra.frames.encode import EncodingConfig, boxed, encode
from trinetra.values import CameraId, Frame, ImageBgr, Letterbox

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
CAMERA = CameraId("door")


class Plain:
    """A picture of one colour."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height

    def bgr(self, width: int, height: int) -> ImageBgr:
        return np.full((height, width, 3), (200, 100, 50), np.uint8)


def encoded(width: int, height: int, config: EncodingConfig) -> Frame:
    return encode(CAMERA, 7, START, Plain(width, height), config)


@settings(max_examples=40)
@given(st.integers(16, 4000), st.integers(16, 4000))
def test_the_picture_lies_where_the_letterbox_says_and_the_rest_is_padding(
    width: int, height: int
) -> None:
    box = Letterbox.fit(width, height, 128)
    square = boxed(Plain(width, height), box, EncodingConfig(side=128, pad_level=9))
    rows, columns = np.nonzero((square != 9).any(axis=2))
    assert square.shape == (128, 128, 3)
    assert (columns.min(), rows.min()) == (box.pad_x, box.pad_y)
    corners = box.to_boxed(np.array([[0, 0], [width, height]], np.float32))
    assert columns.max() + 1 == pytest.approx(corners[1, 0], abs=1.0)
    assert rows.max() + 1 == pytest.approx(corners[1, 1], abs=1.0)


def test_the_jpeg_is_the_square_in_the_right_colours() -> None:
    frame = encoded(1280, 720, EncodingConfig())
    image = simplejpeg.decode_jpeg(frame.jpeg, "BGR")
    assert image.shape == (640, 640, 3)
    assert image[320, 320] == pytest.approx([200, 100, 50], abs=3)
    assert image[5, 320] == pytest.approx([0, 0, 0], abs=3)


def test_a_frame_says_where_when_and_how_large_it_was() -> None:
    frame = encoded(1280, 720, EncodingConfig())
    assert (frame.camera_id, frame.seq, frame.captured_at) == (CAMERA, 7, START)
    assert (frame.width, frame.height) == (1280, 720)
    assert frame.letterbox == Letterbox.fit(1280, 720, 640)


def test_no_native_picture_is_kept_unless_asked_for() -> None:
    assert encoded(1280, 720, EncodingConfig()).native_jpeg is None


@pytest.mark.parametrize(
    ("native", "kept"),
    [((1280, 720), (1280, 720)), ((3840, 2160), (1920, 1080)), ((1080, 3840), (540, 1920))],
)
def test_the_native_picture_is_bounded_and_its_scale_told(
    native: tuple[int, int], kept: tuple[int, int]
) -> None:
    frame = encoded(*native, EncodingConfig(keeps_native=True))
    assert frame.native_jpeg is not None
    height, width, *_ = simplejpeg.decode_jpeg_header(frame.native_jpeg)
    assert (width, height) == kept
    assert frame.native_scale == pytest.approx(kept[0] / native[0])
