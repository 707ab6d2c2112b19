"""Contract of every FrameSource adapter."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.servers.clips import bgr_of, jpeg, write_clip
from tests.servers.mjpeg_camera import MjpegCamera
from tests.servers.rtsp_camera import RtspCamera

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.video.sources import SourceKind, SourceSpec, infer_kind, open_source
from trinetra.errors import SourceUnavailable
from trinetra.ports import DecodedFrame, FrameSource

STARTED_AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
SIZE = (192, 128)
USER, SAID = "view er", "p@ss/w:rd %?#"


def _file(folder: Path, _stack: ExitStack) -> tuple[SourceSpec, str]:
    clip = write_clip(folder / "clip.mp4", frames=20)
    return _spec(str(clip)), str(folder / "missing.mp4")


def _looped_file(folder: Path, _stack: ExitStack) -> tuple[SourceSpec, str]:
    clip = write_clip(folder / "clip.mp4", frames=5)
    return _spec(str(clip), loop=True), str(folder / "missing.mp4")


def _images(folder: Path, _stack: ExitStack) -> tuple[SourceSpec, str]:
    (folder / "pictures").mkdir()
    (folder / "empty").mkdir()
    for number in range(20):
        (folder / "pictures" / f"{number:03}.jpg").write_bytes(jpeg(*SIZE, number))
    return _spec(str(folder / "pictures")), str(folder / "empty")


def _rtsp(folder: Path, stack: ExitStack) -> tuple[SourceSpec, str]:
    clip = write_clip(folder / "clip.mp4", frames=20)
    camera = stack.enter_context(RtspCamera(clip, user=USER, password=SAID))
    return _spec(camera.url, username=USER, password=SAID), "rtsp://127.0.0.1:1/x"


def _rtsp_udp(folder: Path, stack: ExitStack) -> tuple[SourceSpec, str]:
    clip = write_clip(folder / "clip.mp4", frames=20)
    camera = stack.enter_context(RtspCamera(clip, udp=True))
    return _spec(camera.url, transport="udp"), "rtsp://127.0.0.1:1/x"


def _mjpeg(_folder: Path, stack: ExitStack) -> tuple[SourceSpec, str]:
    pictures = [jpeg(*SIZE, number) for number in range(5)]
    camera = stack.enter_context(MjpegCamera(pictures, user=USER, password=SAID))
    return _spec(camera.url, username=USER, password=SAID), "http://127.0.0.1:1/x"


def _spec(location: str, **more) -> SourceSpec:
    return SourceSpec(infer_kind(location), location, started_at=STARTED_AT, **more)


MAKERS = [_file, _looped_file, _images, _rtsp, _rtsp_udp, _mjpeg]


@pytest.fixture(params=MAKERS, ids=lambda f: f.__name__[1:])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SourceSpec, str]]:
    with ExitStack() as stack:
        yield request.param(tmp_path, stack)


def test_every_kind_of_source_passes_the_contract(tmp_path: Path) -> None:
    with ExitStack() as stack:
        made = []
        for number, make in enumerate(MAKERS):
            folder = tmp_path / str(number)
            folder.mkdir()
            made.append(make(folder, stack)[0].kind)
        assert set(made) == set(SourceKind)


@pytest.fixture
def source(made: tuple[SourceSpec, str]) -> Iterator[FrameSource]:
    source = open_source(made[0], SystemClock())
    source.open()
    yield source
    source.close()


def take(source: FrameSource, count: int, *, key_frames_only: bool = False) -> list[DecodedFrame]:
    frames = [source.read(key_frames_only=key_frames_only) for _ in range(count)]
    assert None not in frames
    return [frame for frame in frames if frame is not None]


def test_frames_come_in_order_of_capture(source: FrameSource) -> None:
    instants = [frame.captured_at for frame in take(source, 12)]
    assert instants == sorted(instants)
    assert all(instant.tzinfo is UTC for instant in instants)


def test_a_frame_has_its_native_size_and_scales_to_any(source: FrameSource) -> None:
    (frame,) = take(source, 1)
    assert (frame.width, frame.height) == SIZE
    assert [plane.shape for plane in frame.planes(96, 64)] == [(64, 96), (32, 48), (32, 48)]
    assert [plane.shape for plane in frame.planes(97, 33)] == [(33, 97), (17, 49), (17, 49)]
    assert frame.luma(48, 32).shape == (32, 48)
    assert {plane.dtype for plane in (*frame.planes(*SIZE), frame.luma(48, 32))} == {np.dtype("u1")}


def test_colors_are_those_of_the_scene(source: FrameSource) -> None:
    (frame,) = take(source, 1)
    blue, green, red = bgr_of(frame.planes(*SIZE))[64, 10].tolist()  # within the blue square
    assert (blue, green, red) == pytest.approx((255, 40, 40), abs=12)


def test_luma_is_the_mean_brightness_of_what_lies_under_a_pixel(source: FrameSource) -> None:
    (frame,) = take(source, 1)
    means = frame.planes(*SIZE).y.astype(float).reshape(32, 4, 48, 4).mean(axis=(1, 3))
    # Up to a scale: luma in video ranges from 16 to 235, not from 0 to 255.
    assert np.corrcoef(means.ravel(), frame.luma(48, 32).ravel())[0, 1] > 0.98


def test_key_frames_alone_are_whole_pictures(source: FrameSource) -> None:
    frames = take(source, 3, key_frames_only=True)
    assert all(frame.planes(*SIZE).y.std() > 10 for frame in frames)


def test_closing_twice_does_no_harm(source: FrameSource) -> None:
    source.close()
    source.close()


def test_a_closed_source_can_be_opened_again(source: FrameSource) -> None:
    source.close()
    source.open()
    assert take(source, 1)[0].width == SIZE[0]


def test_a_missing_source_is_unavailable_and_named(made: tuple[SourceSpec, str]) -> None:
    spec = _spec(made[1])
    source = open_source(spec, SystemClock())
    with pytest.raises(SourceUnavailable) as failure:
        source.open()
    assert spec.label in str(failure.value)
