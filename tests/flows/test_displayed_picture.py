"""Sources give the best stream's picture as players display it: upright, with square pixels."""

import struct
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from tests.servers.clips import bgr_of, jpeg, mark, picture, read_mark, write_clip
from tests.servers.rtsp_camera import RtspCamera

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.video.h264 import write_elementary_stream
from trinetra.adapters.video.sources import SourceSpec, infer_kind, open_source
from trinetra.errors import FrameRejected, SourceUnavailable
from trinetra.frames.encode import Encoder, EncodingConfig
from trinetra.ports import DecodedFrame
from trinetra.values import CameraId

STARTED_AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
SIZE = WIDTH, HEIGHT = 192, 128
FRAMES = 5


def frames_of(location: Path) -> list[DecodedFrame]:
    spec = SourceSpec(infer_kind(str(location)), str(location), started_at=STARTED_AT)
    source = open_source(spec, SystemClock())
    source.open()
    frames = []
    while (frame := source.read(key_frames_only=False)) is not None:
        frames.append(frame)
    source.close()
    return frames


def add_video(container: Any, size: tuple[int, int], codec: str = "libx264") -> Any:
    stream = container.add_stream(codec, rate=10)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p" if codec == "libx264" else "yuvj420p"
    stream.codec_context.time_base = Fraction(1, 10)
    return stream


def encode(container: Any, stream: Any, images: list[np.ndarray]) -> None:
    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        frame.pts = number
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def scenes() -> list[np.ndarray]:
    return [mark(picture(number, WIDTH, HEIGHT), number) for number in range(FRAMES)]


def turned_clip(path: Path, degrees: int) -> Path:
    """Write a clip whose pictures lie on their side, with the rotation that makes them upright."""
    images = [np.rot90(image, -degrees // 90) for image in scenes()]
    with av.open(str(path), "w") as container:
        stream = add_video(container, (images[0].shape[1], images[0].shape[0]))
        stream.set_display_rotation(degrees)
        encode(container, stream, images)
    return path


def narrow_clip(path: Path, stored: tuple[int, int], aspect: Fraction) -> Path:
    with av.open(str(path), "w") as container:
        stream = add_video(container, stored)
        stream.codec_context.sample_aspect_ratio = aspect
        encode(container, stream, [cv2.resize(image, stored) for image in scenes()])
    return path


def oriented_jpeg(path: Path, orientation: int, order: str) -> Path:
    """Write a JPEG with an EXIF orientation (Exif 2.32, 4.6.4) in that byte order."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    tiff = magic + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    plain = jpeg(*SIZE, 3)
    path.write_bytes(
        plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    )
    return path


# --- rotation


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_rotated_recording_is_read_upright(tmp_path: Path, degrees: int) -> None:
    frames = frames_of(turned_clip(tmp_path / "clip.mp4", degrees))
    assert [(f.width, f.height) for f in frames] == [SIZE] * FRAMES
    assert [read_mark(bgr_of(f.planes(*SIZE))) for f in frames] == list(range(FRAMES))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_motion_is_measured_on_the_same_picture_that_is_encoded(
    tmp_path: Path, degrees: int
) -> None:
    frame = frames_of(turned_clip(tmp_path / "clip.mp4", degrees))[0]
    luma = frame.luma(48, 32).astype(float)
    encoded = frame.planes(*SIZE).y.astype(float).reshape(32, 4, 48, 4).mean(axis=(1, 3))
    assert luma.shape == (32, 48)
    assert np.corrcoef(luma.ravel(), encoded.ravel())[0, 1] > 0.98


def test_the_frame_for_the_buffer_is_upright(tmp_path: Path) -> None:
    turned = frames_of(turned_clip(tmp_path / "turned.mp4", 90))[0]
    plain = frames_of(turned_clip(tmp_path / "plain.mp4", 0))[0]
    encoder = Encoder(CameraId("door"), EncodingConfig(side=192, keeps_native=True))
    made = [encoder.encode(number, STARTED_AT, f) for number, f in enumerate((turned, plain))]
    assert (made[0].width, made[0].height, made[0].letterbox) == (*SIZE, made[1].letterbox)
    for one, other in ((made[0].jpeg, made[1].jpeg), (made[0].native_jpeg, made[1].native_jpeg)):
        pixels = [
            cv2.imdecode(np.frombuffer(j, np.uint8), cv2.IMREAD_GRAYSCALE) for j in (one, other)
        ]
        assert np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1] > 0.95


def test_a_rotated_recording_is_served_upright(tmp_path: Path) -> None:
    clip = turned_clip(tmp_path / "clip.mp4", 270)
    stream = write_elementary_stream(clip, tmp_path / "clip.h264")
    assert stream.reencoded
    served = frames_of(stream.path)
    assert [(f.width, f.height) for f in served] == [SIZE] * FRAMES
    assert [read_mark(bgr_of(f.planes(*SIZE))) for f in served] == list(range(FRAMES))


# --- the shape of pixels


@pytest.mark.parametrize(
    ("stored", "aspect"),
    [((96, 128), Fraction(2)), ((48, 128), Fraction(4)), ((192, 64), Fraction(1, 2))],
    ids=str,
)
def test_pixels_become_square(tmp_path: Path, stored: tuple[int, int], aspect: Fraction) -> None:
    frames = frames_of(narrow_clip(tmp_path / "clip.mp4", stored, aspect))
    assert [(f.width, f.height) for f in frames] == [SIZE] * FRAMES
    shown = bgr_of(frames[0].planes(*SIZE)).astype(float)
    assert np.abs(shown - scenes()[0]).mean() < 25


def test_a_shape_of_pixels_that_cannot_be_true_is_ignored(tmp_path: Path) -> None:
    clip = narrow_clip(tmp_path / "clip.mp4", SIZE, Fraction(200))
    assert {(f.width, f.height) for f in frames_of(clip)} == {SIZE}


def test_the_limit_on_pixels_counts_the_displayed_picture(tmp_path: Path) -> None:
    clip = narrow_clip(tmp_path / "clip.mp4", (7680, 1088), Fraction(1, 8))
    with pytest.raises(FrameRejected, match="7680x8704") as rejected:
        frames_of(clip)
    assert rejected.value.reason == "too_large"


# --- EXIF


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_with_an_exif_orientation_is_shown_as_opencv_shows_it(
    tmp_path: Path, orientation: int, order: str
) -> None:
    path = oriented_jpeg(tmp_path / "photo.jpg", orientation, order)
    expected = cv2.imread(str(path))
    (frame,) = frames_of(tmp_path)
    assert (frame.height, frame.width) == expected.shape[:2]
    shown = bgr_of(frame.planes(frame.width, frame.height)).astype(int)
    assert np.abs(shown - expected).mean() < 4


def test_damaged_exif_leaves_the_picture_as_it_is_stored(tmp_path: Path) -> None:
    plain, segment = jpeg(*SIZE, 3), b"Exif\0\0II*\0\xff\xff\xff\x7f"
    size = struct.pack(">H", len(segment) + 2)
    (tmp_path / "photo.jpg").write_bytes(plain[:2] + b"\xff\xe1" + size + segment + plain[2:])
    (frame,) = frames_of(tmp_path)
    assert (frame.width, frame.height) == SIZE


# --- the best stream


def thumbnail(container: Any, images: int, disposition: Disposition = Disposition.default) -> Any:
    stream = add_video(container, (64, 48), "mjpeg")
    stream.disposition = disposition
    return stream, [cv2.resize(image, (64, 48)) for image in scenes()[:images]]


@pytest.mark.parametrize(
    ("images", "disposition"),
    [
        (1, Disposition.default),
        (1, Disposition.attached_pic),
        (FRAMES, Disposition.timed_thumbnails),
        (FRAMES, Disposition.default),
    ],
    ids=["track of one picture", "cover", "thumbnails", "small stream"],
)
def test_the_recording_is_read_although_a_thumbnail_comes_first(
    tmp_path: Path, images: int, disposition: Disposition
) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        small, pictures = thumbnail(container, images, disposition)
        large = add_video(container, SIZE)
        encode(container, small, pictures)
        encode(container, large, scenes())
    frames = frames_of(clip)
    assert [(f.width, f.height) for f in frames] == [SIZE] * FRAMES
    assert [read_mark(bgr_of(f.planes(*SIZE))) for f in frames] == list(range(FRAMES))


def test_a_large_cover_does_not_hide_a_small_recording(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        cover = add_video(container, (640, 480), "mjpeg")
        video = add_video(container, SIZE)
        encode(container, cover, [cv2.resize(scenes()[0], (640, 480))])
        encode(container, video, scenes())
    assert [(f.width, f.height) for f in frames_of(clip)] == [SIZE] * FRAMES


def test_a_camera_that_offers_a_small_preview_first_is_read_in_full(tmp_path: Path) -> None:
    preview = write_clip(tmp_path / "preview.mp4", size=(64, 48), frames=30)
    clip = write_clip(tmp_path / "clip.mp4", size=SIZE, frames=30)
    with RtspCamera(clip, preview=preview) as camera:
        spec = SourceSpec(infer_kind(camera.url), camera.url)
        source = open_source(spec, SystemClock())
        source.open()
        frames = [source.read(key_frames_only=False) for _ in range(10)]
        source.close()
    assert [(f.width, f.height) for f in frames if f] == [SIZE] * 10


def test_a_file_with_only_a_cover_is_told(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream, pictures = thumbnail(container, 1, Disposition.attached_pic)
        encode(container, stream, pictures)
    with pytest.raises(SourceUnavailable, match="only a cover picture"):
        frames_of(clip)
