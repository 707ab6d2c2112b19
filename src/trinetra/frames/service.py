"""Stream-ingestor: reads cameras and appends sampled frames to the buffer.

Each camera has one asyncio task and one decode thread. The thread reads, samples and encodes; the
task paces, appends to the buffer and, when the camera is lost, waits and starts the next thread.
Between them is a short queue: the event loop never waits for a camera, and a camera waits for the
event loop only if it plays a recording. While the buffer is down the cameras are still read, and
their frames are dropped and counted; only a lockstep replay waits.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from trinetra.errors import (
    BufferUnavailable,
    CameraTaken,
    SourceAbsent,
    SourceRefused,
    SourceUnavailable,
)
from trinetra.frames.camera import Camera, CameraPlan
from trinetra.frames.connection import WORKING, CameraState, CameraStatus
from trinetra.frames.handoff import Handoff
from trinetra.frames.sampling.pacing import Backoff, Lockstep, Pacing, release_delay_s
from trinetra.ports import Clock, FrameBuffer, FrameSource
from trinetra.streaming.concurrency import run_until
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import get_logger
from trinetra.values import CameraId, Frame, Instant, after

_log = get_logger("stream-ingestor")


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """Retries, timeouts and limits of the ingestor; the same for every camera.

    ``max_lag`` is how many frames a lockstep replay may be ahead of the consumers. After a camera
    has streamed for ``steady_after_s``, its backoff restarts at the shortest delay. While the
    buffer does not answer, it is tried every ``buffer_retry_s``. The ingestor is ready while at
    least ``ready_share`` of the cameras, rounded up, work.

    A camera that restarts is away, then has no stream, then may refuse its password; ``lost`` and
    ``absent`` find it within 30 s. Refused credentials are tried rarely, because cameras lock an
    account or an address after 5 to 10 wrong logins (Hikvision and Dahua for 30 minutes):
    ``refused`` makes 4 attempts in 90 s, and then 6 an hour. Credentials that this camera has
    accepted before are probably still right, so ``refused_again`` tries them for ten minutes at
    intervals of less than 30 s.
    """

    lost: Backoff = field(default_factory=lambda: Backoff(max_s=24.0))
    absent: Backoff = field(default_factory=lambda: Backoff(initial_s=2.0, max_s=24.0))
    refused: Backoff = field(
        default_factory=lambda: Backoff(initial_s=24.0, steady=3, factor=25.0, max_s=600.0)
    )
    refused_again: Backoff = field(
        default_factory=lambda: Backoff(initial_s=24.0, steady=25, factor=25.0, max_s=600.0)
    )
    steady_after_s: float = 10.0
    stalled_after_s: float = 3.0
    watch_every_s: float = 0.5
    max_lag: int = 16
    lag_poll_s: float = 0.01
    handoff_frames: int = 2
    buffer_retry_s: float = 0.5
    ready_share: float = 0.5


class StreamIngestor:
    """Reads every camera until it ends or ``stopping`` is set."""

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
        """Create an ingestor; ``open_source`` returns a camera's source, not connected yet."""
        self._open_source = open_source
        self._buffer = buffer
        self._clock = clock
        self._policy = policy or IngestPolicy()
        self._jitter = jitter
        self._cameras = {plan.camera_id: Camera(plan, clock) for plan in cameras}
        self._reading: dict[Camera, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        in_step = [p.camera_id for p in cameras if p.pacing is Pacing.LOCKSTEP]
        self._replay = _Replay(Lockstep(in_step))
        self._outage = OutageTracker(
            clock, _log, "frame buffer", retry_s=self._policy.buffer_retry_s
        )
        self._group: asyncio.TaskGroup | None = None
        self._is_stopping = False
        self._started = (clock.now(), clock.monotonic())

    async def run(self, stopping: asyncio.Event) -> None:
        """Ingest until every source has ended or ``stopping`` is set, then join all threads."""
        self._is_stopping = False
        try:
            async with asyncio.TaskGroup() as self._group:
                helpers = [
                    self._group.create_task(self._watch()),
                    self._group.create_task(self._watch_buffer()),
                    self._group.create_task(self._halt_on(stopping)),
                ]
                for camera in self._cameras.values():
                    self._begin(camera)
                await self._all_ended()
                self._is_stopping = True
                for helper in helpers:
                    helper.cancel()
        finally:
            self._group = None

    async def change(
        self,
        cameras: Sequence[CameraPlan],
        open_source: Callable[[CameraId], FrameSource],
        reconnect: Collection[CameraId] = (),
    ) -> None:
        """Read these cameras from now on; those with another plan or in ``reconnect`` anew.

        The rest are not touched. Returns once the threads of the former ones have ended. After the
        end of a run, nothing is read any more. Raises ValueError in a lockstep replay, whose
        cameras wait for each other.
        """
        if any(plan.pacing is Pacing.LOCKSTEP for plan in cameras):
            raise ValueError("the cameras of a lockstep replay cannot change")
        async with self._changing:
            self._open_source = open_source
            plans = {plan.camera_id: plan for plan in cameras}
            over = [
                camera
                for camera_id, camera in self._cameras.items()
                if plans.get(camera_id) != camera.plan or camera_id in reconnect
            ]
            await self._end(over)
            new = [Camera(p, self._clock) for p in cameras if p.camera_id not in self._cameras]
            self._cameras |= {camera.camera_id: camera for camera in new}
            for camera in new:
                self._begin(camera)
        self._changed.set()

    async def _end(self, cameras: Sequence[Camera]) -> None:
        """Stop reading these cameras; waits for their threads."""
        for camera in cameras:
            camera.stopping.set()
            camera.halt()
        if reading := [self._reading[camera] for camera in cameras if camera in self._reading]:
            await asyncio.wait(reading)
        for camera in cameras:
            self._reading.pop(camera, None)
            del self._cameras[camera.camera_id]

    def _begin(self, camera: Camera) -> None:
        if self._group is not None and not self._is_stopping:
            self._reading[camera] = self._group.create_task(self._run_camera(camera))

    async def _all_ended(self) -> None:
        """Wait until no camera is read any more, and none is about to be."""
        while True:
            async with self._changing:
                self._changed.clear()
                reading = [task for task in self._reading.values() if not task.done()]
                if not reading:
                    return
            changed = asyncio.ensure_future(self._changed.wait())
            # Not gather: it would raise a camera's exception a second time, beside the group.
            await asyncio.wait({*reading, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()

    def ready(self) -> bool:
        """Return whether the buffer accepts frames and enough cameras work.

        A camera that is still being connected, for the first time too, does not work yet.
        """
        working = sum(camera.connection.state in WORKING for camera in self._cameras.values())
        needed = math.ceil(self._policy.ready_share * len(self._cameras))
        return self._group is not None and self._outage.cause is None and working >= needed

    def status(self) -> dict[CameraId, CameraStatus]:
        """Return each camera's status; an outage of the buffer is a problem of every camera."""
        statuses = {c.camera_id: c.connection.status() for c in self._cameras.values()}
        missing = self._outage.cause
        return {
            camera_id: replace(status, problem=status.problem or missing)
            for camera_id, status in statuses.items()
        }

    async def _halt_on(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._is_stopping = True
        for camera in self._cameras.values():
            camera.stopping.set()
            camera.halt()

    async def _watch(self) -> None:
        """Detect stalls before the source's own timeout does, and keep the gauges current."""
        while True:
            await self._clock.sleep(self._policy.watch_every_s)
            for camera in self._cameras.values():
                camera.check_stall(self._policy.stalled_after_s)

    async def _watch_buffer(self) -> None:
        """Detect that the buffer is back even while no camera has a frame to append."""
        while True:
            await self._clock.sleep(self._policy.watch_every_s)
            camera = next(iter(self._cameras.values()), None)
            if camera and self._outage.overdue_s >= self._policy.watch_every_s:
                await self._refresh_lag(camera)

    async def _run_camera(self, camera: Camera) -> None:
        stopping = camera.stopping
        try:
            while not stopping.is_set():
                delay_s = await self._connect_once(camera, stopping)
                if delay_s is None:
                    return
                await run_until(stopping, self._clock.sleep(delay_s))
        finally:
            camera.finish()
            await self._replay.leave(camera.camera_id)

    async def _connect_once(self, camera: Camera, stopping: asyncio.Event) -> float | None:
        """Stream until the camera ends or is lost; return the delay before the next attempt."""
        camera.enter(CameraState.CONNECTING)
        try:
            await self._stream(camera, stopping)
        except SourceUnavailable as error:
            await self._replay.leave(camera.camera_id)
            if camera.plan.retries:
                return self._after_failure(camera, error)
            camera.give_up(error)
        return None

    def _after_failure(self, camera: Camera, error: SourceUnavailable) -> float:
        is_steady = camera.streamed_s() >= self._policy.steady_after_s
        failures = camera.fail(error, is_steady=is_steady)
        backoff = self._backoff(error, worked=camera.connection.frames_read > 0)
        return camera.back_off(error, backoff.delay_s(failures, self._jitter()))

    def _backoff(self, error: SourceUnavailable, *, worked: bool) -> Backoff:
        """Return the backoff of a failure; ``worked`` if the camera has delivered frames before."""
        if isinstance(error, SourceRefused):
            return self._policy.refused_again if worked else self._policy.refused
        return self._policy.absent if isinstance(error, SourceAbsent) else self._policy.lost

    async def _stream(self, camera: Camera, stopping: asyncio.Event) -> None:
        """Move frames from the camera's thread to the buffer until the thread is done."""
        if camera.plan.pacing is Pacing.LOCKSTEP:
            self._replay.join(camera.camera_id)
        handoff = Handoff(asyncio.get_running_loop(), self._policy.handoff_frames)
        thread = camera.start(self._open_source(camera.camera_id), handoff)
        try:
            while (frame := await handoff.get()) is not None:
                await self._release(camera, frame, stopping)
        finally:
            handoff.close()
            await handoff.finished.wait()
            thread.join()

    async def _release(self, camera: Camera, frame: Frame, stopping: asyncio.Event) -> None:
        if camera.plan.pacing is Pacing.LOCKSTEP:
            await self._append_in_step(camera, frame, stopping)
            return
        if camera.plan.pacing is Pacing.REALTIME:
            delay_s = release_delay_s(frame.captured_at, self._steady_now())
            await run_until(stopping, self._clock.sleep(delay_s))
            if stopping.is_set():
                return
        await self._append_or_drop(camera, frame)

    def _steady_now(self) -> Instant:
        """Return the wall clock as it would be without steps since the start."""
        started_at, started_s = self._started
        return after(started_at, self._clock.monotonic() - started_s)

    async def _append_in_step(self, camera: Camera, frame: Frame, stopping: asyncio.Event) -> None:
        async with self._replay.turn(frame):
            while not stopping.is_set():
                # An append whose reply was lost is repeated with an identical frame.
                if await self._has_room(camera) and await self._append(camera, frame):
                    return
                # The buffer does not notify when it has room, so it has to be polled.
                await self._clock.sleep(self._policy.lag_poll_s)

    async def _has_room(self, camera: Camera) -> bool:
        if not self._outage.claim_retry():
            return False
        return await self._refresh_lag(camera) and camera.lag < self._policy.max_lag

    async def _append_or_drop(self, camera: Camera, frame: Frame) -> None:
        may_try = self._outage.claim_retry()
        if may_try and await self._append(camera, frame):
            await self._refresh_lag(camera)
        elif camera.stands_by:
            camera.left_to_other()
        else:
            camera.dropped("buffer_unavailable", 1)

    async def _append(self, camera: Camera, frame: Frame) -> bool:
        """Append a frame; return whether it is in the buffer."""
        try:
            camera.dropped("buffer_full", await self._buffer.append(frame))
        except CameraTaken as error:
            camera.stand_by(error)
            return False
        except BufferUnavailable as error:
            self._outage.note(error)
            return False
        camera.sampled(frame)
        self._outage.end()
        return True

    async def _refresh_lag(self, camera: Camera) -> bool:
        """Update the camera's lag; return whether the buffer answered."""
        try:
            camera.waiting(await self._buffer.lag(camera.camera_id))
        except BufferUnavailable as error:
            self._outage.note(error)
            return False
        self._outage.end()
        return True


class _Replay:
    """Makes the cameras of a lockstep replay wait for their turn."""

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
