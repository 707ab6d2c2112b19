from datetime import UTC, datetime

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.servers.clips import bgr_of

from trinetra.frames.encode import Encoder, EncodingConfig, to_jpeg
from trinetra.values import CameraId, Frame, Letterbox, YuvPlanes

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
CAMERA = CameraId("door")
COLOR = (96, 180, 90)


class Plain:
    """A picture of one color, given as Y, U and V."""

    def __init__(self, width: int, height: int, color: tuple[int, int, int] = COLOR) -> None:
        self.width, self.height, self.color = width, height, color

    def planes(self, width: int, height: int) -> YuvPlanes:
        y, u, v = self.color
        half = ((height + 1) // 2, (width + 1) // 2)
        return YuvPlanes(
            np.full((height, width), y, np.uint8),
            np.full(half, u, np.uint8),
            np.full(half, v, np.uint8),
        )


def encoded(width: int, height: int, config: EncodingConfig) -> Frame:
    return Encoder(CAMERA, config).encode(7, START, Plain(width, height))


def pixels(jpeg: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(jpeg, "BGR").astype(int)


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 4000), st.integers(16, 4000))
def test_the_picture_lies_where_the_letterbox_says_and_the_rest_is_padding(
    width: int, height: int
) -> None:
    frame = encoded(width, height, EncodingConfig(side=128, quality=100, pad_level=9))
    square, box = pixels(frame.jpeg), frame.letterbox
    rows, columns = np.nonzero(np.abs(square - 9).max(axis=2) > 40)
    assert square.shape == (128, 128, 3)
    assert (columns.min(), rows.min()) == (box.pad_x, box.pad_y)
    corners = box.to_boxed(np.array([[0, 0], [width, height]], np.float32))
    assert columns.max() + 1 == pytest.approx(corners[1, 0], abs=1.5)
    assert rows.max() + 1 == pytest.approx(corners[1, 1], abs=1.5)


@given(st.integers(16, 4000), st.integers(16, 4000))
def test_the_picture_is_centered_and_begins_with_a_whole_color_sample(
    width: int, height: int
) -> None:
    box = encoded(width, height, EncodingConfig(side=128)).letterbox
    centered = Letterbox.fit(width, height, 128)
    assert box.pad_x % 2 == box.pad_y % 2 == 0
    assert 0 <= centered.pad_x - box.pad_x <= 1
    assert 0 <= centered.pad_y - box.pad_y <= 1


def test_the_jpeg_is_the_square_in_the_right_colors() -> None:
    image = pixels(encoded(1280, 720, EncodingConfig()).jpeg)
    assert image.shape == (640, 640, 3)
    assert image[320, 320] == pytest.approx(bgr_of(Plain(1, 1).planes(1, 1))[0, 0], abs=3)
    assert image[5, 320] == pytest.approx([0, 0, 0], abs=3)


def test_nothing_is_left_of_an_earlier_picture_of_another_shape() -> None:
    encoder = Encoder(CAMERA, EncodingConfig(side=128))
    encoder.encode(1, START, Plain(400, 300))
    fresh = Encoder(CAMERA, EncodingConfig(side=128))
    portrait = Plain(300, 400)
    assert encoder.encode(2, START, portrait) == fresh.encode(2, START, portrait)


def test_a_frame_says_where_when_and_how_large_it_was() -> None:
    frame = encoded(1280, 720, EncodingConfig())
    assert (frame.camera_id, frame.seq, frame.captured_at) == (CAMERA, 7, START)
    assert (frame.width, frame.height) == (1280, 720)
    assert frame.letterbox == Letterbox.fit(1280, 720, 640)


def test_no_native_picture_is_kept_unless_asked_for() -> None:
    assert encoded(1280, 720, EncodingConfig()).native_jpeg is None


@pytest.mark.parametrize(
    ("native", "kept"),
    [
        ((1280, 720), (1280, 720)),
        ((3840, 2160), (1920, 1080)),
        ((1080, 3840), (540, 1920)),
        ((331, 187), (331, 187)),
    ],
)
def test_the_native_picture_is_bounded_and_its_scale_told(
    native: tuple[int, int], kept: tuple[int, int]
) -> None:
    frame = encoded(*native, EncodingConfig(keeps_native=True))
    assert frame.native_jpeg is not None
    height, width, *_ = simplejpeg.decode_jpeg_header(frame.native_jpeg)
    assert (width, height) == kept
    assert frame.native_scale == pytest.approx(kept[0] / native[0])


@given(*[st.integers(1, 40)] * 2, *[st.integers(0, 255)] * 3)
def test_a_picture_of_any_size_keeps_its_colors_in_jpeg(
    width: int, height: int, y: int, u: int, v: int
) -> None:
    planes = Plain(width, height, (y, u, v)).planes(width, height)
    image = pixels(to_jpeg(planes, 95))
    assert image.shape == (height, width, 3)
    assert np.abs(image - bgr_of(planes)).max() <= 8


@pytest.mark.parametrize("size", [(31, 33), (32, 33), (31, 32)], ids=str)
def test_the_encoder_sees_no_memory_behind_an_odd_picture(size: tuple[int, int]) -> None:
    width, height = size
    _, u, v = Plain(width, height).planes(width, height)
    jpegs = set()
    for behind in (0, 255):
        memory = np.full(4 * width * height, behind, np.uint8)
        y = memory[: width * height].reshape(height, width)
        y[:] = 100
        jpegs.add(to_jpeg(YuvPlanes(y, u, v), 95))
    assert len(jpegs) == 1
