"""The inference-worker: frames in, detection events out.

Batches are dealt out to lanes, each a thread with networks of its own: while one lane decodes JPEGs
another infers, and no network waits for a second thread that the system has put to other work.
Events are published in the order in which the batches were read, so frames of a camera stay in
order.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Self, TypeVar

from trinetra.detections.analyst import Analysed, Analyst, AnalystConfig
from trinetra.detections.batching import BatchPolicy, BatchWindow
from trinetra.detections.observe import CameraPlan
from trinetra.detections.picture import PictureLimits
from trinetra.detections.quality import QualityPolicy
from trinetra.errors import EventLogUnavailable, FrameRejected
from trinetra.events.codec import encode
from trinetra.events.schema import DetectionEvent
from trinetra.events.topics import DETECTIONS
from trinetra.ports import (
    BufferedFrame,
    Clock,
    Detector,
    EventLog,
    FaceReader,
    FrameBuffer,
    Record,
)
from trinetra.telemetry import (
    BATCH_FRAMES,
    FRAME_AGE_S,
    FRAMES_DROPPED,
    FRAMES_INFERRED,
    INFERENCE_S,
    get_logger,
)
from trinetra.values import CameraId, SiteId, seconds_between

_log = get_logger("inference-worker")
_Batch = list[BufferedFrame]
_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """How a worker waits; all times are on its clock.

    A frame that some consumer has held for ``claim_idle_s`` is taken over; keep that well above the
    time a batch takes. ``idle_wait_s`` bounds how long a stop goes unnoticed.
    """

    batch: BatchPolicy = field(default_factory=BatchPolicy)
    idle_wait_s: float = 0.25
    claim_idle_s: float = 30.0
    claim_every_s: float = 10.0
    retry_first_s: float = 0.2
    retry_max_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Lane:
    """One set of networks, for one thread."""

    detector: Detector
    faces: FaceReader


class InferenceWorker:
    """Competes for frames and publishes one event for each that can be used.

    A frame is acknowledged only after the log has its event, or when it was rejected and counted.
    """

    name = "inference-worker"

    def __init__(
        self,
        site_id: SiteId,
        buffer: FrameBuffer,
        log: EventLog,
        lanes: Sequence[Lane],
        plans: Mapping[CameraId, CameraPlan],
        clock: Clock,
        policy: WorkerPolicy | None = None,
        *,
        models: Mapping[str, str] | None = None,
        quality: QualityPolicy | None = None,
        limits: PictureLimits | None = None,
    ) -> None:
        """Take the ports, what to look for per camera, and the model version behind each task.

        Each lane's networks are used by one thread alone.
        """
        self._buffer = buffer
        self._log = log
        self._clock = clock
        self._policy = policy or WorkerPolicy()
        config = AnalystConfig(
            site_id, plans, models or {}, quality or QualityPolicy(), limits or PictureLimits()
        )
        self._analysts = [Analyst(config, lane.detector, lane.faces, _timed) for lane in lanes]
        self._state = "starting"
        self._counts: Counter[str] = Counter()
        self._in_flight: set[str] = set()
        self._next_claim_s = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set, then empty the buffer and finish what is begun.

        Raises EngineFailure when a network fails, and EventLogUnavailable when the log does not
        answer while stopping; the frames concerned stay unacknowledged.
        """
        with _Threads(len(self._analysts)) as threads:
            try:
                await self._warm_up(threads)
                self._state = "running"
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(threads, stopping))
                    group.create_task(self._publish(threads, stopping))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                self._state = "stopped"

    def ready(self) -> bool:
        """Return whether the networks are loaded and the log takes events."""
        return self._state == "running"

    def status(self) -> dict[str, object]:
        """Return the state, the frames in work, and how many were inferred or dropped so far."""
        return {"state": self._state, "in_flight": len(self._in_flight), **self._counts}

    async def _warm_up(self, threads: "_Threads") -> None:
        frames = self._policy.batch.max_frames
        works = [
            threads.run(lane, analyst.warm_up, frames)
            for lane, analyst in enumerate(self._analysts)
        ]
        await asyncio.gather(*works)

    async def _read(self, threads: "_Threads", stopping: asyncio.Event) -> None:
        for lane, analyst in itertools.cycle(enumerate(self._analysts)):
            batch = await self._next_batch(stopping)
            if not batch:
                break
            self._in_flight |= {buffered.entry_id for buffered in batch}
            BATCH_FRAMES.observe(len(batch))
            frames = [buffered.frame for buffered in batch]
            await threads.begun.put((batch, threads.run(lane, analyst.work, frames)))
        await threads.begun.put(None)

    async def _publish(self, threads: "_Threads", stopping: asyncio.Event) -> None:
        while (begun := await threads.begun.get()) is not None:
            batch, working = begun
            results = await working
            events = [result for result in results if isinstance(result, DetectionEvent)]
            await self._append(events, stopping)
            await self._buffer.ack(batch)
            self._in_flight -= {buffered.entry_id for buffered in batch}
            self._count(batch, results)

    async def _next_batch(self, stopping: asyncio.Event) -> _Batch:
        """Return the next frames; none means that the worker is stopping and the buffer empty."""
        while not stopping.is_set():
            if batch := await self._claimed() or await self._fill():
                return batch
        return await self._buffer.read(max_frames=self._policy.batch.max_frames, wait_s=0.0)

    async def _fill(self) -> _Batch:
        window: BatchWindow[BufferedFrame] = BatchWindow(self._policy.batch)
        wait_s = self._policy.idle_wait_s
        while wait_s > 0:
            frames = await self._buffer.read(max_frames=window.room, wait_s=wait_s)
            window.add(frames, self._clock.monotonic())
            wait_s = window.wait_s(self._clock.monotonic())
        return window.items

    async def _claimed(self) -> _Batch:
        """Return frames that a consumer died on; those in work here are only slow."""
        if self._clock.monotonic() < self._next_claim_s:
            return []
        claimed = await self._buffer.claim(
            idle_s=self._policy.claim_idle_s, max_frames=self._policy.batch.max_frames
        )
        batch = [buffered for buffered in claimed if buffered.entry_id not in self._in_flight]
        if batch:
            _log.warning("claimed frames of a silent consumer", frames=len(batch))
        else:
            self._next_claim_s = self._clock.monotonic() + self._policy.claim_every_s
        return batch

    async def _append(self, events: Sequence[DetectionEvent], stopping: asyncio.Event) -> None:
        """Append the events in frame order; while the log is down, wait for it."""
        in_order = sorted(events, key=lambda event: event.frame_seq)
        records = [Record(DETECTIONS, event.camera_id, encode(event)) for event in in_order]
        retry_s = self._policy.retry_first_s
        while records:
            try:
                await self._log.append(records)
            except EventLogUnavailable as error:
                if stopping.is_set():
                    raise
                self._state = "waiting for the event log"
                _log.warning("the event log is down", error=str(error), retry_s=retry_s)
                await self._clock.sleep(retry_s)
                retry_s = min(2 * retry_s, self._policy.retry_max_s)
            else:
                self._state = "running"
                return

    def _count(self, batch: _Batch, results: Sequence[Analysed]) -> None:
        now = self._clock.now()
        for buffered, result in zip(batch, results, strict=True):
            camera_id = buffered.frame.camera_id
            if isinstance(result, FrameRejected):
                self._counts["dropped"] += 1
                FRAMES_DROPPED.labels(camera_id, result.reason).inc()
                _log.warning(
                    "frame rejected", camera=camera_id, reason=result.reason, detail=str(result)
                )
            else:
                self._counts["inferred"] += 1
                FRAMES_INFERRED.labels(camera_id).inc()
                age_s = seconds_between(buffered.frame.captured_at, now)
                FRAME_AGE_S.labels(camera_id).observe(max(0.0, age_s))


class _Threads:
    """A thread for each lane, and the batches begun, in order, until they are published."""

    def __init__(self, lanes: int) -> None:
        self.begun: asyncio.Queue[tuple[_Batch, asyncio.Future[list[Analysed]]] | None] = (
            asyncio.Queue(lanes)
        )
        self._threads = [ThreadPoolExecutor(1, f"lane-{lane}") for lane in range(lanes)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)

    def run(
        self, lane: int, work: Callable[[_Argument], _Result], argument: _Argument
    ) -> asyncio.Future[_Result]:
        """Begin work in a lane's thread, after what it already has."""
        return asyncio.get_running_loop().run_in_executor(self._threads[lane], work, argument)


def _timed(task: str) -> AbstractContextManager[object]:
    return INFERENCE_S.labels(task).time()
