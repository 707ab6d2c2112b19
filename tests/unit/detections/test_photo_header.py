"""Tests for the size of photos before they are decoded: bombs, formats and damage."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.photo_face import decode_photo, need_a_photo
from trinetra.detections.vision.photo_header import photo_header
from trinetra.errors import PhotoRejected

IMAGE = np.random.default_rng(1).integers(0, 255, (30, 40, 3)).astype(np.uint8)


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, IMAGE, list(options))[1].tobytes()


def png_of(width: int, height: int) -> bytes:
    """Return the beginning of a PNG that declares so many pixels."""
    fields = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + fields + struct.pack(">I", zlib.crc32(fields))


@pytest.mark.parametrize(
    "content",
    [
        encoded(".jpg"),
        encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encoded(".png"),
        encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
        encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
    ],
)
def test_the_header_tells_the_size_that_the_decoder_returns(content: bytes) -> None:
    header = photo_header(content)
    assert header is not None
    assert (header.height, header.width) == decode_photo("a", content).shape[:2] == (30, 40)


def test_a_webp_with_metadata_has_its_canvas_as_its_size() -> None:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\x27\0\0\x1d\0\0"
    content = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    assert photo_header(content) == ("WebP", 40, 30, 1)


@pytest.mark.parametrize("check", [need_a_photo, decode_photo])
def test_a_bomb_is_refused_by_what_its_header_declares(check: object) -> None:
    with pytest.raises(PhotoRejected, match="40000 x 40000 pixels, the maximum is 64 million"):
        check("bomb.png", png_of(40_000, 40_000))  # type: ignore[operator]


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    content = encoded(".jpg")
    with pytest.raises(PhotoRejected, match="a JPEG of 501 scans"):
        need_a_photo("bomb.jpg", content + b"\xff\xda\0\x02" * 500)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8", b"BM" + bytes(60), b"<svg/>"])
def test_what_is_no_photo_is_refused(content: bytes) -> None:
    with pytest.raises(PhotoRejected, match="use a JPEG, PNG or WebP"):
        need_a_photo("a.jpg", content)


@given(st.sampled_from([encoded(".jpg"), encoded(".png"), encoded(".webp")]), st.data())
def test_no_damage_makes_the_reader_of_headers_fail(content: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(content)))
    noise = data.draw(st.binary(max_size=20))
    photo_header(content[:cut] + noise + content[cut + len(noise) :])
