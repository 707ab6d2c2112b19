"""One camera of the stream-ingestor: its plan, its state and its decode thread."""

import asyncio
import threading
from contextlib import closing
from dataclasses import dataclass, field

from trinetra.errors import (
    CameraTaken,
    FrameRejected,
    SourceAbsent,
    SourceRefused,
    SourceStalled,
    SourceUnavailable,
)
from trinetra.frames.connection import CameraState, Connection
from trinetra.frames.encode import Encoder, EncodingConfig
from trinetra.frames.handoff import Handoff
from trinetra.frames.sampling.clock_steps import ClockReading, step_s
from trinetra.frames.sampling.motion import MotionConfig
from trinetra.frames.sampling.pacing import Increasing, Pacing
from trinetra.frames.sampling.sampler import IdleConfig, SamplingConfig
from trinetra.frames.sampling.selection import Selection
from trinetra.frames.sampling.view import PROBLEMS, ViewConfig
from trinetra.ports import Clock, DecodedFrame, FrameSource
from trinetra.telemetry import (
    CAMERA_FAILURES,
    CAMERA_PICTURE,
    CAMERA_STATE,
    CLOCK_STEPS,
    FRAMES_DROPPED,
    FRAMES_LEFT_TO_OTHER,
    FRAMES_READ,
    FRAMES_SAMPLED,
    FRAMES_WAITING,
    SAMPLE_RATE,
    get_logger,
)
from trinetra.values import CameraId, Frame, Instant, first_seq, microseconds

_log = get_logger("stream-ingestor")


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """Configuration for reading one camera.

    ``retries`` is False for recordings: one that cannot be opened will not become readable, so the
    camera is disabled and the run can end.
    """

    camera_id: CameraId
    pacing: Pacing = Pacing.LIVE
    retries: bool = True
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    idle: IdleConfig = field(default_factory=IdleConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)


class Camera:
    """One camera: its plan, its state and its decode thread.

    The thread counts the frames it reads, the event loop those it appends. Only state changes come
    from both, so a lock guards them.
    """

    def __init__(self, plan: CameraPlan, clock: Clock) -> None:
        self.plan = plan
        self.camera_id = plan.camera_id
        self.connection = Connection(clock.now())
        self.stopping = asyncio.Event()
        self.lag = 0
        self._clock = clock
        self._state_lock = threading.Lock()
        self._handoff: Handoff | None = None
        self._streaming_since_s: float | None = None
        self._read_at_s = clock.monotonic()
        self._rejected_before = False
        self._clock_read: ClockReading | None = None
        self._seq: int | None = None
        self._session: int | None = None
        self.stands_by = False
        self._begin_session()
        self._encoder = Encoder(plan.camera_id, plan.encoding)
        self._frames_read = FRAMES_READ.labels(plan.camera_id)
        self._steps = {way: CLOCK_STEPS.labels(plan.camera_id, way) for way in ("back", "forward")}
        self._show_state()

    # --- in the event loop

    def start(self, source: FrameSource, handoff: Handoff) -> threading.Thread:
        """Start the decode thread, which ends with the source or when the handoff is closed."""
        self._handoff = handoff
        self._streaming_since_s = None
        self._rejected_before = False
        # A thread inside FFmpeg cannot be interrupted before its timeout. As a daemon it does not
        # keep the process alive after the event loop has ended.
        thread = threading.Thread(
            target=self._decode,
            args=(source, handoff),
            name=f"camera-{self.camera_id}",
            daemon=True,
        )
        thread.start()
        return thread

    def halt(self) -> None:
        """Ask the decode thread to end after its current read."""
        if self._handoff is not None:
            self._handoff.close()

    def enter(self, state: CameraState) -> None:
        """Change the state, unless it is the current one."""
        with self._state_lock:
            if state is not self.connection.state:
                self.connection.to(state, self._clock.now())
        self._show_state()

    def check_stall(self, after_s: float) -> None:
        """Switch a live camera between streaming and stalled, by the time since its last frame."""
        silent = self._clock.monotonic() - self._read_at_s > after_s
        if self.plan.pacing is Pacing.LIVE:
            with self._state_lock:
                if self.connection.state is CameraState.STREAMING and silent:
                    self.connection.to(CameraState.STALLED, self._clock.now())
                elif self.connection.state is CameraState.STALLED and not silent:
                    self.connection.to(CameraState.STREAMING, self._clock.now())
        self._show_state()
        SAMPLE_RATE.labels(self.camera_id).set(self.connection.sample_rate_hz())
        if self.plan.pacing is Pacing.LIVE:
            for problem in PROBLEMS:
                is_there = problem in self._selection.problems
                CAMERA_PICTURE.labels(self.camera_id, problem).set(is_there)

    def streamed_s(self) -> float:
        """Return for how long the current or last connection has delivered frames."""
        if self._streaming_since_s is None:
            return 0.0
        return self._clock.monotonic() - self._streaming_since_s

    def fail(self, error: SourceUnavailable, *, is_steady: bool) -> int:
        """Count a failure; return the number of consecutive failures that have its backoff."""
        kind = _failure_name(error)
        CAMERA_FAILURES.labels(self.camera_id, kind).inc()
        is_own = kind in {"refused", "absent"}
        return self.connection.failed(kind if is_own else "lost", is_steady=is_steady)

    def back_off(self, error: SourceUnavailable, delay_s: float) -> float:
        """Enter the backoff state and return the delay; a repeated problem is logged as debug."""
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
        """Disable the camera permanently."""
        self.fail(error, is_steady=False)
        _log.error("camera disabled", camera=self.camera_id, problem=str(error))
        self.connection.problem = str(error)
        self.enter(CameraState.DISABLED)

    def finish(self) -> None:
        """Record that no more frames will come."""
        if self.connection.state is not CameraState.DISABLED:
            self.enter(CameraState.ENDED)

    def stand_by(self, taken: CameraTaken) -> None:
        """Leave the camera to another ingestor; a takeover begins a session, with new numbers."""
        if not self.stands_by:
            _log.warning("camera taken", camera=self.camera_id, problem=str(taken))
        self.stands_by = True
        self._seq = self._session = None
        self.connection.problem = str(taken)

    def sampled(self, frame: Frame) -> None:
        """Count a frame that was appended to the buffer."""
        if self.stands_by:
            _log.info("camera taken over", camera=self.camera_id)
            self.stands_by, self.connection.problem = False, None
        self.connection.sampled(frame.captured_at)
        FRAMES_SAMPLED.labels(self.camera_id).inc()

    def waiting(self, frames: int) -> None:
        """Record the buffer's lag; the sampler lowers its rate when it is high."""
        self.lag = frames
        FRAMES_WAITING.labels(self.camera_id).set(frames)

    def dropped(self, reason: str, frames: int) -> None:
        """Count lost frames."""
        if frames:
            self.connection.dropped[reason] += frames
            FRAMES_DROPPED.labels(self.camera_id, reason).inc(frames)

    def left_to_other(self) -> None:
        """Count a frame that was not sent because another ingestor reads the camera."""
        self.connection.frames_left_to_other += 1
        FRAMES_LEFT_TO_OTHER.labels(self.camera_id).inc()

    def _show_state(self) -> None:
        for state in CameraState:
            is_current = state is self.connection.state
            CAMERA_STATE.labels(self.camera_id, state.value).set(is_current)

    # --- in the decode thread

    def _decode(self, source: FrameSource, handoff: Handoff) -> None:
        error: BaseException | None = None
        try:
            with closing(source):
                source.open()
                self._read_all(source, handoff)
        except BaseException as failure:  # noqa: BLE001  handed to the event loop, which raises it
            error = failure
        handoff.finish(error)

    def _read_all(self, source: FrameSource, handoff: Handoff) -> None:
        while not handoff.closed:
            try:
                decoded = source.read(key_frames_only=self._selection.key_frames_only)
                if decoded is None:
                    return
                self._take(decoded, handoff)
            except FrameRejected as rejected:
                self._reject(rejected)

    def _take(self, decoded: DecodedFrame, handoff: Handoff) -> None:
        captured_at = self._after_steps(decoded.captured_at)  # may replace what follows
        captured_at = self._times.next(captured_at)
        self._count_read(decoded, captured_at)
        # A replay in step waits for its consumers: its samples do not depend on their speed.
        lag = 0 if self.plan.pacing is Pacing.LOCKSTEP else self.lag
        if not self._selection.wants(decoded, captured_at, lag=lag):
            return
        session, seq = self._next_number(captured_at)
        frame = self._encoder.encode(seq, captured_at, decoded, session=session)
        if not handoff.put(frame, wait=self.plan.pacing is not Pacing.LIVE) and not handoff.closed:
            self.dropped("late", 1)

    def _next_number(self, captured_at: Instant) -> tuple[int, int]:
        """Return the session and number of the next sample; ``stand_by`` may reset both anytime."""
        session, seq = self._session, self._seq
        session = microseconds(captured_at) if session is None else session
        seq = first_seq(captured_at) if seq is None else seq + 1
        self._session, self._seq = session, seq
        return session, seq

    def _begin_session(self) -> None:
        """Start sampling anew; the next sample names the session, and frame numbers go on."""
        self._session = None
        self._times = Increasing()
        # The pictures of a recording are not judged.
        view = self.plan.view if self.plan.pacing is Pacing.LIVE else None
        self._selection = Selection(self.plan.sampling, self.plan.motion, self.plan.idle, view)

    def _after_steps(self, captured_at: Instant) -> Instant:
        """Begin a session if a live camera's clock was stepped; return the time of its frame.

        A frame that was stamped just before the clock was set back would lie in the future of all
        that follow.
        """
        if self.plan.pacing is not Pacing.LIVE:
            return captured_at
        before_s, now = self._clock.monotonic(), self._clock.now()
        reading = ClockReading(before_s, now, self._clock.monotonic())
        earlier, self._clock_read = self._clock_read, reading
        stepped_s = step_s(earlier, reading) if earlier else 0.0
        stepped_s = stepped_s or self._times.step_back_s(captured_at)
        if not stepped_s:
            return captured_at
        self._begin_session()
        self.connection.clock_stepped(stepped_s)
        self._steps["back" if stepped_s < 0 else "forward"].inc()
        _log.warning("clock stepped", camera=self.camera_id, step_s=round(stepped_s, 3))
        return min(captured_at, now)

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
    if isinstance(error, SourceAbsent):
        return "absent"
    return "refused" if isinstance(error, SourceRefused) else "unavailable"
