"""Steps of the host's clock, from the camera to the count of people who came in.

One clock drives every service. It is stepped by an hour and by the offset of a time zone, as by a
machine whose hardware clock runs in local time, in both directions, with and without restarts. The
truth is what was played to the camera: each person crosses the line once.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.flows.test_insight_engine import DictStore, published
from tests.servers.clips import write_clip
from tests.servers.rtsp_camera import RtspCamera

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.video.sources import SourceKind, SourceSpec, open_source
from trinetra.detections.batching import BatchPolicy
from trinetra.detections.event_builder import CameraPlan as DetectionPlan
from trinetra.detections.frame_analyzer import FrameAnalyzerConfig
from trinetra.detections.service import InferenceThread, InferenceWorker, WorkerPolicy
from trinetra.events.codec import decode
from trinetra.events.schema import LineCrossing, TracksEvent
from trinetra.events.topics import DETECTIONS, IDENTITIES, Topic
from trinetra.frames.camera import CameraPlan
from trinetra.frames.connection import CameraStatus
from trinetra.frames.encode import EncodingConfig
from trinetra.frames.service import IngestPolicy, StreamIngestor
from trinetra.identities.context import ResolverContext
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import build_graph
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.processor import identity_resolver
from trinetra.insights.config import CameraInsights, Line
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.ports import Delivery, Record
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.values import (
    CameraId,
    Detections,
    Faces,
    FaceVectors,
    Frame,
    Instant,
    SiteId,
    YuvPlanes,
    after,
    seconds_between,
)

START = datetime(2026, 11, 28, 17, 30, tzinfo=UTC)
SITE, DOOR = SiteId("shop"), CameraId("door")
WIDTH, HEIGHT, FPS = 320, 192, 10
WALK: list[int | None] = [*range(0, WIDTH - 40, 9), *[None] * 25]
"""Left edge of a person who crosses the view, frame by frame, and then the empty view."""
LINE = Line("door", (0.5, 1.0), (0.5, 0.0))
HOUR_S, INDIA_S = 3600.0, 19800.0
DAYLIGHT, BRIGHT = 90, 230


class SteppedClock:
    """A clock that the test moves; a step moves the wall clock alone."""

    def __init__(self) -> None:
        self._elapsed_s, self._offset_s = 0.0, 0.0

    def now(self) -> Instant:
        return after(START, self._elapsed_s + self._offset_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0.001)  # real time passes for the threads; the test moves this clock

    def pass_s(self, seconds: float) -> None:
        self._elapsed_s += seconds

    def step(self, seconds: float) -> None:
        self._offset_s += seconds


class View:
    """A picture of the door; ``x`` is where the person stands, None if the view is empty."""

    width, height = WIDTH, HEIGHT

    def __init__(self, captured_at: Instant, x: int | None) -> None:
        self.captured_at, self._x = captured_at, x

    def planes(self, width: int, height: int) -> YuvPlanes:
        gray = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
        return YuvPlanes(self.luma(width, height), gray, gray)

    def luma(self, width: int, height: int) -> np.ndarray:
        luma = np.full((height, width), DAYLIGHT, np.uint8)
        if self._x is not None:
            left, right = (round(edge * width / WIDTH) for edge in (self._x, self._x + 40))
            luma[height // 4 : height * 9 // 10, left:right] = BRIGHT
        return luma


class DoorCamera:
    """A live camera without stream times: a frame is stamped with the clock when it arrives."""

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock
        self._due: list[int | None] = []
        self._shown = threading.Semaphore(0)
        self.is_over = False

    def show(self, x: int | None) -> None:
        self._due.append(x)
        self._shown.release()

    def end(self) -> None:
        self.is_over = True
        self._shown.release()

    def open(self) -> None:
        """Return at once."""

    def read(self, *, key_frames_only: bool) -> View | None:
        assert not key_frames_only
        self._shown.acquire()
        return None if self.is_over else View(self._clock.now(), self._due.pop(0))

    def close(self) -> None:
        """Return at once."""


class BrightBodies:
    """A detector of bright bodies."""

    def detect(self, images: list[np.ndarray]) -> list[Detections]:
        return [self._seen(image) for image in images]

    def _seen(self, image: np.ndarray) -> Detections:
        rows, columns = np.nonzero(image.mean(axis=2) > (DAYLIGHT + BRIGHT) / 2)
        if not rows.size:
            return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections(np.array([box], np.float32), np.array([0.9], np.float32), ("person",))


class NoFaces:
    """A face reader that is never asked: the camera reads no faces."""

    def find(self, images: list[np.ndarray]) -> list[Faces]:
        raise NotImplementedError

    def embed(self, aligned: list[np.ndarray]) -> FaceVectors:
        raise NotImplementedError


class Shop:
    """The services of one camera; what they share outlives them."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.streams = MemoryFrameStreams(self.clock, 500)
        self.log = MemoryEventLog(self.clock, keep_records=10_000, max_records=10_000)
        self.store = DictStore()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run all services until everything shown was counted; their state stays, as in a cluster.

        A service that stops does not conclude: another member may continue.
        """
        camera = DoorCamera(self.clock)
        self.camera, self.ingestor = camera, self._ingestor(camera)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self.ingestor.run(asyncio.Event()))
            for service in (self._worker(), self._resolver(), self._engine()):
                group.create_task(service.run(stopping))
            try:
                yield
                camera.end()
                await reading
                await self._counted_all()
            finally:
                camera.end()
                stopping.set()

    async def play(self, people: int) -> None:
        """Let people walk in, one after the other."""
        for x in [place for _ in range(people) for place in WALK]:
            await self.show(x)

    async def show(self, x: int | None) -> None:
        """Show the camera its next picture, and wait until it was read."""
        self.clock.pass_s(1 / FPS)
        read = self.status.frames_read
        self.camera.show(x)
        await until(lambda: self.status.frames_read > read)
        await self._inferred_all()  # or the buffer's lag would lower the sampling rate

    @property
    def status(self) -> CameraStatus:
        return self.ingestor.status()[DOOR]

    @property
    def came_in(self) -> list[LineCrossing]:
        return self.store.of(LineCrossing)

    async def records(self, topic: Topic) -> list[Delivery]:
        return await published(self.log, topic)

    async def _counted_all(self) -> None:
        await self._inferred_all()
        await until(lambda: not self._unread(DETECTIONS, "identity-resolver"))
        await until(lambda: not self._unread(IDENTITIES, "insight-engine"))

    async def _inferred_all(self) -> None:
        buffer = MemoryFrameBuffer(self.streams, "workers", "test")
        while await buffer.lag(DOOR):  # noqa: ASYNC110  the buffer signals no acknowledgement
            await asyncio.sleep(0)

    def _unread(self, topic: Topic, service: str) -> int:
        group = self.log._groups[f"{service}-group"]
        places = [(topic.name, number) for number in range(topic.partitions)]
        return sum(self.log.partition(p).end - group.committed.get(p, 0) for p in places)

    def _ingestor(self, camera: DoorCamera) -> StreamIngestor:
        plan = CameraPlan(DOOR, retries=False, encoding=EncodingConfig(side=WIDTH))
        buffer = MemoryFrameBuffer(self.streams, "workers", "ingestor")
        policy = IngestPolicy(handoff_frames=100)
        return StreamIngestor([plan], lambda _: camera, buffer, self.clock, policy)

    def _worker(self) -> InferenceWorker:
        plan = DetectionPlan(DOOR, frozenset({"person"}), reads_faces=False, is_live=True)
        return InferenceWorker(
            FrameAnalyzerConfig(SITE, {DOOR: plan}, {}),
            [InferenceThread({"": BrightBodies()}, NoFaces())],
            MemoryFrameBuffer(self.streams, "workers", "worker"),
            self.log,
            self.clock,
            WorkerPolicy(batch=BatchPolicy(max_frames=1)),
        )

    def _resolver(self) -> StreamRunner:
        context = ResolverContext(
            site_id=SITE,
            gallery=MemoryGallery(512),
            registry=ActiveRegistry(),
            graph=build_graph([DOOR], []),
            clock=self.clock,
            model="test@1",
            dimension=512,
        )
        policy = ResolverPolicy(poll_wait_s=0.01, ends_tracks_at_stop=False)
        return identity_resolver(self.log, context, policy)

    def _engine(self) -> StreamRunner:
        site = SiteInsights(SITE, {DOOR: CameraInsights(lines=(LINE,))})
        policy = RunnerPolicy(poll_wait_s=0.01, drains_at_stop=False)
        return insight_engine(self.log, self.store, self.clock, site, policy=policy)


async def until(is_so: Callable[[], bool]) -> None:
    """Let the event loop turn until the condition holds."""
    while not is_so():  # noqa: ASYNC110  threads change what is waited for, and signal nothing
        await asyncio.sleep(0)


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S, -INDIA_S, INDIA_S])
async def test_everyone_is_counted_once_before_and_after_a_step(step_s: float) -> None:
    shop = Shop()
    async with shop.open():
        await shop.play(people=2)
        shop.clock.step(step_s)
        await shop.play(people=3)
        assert (shop.status.clock_steps, shop.status.last_clock_step_s) == (
            1,
            pytest.approx(step_s, abs=1.0),
        )
    assert len(shop.came_in) == 5
    assert {crossing.direction for crossing in shop.came_in} == {"in"}


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S, -INDIA_S, INDIA_S])
async def test_everyone_is_counted_once_if_all_services_restart_after_the_step(
    step_s: float,
) -> None:
    shop = Shop()
    async with shop.open():
        await shop.play(people=2)
    shop.clock.step(step_s)
    async with shop.open():
        await shop.play(people=3)
    assert len(shop.came_in) == 5


async def test_a_machine_that_booted_in_local_time_counts_on_after_each_correction() -> None:
    shop = Shop()
    shop.clock.step(INDIA_S)
    async with shop.open():
        await shop.play(people=1)
        shop.clock.step(-INDIA_S)  # the time service is reached
        await shop.play(people=1)
    async with shop.open():  # a restart within the hours that seemed to have passed already
        await shop.play(people=1)
    shop.clock.step(INDIA_S)  # the next boot
    async with shop.open():
        await shop.play(people=1)
    assert len(shop.came_in) == 4


async def test_frames_that_are_delivered_again_after_a_step_count_nobody_twice() -> None:
    shop = Shop()
    async with shop.open():
        await shop.play(people=2)
        shop.clock.step(-HOUR_S)
        await shop.play(people=2)
    again = await shop.records(DETECTIONS)
    tracked = len(await shop.records(IDENTITIES))
    shop.clock.step(-HOUR_S)
    async with shop.open():
        await shop.log.append([Record(DETECTIONS, d.key, d.value) for d in again])
        await shop.play(people=1)
    assert len(shop.came_in) == 5
    new = [decode(d.value) for d in (await shop.records(IDENTITIES))[tracked:]]
    sessions = {event.session for event in new if isinstance(event, TracksEvent) and event.tracks}
    assert len(sessions) == 1


async def test_a_person_in_view_during_a_step_is_tracked_within_each_session_only() -> None:
    shop = Shop()
    half = len(WALK) // 4
    async with shop.open():
        for number, x in enumerate(WALK):
            if number == half:
                shop.clock.step(-HOUR_S)
            await shop.show(x)
    events = [decode(d.value) for d in await shop.records(IDENTITIES)]
    tracks = [event for event in events if isinstance(event, TracksEvent)]
    owners = defaultdict(set)
    for event in tracks:
        for track in event.tracks:
            owners[track.track_id].add(event.session)
    assert len(owners) == 2
    assert all(len(sessions) == 1 for sessions in owners.values())
    first, second = (min(sessions) for sessions in owners.values())
    (end,) = [e for e in tracks if e.ended and e.session == first]
    assert end.captured_at == max(e.captured_at for e in tracks if e.session == first)
    assert second != first


class OffsetClock(SystemClock):
    """The machine's clocks, its wall clock wrong by ``offset_s``."""

    offset_s = 0.0

    def now(self) -> Instant:
        return after(super().now(), self.offset_s)


@pytest.mark.parametrize("step", [-HOUR_S, INDIA_S])
async def test_a_network_camera_is_sampled_on_at_once_in_a_new_session(
    tmp_path: Path, step: float
) -> None:
    clip, clock = write_clip(tmp_path / "door.mp4", frames=30, fps=15), OffsetClock()
    streams = MemoryFrameStreams(clock, 100)
    consumer = MemoryFrameBuffer(streams, "workers", "worker")

    async def take(count: int) -> list[Frame]:
        frames: list[Frame] = []
        while len(frames) < count:
            delivered = await consumer.read(max_frames=1, wait_s=3600.0)
            await consumer.ack(delivered)
            frames += [buffered.frame for buffered in delivered]
        return frames

    with RtspCamera(clip) as camera:
        spec = SourceSpec(SourceKind.RTSP, camera.url)
        ingestor = StreamIngestor(
            [CameraPlan(DOOR, encoding=EncodingConfig(side=64))],
            lambda _: open_source(spec, clock),
            MemoryFrameBuffer(streams, "workers", "ingestor"),
            clock,
        )
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(ingestor.run(stopping))
            before = await take(8)
            clock.offset_s = step
            stepped: list[Frame] = []
            while len(stepped) < 8:
                frames = await take(1)
                stepped += [f for f in frames if f.session != before[0].session]
            stopping.set()
    assert len({frame.session for frame in stepped}) == 1
    assert all(abs(seconds_between(f.captured_at, clock.now())) < abs(step) / 2 for f in stepped)
    assert all(earlier.captured_at < later.captured_at for earlier, later in pairwise(stepped))
    assert ingestor.status()[DOOR].clock_steps == 1
