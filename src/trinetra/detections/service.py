"""Inference-worker: reads frames and publishes detection events.

Batches are distributed over lanes, each a thread with its own networks: while one lane decodes
JPEGs another infers, and no network waits for a second thread that the scheduler has preempted.
Events are published in the order in which the batches were read, so frames of a camera stay in
order. While the buffer or the log is down the worker waits, is not ready, and resumes by itself.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Self, TypeVar

from trinetra.detections.batching import BatchPolicy, BatchWindow
from trinetra.detections.event_builder import CameraPlan
from trinetra.detections.frame_analyzer import AnalyzedFrame, FrameAnalyzer, FrameAnalyzerConfig
from trinetra.errors import (
    BufferUnavailable,
    FrameRejected,
)
from trinetra.events.codec import encode
from trinetra.events.schema import DetectionEvent
from trinetra.events.topics import DETECTIONS
from trinetra.ports import (
    BodyEmbedder,
    BufferedFrame,
    Clock,
    Detector,
    EventLog,
    FaceReader,
    FrameBuffer,
    PlateReader,
    Record,
)
from trinetra.streaming.retry import Backoff, OutageTracker, Retrier, StoppedError
from trinetra.telemetry import (
    BATCH_FRAMES,
    FRAME_AGE_S,
    FRAMES_DROPPED,
    FRAMES_INFERRED,
    INFERENCE_S,
    get_logger,
)
from trinetra.values import CameraId

NAME = "inference-worker"
_log = get_logger(NAME)
_Batch = list[BufferedFrame]
_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """Waits, retries and limits of a worker; all times are on its clock.

    A frame that a consumer has left unacknowledged for ``claim_idle_s`` is claimed; keep that well
    above the time of a batch, and below ``max_age_s``: a live camera's frame that was buffered for
    longer is skipped and counted, so that a worker that fell behind catches up with the present.
    ``idle_wait_s`` bounds how long a stop goes unnoticed. ``drains_at_stop`` is for a buffer that
    ends with this process: a stop first processes its remaining frames. The frames of any other
    buffer are left to other workers.
    """

    batch: BatchPolicy = field(default_factory=BatchPolicy)
    idle_wait_s: float = 0.25
    drains_at_stop: bool = True
    max_age_s: float = 10.0
    claim_idle_s: float = 5.0
    claim_every_s: float = 1.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class InferenceThread:
    """One set of networks, used by one thread; detectors by the names that plans give them."""

    detectors: Mapping[str, Detector]
    faces: FaceReader
    bodies: BodyEmbedder | None = None
    plates: PlateReader | None = None


class InferenceWorker:
    """Competes for frames and publishes one event for each usable frame.

    A frame is acknowledged only after the log has its event, or after it was rejected or skipped,
    and counted. If the acknowledgement is lost the frame may be delivered again; its event then has
    the same id.
    """

    name = NAME

    def __init__(
        self,
        config: FrameAnalyzerConfig,
        lanes: Sequence[InferenceThread],
        buffer: FrameBuffer,
        log: EventLog,
        clock: Clock,
        policy: WorkerPolicy | None = None,
    ) -> None:
        """Take how frames are analyzed, the networks and the ports.

        The networks of a lane are used by only one thread.
        """
        self._buffer = buffer
        self._log = log
        self._clock = clock
        self._policy = policy or WorkerPolicy()
        self._plans = config.plans
        self._analysts = [_analyzer(config, lane) for lane in lanes]
        self._state = "starting"
        self._counts: Counter[str] = Counter()
        self._buffer_outage = OutageTracker(clock, _log, "frame buffer")
        self._log_outage = OutageTracker(clock, _log, "event log")
        self._in_flight: set[str] = set()
        self._finished: _Batch = []
        self._next_claim_s = 0.0
        self._started_s = 0.0
        self._has_started = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set, then finish batches in progress; see ``drains_at_stop``.

        Raises EngineFailure when a network fails, and EventLogUnavailable when the log does not
        answer while stopping; the frames concerned stay unacknowledged. A buffer that does not
        answer while stopping is ignored.
        """
        self._started_s = self._clock.monotonic()
        with _Threads(len(self._analysts)) as threads:
            try:
                await self._warm_up(threads, 1)
                self._state = "running"
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._warm_up_larger_batches(threads))
                    group.create_task(self._read(threads, stopping))
                    group.create_task(self._publish(threads, stopping))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                self._state = "stopped"

    def change(self, plans: Mapping[CameraId, CameraPlan]) -> None:
        """Analyze frames by these plans from the next batch on.

        Cameras without a plan now keep theirs, for their frames that are still in the buffer.
        Raises ValueError for a plan whose detector is not loaded; then nothing changes.
        """
        together = {**self._plans, **plans}
        for analyst in self._analysts:
            analyst.change(together)
        self._plans = together

    def ready(self) -> bool:
        """Return whether the networks are loaded, the buffer answers and the log accepts events."""
        return self._state == "running" and not self._problems()

    def status(self) -> dict[str, object]:
        """Return the state, the frames in progress, and the counts of inferred and dropped ones."""
        problems = self._problems()
        waits = f"waiting for {' and '.join(problems)}" if problems else None
        return {
            "state": waits if waits and self._state == "running" else self._state,
            "problems": list(problems.values()),
            "in_flight": len(self._in_flight),
            **self._counts,
        }

    def _problems(self) -> dict[str, str]:
        """Return the causes of outages by server."""
        outages = {"the frame buffer": self._buffer_outage, "the event log": self._log_outage}
        return {server: each.cause for server, each in outages.items() if each.cause is not None}

    async def _warm_up(self, threads: "_Threads", count: int) -> None:
        works = [
            threads.run(lane, analyst.warm_up, count) for lane, analyst in enumerate(self._analysts)
        ]
        await asyncio.gather(*works)

    async def _warm_up_larger_batches(self, threads: "_Threads") -> None:
        """Warm up the other batch sizes once the first frame was inferred, for a quick start."""
        await self._has_started.wait()
        count = self._policy.batch.max_frames
        while count > 1 and self._counts["inferred"]:
            await self._warm_up(threads, count)
            count //= 2

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
            self._finished += batch
            if events and not self._counts["inferred"]:
                took_s = self._clock.monotonic() - self._started_s
                _log.info("first frame inferred", seconds_since_start=round(took_s, 2))
            self._count(batch, results)
            self._has_started.set()
            await self._try_to_acknowledge()
        self._has_started.set()
        await self._try_to_acknowledge()
        if self._finished:
            _log.warning(
                "frames stay unacknowledged and will be redelivered", frames=len(self._finished)
            )

    async def _next_batch(self, stopping: asyncio.Event) -> _Batch:
        """Return the next frames; an empty batch means that the worker is stopping and is done."""
        retrier = Retrier(self._buffer_outage, self._clock, stopping, backoff=self._policy.backoff)

        async def acknowledge_and_take() -> _Batch:
            await self._acknowledge()
            return await self._take(stopping)

        while True:
            try:
                batch = await retrier.call(acknowledge_and_take)
            except StoppedError:
                return []
            fresh = self._without_stale(batch)
            if fresh or (stopping.is_set() and not batch):
                return fresh

    async def _take(self, stopping: asyncio.Event) -> _Batch:
        if stopping.is_set() and not self._policy.drains_at_stop:
            return []
        if stopping.is_set():
            return await self._buffer.read(max_frames=self._policy.batch.max_frames, wait_s=0.0)
        return await self._claimed() or await self._fill()

    async def _fill(self) -> _Batch:
        window: BatchWindow[BufferedFrame] = BatchWindow(self._policy.batch)
        wait_s = self._policy.idle_wait_s
        while wait_s > 0:
            try:
                frames = await self._buffer.read(max_frames=window.room, wait_s=wait_s)
            except BufferUnavailable:
                if not window.items:
                    raise
                break  # the frames read so far are good, and the next read will raise again
            window.add(frames, self._clock.monotonic())
            wait_s = window.wait_s(self._clock.monotonic())
        return window.items

    async def _claimed(self) -> _Batch:
        """Return frames of a consumer that died; frames in progress here are merely slow."""
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

    def _without_stale(self, batch: _Batch) -> _Batch:
        """Return the frames that are still current; count the others and mark them as finished."""
        now_s = self._clock.monotonic()
        stale = [buffered for buffered in batch if self._is_stale(buffered, now_s)]
        for buffered in stale:
            self._counts["dropped"] += 1
            FRAMES_DROPPED.labels(buffered.frame.camera_id, "stale").inc()
        if stale:
            self._finished += stale
            _log.debug("stale frames skipped", frames=len(stale))
        return [buffered for buffered in batch if buffered not in stale] if stale else batch

    def _is_stale(self, buffered: BufferedFrame, now_s: float) -> bool:
        plan = self._plans.get(buffered.frame.camera_id)
        waited_s = now_s - buffered.appended_s
        return plan is not None and plan.is_live and waited_s > self._policy.max_age_s

    async def _acknowledge(self) -> None:
        """Acknowledge finished frames; if that fails they are kept for the next attempt."""
        done, self._finished = self._finished, []
        if not done:
            return
        try:
            await self._buffer.ack(done)
        except BufferUnavailable:
            self._finished = done + self._finished
            raise
        self._in_flight -= {buffered.entry_id for buffered in done}

    async def _try_to_acknowledge(self) -> None:
        try:
            await self._acknowledge()
        except BufferUnavailable as error:
            self._buffer_outage.note(error)

    async def _append(self, events: Sequence[DetectionEvent], stopping: asyncio.Event) -> None:
        """Append the events in frame order; while the log is down, wait and retry."""
        in_order = sorted(events, key=lambda event: event.frame_seq)
        records = [Record(DETECTIONS, event.camera_id, encode(event)) for event in in_order]
        if not records:
            return
        retrier = Retrier(self._log_outage, self._clock, stopping, backoff=self._policy.backoff)
        try:
            await retrier.call(lambda: self._log.append(records))
        except StoppedError as stop:
            raise (stop.__cause__ or stop) from None  # the frames stay unacknowledged

    def _count(self, batch: _Batch, results: Sequence[AnalyzedFrame]) -> None:
        now_s = self._clock.monotonic()
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
                FRAME_AGE_S.labels(camera_id).observe(now_s - buffered.appended_s)


class _Threads:
    """One thread per lane, and the queue of batches in progress, in order of publication."""

    def __init__(self, lanes: int) -> None:
        self.begun: asyncio.Queue[tuple[_Batch, asyncio.Future[list[AnalyzedFrame]]] | None] = (
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
        """Queue work for a lane's thread."""
        return asyncio.get_running_loop().run_in_executor(self._threads[lane], work, argument)


def _analyzer(config: FrameAnalyzerConfig, lane: InferenceThread) -> FrameAnalyzer:
    return FrameAnalyzer(
        config, lane.detectors, lane.faces, _timed, bodies=lane.bodies, plates=lane.plates
    )


def _timed(task: str) -> AbstractContextManager[object]:
    return INFERENCE_S.labels(task).time()
