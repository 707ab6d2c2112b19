"""The stream-ingestor: cameras in, sampled frames out.

One asyncio task and one decode thread per camera. The thread reads, samples and encodes; the task
paces, appends to the buffer and, when the camera is lost, waits and starts the next thread. Between
them lies a short queue: the event loop never waits for a camera, and a camera waits for the event
loop only where it plays a recording. While the buffer is away the cameras are read on, and their
frames are dropped and counted; only a recording played in step waits.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from typing import Any

from trinetra.errors import (
    BufferUnavailable,
    CameraTaken,
    FrameRejected,
    SourceRefused,
    SourceStalled,
    SourceUnavailable,
)
from trinetra.frames.connection import CameraState, CameraStatus, Connection
from trinetra.frames.encode import Encoder, EncodingConfig
from trinetra.frames.motion import MotionConfig
from trinetra.frames.outage import Outage
from trinetra.frames.pacing import Backoff, Increasing, Lockstep, Pacing, release_delay_s
from trinetra.frames.sampling import IdleConfig, SamplingConfig
from trinetra.frames.selection import Selection
from trinetra.ports import Clock, DecodedFrame, FrameBuffer, FrameSource
from trinetra.telemetry import (
    CAMERA_FAILURES,
    CAMERA_STATE,
    FRAMES_DROPPED,
    FRAMES_READ,
    FRAMES_SAMPLED,
    FRAMES_WAITING,
    SAMPLE_RATE,
    get_logger,
)
from trinetra.values import CameraId, Frame, Instant, first_seq
from trinetra.waiting import unless

_log = get_logger("stream-ingestor")


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """How one camera is to be read.

    ``retries`` False is for a recording that cannot be opened: it will not heal, so the camera is
    disabled and the run can end.
    """

    camera_id: CameraId
    pacing: Pacing = Pacing.LIVE
    retries: bool = True
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    idle: IdleConfig = field(default_factory=IdleConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """How the ingestor deals with trouble; the same for every camera.

    ``max_lag`` is how many frames a lockstep replay may be ahead of the consumers. A camera that
    streamed for ``steady_after_s`` starts again at the shortest backoff. While the buffer does not
    answer, it is tried every ``buffer_retry_s``.
    """

    lost: Backoff = field(default_factory=Backoff)
    refused: Backoff = field(default_factory=lambda: Backoff(initial_s=30.0, max_s=600.0))
    steady_after_s: float = 10.0
    stalled_after_s: float = 3.0
    watch_every_s: float = 0.5
    max_lag: int = 16
    lag_poll_s: float = 0.01
    handoff_frames: int = 2
    buffer_retry_s: float = 0.5


class StreamIngestor:
    """Reads every camera until it has ended or ``stopping`` is set."""

    name = "stream-ingestor"

    def __init__(
        self,
        cameras: Sequence[CameraPlan],
        open_source: Callable[[CameraId], FrameSource],
        buffer: FrameBuffer,
        clock: Clock,
        policy: IngestPolicy | None = None,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the plans, and ``open_source`` that returns a camera's source, not yet open."""
        self._open_source = open_source
        self._buffer = buffer
        self._clock = clock
        self._policy = policy or IngestPolicy()
        self._jitter = jitter
        self._cameras = [_Camera(plan, clock) for plan in cameras]
        in_step = [p.camera_id for p in cameras if p.pacing is Pacing.LOCKSTEP]
        self._replay = _Replay(Lockstep(in_step))
        self._outage = Outage(self._policy.buffer_retry_s)
        self._running = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Ingest until every source has ended or ``stopping`` is set, then join all threads."""
        self._running = True
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._watch()),
                group.create_task(self._watch_buffer()),
                group.create_task(self._halt_on(stopping)),
            ]
            cameras = [group.create_task(self._run_camera(c, stopping)) for c in self._cameras]
            # Not gather: it would raise a camera's exception a second time, beside the group.
            if cameras:
                await asyncio.wait(cameras)
            for helper in helpers:
                helper.cancel()
        self._running = False

    def ready(self) -> bool:
        """Return whether every camera has its task, and the buffer takes frames.

        A camera in trouble does not change that.
        """
        return self._running and self._outage.problem is None

    def status(self) -> dict[CameraId, CameraStatus]:
        """Return what each camera is doing now; a buffer that is away is every camera's problem."""
        statuses = {c.camera_id: c.connection.status() for c in self._cameras}
        missing = self._outage.problem
        return {
            camera_id: replace(status, problem=status.problem or missing)
            for camera_id, status in statuses.items()
        }

    async def _halt_on(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        for camera in self._cameras:
            camera.halt()

    async def _watch(self) -> None:
        """Notice stalls before the source's own time-out does, and keep the gauges current."""
        while True:
            await self._clock.sleep(self._policy.watch_every_s)
            for camera in self._cameras:
                camera.check_stall(self._policy.stalled_after_s)

    async def _watch_buffer(self) -> None:
        """Notice that the buffer is back also while no camera has a frame to try it with."""
        while self._cameras:
            await self._clock.sleep(self._policy.watch_every_s)
            if self._outage.untried_s(self._clock.monotonic()) >= self._policy.watch_every_s:
                await self._refresh_lag(self._cameras[0])

    async def _run_camera(self, camera: "_Camera", stopping: asyncio.Event) -> None:
        try:
            while not stopping.is_set():
                delay_s = await self._connect_once(camera, stopping)
                if delay_s is None:
                    return
                await unless(stopping, self._clock.sleep(delay_s))
        finally:
            camera.finish()
            await self._replay.leave(camera.camera_id)

    async def _connect_once(self, camera: "_Camera", stopping: asyncio.Event) -> float | None:
        """Stream until the camera ends or is lost; return the wait before the next attempt."""
        camera.enter(CameraState.CONNECTING)
        try:
            await self._stream(camera, stopping)
        except SourceUnavailable as error:
            await self._replay.leave(camera.camera_id)
            if camera.plan.retries:
                return self._after_failure(camera, error)
            camera.give_up(error)
        return None

    def _after_failure(self, camera: "_Camera", error: SourceUnavailable) -> float:
        is_steady = camera.streamed_s() >= self._policy.steady_after_s
        failures = camera.fail(error, is_steady=is_steady)
        backoff = self._policy.refused if isinstance(error, SourceRefused) else self._policy.lost
        return camera.back_off(error, backoff.delay_s(failures, self._jitter()))

    async def _stream(self, camera: "_Camera", stopping: asyncio.Event) -> None:
        """Move frames from the camera's thread to the buffer until the thread is done."""
        if camera.plan.pacing is Pacing.LOCKSTEP:
            self._replay.join(camera.camera_id)
        handoff = _Handoff(asyncio.get_running_loop(), self._policy.handoff_frames)
        thread = camera.start(self._open_source(camera.camera_id), handoff)
        try:
            while (frame := await handoff.get()) is not None:
                await self._release(camera, frame, stopping)
        finally:
            handoff.close()
            await handoff.finished.wait()
            thread.join()

    async def _release(self, camera: "_Camera", frame: Frame, stopping: asyncio.Event) -> None:
        if camera.plan.pacing is Pacing.LOCKSTEP:
            await self._append_in_step(camera, frame, stopping)
            return
        if camera.plan.pacing is Pacing.REALTIME:
            delay_s = release_delay_s(frame.captured_at, self._clock.now())
            await unless(stopping, self._clock.sleep(delay_s))
            if stopping.is_set():
                return
        await self._append_or_drop(camera, frame)

    async def _append_in_step(
        self, camera: "_Camera", frame: Frame, stopping: asyncio.Event
    ) -> None:
        async with self._replay.turn(frame):
            while not stopping.is_set():
                # An append whose answer is lost is done again: the frame is the same then.
                if await self._has_room(camera) and await self._append(camera, frame):
                    return
                # The buffer cannot tell when it has room, so it has to be asked.
                await self._clock.sleep(self._policy.lag_poll_s)

    async def _has_room(self, camera: "_Camera") -> bool:
        if not self._outage.may_try(self._clock.monotonic()):
            return False
        return await self._refresh_lag(camera) and camera.lag < self._policy.max_lag

    async def _append_or_drop(self, camera: "_Camera", frame: Frame) -> None:
        may_try = self._outage.may_try(self._clock.monotonic())
        if may_try and await self._append(camera, frame):
            await self._refresh_lag(camera)
        else:
            camera.dropped("taken" if camera.stands_by else "buffer_unavailable", 1)

    async def _append(self, camera: "_Camera", frame: Frame) -> bool:
        """Return whether the frame is in the buffer."""
        try:
            camera.dropped("buffer_full", await self._buffer.append(frame))
        except CameraTaken as error:
            camera.stand_by(error)
            return False
        except BufferUnavailable as error:
            self._miss_buffer(error)
            return False
        camera.sampled(frame)
        self._find_buffer()
        return True

    async def _refresh_lag(self, camera: "_Camera") -> bool:
        """Return whether the buffer told how many of the camera's frames are unfinished."""
        try:
            camera.waiting(await self._buffer.lag(camera.camera_id))
        except BufferUnavailable as error:
            self._miss_buffer(error)
            return False
        self._find_buffer()
        return True

    def _miss_buffer(self, error: BufferUnavailable) -> None:
        if self._outage.failed(str(error), self._clock.monotonic()):
            _log.warning("frame buffer lost", problem=str(error))

    def _find_buffer(self) -> None:
        if self._outage.answered():
            _log.info("frame buffer is back")


class _Replay:
    """Lets the cameras of a lockstep replay wait for their turn."""

    def __init__(self, order: Lockstep) -> None:
        self._order = order
        self._changed = asyncio.Condition()

    def join(self, camera: CameraId) -> None:
        self._order.join(camera)

    async def leave(self, camera: CameraId) -> None:
        async with self._changed:
            self._order.leave(camera)
            self._changed.notify_all()

    @asynccontextmanager
    async def turn(self, frame: Frame) -> AsyncIterator[None]:
        camera = frame.camera_id
        async with self._changed:
            self._order.offer(camera, frame.captured_at)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._order.turn() == camera)
        try:
            yield
        finally:
            async with self._changed:
                self._order.release(camera)
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class _End:
    """The thread is done, with the error that ended it."""

    error: BaseException | None


class _Handoff:
    """A short queue from a camera's thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self._loop = loop
        self._room = threading.Semaphore(size)
        self._queue: asyncio.Queue[Frame | _End] = asyncio.Queue()
        self.closed = False
        self.finished = asyncio.Event()

    def put(self, frame: Frame, *, wait: bool) -> bool:
        """Hand a frame over (in the thread); False when there was no room or it is closed."""
        if not self._room.acquire(blocking=wait) or self.closed:
            return False
        return self._in_loop(self._queue.put_nowait, frame)

    def finish(self, error: BaseException | None) -> None:
        """Say that nothing more comes (in the thread)."""
        self._in_loop(self._end, _End(error))

    async def get(self) -> Frame | None:
        """Return the next frame, None at the end; raises the error that ended the thread."""
        item = await self._queue.get()
        if isinstance(item, Frame):
            self._room.release()
            return item
        if item.error is not None:
            raise item.error
        return None

    def close(self) -> None:
        """Take no more frames and wake the thread where it waits for room."""
        self.closed = True
        self._room.release()

    def _end(self, end: _End) -> None:
        self._queue.put_nowait(end)
        self.finished.set()

    def _in_loop(self, call: Callable[[Any], None], item: Frame | _End) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, item)
        except RuntimeError:
            # The loop was closed without waiting for this thread: nobody is left to tell.
            return False
        return True


class _Camera:
    """One camera: its plan, its state, and the work of its decode thread.

    The thread counts what it reads, the event loop what it appends; only changes of state come
    from both and are guarded.
    """

    def __init__(self, plan: CameraPlan, clock: Clock) -> None:
        self.plan = plan
        self.camera_id = plan.camera_id
        self.connection = Connection(clock.now())
        self.lag = 0
        self._clock = clock
        self._state_lock = threading.Lock()
        self._handoff: _Handoff | None = None
        self._streaming_since_s: float | None = None
        self._read_at_s = clock.monotonic()
        self._rejected_before = False
        self._times = Increasing()
        self._seq: int | None = None
        self.stands_by = False
        # A replay must not depend on the machine: every frame is decoded.
        idles = plan.idle.enabled and plan.pacing is not Pacing.LOCKSTEP
        self._selection = Selection(plan.sampling, plan.motion, replace(plan.idle, enabled=idles))
        self._encoder = Encoder(plan.camera_id, plan.encoding)
        self._frames_read = FRAMES_READ.labels(plan.camera_id)
        self._show_state()

    # --- in the event loop

    def start(self, source: FrameSource, handoff: _Handoff) -> threading.Thread:
        """Start the decode thread, which ends with the source or when the handoff is closed."""
        self._handoff = handoff
        self._streaming_since_s = None
        self._rejected_before = False
        # A thread inside FFmpeg cannot be woken before its time-out: it must not keep a process
        # alive whose event loop has given up on it.
        thread = threading.Thread(
            target=self._decode,
            args=(source, handoff),
            name=f"camera-{self.camera_id}",
            daemon=True,
        )
        thread.start()
        return thread

    def halt(self) -> None:
        """Make the decode thread end after its current read."""
        if self._handoff is not None:
            self._handoff.close()

    def enter(self, state: CameraState) -> None:
        """Change the state, if it is another one."""
        with self._state_lock:
            if state is not self.connection.state:
                self.connection.to(state, self._clock.now())
        self._show_state()

    def check_stall(self, after_s: float) -> None:
        """Tell a live camera that went silent from one that delivers."""
        silent = self._clock.monotonic() - self._read_at_s > after_s
        if self.plan.pacing is Pacing.LIVE:
            with self._state_lock:
                if self.connection.state is CameraState.STREAMING and silent:
                    self.connection.to(CameraState.STALLED, self._clock.now())
                elif self.connection.state is CameraState.STALLED and not silent:
                    self.connection.to(CameraState.STREAMING, self._clock.now())
        self._show_state()
        SAMPLE_RATE.labels(self.camera_id).set(self.connection.sample_rate_hz())

    def streamed_s(self) -> float:
        """Return how long the current or last connection has delivered frames."""
        if self._streaming_since_s is None:
            return 0.0
        return self._clock.monotonic() - self._streaming_since_s

    def fail(self, error: SourceUnavailable, *, is_steady: bool) -> int:
        """Count a failure and return how many there were in a row."""
        CAMERA_FAILURES.labels(self.camera_id, _failure_name(error)).inc()
        return self.connection.failed(is_steady=is_steady)

    def back_off(self, error: SourceUnavailable, delay_s: float) -> float:
        """Wait before the next attempt; said aloud only where it is news."""
        report = _log.debug if self.connection.problem == str(error) else _log.warning
        report(
            "camera lost",
            camera=self.camera_id,
            problem=str(error),
            retry_in_s=round(delay_s, 1),
        )
        self.connection.problem = str(error)
        self.enter(CameraState.BACKOFF)
        return delay_s

    def give_up(self, error: SourceUnavailable) -> None:
        """Disable the camera for good."""
        self.fail(error, is_steady=False)
        _log.error("camera disabled", camera=self.camera_id, problem=str(error))
        self.connection.problem = str(error)
        self.enter(CameraState.DISABLED)

    def finish(self) -> None:
        """Note that nothing more will come."""
        if self.connection.state is not CameraState.DISABLED:
            self.enter(CameraState.ENDED)

    def stand_by(self, taken: CameraTaken) -> None:
        """Leave the camera to another ingestor; what comes after that one is numbered anew."""
        if not self.stands_by:
            _log.warning("camera taken", camera=self.camera_id, problem=str(taken))
        self.stands_by = True
        self._seq = None
        self.connection.problem = str(taken)

    def sampled(self, frame: Frame) -> None:
        """Count a frame that is in the buffer."""
        if self.stands_by:
            _log.info("camera taken over", camera=self.camera_id)
            self.stands_by, self.connection.problem = False, None
        self.connection.sampled(frame.captured_at)
        FRAMES_SAMPLED.labels(self.camera_id).inc()

    def waiting(self, frames: int) -> None:
        """Note how many frames wait in the buffer; the sampler slows down for many."""
        self.lag = frames
        FRAMES_WAITING.labels(self.camera_id).set(frames)

    def dropped(self, reason: str, frames: int) -> None:
        """Count lost frames."""
        if frames:
            self.connection.dropped[reason] += frames
            FRAMES_DROPPED.labels(self.camera_id, reason).inc(frames)

    def _show_state(self) -> None:
        for state in CameraState:
            is_current = state is self.connection.state
            CAMERA_STATE.labels(self.camera_id, state.value).set(is_current)

    # --- in the decode thread

    def _decode(self, source: FrameSource, handoff: _Handoff) -> None:
        error: BaseException | None = None
        try:
            with closing(source):
                source.open()
                self._read_all(source, handoff)
        except BaseException as failure:  # noqa: BLE001  handed to the event loop, which raises it
            error = failure
        handoff.finish(error)

    def _read_all(self, source: FrameSource, handoff: _Handoff) -> None:
        while not handoff.closed:
            try:
                decoded = source.read(key_frames_only=self._selection.key_frames_only)
                if decoded is None:
                    return
                self._take(decoded, handoff)
            except FrameRejected as rejected:
                self._reject(rejected)

    def _take(self, decoded: DecodedFrame, handoff: _Handoff) -> None:
        captured_at = self._times.next(decoded.captured_at)
        self._count_read(decoded, captured_at)
        if not self._selection.wants(decoded, captured_at, lag=self.lag):
            return
        self._seq = first_seq(captured_at) if self._seq is None else self._seq + 1
        frame = self._encoder.encode(self._seq, captured_at, decoded)
        if not handoff.put(frame, wait=self.plan.pacing is not Pacing.LIVE) and not handoff.closed:
            self.dropped("late", 1)

    def _count_read(self, decoded: DecodedFrame, captured_at: Instant) -> None:
        self._read_at_s = self._clock.monotonic()
        self.connection.read(captured_at, decoded.width, decoded.height)
        self.connection.key_frames_only = self._selection.key_frames_only
        self._frames_read.inc()
        if self._streaming_since_s is None:
            self._streaming_since_s = self._read_at_s
            self._begin_streaming(decoded)

    def _begin_streaming(self, decoded: DecodedFrame) -> None:
        self.connection.problem = None
        self.enter(CameraState.STREAMING)
        size = f"{decoded.width}x{decoded.height}"
        _log.info("camera streaming", camera=self.camera_id, size=size)

    def _reject(self, rejected: FrameRejected) -> None:
        self.dropped(rejected.reason, 1)
        report = _log.debug if self._rejected_before else _log.warning
        report("frame rejected", camera=self.camera_id, problem=str(rejected))
        self._rejected_before = True


def _failure_name(error: SourceUnavailable) -> str:
    if isinstance(error, SourceStalled):
        return "stalled"
    return "refused" if isinstance(error, SourceRefused) else "unavailable"
