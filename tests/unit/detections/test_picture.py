import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision.picture import PictureLimits, decode, open_picture
from trinetra.errors import FrameRejected
from trinetra.values import EPOCH, CameraId, Frame, Letterbox

LIMITS = PictureLimits()


def jpeg(width, height, value=128):
    return simplejpeg.encode_jpeg(np.full((height, width, 3), value, np.uint8), 90, "BGR")


def bomb(width, height):
    """Return a small JPEG whose header announces a huge picture."""
    small = bytearray(jpeg(32, 32))
    size_at = small.index(b"\xff\xc0") + 5
    small[size_at : size_at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(small)


def frame(width=480, height=270, picture=None, native=None, **changes):
    fields = {"letterbox": Letterbox.fit(width, height, 640), "native_scale": 1.0, **changes}
    picture = jpeg(640, 640) if picture is None else picture
    return Frame(
        CameraId("door"), 1, EPOCH, width, height, jpeg=picture, native_jpeg=native, **fields
    )


@given(st.integers(16, 4000), st.integers(16, 4000))
def test_the_content_is_what_the_letterbox_was_filled_with(width, height):
    box = Letterbox.fit(width, height, 640)
    filled = np.zeros((640, 640, 3), np.uint8)
    rows = slice(int(box.pad_y), int(box.pad_y) + max(1, round(height * box.scale)))
    columns = slice(int(box.pad_x), int(box.pad_x) + max(1, round(width * box.scale)))
    filled[rows, columns] = 200
    packed = simplejpeg.encode_jpeg(filled, 95, "BGR", "444")
    picture = open_picture(frame(width, height, packed), LIMITS)
    assert picture.content.shape == filled[rows, columns].shape
    assert picture.content.mean() > 150


def test_a_point_of_the_content_is_found_in_the_native_image():
    picture = open_picture(frame(1920, 1080), LIMITS)
    corner = np.array([[picture.content.shape[1], picture.content.shape[0]]], np.float32)
    assert picture.to_native(corner)[0] == pytest.approx([1920, 1080])


@pytest.mark.parametrize(
    ("reason", "payload"),
    [
        ("undecodable", b""),
        ("undecodable", b"not a picture"),
        ("undecodable", jpeg(640, 640)[:200]),
        ("undecodable", jpeg(640, 640)[:-700]),
        ("too_small", jpeg(1, 1)),
        ("too_large", bomb(65000, 65000)),
        ("too_large", bomb(7680, 4320)),
    ],
)
def test_a_picture_that_cannot_be_used_is_rejected_with_a_reason(reason, payload):
    for poisoned in (frame(picture=payload), frame(native=payload)):
        with pytest.raises(FrameRejected) as rejection:
            decode(open_picture(poisoned, LIMITS).frame.native_jpeg or b"", LIMITS)
        assert rejection.value.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"letterbox": Letterbox(float("nan"), 0.0, 140.0)},
        {"letterbox": Letterbox(0.0, 0.0, 140.0)},
        {"letterbox": Letterbox(1.0, float("inf"), 0.0)},
        {"letterbox": Letterbox(1.0, -5.0, 0.0)},
        {"letterbox": Letterbox(1e300, 0.0, 0.0)},
        {"letterbox": Letterbox(1.4, 0.0, 140.0)},
        {"native_scale": float("nan")},
        {"native_scale": 0.0},
        {"width": 0},
        {"height": -3},
    ],
)
def test_a_frame_whose_geometry_is_off_is_rejected(changes):
    with pytest.raises(FrameRejected, match="letterbox"):
        open_picture(frame(**{"letterbox": Letterbox.fit(480, 270, 640), **changes}), LIMITS)
