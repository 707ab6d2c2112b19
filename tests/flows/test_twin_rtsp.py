"""Recordings served as real RTSP cameras, and the real ingestor that watches them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing, suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import unavailable
from tests.servers.clips import bgr_of, mark, picture, read_mark, write_clip
from typer.testing import CliRunner

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.video.h264 import VideoWriter, write_elementary_stream
from trinetra.adapters.video.sources import SourceKind, SourceSpec, open_source
from trinetra.commands.application import app
from trinetra.commands.twin_rtsp import named_clips, site_text
from trinetra.errors import (
    ConfigurationError,
    FrameRejected,
    SourceAbsent,
    SourceRefused,
    SourceUnavailable,
)
from trinetra.frames.camera import CameraPlan
from trinetra.frames.connection import CameraState
from trinetra.frames.encode import EncodingConfig
from trinetra.frames.sampling.pacing import Backoff
from trinetra.frames.sampling.sampler import SamplingConfig
from trinetra.frames.service import IngestPolicy, StreamIngestor
from trinetra.ports import DecodedFrame, FrameSource
from trinetra.site import site_from_text
from trinetra.twin.film import TOP_VIEW
from trinetra.twin.gst_server import AccessUnit, Loop
from trinetra.twin.rtsp import PACKAGES, Address, Recording, RtspServer, Viewer, find_gi_python
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, Frame, Role

FRAMES, FPS = 20, 15
CAMERA = CameraId("door")
USER, SAID = "view er", "p@ss/w:rd %?#"
ANY_PORT = Address(port=0)


@pytest.fixture(scope="session")
def gstreamer() -> Path:
    """Return a Python with GStreamer's RTSP server."""
    try:
        return find_gi_python()
    except ConfigurationError as missing:
        unavailable(str(missing))


def recording(folder: Path, clip: Path, name: str = CAMERA) -> Recording:
    stream = write_elementary_stream(clip, folder / f"{name}.h264")
    return Recording(name, stream.path, stream.units, stream.period_ns)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("door")
    return recording(folder, write_clip(folder / "door.mp4", frames=FRAMES, fps=FPS, b_frames=2))


def watch(url: str, viewer: Viewer | None = None) -> FrameSource:
    user, password = (viewer.username, viewer.password) if viewer else (None, None)
    return open_source(SourceSpec(SourceKind.RTSP, url, user, password), SystemClock())


def marks(source: FrameSource, count: int) -> list[int]:
    """Return the numbers of the next pictures; each must be complete."""
    frames = (source.read(key_frames_only=False) for _ in range(count))
    return [read_mark(bgr_of(frame.planes(192, 128))) for frame in frames]


def join(source: FrameSource) -> DecodedFrame:
    """Return the first complete picture for a client that connects between two key frames."""
    while True:
        with suppress(FrameRejected):
            return source.read(key_frames_only=False)


def is_unbroken(numbers: Iterable[int]) -> bool:
    return all((later - earlier) % FRAMES == 1 for earlier, later in pairwise(numbers))


class Shop:
    """An ingestor that watches one camera, and a consumer of its frames."""

    def __init__(self, source: Callable[[], FrameSource], policy: IngestPolicy | None = None):
        clock = SystemClock()
        streams = MemoryFrameStreams(clock, 100)
        self.consumer = MemoryFrameBuffer(streams, "workers", "one")
        self.stopping = asyncio.Event()
        plan = CameraPlan(
            CAMERA,
            sampling=SamplingConfig(base_fps=30.0, ceiling_fps=100.0),
            encoding=EncodingConfig(side=64),
        )
        buffer = MemoryFrameBuffer(streams, "workers", "ingestor")
        self.ingestor = StreamIngestor([plan], lambda _: source(), buffer, clock, policy)

    @property
    def status(self):
        return self.ingestor.status()[CAMERA]

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Shop"]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ingestor.run(self.stopping))
            try:
                yield self
            finally:
                self.stopping.set()

    async def take(self, count: int) -> list[Frame]:
        taken: list[Frame] = []
        while len(taken) < count:
            frames = await self.consumer.read(max_frames=1, wait_s=3600.0)
            await self.consumer.ack(frames)
            taken += [entry.frame for entry in frames]
        return taken

    async def until(self, state: CameraState) -> None:
        while self.status.state is not state:  # noqa: ASYNC110  a thread changes it, silently
            await asyncio.sleep(0)


# --- the ingestor and a real server


@pytest.mark.gstreamer
@pytest.mark.parametrize("scheme", ["digest", "basic"])
async def test_the_ingestor_reads_a_camera_that_asks_for_a_password(
    gstreamer: Path, door: Recording, scheme
) -> None:
    viewer = Viewer(USER, SAID, scheme)
    with RtspServer([door], ANY_PORT, viewer, python=gstreamer) as server:
        async with Shop(lambda: watch(server.url(CAMERA), viewer)).open() as shop:
            frames = await shop.take(2 * FRAMES)
    assert {(frame.width, frame.height) for frame in frames} == {(192, 128)}
    assert all(one.captured_at < next_.captured_at for one, next_ in pairwise(frames))


@pytest.mark.gstreamer
async def test_a_wrong_password_is_refused_and_the_ingestor_says_so(
    gstreamer: Path, door: Recording
) -> None:
    with RtspServer([door], ANY_PORT, Viewer(USER, SAID), python=gstreamer) as server:
        guess = Viewer(USER, "guessed")
        async with Shop(lambda: watch(server.url(CAMERA), guess)).open() as shop:
            await shop.until(CameraState.BACKOFF)
            assert "refused the user or password" in (shop.status.problem or "")
            assert shop.status.frames_read == 0
        with closing(watch(server.url(CAMERA))) as nobody, pytest.raises(SourceRefused):
            nobody.open()


@pytest.mark.gstreamer
async def test_a_camera_comes_back_after_its_server_was_killed(
    gstreamer: Path, door: Recording
) -> None:
    viewer = Viewer(USER, SAID)
    policy = IngestPolicy(lost=Backoff(initial_s=0.1, max_s=0.1))
    with RtspServer([door], ANY_PORT, viewer, python=gstreamer) as server:
        url = server.url(CAMERA)
        async with Shop(lambda: watch(url, viewer), policy).open() as shop:
            before = await shop.take(5)
            server.kill()
            await shop.until(CameraState.BACKOFF)
            server.start()
            assert server.url(CAMERA) == url
            await shop.until(CameraState.STREAMING)
            after = await shop.take(FRAMES)
            assert shop.status.failures >= 1
    frames = before + after
    assert all(one.captured_at < next_.captured_at for one, next_ in pairwise(frames))
    assert all(one.seq < next_.seq for one, next_ in pairwise(frames))


# --- the server


@pytest.mark.gstreamer
@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_loop_loses_repeats_and_reorders_no_picture_where_it_starts_again(
    gstreamer: Path, tmp_path: Path, b_frames: int
) -> None:
    clip = write_clip(tmp_path / "door.mp4", frames=FRAMES, fps=FPS, b_frames=b_frames)
    with (
        RtspServer([recording(tmp_path, clip)], ANY_PORT, python=gstreamer) as server,
        closing(watch(server.url(CAMERA))) as source,
    ):
        source.open()
        assert is_unbroken(marks(source, 3 * FRAMES))


@pytest.mark.gstreamer
def test_several_clients_watch_several_cameras(
    gstreamer: Path, door: Recording, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "till.mp4", frames=FRAMES, fps=FPS, size=(128, 96))
    with RtspServer([door, recording(tmp_path, clip, "till")], ANY_PORT, python=gstreamer) as s:
        sources = [watch(s.url(name)) for name in (CAMERA, "till", CAMERA)]
        for source in sources:
            source.open()
        widths = [join(source).width for source in sources]
        sources.pop().close()
        assert all(is_unbroken(marks(source, FRAMES)) for source in sources)
        for source in sources:
            source.close()
        with closing(watch(s.url(CAMERA))) as late:
            late.open()
            assert is_unbroken(marks(late, 5))
        with closing(watch(s.url("nowhere"))) as lost, pytest.raises(SourceAbsent):
            lost.open()
    assert widths == [192, 128, 192]


@pytest.mark.gstreamer
def test_a_clip_of_another_codec_is_encoded_and_served(gstreamer: Path, tmp_path: Path) -> None:
    clip = tmp_path / "old.avi"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS, options={"q:v": "2"})
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for number in range(FRAMES):
            image = mark(picture(number, 192, 128), number)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with (
        RtspServer([recording(tmp_path, clip)], ANY_PORT, python=gstreamer) as server,
        closing(watch(server.url(CAMERA))) as source,
    ):
        source.open()
        assert is_unbroken(marks(source, 2 * FRAMES))


@pytest.mark.gstreamer
@pytest.mark.clips
def test_every_real_clip_plays(gstreamer: Path, clips_dir: Path, tmp_path: Path) -> None:
    recordings = [
        recording(tmp_path, clip, name) for name, clip in named_clips([clips_dir]).items()
    ]
    with RtspServer(recordings, ANY_PORT, python=gstreamer) as server:
        for camera in recordings:
            with closing(watch(server.url(camera.name))) as source:
                source.open()
                assert source.read(key_frames_only=False).width in {480, 768}


@pytest.mark.gstreamer
def test_a_stopped_server_is_gone(gstreamer: Path, door: Recording) -> None:
    with RtspServer([door], ANY_PORT, python=gstreamer) as server:
        url, pid = server.url(CAMERA), server.pid
        assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with closing(watch(url)) as source, pytest.raises(SourceUnavailable):
        source.open()


@pytest.mark.gstreamer
def test_a_port_in_use_is_told(gstreamer: Path, door: Recording) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = RtspServer([door], Address(port=port), python=gstreamer)
        with pytest.raises(
            ConfigurationError, match=rf"127\.0\.0\.1:{port} .* another host or port"
        ):
            server.start()
        assert server.pid is None


def test_a_python_without_the_bindings_is_told_what_to_install(
    door: Recording, tmp_path: Path
) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(ConfigurationError) as failure:
        RtspServer([door], ANY_PORT, python=bare).start()
    assert "No module named 'gi'" in str(failure.value)
    assert all(package in str(failure.value) for package in PACKAGES)


# --- the command


def start_command(*arguments: str, **more) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "trinetra.cli", "twin", "rtsp"]
    return subprocess.Popen(
        [*command, *arguments, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )


def announced(process: "subprocess.Popen[str]") -> dict:
    """Return the command's output once it serves; it prints nothing more."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            break
    return json.loads("".join(lines))


@pytest.mark.gstreamer
def test_ctrl_c_stops_the_command_and_its_server(gstreamer: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "door.mp4", frames=FRAMES)
    environ = os.environ | {"DOOR_PASSWORD": SAID}
    options = ("--user", USER, "--password-env", "DOOR_PASSWORD")
    process = start_command(str(tmp_path), *options, env=environ)
    said = announced(process)
    with closing(watch(said["cameras"]["door"], Viewer(USER, SAID))) as source:
        source.open()
        assert source.read(key_frames_only=False).width == 192
        os.killpg(process.pid, signal.SIGINT)
        # The server holds the pipes too: once they end, so has the server.
        rest, errors = process.communicate()
    assert (process.returncode, rest, errors) == (0, "", "")
    assert SAID not in json.dumps(said)
    assert site_from_text(said["site"]).cameras[0].source.password_env == "DOOR_PASSWORD"


@pytest.mark.gstreamer
def test_a_killed_command_leaves_no_server_behind(gstreamer: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "door.mp4", frames=FRAMES)
    process = start_command(str(tmp_path), env=os.environ | {"TMPDIR": str(tmp_path)})
    url = announced(process)["cameras"]["door"]
    process.kill()
    process.communicate()
    with closing(watch(url)) as source, pytest.raises(SourceUnavailable):
        source.open()


def test_the_printed_site_file_is_valid_and_guesses_the_roles() -> None:
    names = ["car-detection", "face-walk", "store-aisle", "till", "parking", "top"]
    site = site_from_text(site_text({name: f"rtsp://127.0.0.1:1/{name}" for name in names}, "SAID"))
    assert {camera.id: camera.role for camera in site.cameras} == {
        "car-detection": Role.VEHICLE,
        "face-walk": Role.FACE,
        "store-aisle": Role.TRACKING,
        "till": Role.BILLING,
        "parking": Role.VEHICLE,
    }


def test_cameras_are_named_after_their_files_and_each_name_is_its_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "The Door (1).MP4").touch()
        (tmp_path / folder / "notes.txt").touch()
    named = named_clips([tmp_path / "a", tmp_path / "b"])
    assert list(named) == ["the-door-1", "the-door-1-2"]
    assert [clip.parent.name for clip in named.values()] == ["a", "b"]


def test_a_folder_without_videos_and_a_path_that_is_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no video files"):
        named_clips([tmp_path])
    with pytest.raises(ConfigurationError, match="gone is neither"):
        named_clips([tmp_path / "gone"])


# --- access units


@pytest.mark.parametrize("content", [b"", b"not a video at all", b"\x00" * 5000])
def test_what_is_no_video_cannot_be_served_and_is_named(tmp_path: Path, content: bytes) -> None:
    strange = tmp_path / "strange.mp4"
    strange.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"strange\.mp4 cannot be served"):
        write_elementary_stream(strange, tmp_path / "out.h264")


@pytest.mark.parametrize("b_frames", [0, 2])
def test_access_units_are_the_files_own_pictures_with_parameter_sets(
    tmp_path: Path, b_frames: int
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=FRAMES, fps=FPS, b_frames=b_frames)
    stream = write_elementary_stream(clip, tmp_path / "clip.h264")
    data = stream.path.read_bytes()
    assert not stream.reencoded
    assert sum(unit.size for unit in stream.units) == len(data)
    assert stream.period_ns == pytest.approx(FRAMES / FPS * 1e9, rel=1e-6)
    assert [unit.is_key for unit in stream.units] == [n in {0, 15} for n in range(FRAMES)]
    start = 0
    for unit in stream.units:
        is_parameter_set = [nal[0] & 31 in {7, 8} for nal in nal_units(data[start:][: unit.size])]
        assert any(is_parameter_set) == unit.is_key
        start += unit.size


def nal_units(data: bytes) -> list[bytes]:
    return [nal for nal in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if nal]


def test_a_drawn_film_has_every_picture_and_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with VideoWriter(path, 192, 128, FPS) as film:
        for number in range(FRAMES):
            film.write(mark(picture(number, 192, 128), number))
        assert not path.exists()
    spec = SourceSpec(SourceKind.FILE, str(path))
    with closing(open_source(spec, SystemClock())) as source:
        source.open()
        assert marks(source, FRAMES) == list(range(FRAMES))
        assert source.read(key_frames_only=False) is None


def test_a_film_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    def draw() -> None:
        with VideoWriter(tmp_path / "film.mp4", 64, 64, 5.0) as film:
            film.write(picture(0, 64, 64))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw()
    assert list(tmp_path.iterdir()) == []


@st.composite
def loops(draw: st.DrawFn) -> tuple[list[AccessUnit], Loop]:
    gaps_ns = draw(st.lists(st.integers(1, 10**9), min_size=1, max_size=12))
    keys = [True, *draw(st.lists(st.booleans(), min_size=len(gaps_ns) - 1, max_size=len(gaps_ns)))]
    units, dts_ns = [], 0
    for gap_ns, is_key in zip(gaps_ns, keys, strict=False):
        units.append(AccessUnit(1, dts_ns + 5, dts_ns, is_key))
        dts_ns += gap_ns
    return units, Loop(bytes(range(len(units))), units, dts_ns)


@given(loops(), st.integers(0, 200))
def test_an_endless_recording_goes_on_in_time_and_repeats_its_pictures(
    made: tuple[list[AccessUnit], Loop], number: int
) -> None:
    units, loop = made
    data, pts_ns, dts_ns = loop.unit(number)
    assert data == bytes([number % len(units)])
    assert pts_ns == dts_ns + 5
    assert loop.unit(number + 1)[2] > dts_ns


@given(loops(), st.integers(0, 10**11))
def test_a_client_joins_at_the_last_key_frame(
    made: tuple[list[AccessUnit], Loop], elapsed_ns: int
) -> None:
    units, loop = made
    joined = loop.key_at(elapsed_ns)
    assert units[joined % len(units)].is_key
    assert loop.unit(joined)[2] <= elapsed_ns
    following = next(n for n in range(joined + 1, joined + 20) if units[n % len(units)].is_key)
    assert loop.unit(following)[2] > elapsed_ns


# --- films of the twin


@pytest.mark.gstreamer
def test_the_twins_films_are_drawn_by_the_command_and_served_as_cameras(
    gstreamer: Path, tmp_path: Path
) -> None:
    films = tmp_path / "films"
    arguments = ["twin", "run", "--hours", "0.001", "--render", str(films), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    clips = named_clips([films])
    assert set(clips) == {view.camera_id for view in built_in_shop().views} | {TOP_VIEW}
    entrance = recording(tmp_path, clips["entrance"], "entrance")
    with (
        RtspServer([entrance], ANY_PORT, python=gstreamer) as server,
        closing(watch(server.url("entrance"))) as source,
    ):
        source.open()
        frame = source.read(key_frames_only=False)
        assert (frame.width, frame.height) == (1920, 1080)
