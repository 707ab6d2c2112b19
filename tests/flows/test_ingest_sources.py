"""Sources that end, break, refuse connections, or have false or malicious headers."""

import io
import struct
import traceback
import zlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.servers.clips import bgr_of, jpeg, read_mark, write_clip
from tests.servers.mjpeg_camera import MjpegCamera
from tests.servers.rtsp_camera import Mood, RtspCamera

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.video.sources import SourceKind, SourceSpec, infer_kind, open_source
from trinetra.errors import (
    ConfigurationError,
    FrameRejected,
    SourceAbsent,
    SourceRefused,
    SourceStalled,
    SourceUnavailable,
    TrinetraError,
)
from trinetra.ports import DecodedFrame, FrameSource

STARTED_AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
USER, SAID = "view er", "p@ss/w:rd %?#"


def source_of(location: Path | str, **more) -> FrameSource:
    spec = SourceSpec(infer_kind(str(location)), str(location), started_at=STARTED_AT, **more)
    return open_source(spec, SystemClock())


def read_all(source: FrameSource) -> tuple[list[DecodedFrame], list[str]]:
    """Return the frames of a recording and the reasons of those that were rejected."""
    frames, reasons = [], []
    source.open()
    while True:
        try:
            frame = source.read(key_frames_only=False)
        except FrameRejected as rejected:
            reasons.append(rejected.reason)
            continue
        if frame is None:
            return frames, reasons
        frames.append(frame)


def failure_of(source: FrameSource) -> TrinetraError:
    """Return the failure of opening or reading."""
    try:
        with pytest.raises(TrinetraError) as failure:
            read_on(source, opens=True)
    finally:
        source.close()
    return failure.value


def read_on(source: FrameSource, *, opens: bool = False) -> NoReturn:
    """Read until it fails."""
    if opens:
        source.open()
    while True:
        source.read(key_frames_only=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=45)


@pytest.fixture(scope="module")
def reordered_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "b.mp4", frames=45, b_frames=2)


# --- files


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_file_gives_every_frame_once_at_its_own_time(tmp_path: Path, b_frames: int) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=30, fps=15, b_frames=b_frames)
    frames, reasons = read_all(source_of(clip))
    assert [read_mark(bgr_of(f.planes(192, 128))) for f in frames] == list(range(30))
    expected = [STARTED_AT + timedelta(seconds=number / 15) for number in range(30)]
    for frame, instant in zip(frames, expected, strict=True):
        assert abs(frame.captured_at - instant) < timedelta(milliseconds=1)
    assert reasons == []


def test_a_file_that_has_ended_stays_ended(clip: Path) -> None:
    source = source_of(clip)
    read_all(source)
    assert source.read(key_frames_only=False) is None


def test_a_loop_goes_on_in_time_as_if_the_file_had_no_end(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=10, fps=10)
    source = source_of(clip, loop=True)
    source.open()
    frames = [source.read(key_frames_only=False) for _ in range(35)]
    source.close()
    assert [read_mark(bgr_of(f.planes(192, 128))) for f in frames] == [n % 10 for n in range(35)]
    gaps = [later.captured_at - earlier.captured_at for earlier, later in pairwise(frames)]
    assert all(abs(gap - timedelta(seconds=0.1)) < timedelta(milliseconds=2) for gap in gaps)


def test_damage_in_the_middle_costs_what_is_damaged_and_is_counted(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=60, key_every=10)
    data = bytearray(clip.read_bytes())
    at = data.index(b"mdat") + len(data) // 3
    data[at : at + 1500] = b"\xaa" * 1500
    clip.write_bytes(data)
    frames, reasons = read_all(source_of(clip))
    assert 30 <= len(frames) < 60
    assert set(reasons) == {"undecodable"}
    assert read_mark(bgr_of(frames[-1].planes(192, 128))) == 59


def test_a_file_cut_off_behind_its_index_gives_what_is_there(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", frames=60)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    frames, _ = read_all(source_of(clip))
    assert 10 < len(frames) < 60


def test_a_file_whose_rest_is_garbage_ends_cleanly(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", frames=60)
    half = clip.read_bytes()[: clip.stat().st_size // 2]
    clip.write_bytes(half + b"\x00garbage\xff" * 4000)
    frames, _ = read_all(source_of(clip))
    assert 10 < len(frames) < 60


@pytest.mark.parametrize("content", [b"", b"not a video at all", b"\x00" * 5000])
def test_what_is_no_video_is_unavailable_and_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange.mp4"
    path.write_bytes(content)
    failure = failure_of(source_of(path))
    assert isinstance(failure, SourceUnavailable)
    assert str(path) in str(failure)


def test_a_truncated_file_is_unavailable_and_named(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "half.mp4"
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    failure = failure_of(source_of(path))
    assert isinstance(failure, SourceUnavailable)
    assert "half.mp4" in str(failure)
    assert "truncated" in str(failure)


def test_a_playlist_cannot_make_a_recording_read_other_files(tmp_path: Path, clip: Path) -> None:
    playlist = tmp_path / "innocent.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:3,\nhttp://127.0.0.1:1/{clip.name}\n#EXT-X-ENDLIST\n")
    assert isinstance(failure_of(source_of(playlist)), SourceUnavailable)


def test_a_loop_without_a_single_usable_frame_gives_up(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "tiny.mp4", frames=5, size=(8, 8))
    source = source_of(clip, loop=True)
    source.open()
    for _ in range(5):
        with pytest.raises(FrameRejected):
            source.read(key_frames_only=False)
    with pytest.raises(SourceUnavailable, match="no usable frame"):
        source.read(key_frames_only=False)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=8))
@pytest.mark.parametrize("name", ["clip", "reordered_clip"])
def test_switching_between_key_frames_and_all_frames_never_shows_garbage(
    request: pytest.FixtureRequest, name: str, phases: list[tuple[bool, int]]
) -> None:
    """Each frame shows its number, which must match its time."""
    source = source_of(request.getfixturevalue(name))
    source.open()
    last = -1
    for key_frames_only, count in phases:
        for _ in range(count):
            if (frame := source.read(key_frames_only=key_frames_only)) is None:
                return
            number = read_mark(bgr_of(frame.planes(192, 128)))
            assert number > last
            assert number == round((frame.captured_at - STARTED_AT).total_seconds() * 15)
            last = number


def test_key_frames_only_skips_the_rest_once_the_gap_between_them_is_known(clip: Path) -> None:
    source = source_of(clip)
    source.open()
    for _ in range(16):  # up to the second key frame
        source.read(key_frames_only=False)
    frame = source.read(key_frames_only=True)
    assert frame is not None
    assert read_mark(bgr_of(frame.planes(192, 128))) == 30


def test_where_key_frames_are_rare_all_frames_are_decoded_all_the_same(tmp_path: Path) -> None:
    source = source_of(write_clip(tmp_path / "one.mp4", frames=20, key_every=250))
    source.open()
    frames = [source.read(key_frames_only=True) for _ in range(20)]
    assert [read_mark(bgr_of(f.planes(192, 128))) for f in frames] == list(range(20))


# --- images


def test_pictures_come_in_the_order_of_their_names_at_the_given_rate(tmp_path: Path) -> None:
    for name, width in (("b.jpg", 40), ("a.jpeg", 30), ("c.JPG", 50)):
        (tmp_path / name).write_bytes(jpeg(width, 20))
    (tmp_path / "notes.txt").write_text("not a picture")
    frames, reasons = read_all(source_of(tmp_path, fps=2.0))
    assert [f.width for f in frames] == [30, 40, 50]
    assert [f.captured_at for f in frames] == [
        STARTED_AT + timedelta(seconds=n / 2) for n in range(3)
    ]
    assert reasons == []


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header claims that size but which holds few pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def jpeg_claiming(width: int, height: int) -> bytes:
    """Return a JPEG whose header claims another size than its pixels have: a bomb."""
    data = bytearray(jpeg(32, 32))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("pixel.jpg", jpeg(1, 1), "too_small"),
        ("strip.jpg", jpeg(400, 15), "too_small"),
        ("bomb.jpg", jpeg_claiming(65_000, 65_000), "too_large"),
        ("bomb.png", png(100_000, 100_000), "too_large"),
        ("beyond-8k.jpg", jpeg_claiming(7681, 4320), "too_large"),
        ("empty.jpg", b"", "undecodable"),
        ("text.png", b"hello, this is not a picture", "undecodable"),
        ("cut.jpg", jpeg(64, 64)[:40], "undecodable"),
        ("bad.bmp", b"BM" + b"\xff" * 60, "undecodable"),
    ],
)
def test_a_bad_picture_is_rejected_for_its_reason_and_the_next_one_comes(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "zz-good.jpg").write_bytes(jpeg(64, 48))
    frames, reasons = read_all(source_of(tmp_path))
    assert reasons == [reason]
    assert [(f.width, f.height) for f in frames] == [(64, 48)]


def test_an_8k_picture_is_taken(tmp_path: Path) -> None:
    halves = np.zeros((4320, 7680, 3), np.uint8)
    halves[:, 3840:] = 200
    (tmp_path / "8k.jpg").write_bytes(simplejpeg.encode_jpeg(halves, 80, "BGR"))
    ((frame,), reasons) = read_all(source_of(tmp_path))
    assert (frame.width, frame.height) == (7680, 4320)
    assert frame.planes(640, 360).y.std() > 10
    assert reasons == []


def test_a_loop_without_a_single_usable_picture_gives_up(tmp_path: Path) -> None:
    (tmp_path / "pixel.jpg").write_bytes(jpeg(1, 1))
    source = source_of(tmp_path, loop=True)
    source.open()
    with pytest.raises(FrameRejected):
        source.read(key_frames_only=False)
    with pytest.raises(SourceUnavailable, match="no usable image"):
        source.read(key_frames_only=False)


def test_pictures_come_in_the_natural_order_of_their_names(tmp_path: Path) -> None:
    for number in range(1, 13):
        image = np.full((48, 64, 3), number * 20, np.uint8)
        (tmp_path / f"{number}.jpg").write_bytes(simplejpeg.encode_jpeg(image, 95, "BGR"))
    frames, reasons = read_all(source_of(tmp_path))
    levels = [frame.luma(8, 6).mean() for frame in frames]
    assert levels == sorted(levels)
    assert (len(levels), reasons) == (12, [])


# --- cameras


def test_a_wrong_password_is_a_refusal(clip: Path) -> None:
    with RtspCamera(clip, user=USER, password=SAID) as camera:
        failure = failure_of(source_of(camera.url, username=USER, password="guessed"))
        assert isinstance(failure, SourceRefused)
        assert "credentials" in str(failure)


def test_an_unknown_path_is_an_absence(clip: Path) -> None:
    with RtspCamera(clip) as camera:
        failure = failure_of(source_of(camera.url.replace("live", "missing")))
        assert isinstance(failure, SourceAbsent)
        assert "not found" in str(failure)


def test_nobody_listening_is_unavailable_not_refused(clip: Path) -> None:
    with RtspCamera(clip) as camera:
        camera.kill()
        failure = failure_of(source_of(camera.url))
        assert type(failure) is SourceUnavailable


def test_a_host_that_does_not_exist_is_unavailable() -> None:
    failure = failure_of(source_of("rtsp://camera.invalid/live"))
    assert type(failure) is SourceUnavailable
    assert "camera.invalid" in str(failure)


@pytest.mark.parametrize(
    ("mood", "said"),
    [(Mood.GARBAGE, "not with readable video"), (Mood.SILENT, "did not answer within")],
)
def test_a_server_that_is_no_camera_is_unavailable(clip: Path, mood: Mood, said: str) -> None:
    with RtspCamera(clip) as camera:
        camera.mood = mood
        failure = failure_of(source_of(camera.url, timeout_s=0.5))
        assert type(failure) is SourceUnavailable
        assert said in str(failure)


def test_a_camera_that_goes_silent_has_stalled(clip: Path) -> None:
    with RtspCamera(clip) as camera:
        source = source_of(camera.url, timeout_s=1.0)
        source.open()
        source.read(key_frames_only=False)
        camera.stall()
        with pytest.raises(SourceStalled, match="sent nothing"):
            read_on(source)
        source.close()


def test_the_end_of_a_live_stream_is_a_failure(clip: Path) -> None:
    with RtspCamera(clip) as camera:
        source = source_of(camera.url)
        source.open()
        source.read(key_frames_only=False)
        camera.kill()
        with pytest.raises(SourceUnavailable):
            read_on(source)
        source.close()


def test_an_http_camera_that_is_switched_off_is_a_failure() -> None:
    with MjpegCamera([jpeg(64, 48)]) as camera:
        source = source_of(camera.url)
        source.open()
        source.read(key_frames_only=False)
        camera.end()
        with pytest.raises(SourceUnavailable):
            read_on(source)
        source.close()


def test_an_http_camera_refuses_a_wrong_password_and_an_unknown_path() -> None:
    with MjpegCamera([jpeg(64, 48)], user=USER, password=SAID) as camera:
        wrong = source_of(camera.url, username=USER, password="guessed")
        assert isinstance(failure_of(wrong), SourceRefused)
        lost = source_of(camera.url.replace("video", "x"), username=USER, password=SAID)
        assert isinstance(failure_of(lost), SourceAbsent)


def test_an_http_camera_cannot_lead_to_another_address_by_a_redirect() -> None:
    with MjpegCamera([jpeg(64, 48)]) as inside, MjpegCamera([], redirect=inside.url) as hostile:
        failure = failure_of(source_of(hostile.url))
        assert isinstance(failure, SourceUnavailable)
        assert "redirects are not followed" in str(failure)
        assert (hostile.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize("habit", [{"starts_late": True}, {"text_every": 5}], ids=str)
def test_an_http_camera_with_malformed_parts_streams_without_reconnecting(
    habit: dict[str, Any],
) -> None:
    with MjpegCamera([jpeg(64, 48, n) for n in range(4)], **habit) as camera:
        source = source_of(camera.url)
        source.open()
        frames = [source.read(key_frames_only=False) for _ in range(40)]
        source.close()
        assert {(f.width, f.height) for f in frames} == {(64, 48)}
        assert camera.connections <= 2


def test_a_login_page_is_not_video() -> None:
    page = b"<html><body>Login</body></html>"
    with MjpegCamera([], body=page, content_type="text/html") as camera:
        failure = failure_of(source_of(camera.url))
        assert type(failure) is SourceUnavailable
        assert "not with readable video" in str(failure)


@pytest.mark.parametrize(
    ("content_type", "document"),
    [
        ("application/vnd.apple.mpegurl", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}a.ts\n"),
        ("audio/x-mpegurl", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\n{}a.m3u8\n"),
        ("application/sdp", "v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=control:{}a\n"),
        ("text/plain", "ffconcat version 1.0\nfile '{}a.mp4'\n"),
    ],
)
def test_a_hostile_camera_cannot_send_the_ingestor_to_another_host(
    content_type: str, document: str
) -> None:
    with MjpegCamera([jpeg(64, 48)]) as other:
        body = document.format(other.url).encode()
        with MjpegCamera([], body=body, content_type=content_type) as camera:
            failure_of(source_of(camera.url, timeout_s=1.0))
        assert other.connections == 0


def test_a_camera_that_offers_only_udp_is_told(clip: Path) -> None:
    with RtspCamera(clip, udp=True) as camera:
        failure = failure_of(source_of(camera.url))
        assert "offers no RTSP over TCP" in str(failure)
        assert "transport: udp" in str(failure)


def test_live_capture_times_increase_with_the_stream(clip: Path) -> None:
    with RtspCamera(clip) as camera:
        source = source_of(camera.url)
        source.open()
        instants = [source.read(key_frames_only=False).captured_at for _ in range(12)]
        source.close()
    assert all(earlier <= later for earlier, later in pairwise(instants))
    assert instants[-1] <= datetime.now(UTC)


# --- secrets


def failing_cameras(camera: RtspCamera) -> list[SourceSpec]:
    address = camera.url.partition("://")[2]
    return [
        SourceSpec(SourceKind.RTSP, camera.url, "root", SAID),
        SourceSpec(SourceKind.RTSP, f"rtsp://root:{SAID}@{address}"),
        SourceSpec(SourceKind.RTSP, camera.url.replace("live", "missing"), USER, SAID),
        SourceSpec(SourceKind.RTSP, "rtsp://camera.invalid/x", USER, SAID),
        SourceSpec(SourceKind.MJPEG, f"http://127.0.0.1:1/cgi?user=a&pwd={SAID}"),
        SourceSpec(SourceKind.MJPEG, f"http://127.0.0.1:1/pw/{SAID}/video"),
        SourceSpec(SourceKind.RTSP, f"{camera.url}/user=a_password={SAID}_channel=1"),
        SourceSpec(SourceKind.MJPEG, "http://127.0.0.1:1/", USER, SAID),
    ]


def test_no_failure_and_no_output_tells_the_password(
    clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RtspCamera(clip, user=USER, password=SAID) as camera:
        for spec in failing_cameras(camera):
            failure = failure_of(open_source(spec, SystemClock()))
            told = io.StringIO()
            traceback.print_exception(failure, file=told)
            written = capfd.readouterr()
            for text in (told.getvalue(), written.out, written.err, repr(spec), spec.label):
                assert SAID not in text
                assert "p%40ss" not in text


def test_a_label_names_the_camera_without_path_and_query() -> None:
    spec = SourceSpec(SourceKind.RTSP, "rtsp://u:p@10.0.0.7:8554/pwd=x/2?token=x")
    assert spec.label == "rtsp://10.0.0.7:8554/…"


def test_the_kind_follows_from_the_location(tmp_path: Path) -> None:
    assert infer_kind("rtsps://cam/1") is SourceKind.RTSP
    assert infer_kind("https://cam/video") is SourceKind.MJPEG
    assert infer_kind(str(tmp_path)) is SourceKind.IMAGES
    assert infer_kind("clip.mp4") is SourceKind.FILE


def test_an_address_that_is_no_cameras_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match=r"rtsp, rtsps, http, https") as failure:
        infer_kind("ftp://user:hidden@host/clip.mp4")
    assert "hidden" not in str(failure.value)


# --- real clips


@pytest.mark.clips
@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        ("people-detection.mp4", 23, (480, 270)),
        ("face-demographics-walking-and-pause.mp4", 41, (480, 270)),
        ("store-aisle-detection.mp4", 67, (480, 270)),
        ("car-detection.mp4", 377, (768, 432)),  # with sound
    ],
)
def test_a_real_clip_is_read_to_its_end(
    clips_dir: Path, name: str, count: int, size: tuple[int, int]
) -> None:
    frames, reasons = read_all(source_of(clips_dir / name))
    assert (len(frames), reasons) == (count, [])
    assert {(frame.width, frame.height) for frame in frames} == {size}
    assert all(one.captured_at < next_.captured_at for one, next_ in pairwise(frames))
