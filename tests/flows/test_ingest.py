"""The stream-ingestor from source to buffer: replays, live cameras, and cameras in trouble."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from tests.servers.clips import jpeg, write_clip
from tests.servers.mjpeg_camera import MjpegCamera
from tests.servers.rtsp_camera import RtspCamera

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.video.sources import SourceSpec, infer_kind, open_source
from trinetra.errors import (
    BufferUnavailable,
    FrameRejected,
    SourceAbsent,
    SourceRefused,
    SourceStalled,
    SourceUnavailable,
)
from trinetra.frames.camera import CameraPlan
from trinetra.frames.connection import CameraState
from trinetra.frames.encode import EncodingConfig
from trinetra.frames.sampling.pacing import Backoff, Pacing
from trinetra.frames.sampling.sampler import IdleConfig, SamplingConfig
from trinetra.frames.service import IngestPolicy, StreamIngestor
from trinetra.ports import Clock, DecodedFrame, FrameSource
from trinetra.telemetry import CAMERA_FAILURES, configure_logging, exposition
from trinetra.values import CameraId, Frame, YuvPlanes, first_seq

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
SAID = "p@ss/w:rd %?#"
SMALL = EncodingConfig(side=64)
IDLE = IdleConfig(enabled=True, after_s=2.0)
EVERY = SamplingConfig(base_fps=30.0, ceiling_fps=100.0, lag_low=1000, lag_high=2000)
PATIENCE_S = 3600.0
PATIENT = IngestPolicy(handoff_frames=1000)
"""No frame is late, however fast the source."""
A, B = CameraId("a"), CameraId("b")


class Scene:
    """An ingestor, its buffer and one consumer of it."""

    def __init__(
        self,
        sources: dict[CameraId, Callable[[], FrameSource]],
        plans: Iterable[CameraPlan],
        *,
        clock: Clock | None = None,
        policy: IngestPolicy | None = None,
        max_frames: int = 100,
        jitter: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.clock = clock or SystemClock()
        streams = MemoryFrameStreams(self.clock, max_frames)
        self.buffer = MemoryFrameBuffer(streams, "workers", "ingestor")
        self.consumer = MemoryFrameBuffer(streams, "workers", "one")
        self.stopping = asyncio.Event()
        self.ingestor = StreamIngestor(
            list(plans),
            lambda camera: sources[camera](),
            self.buffer,
            self.clock,
            policy,
            jitter=jitter,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        # In a group, so that a failed ingestor ends a test that waits for its frames.
        async with asyncio.TaskGroup() as group:
            run = group.create_task(self.ingestor.run(self.stopping))
            try:
                yield run
            finally:
                self.stopping.set()

    async def take(self, count: int, camera: CameraId | None = None) -> list[Frame]:
        """Consume until ``count`` frames (of one camera) have come."""
        taken: list[Frame] = []
        while len(taken) < count:
            frames = await self.consumer.read(max_frames=1, wait_s=PATIENCE_S)
            await self.consumer.ack(frames)
            taken += [f.frame for f in frames if camera in (None, f.frame.camera_id)]
        return taken

    async def play(self) -> list[Frame]:
        """Run to the end of all sources, consuming one frame after the other."""
        frames: list[Frame] = []

        async def consume() -> None:
            while True:
                frames.extend(await self.take(1))

        consumer = asyncio.create_task(consume())
        await self.ingestor.run(self.stopping)
        sampled = sum(status.frames_sampled for status in self.ingestor.status().values())
        await until(lambda: len(frames) == sampled)
        consumer.cancel()
        return frames


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until the condition holds."""
    while not condition():  # noqa: ASYNC110  threads change what is waited for, and signal nothing
        await asyncio.sleep(0)


def at(
    location: Path | str, started_at: datetime | None = START, **more
) -> Callable[[], FrameSource]:
    spec = SourceSpec(infer_kind(str(location)), str(location), started_at=started_at, **more)
    return lambda: open_source(spec, SystemClock())


def replay(camera: CameraId, **more) -> CameraPlan:
    more = {"sampling": EVERY, "encoding": SMALL, "retries": False} | more
    return CameraPlan(camera, Pacing.LOCKSTEP, **more)


def live(camera: CameraId, **more) -> CameraPlan:
    return CameraPlan(camera, **({"sampling": EVERY, "encoding": SMALL} | more))


class Picture:
    """A decoded frame of one gray level."""

    def __init__(self, captured_at: datetime, level: int = 100, width: int = 64) -> None:
        self.captured_at, self.level = captured_at, level
        self.width, self.height = width, 48

    def planes(self, width: int, height: int) -> YuvPlanes:
        grey = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
        return YuvPlanes(np.full((height, width), self.level, np.uint8), grey, grey)

    def luma(self, width: int, height: int) -> np.ndarray:
        luma = np.full((height, width), 100, np.uint8)
        luma[: height // 4] = self.level
        return luma


Script = Iterable[DecodedFrame | Exception]


class Scripted:
    """A scripted source; it records how it was read and waits for ``gate``."""

    def __init__(self, script: Script, *, gate: threading.Semaphore | None = None) -> None:
        self._script: Iterator[DecodedFrame | Exception] = iter(script)
        self._gate = gate
        self.asked: list[bool] = []
        self.closed = 0

    def open(self) -> None:
        """Return at once."""

    def read(self, *, key_frames_only: bool) -> DecodedFrame | None:
        self.asked.append(key_frames_only)
        if self._gate is not None:
            self._gate.acquire()
        step = next(self._script, None)
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed += 1


def pictures(count: int, fps: float = 10.0, since: float = 0.0) -> list[Picture]:
    return [Picture(START + timedelta(seconds=since + n / fps)) for n in range(count)]


# --- replays


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return (
        write_clip(folder / "a.mp4", frames=45, fps=15),
        write_clip(folder / "b.mp4", frames=30, fps=10, size=(128, 192)),
    )


async def test_a_replay_loses_nothing_and_keeps_the_order_over_all_cameras(
    clips: tuple[Path, Path],
) -> None:
    late = START + timedelta(seconds=1.01)
    sources = {A: at(clips[0]), B: at(clips[1], late)}
    scene = Scene(sources, [replay(A), replay(B)], max_frames=20)
    appended: list[datetime] = []
    append = scene.buffer.append

    async def note(frame: Frame) -> int:
        appended.append(frame.captured_at)
        return await append(frame)

    scene.buffer.append = note
    frames = await scene.play()
    assert appended == sorted(appended)
    for camera, count, start in ((A, 45, START), (B, 30, late)):
        mine = [frame for frame in frames if frame.camera_id == camera]
        assert [f.seq for f in mine] == list(range(first_seq(start), first_seq(start) + count))
        status = scene.ingestor.status()[camera]
        assert (status.state, status.frames_read) == (CameraState.ENDED, count)
        assert (status.frames_sampled, status.dropped) == (count, {})


async def test_two_replays_of_one_recording_are_the_same(clips: tuple[Path, Path]) -> None:
    runs = []
    for _ in range(2):
        sampling = SamplingConfig(base_fps=4.0, ceiling_fps=9.0)
        plans = [replay(A, sampling=sampling), replay(B, sampling=sampling)]
        scene = Scene({A: at(clips[0]), B: at(clips[1])}, plans)
        runs.append(sorted(await scene.play(), key=lambda f: (f.camera_id, f.seq)))
    assert runs[0] == runs[1]
    assert 10 < len(runs[0]) < 60


async def test_a_replay_waits_for_its_consumers() -> None:
    source = Scripted(pictures(60))
    scene = Scene(
        {A: lambda: source}, [replay(A)], policy=IngestPolicy(max_lag=5, lag_poll_s=0.001)
    )
    async with scene.running() as run:
        for taken in range(60):
            await until(lambda n=taken: scene.ingestor.status()[A].frames_sampled > n)
            assert await scene.buffer.lag(A) <= 5
            assert len(source.asked) <= taken + 5 + 5  # in the buffer, and read ahead
            await scene.take(1)
        await run


async def test_a_replay_is_sampled_the_same_however_slow_its_consumers_are() -> None:
    sampling = SamplingConfig(base_fps=10.0, floor_fps=1.0, ceiling_fps=10.0, lag_low=1, lag_high=2)
    policy = IngestPolicy(max_lag=5, lag_poll_s=0.001)
    source = Scripted(pictures(40))
    scene = Scene({A: lambda: source}, [replay(A, sampling=sampling)], policy=policy)
    async with scene.running() as run:
        for _ in range(35):
            while await scene.buffer.lag(A) < 5:  # noqa: ASYNC110  no buffer tells
                await asyncio.sleep(0.001)
            await scene.take(1)
        await scene.take(5)
        await run
    assert scene.ingestor.status()[A].frames_sampled == 40


async def test_a_replay_decodes_as_a_live_camera_does() -> None:
    asked = []
    for plan in (replay(A, idle=IDLE), live(A, idle=IDLE, retries=False)):
        source = Scripted(pictures(60))
        await Scene({A: lambda source=source: source}, [plan]).play()
        asked.append(source.asked)
    assert asked[0] == asked[1]
    assert any(asked[0])


async def test_a_camera_that_cannot_be_opened_is_disabled_and_holds_up_nobody(
    clips: tuple[Path, Path], tmp_path: Path
) -> None:
    half = tmp_path / "half.mp4"
    half.write_bytes(clips[0].read_bytes()[:4000])
    scene = Scene({A: at(half), B: at(clips[1])}, [replay(A), replay(B)])
    frames = await scene.play()
    assert len(frames) == 30
    status = scene.ingestor.status()[A]
    assert status.state is CameraState.DISABLED
    assert "half.mp4" in (status.problem or "")


async def test_unusable_frames_are_counted_by_reason_and_the_others_come() -> None:
    good = pictures(4)
    bad = [FrameRejected("small", reason="too_small"), FrameRejected("broken")]
    source = Scripted([good[0], bad[0], good[1], bad[1], bad[1], *good[2:]])
    scene = Scene({A: lambda: source}, [replay(A)])
    assert len(await scene.play()) == 4
    assert scene.ingestor.status()[A].dropped == {"too_small": 1, "undecodable": 2}
    assert b'trinetra_frames_dropped_total{camera="a",reason="too_small"}' in exposition()


async def test_a_recording_at_its_own_speed_shows_no_frame_early(clips: tuple[Path, Path]) -> None:
    started_at = datetime.now(UTC)
    scene = Scene({A: at(clips[0], started_at)}, [CameraPlan(A, Pacing.REALTIME, encoding=SMALL)])
    async with scene.running():
        for frame in await scene.take(4):
            assert frame.captured_at <= datetime.now(UTC)


class SetBack(SystemClock):
    """A clock whose wall time is set back by an hour when it was read some times."""

    def __init__(self, after_readings: int) -> None:
        self._readings = after_readings
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        self._readings -= 1
        return super().now() - timedelta(hours=1 if self._readings < 0 else 0)

    async def sleep(self, seconds: float) -> None:
        if seconds != PATIENCE_S:  # how long the consumer waits
            self.slept_s.append(seconds)
        await super().sleep(0)


async def test_a_recording_at_its_own_speed_does_not_wait_for_a_clock_that_was_set_back(
    clips: tuple[Path, Path],
) -> None:
    clock = SetBack(after_readings=4)
    started_at = datetime.now(UTC)
    plan = CameraPlan(A, Pacing.REALTIME, encoding=SMALL, sampling=EVERY)
    scene = Scene({A: at(clips[0], started_at)}, [plan], clock=clock)
    async with scene.running():
        await scene.take(30)
    assert max(clock.slept_s) < 60.0


async def test_a_recording_in_a_loop_goes_on_until_it_is_stopped(clips: tuple[Path, Path]) -> None:
    long_ago = START - timedelta(days=1)
    scene = Scene(
        {A: at(clips[0], long_ago, loop=True)},
        [CameraPlan(A, Pacing.REALTIME, encoding=SMALL, sampling=EVERY)],
    )
    async with scene.running():
        frames = await scene.take(120)
    instants = [frame.captured_at for frame in frames]
    assert all(earlier < later for earlier, later in pairwise(instants))
    assert scene.ingestor.status()[A].state is CameraState.ENDED


# --- live cameras


class Backoffs(SystemClock):
    """A real clock, except that the test ends waits as long as a backoff."""

    LENGTH_S = 77.0
    POLICY = IngestPolicy(lost=Backoff(initial_s=LENGTH_S, factor=1.0, max_s=LENGTH_S))

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.over = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        if seconds != self.LENGTH_S:
            await super().sleep(seconds)
            return
        self.begun.release()
        await self.over.acquire()


async def test_a_camera_that_dies_and_returns_goes_on_where_it_was(
    clips: tuple[Path, Path],
) -> None:
    clock = Backoffs()
    with RtspCamera(clips[0], user="viewer", password=SAID) as camera:
        source = at(camera.url, username="viewer", password=SAID)
        scene = Scene({A: source}, [live(A)], clock=clock, policy=clock.POLICY)
        async with scene.running():
            before = await scene.take(5)
            await asyncio.to_thread(camera.kill)
            await clock.begun.acquire()
            assert scene.ingestor.status()[A].state is CameraState.BACKOFF
            clock.over.release()
            await clock.begun.acquire()  # no listener yet: retry
            await asyncio.to_thread(camera.start)
            clock.over.release()
            since = scene.ingestor.status()[A].frames_sampled
            frames = before + await scene.take(since + 5 - len(before))
            status = scene.ingestor.status()[A]
    assert status.state is CameraState.STREAMING
    assert (status.failures, status.problem) == (2, None)
    assert [f.seq for f in frames] == list(range(frames[0].seq, frames[0].seq + len(frames)))
    assert all(one.captured_at < next_.captured_at for one, next_ in pairwise(frames))
    assert camera.plays == 2


async def test_a_camera_that_goes_silent_is_connected_anew(clips: tuple[Path, Path]) -> None:
    # Connecting may time out, too, on a busy machine: then it is retried like any other failure.
    policy = IngestPolicy(lost=Backoff(initial_s=0.05, factor=1.0, max_s=0.05))
    stalled = CAMERA_FAILURES.labels(A, "stalled")
    before = stalled._value.get()
    with RtspCamera(clips[0]) as camera:
        scene = Scene({A: at(camera.url, timeout_s=1.0)}, [live(A)], policy=policy)
        async with scene.running():
            await scene.take(2)
            camera.stall()
            await until(lambda: stalled._value.get() > before)
            camera.resume()
            sampled = scene.ingestor.status()[A].frames_sampled
            await until(lambda: scene.ingestor.status()[A].frames_sampled > sampled)


async def test_silence_shows_as_stalled_before_the_connection_is_given_up() -> None:
    clock, gate = ManualClock(START), threading.Semaphore(2)
    source = Scripted(pictures(100), gate=gate)
    scene = Scene(
        {A: lambda: source}, [live(A)], clock=clock, policy=IngestPolicy(stalled_after_s=3)
    )
    async with scene.running():
        await until(lambda: scene.ingestor.status()[A].state is CameraState.STREAMING)

        def silence_is_noticed() -> bool:
            clock.advance(0.5)
            return scene.ingestor.status()[A].state is CameraState.STALLED

        await until(silence_is_noticed)
        gate.release()
        await until(lambda: scene.ingestor.status()[A].frames_read == 3)

        def return_is_noticed() -> bool:
            clock.advance(0.5)
            gate.release()
            return scene.ingestor.status()[A].state is CameraState.STREAMING

        await until(return_is_noticed)
        scene.stopping.set()
        gate.release(100)


@pytest.fixture
def _own_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("_own_logging")
async def test_a_refused_camera_is_tried_slowly_told_once_and_keeps_its_password(
    clips: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logging(as_json=True, level="DEBUG")
    clock = Backoffs()
    policy = IngestPolicy(
        lost=Backoff(initial_s=1.0), refused=Backoff(initial_s=77.0, factor=1.0, max_s=77.0)
    )
    with RtspCamera(clips[0], user="viewer", password="other") as camera:
        source = at(camera.url, username="viewer", password=SAID)
        scene = Scene({A: source}, [live(A)], clock=clock, policy=policy)
        async with scene.running():
            for _ in range(3):
                await clock.begun.acquire()
                clock.over.release()
            await clock.begun.acquire()
            status = scene.ingestor.status()[A]
            assert not scene.ingestor.ready()
            clock.over.release()
    log = capfd.readouterr().err
    assert status.failures == 4
    assert "credentials" in (status.problem or "")
    assert log.count('"level": "warning"') == 1
    assert SAID not in log + repr(status)
    assert "p%40ss" not in log + repr(status)


async def test_one_cameras_trouble_does_not_touch_the_others(clips: tuple[Path, Path]) -> None:
    clock = Backoffs()
    with RtspCamera(clips[0]) as camera:
        sources = {A: at("rtsp://127.0.0.1:1/none"), B: at(camera.url)}
        scene = Scene(sources, [live(A), live(B)], clock=clock, policy=clock.POLICY)
        async with scene.running():
            await clock.begun.acquire()
            assert len(await scene.take(10, B)) == 10
            assert scene.ingestor.status()[A].state is CameraState.BACKOFF


@pytest.mark.parametrize(
    ("share", "is_ready"), [(0.0, True), (0.5, True), (0.51, False), (1.0, False)]
)
async def test_the_ingestor_is_ready_while_enough_cameras_work(
    share: float, *, is_ready: bool
) -> None:
    clock, gate = Backoffs(), threading.Semaphore(0)
    policy = replace(clock.POLICY, ready_share=share)
    sources = {A: at("rtsp://127.0.0.1:1/none"), B: lambda: Scripted(pictures(10), gate=gate)}
    scene = Scene(sources, [live(A), live(B)], clock=clock, policy=policy)
    async with scene.running():
        await clock.begun.acquire()
        assert scene.ingestor.ready() is (share == 0.0), "no camera works yet"
        gate.release()
        assert len(await scene.take(1, B)) == 1
        assert scene.ingestor.ready() is is_ready
        scene.stopping.set()
        gate.release(10)


async def test_an_http_camera_streams(clips: tuple[Path, Path]) -> None:
    with MjpegCamera([jpeg(160, 120, n) for n in range(9)]) as camera:
        scene = Scene({A: at(camera.url)}, [live(A, encoding=EncodingConfig(keeps_native=True))])
        async with scene.running():
            frames = await scene.take(5)
    assert all((f.width, f.height, f.native_scale) == (160, 120, 1.0) for f in frames)
    assert all(f.native_jpeg for f in frames)


async def test_when_nobody_reads_a_live_camera_the_oldest_frames_go_and_are_counted() -> None:
    scene = Scene({A: lambda: Scripted(pictures(60))}, [live(A, retries=False)], max_frames=10)
    await scene.ingestor.run(scene.stopping)
    status = scene.ingestor.status()[A]
    late = status.dropped.get("late", 0)
    assert status.frames_sampled + late <= 60
    assert status.dropped.get("buffer_full", 0) == max(0, status.frames_sampled - 10)


async def test_while_the_buffer_hangs_a_live_camera_is_read_on_and_its_loss_counted() -> None:
    source = Scripted(pictures(50))
    scene = Scene({A: lambda: source}, [live(A)])
    hangs = asyncio.Event()

    async def hang(_: Frame) -> int:
        await hangs.wait()
        return 0

    scene.buffer.append = hang
    run = asyncio.create_task(scene.ingestor.run(scene.stopping))
    await until(lambda: source.closed == 1)
    assert scene.ingestor.status()[A].frames_read == 50
    assert scene.ingestor.status()[A].dropped["late"] >= 40
    hangs.set()
    await run


class Outage:
    """Makes parts of the ingestor's buffer unavailable for a while."""

    def __init__(self, scene: Scene, *parts: str) -> None:
        self.is_over = False
        self.refused = 0
        for part in parts:
            setattr(scene.buffer, part, self._breakable(getattr(scene.buffer, part)))

    def _breakable(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(*args: object) -> object:
            if not self.is_over:
                self.refused += 1
                raise BufferUnavailable("the buffer does not answer")
            return await call(*args)

        return answer


async def test_while_the_buffer_is_away_cameras_are_read_on_and_come_back_with_it() -> None:
    gate = threading.Semaphore(0)
    source = Scripted(pictures(2000), gate=gate)
    policy = IngestPolicy(buffer_retry_s=0.0)
    scene = Scene({A: lambda: source}, [live(A)], policy=policy)
    outage = Outage(scene, "append")
    async with scene.running():
        status = scene.ingestor.status
        for read in range(1, 21):
            gate.release()
            await until(lambda n=read: status()[A].dropped.get("buffer_unavailable") == n)
        assert not scene.ingestor.ready()
        assert status()[A].state is CameraState.STREAMING
        assert status()[A].problem == "the buffer does not answer"
        outage.is_over = True
        gate.release()
        assert len(await scene.take(1)) == 1
        await until(scene.ingestor.ready)
        assert status()[A].problem is None
        assert (status()[A].frames_sampled, status()[A].dropped) == (1, {"buffer_unavailable": 20})
        scene.stopping.set()
        gate.release(2000)
    assert b'trinetra_frames_dropped_total{camera="a",reason="buffer_unavailable"}' in exposition()


async def test_during_an_outage_few_frames_wait_for_an_answer() -> None:
    class Still(SystemClock):
        def monotonic(self) -> float:
            return 1000.0

    gate = threading.Semaphore(0)
    scene = Scene({A: lambda: Scripted(pictures(50), gate=gate)}, [live(A)], clock=Still())
    outage = Outage(scene, "append")
    async with scene.running():
        status = scene.ingestor.status
        for read in range(1, 51):
            gate.release()
            await until(lambda n=read: status()[A].dropped.get("buffer_unavailable") == n)
        gate.release()
    assert outage.refused == 1


async def test_a_buffer_that_is_back_is_noticed_while_no_camera_has_a_frame() -> None:
    gate = threading.Semaphore(1)
    source = Scripted(pictures(10), gate=gate)
    policy = IngestPolicy(buffer_retry_s=0.01, watch_every_s=0.01)
    scene = Scene({A: lambda: source}, [live(A)], policy=policy)
    outage = Outage(scene, "append", "lag")
    async with scene.running():
        await until(lambda: scene.ingestor.status()[A].problem is not None)
        outage.is_over = True
        await until(scene.ingestor.ready)
        scene.stopping.set()
        gate.release(10)


async def test_a_replay_in_step_waits_for_the_buffer_and_loses_nothing() -> None:
    policy = IngestPolicy(buffer_retry_s=0.0, lag_poll_s=0.0)
    scene = Scene({A: lambda: Scripted(pictures(30))}, [replay(A)], policy=policy)
    outage = Outage(scene, "append", "lag")
    playing = asyncio.create_task(scene.play())
    await until(lambda: outage.refused == 5)
    outage.is_over = True
    assert len(await playing) == 30
    assert scene.ingestor.status()[A].dropped == {}


async def test_a_lagging_buffer_slows_sampling() -> None:
    sampling = SamplingConfig(base_fps=10.0, floor_fps=1.0, ceiling_fps=10.0, lag_low=2, lag_high=5)
    gate = threading.Semaphore(0)
    source = Scripted(pictures(200), gate=gate)
    scene = Scene({A: lambda: source}, [live(A, sampling=sampling)])
    async with scene.running():
        for read in range(1, 150):  # 15 s, unread by any consumer
            gate.release()
            await until(lambda n=read: scene.ingestor.status()[A].frames_read == n)
        assert scene.ingestor.status()[A].sample_fps < 5.0
        assert await scene.buffer.lag(A) < 40
        scene.stopping.set()
        gate.release(100)


async def test_a_live_source_whose_own_time_goes_back_is_sampled_on_in_a_new_session() -> None:
    source = Scripted([*pictures(20), *pictures(20, since=-600.0)])
    scene = Scene({A: lambda: source}, [live(A, retries=False)], policy=PATIENT)
    frames = await scene.play()
    assert len(frames) == 40
    assert [f.captured_at for f in frames[20:]] == [p.captured_at for p in pictures(20, 10, -600)]
    assert [f.seq - frames[0].seq for f in frames] == list(range(40))
    sessions = [f.session for f in frames]
    assert sessions == [sessions[0]] * 20 + [sessions[20]] * 20
    assert sessions[0] != sessions[20]
    assert scene.ingestor.status()[A].clock_steps == 1


async def test_a_camera_that_may_be_is_read_by_key_frames_while_nothing_moves() -> None:
    still = pictures(40)
    moving = [Picture(f.captured_at, 20 + 30 * (n % 2)) for n, f in enumerate(pictures(20, 10, 4))]
    source = Scripted(still + moving)
    plan = live(A, idle=IDLE, retries=False)
    scene = Scene({A: lambda: source}, [plan])
    await scene.ingestor.run(scene.stopping)
    assert not any(source.asked[:20])
    assert all(source.asked[23:40])
    assert not any(source.asked[44:])


# --- stopping and failing


async def test_stopping_ends_every_thread(clips: tuple[Path, Path]) -> None:
    with RtspCamera(clips[0]) as camera:
        sources = {A: at(camera.url), B: at(clips[1], datetime.now(UTC), loop=True)}
        scene = Scene(sources, [live(A), CameraPlan(B, Pacing.REALTIME, encoding=SMALL)])
        async with scene.running():
            await scene.take(2, A)
            await scene.take(2, B)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("camera-")]
    assert {s.state for s in scene.ingestor.status().values()} == {CameraState.ENDED}


async def test_stopping_does_not_wait_for_a_backoff_or_for_slow_consumers() -> None:
    def refusing() -> FrameSource:
        return Scripted([SourceRefused("no")])

    sources = {A: refusing, B: lambda: Scripted(pictures(500))}
    scene = Scene(sources, [live(A), replay(B)], policy=IngestPolicy(max_lag=3))
    async with scene.running():
        await until(lambda: scene.ingestor.status()[A].state is CameraState.BACKOFF)
        await until(lambda: scene.ingestor.status()[B].frames_sampled == 3)
    assert scene.ingestor.status()[B].frames_sampled == 3


async def test_a_defect_in_a_source_stops_the_ingestor_with_its_true_exception() -> None:
    broken = Scripted([*pictures(3), ZeroDivisionError("a bug")])
    waiting = Scripted(pictures(3), gate=threading.Semaphore(3))
    scene = Scene({A: lambda: broken, B: lambda: waiting}, [live(A), live(B, retries=False)])
    gate = waiting._gate
    run = asyncio.create_task(scene.ingestor.run(scene.stopping))
    await until(lambda: broken.closed == 1)
    gate.release(10)
    with pytest.raises(ExceptionGroup) as failure:
        await run
    assert failure.group_contains(ZeroDivisionError)
    assert len(failure.value.exceptions) == 1
    assert broken.closed == waiting.closed == 1


async def test_cancelling_the_run_closes_every_source() -> None:
    source = Scripted(pictures(10_000))
    scene = Scene({A: lambda: source}, [replay(A)])
    run = asyncio.create_task(scene.ingestor.run(scene.stopping))
    await scene.take(5)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert source.closed == 1


class Waits(SystemClock):
    """A clock that records waits as long as a backoff instead of waiting."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    async def sleep(self, seconds: float) -> None:
        if seconds > IngestPolicy().watch_every_s:
            self.ended.append(seconds)
            seconds = 0.0
        await super().sleep(seconds)


async def waits_of(scripts: list[list[Any]], jitter: float, **more) -> list[float]:
    """Return the backoffs of a camera whose connections go as scripted, the last one to its end."""
    clock, script = Waits(), iter(scripts)
    scene = Scene(
        {A: lambda: Scripted(next(script))}, [live(A)], clock=clock, jitter=lambda: jitter, **more
    )
    await scene.ingestor.run(scene.stopping)
    return clock.ended


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
async def test_a_camera_that_restarts_is_tried_every_half_minute_whatever_it_answers(
    jitter: float,
) -> None:
    away, absent, refused = SourceUnavailable("off"), SourceAbsent("404"), SourceRefused("401")
    restart = [[away]] * 8 + [[absent]] * 8 + [[refused]] * 8 + [[absent]] + [[refused]]
    waits = await waits_of([[*pictures(3), away], *restart, pictures(3)], jitter)
    assert len(waits) == 27
    assert max(waits) <= 30.0


async def test_a_password_that_never_worked_is_tried_a_few_times_and_then_rarely() -> None:
    waits = await waits_of([[SourceRefused("401")]] * 20 + [pictures(2)], 0.0)
    attempts_at_s = [sum(waits[:n]) for n in range(len(waits))]
    assert max(waits[:2]) <= 30.0
    assert sum(at_s < 300.0 for at_s in attempts_at_s) <= 4
    assert sum(at_s < 3600.0 for at_s in attempts_at_s) <= 12
    assert max(waits) <= 600.0


async def test_a_password_that_worked_before_is_tried_a_bounded_number_of_times_an_hour() -> None:
    failures = [[SourceRefused("401")]] * 60
    waits = await waits_of([[*pictures(2), SourceRefused("401")], *failures, pictures(2)], 0.0)
    attempts_at_s = [sum(waits[:n]) for n in range(len(waits))]
    assert sum(at_s < 3600.0 for at_s in attempts_at_s) <= 40
    assert sum(3600.0 <= at_s < 7200.0 for at_s in attempts_at_s) <= 9


async def test_failures_in_a_row_lengthen_the_wait_and_are_told_apart() -> None:
    failures = [SourceUnavailable("gone"), SourceStalled("silent"), SourceUnavailable("gone")]
    policy = IngestPolicy(lost=Backoff(initial_s=1.0, factor=3.0, max_s=100.0))
    scripts = [*([failure] for failure in failures), pictures(2)]
    assert await waits_of(scripts, 0.5, policy=policy) == [1.0, 3.0, 9.0]


async def test_without_cameras_there_is_nothing_to_do() -> None:
    scene = Scene({}, [])
    await scene.ingestor.run(scene.stopping)
    assert scene.ingestor.status() == {}
