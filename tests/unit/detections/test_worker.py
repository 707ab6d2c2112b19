import asyncio
import threading
from datetime import timedelta

import numpy as np
import pytest
import simplejpeg
from msgspec.structs import replace

from trinetra.adapters.clock import ManualClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.detections.body_crops import BodyPolicy
from trinetra.detections.event_builder import CameraPlan
from trinetra.detections.frame_analyzer import FrameAnalyzerConfig
from trinetra.detections.service import InferenceThread, InferenceWorker, WorkerPolicy
from trinetra.errors import BufferUnavailable, EngineFailure, EventLogUnavailable
from trinetra.events.codec import decode, unpack_body, unpack_embedding
from trinetra.events.topics import DETECTIONS
from trinetra.telemetry import FRAMES_DROPPED, FRAMES_INFERRED
from trinetra.values import (
    EPOCH,
    CameraId,
    Detections,
    Faces,
    FaceVectors,
    Frame,
    Letterbox,
    SiteId,
    no_faces,
)

MARKS = np.array([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]], np.float32)


class OneOfEach:
    """A detector that sees one person and one car in the middle of every image."""

    def __init__(self):
        self.batches = []

    def detect(self, images):
        self.batches.append(len(images))
        return [self._seen(*image.shape[:2]) for image in images]

    def _seen(self, height, width):
        box = np.array([width / 4, height / 4, width * 3 / 4, height * 3 / 4], np.float32)
        score = np.array([0.9, 0.8], np.float32)
        return Detections(np.stack([box, box]), score, ("person", "car"))


class OneFace:
    """A face reader that sees one face of ``side_px`` in the corner of every image."""

    def __init__(self, side_px=112.0):
        self.side_px = side_px

    def find(self, images):
        box = np.array([[0, 0, self.side_px, self.side_px]], np.float32)
        marks = MARKS[None] * np.float32(self.side_px / 112)
        return [Faces(box, np.array([0.9], np.float32), marks) for _ in images]

    def embed(self, aligned):
        unit = np.eye(512, dtype=np.float32)[[int(face.mean()) for face in aligned]]
        return FaceVectors(unit, np.full(len(aligned), 21.5, np.float32))


class MeanColors:
    """A body embedder whose vector is the mean color of the crop."""

    def __init__(self):
        self.batches = []

    def embed(self, crops):
        self.batches.append(len(crops))
        return np.array([crop.mean(axis=(0, 1)) for crop in crops], np.float32)


class NoFace:
    def find(self, images):
        return [no_faces() for _ in images]

    def embed(self, aligned):
        return FaceVectors(np.zeros((0, 512), np.float32), np.zeros(0, np.float32))


class Broken:
    """A detector whose engine fails at the first real batch."""

    def __init__(self, good_batches=1):
        self.good = good_batches

    def detect(self, images):
        self.good -= 1
        if self.good < 0:
            raise EngineFailure("the engine ran out of memory")
        return OneOfEach().detect(images)


def picture(side_x=640, side_y=640, value=128):
    # Fine stripes, so that faces in the picture are sharp.
    pixels = np.full((side_y, side_x, 3), value, np.uint8)
    pixels[:, ::3] = value - 40
    return simplejpeg.encode_jpeg(pixels, 90, "BGR", "444")


def frame(camera="door", seq=1, jpeg=None, native=None, width=480, height=270):
    return Frame(
        CameraId(camera),
        seq,
        EPOCH + timedelta(seconds=seq),
        width,
        height,
        Letterbox.fit(width, height, 640),
        picture() if jpeg is None else jpeg,
        native,
    )


def plan(camera="door", labels=("person",), reads_faces=False, **changes):
    return CameraPlan(CameraId(camera), frozenset(labels), reads_faces, **changes)


class Breakable:
    """A frame buffer that does not answer the calls that the test put into ``away``."""

    def __init__(self, real):
        self.real = real
        self.away = set()
        self.refused = 0

    def __getattr__(self, name):
        if name in self.away:
            self.refused += 1
            raise BufferUnavailable("the buffer does not answer")
        return getattr(self.real, name)


class Shop:
    """One worker with in-memory adapters on a clock that the test advances."""

    def __init__(
        self,
        *plans,
        detector=None,
        detectors=None,
        versions=None,
        faces=None,
        bodies=None,
        log=None,
        policy=None,
    ):
        self.clock = ManualClock(EPOCH)
        self.streams = MemoryFrameStreams(self.clock)
        self.buffer = Breakable(MemoryFrameBuffer(self.streams, "workers", "one"))
        self.log = log or MemoryEventLog(self.clock)
        self.detector = detector or OneOfEach()
        self.worker = InferenceWorker(
            FrameAnalyzerConfig(
                SiteId("shop"),
                {p.camera_id: p for p in plans},
                {},
                versions or {"": "one-of-each@1"},
            ),
            [InferenceThread(detectors or {"": self.detector}, faces or NoFace(), bodies)],
            self.buffer,
            self.log,
            self.clock,
            policy,
        )
        self.stopping = asyncio.Event()

    async def put(self, *frames):
        for one in frames:
            await self.buffer.append(one)

    async def drain(self):
        """Run the worker over the buffered frames, then stop it."""
        self.stopping.set()
        await self.worker.run(self.stopping)

    async def events(self):
        reader = await self.log.subscribe([DETECTIONS], "test")
        return [decode(d.value) for d in await reader.poll(max_records=1000, wait_s=0)]

    async def until(self, holds):
        """Run the worker and advance the clock until the condition holds."""
        while not holds():
            self.clock.advance(0.01)
            await asyncio.sleep(0)


def dropped(camera, reason):
    return FRAMES_DROPPED.labels(camera, reason)._value.get()


async def test_every_frame_becomes_one_event_in_order_and_is_acknowledged():
    shop = Shop(plan("a"), plan("b"))
    await shop.put(*(frame(camera, seq) for seq in range(1, 8) for camera in "ab"))
    before = FRAMES_INFERRED.labels("a")._value.get()
    await shop.drain()
    events = await shop.events()
    for camera in "ab":
        assert [e.frame_seq for e in events if e.camera_id == camera] == list(range(1, 8))
        assert await shop.buffer.lag(CameraId(camera)) == 0
    assert FRAMES_INFERRED.labels("a")._value.get() - before == 7


async def test_boxes_are_in_native_pixels_and_only_what_the_plan_asks_for_is_told():
    shop = Shop(plan(labels=("car",)))
    await shop.put(frame(width=1920, height=1080))
    await shop.drain()
    (event,) = await shop.events()
    (found,) = event.objects
    assert (found.label, found.score, found.box) == ("car", 0.8, (480.0, 270.0, 1440.0, 810.0))
    assert (event.frame_width, event.frame_height) == (1920, 1080)
    assert event.models == {"detect": "one-of-each@1"}


async def test_a_camera_with_tiles_is_looked_at_in_its_tiles_too_and_no_other_camera_is():
    shop = Shop(plan("hall", tiles=2), plan("door"))
    await shop.put(frame("hall"), frame("door"))
    await shop.drain()
    events = {event.camera_id: event for event in await shop.events()}
    assert len(events["hall"].objects) == 3
    assert [seen.box for seen in events["door"].objects] == [(120.0, 67.5, 360.0, 202.5)]
    assert shop.detector.batches[1] == 3 + 1, "one call for all cameras"


async def test_the_tiles_of_many_frames_are_detected_in_calls_of_bounded_size():
    shop = Shop(plan(tiles=4))
    await shop.put(*(frame(seq=seq) for seq in range(1, 5)))
    await shop.drain()
    assert shop.detector.batches[1:4] == [16, 16, 4 * (1 + 4 * 2) - 32]
    assert len(await shop.events()) == 4


async def test_the_same_frame_yields_the_same_event_again():
    texts = []
    for _ in range(2):
        shop = Shop(plan())
        await shop.put(frame())
        await shop.drain()
        texts.append(await shop.events())
    assert texts[0] == texts[1]
    assert texts[0][0].event_id.startswith("det_")


async def test_frames_that_wait_are_inferred_four_at_a_time():
    shop = Shop(plan())
    await shop.put(*(frame(seq=seq) for seq in range(1, 10)))
    await shop.drain()
    warm_up, work = [1, 2, 4], [4, 4, 1]
    assert shop.detector.batches[:2] == [1, 4], "one frame to warm up, then work at once"
    assert sorted(shop.detector.batches) == sorted(warm_up + work)


async def test_a_lone_frame_waits_for_its_window_and_no_longer():
    shop = Shop(plan())
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    await shop.until(shop.worker.ready)
    await shop.put(frame())
    await shop.until(lambda: shop.worker.status().get("inferred") == 1)
    shop.stopping.set()
    await shop.until(running.done)
    assert shop.detector.batches[:2] == [1, 1]
    assert not shop.worker.ready()


async def test_poison_is_counted_acknowledged_and_costs_no_other_frame():
    shop = Shop(plan())
    before = dropped("door", "undecodable"), dropped("door", "too_small")
    await shop.put(
        frame(seq=1),
        frame(seq=2, jpeg=b"\xff\xd8 not a picture"),
        frame(seq=3, jpeg=picture(1, 1)),
        frame(seq=4),
    )
    await shop.drain()
    assert [event.frame_seq for event in await shop.events()] == [1, 4]
    assert (dropped("door", "undecodable"), dropped("door", "too_small")) == (
        before[0] + 1,
        before[1] + 1,
    )
    assert await shop.buffer.lag(CameraId("door")) == 0


async def test_a_frame_of_an_unknown_camera_is_counted_and_acknowledged():
    shop = Shop(plan())
    before = dropped("stranger", "unknown_camera")
    await shop.put(frame("stranger"), frame("door"))
    await shop.drain()
    assert [event.camera_id for event in await shop.events()] == ["door"]
    assert dropped("stranger", "unknown_camera") == before + 1
    assert await shop.buffer.lag(CameraId("stranger")) == 0


async def test_a_face_is_read_from_the_native_picture():
    shop = Shop(plan(reads_faces=True), faces=OneFace(112))
    await shop.put(frame(width=640, height=640, native=picture(value=77)))
    await shop.drain()
    ((face,),) = [event.faces for event in await shop.events()]
    assert face.unusable is None
    assert face.box == (0, 0, 112, 112)
    assert face.norm == 21.5
    assert 50 < int(np.argmax(unpack_embedding(face.embedding, 512))) < 77


async def test_each_usable_face_of_a_batch_gets_its_own_embedding():
    shop = Shop(plan("a", reads_faces=True), plan("b", reads_faces=True), faces=OneFace(112))
    for value in (70, 90, 110):
        native = picture(value=value)
        await shop.put(frame("a", value, native=native, width=640, height=640))
    await shop.put(frame("b", 1, native=None, width=640, height=640))
    await shop.drain()
    events = {(e.camera_id, e.frame_seq): e.faces[0] for e in await shop.events()}
    peaks = [int(np.argmax(unpack_embedding(events["a", v].embedding))) for v in (70, 90, 110)]
    assert peaks == sorted(set(peaks))
    assert (events["b", 1].embedding, events["b", 1].unusable) == (None, "no_native_image")


async def test_each_camera_of_a_batch_is_seen_by_its_own_detector():
    people, cars = OneOfEach(), OneOfEach()
    shop = Shop(
        plan("a", detector="people"),
        plan("b", labels=("car",), detector="cars"),
        detectors={"people": people, "cars": cars},
        versions={"people": "people@1", "cars": "cars@2"},
    )
    await shop.put(*(frame(camera, seq) for seq in (1, 2) for camera in "ab"))
    await shop.drain()
    seen = {(e.camera_id, e.frame_seq): (e.objects[0].label, e.models) for e in await shop.events()}
    for seq in (1, 2):
        assert seen["a", seq] == ("person", {"detect": "people@1"})
        assert seen["b", seq] == ("car", {"detect": "cars@2"})
    assert people.batches[:2] == cars.batches[:2] == [1, 2], "one to warm up, then two at once"


def test_a_camera_whose_detector_is_not_loaded_is_a_mistake():
    with pytest.raises(ValueError, match="no detector cars"):
        Shop(plan(detector="cars"))


async def test_bodies_of_a_batch_are_embedded_together_in_every_second_frame():
    bodies = MeanColors()
    policy = BodyPolicy(alone_every_frames=2)
    shop = Shop(plan(labels=("person", "car"), bodies=policy), bodies=bodies)
    values = {2: 90, 3: 120, 4: 150, 5: 180}
    await shop.put(*(frame(seq=s, jpeg=picture(value=v)) for s, v in values.items()))
    await shop.drain()
    events = {event.frame_seq: event.objects for event in await shop.events()}
    assert [seen.body for seq in (3, 5) for seen in events[seq]] == [None] * 4
    assert bodies.batches[1] == 2, "one call for the batch, after that of the warm-up"
    for seq in (2, 4):
        person, car = events[seq]
        assert car.body is None
        assert unpack_body(person.body, 3) == pytest.approx([3**-0.5] * 3, abs=0.01)


async def test_a_body_without_a_vector_costs_nothing_but_itself():
    class Blind(MeanColors):
        def embed(self, crops):
            return super().embed(crops) * np.array([[c.mean() > 80] for c in crops])

    shop = Shop(plan(bodies=BodyPolicy(alone_every_frames=1)), bodies=Blind())
    await shop.put(*(frame(seq=s, jpeg=picture(value=v)) for s, v in ((1, 60), (2, 160))))
    await shop.drain()
    bodies = {event.frame_seq: event.objects[0].body for event in await shop.events()}
    assert bodies[1] is None
    assert bodies[2] is not None


async def test_bodies_are_left_alone_where_there_is_no_network_or_no_policy():
    for policy, bodies in ((BodyPolicy(alone_every_frames=1), None), (None, MeanColors())):
        shop = Shop(plan(bodies=policy), bodies=bodies)
        await shop.put(frame())
        await shop.drain()
        ((person,),) = [event.objects for event in await shop.events()]
        assert person.body is None


class FacesWithoutVectors(OneFace):
    """A face reader whose network yields no vector for faces of some brightness."""

    def __init__(self, darkest, brightest):
        super().__init__()
        self.between = darkest, brightest

    def embed(self, aligned):
        found = super().embed(aligned)
        darkest, brightest = self.between
        bad = np.array([darkest <= face.mean() <= brightest for face in aligned])
        return FaceVectors(np.where(bad[:, None], 0, found.unit), np.where(bad, 0, found.norm))


async def test_a_face_without_a_vector_is_unusable_and_costs_no_other_face_and_no_worker():
    shop = Shop(plan(reads_faces=True), faces=FacesWithoutVectors(75, 100))
    for seq, value in ((1, 70), (2, 100), (3, 130)):
        await shop.put(frame(seq=seq, native=picture(value=value), width=640, height=640))
    await shop.drain()
    faces = {event.frame_seq: event.faces[0] for event in await shop.events()}
    assert [faces[seq].unusable for seq in (1, 2, 3)] == [None, "no_embedding", None]
    assert (faces[2].embedding, faces[2].norm) == (None, None)
    assert all(unpack_embedding(faces[seq].embedding, 512).any() for seq in (1, 3))


async def test_a_network_that_yields_no_vectors_is_refused_at_the_start():
    shop = Shop(plan(reads_faces=True), faces=FacesWithoutVectors(0, 255))
    with pytest.raises(EngineFailure, match="zero or non-finite vector"):
        await shop.drain()


async def test_a_small_face_is_told_with_its_reason_and_without_embedding():
    shop = Shop(plan(reads_faces=True), faces=OneFace(side_px=40))
    # 40 pixels of the 640 square are 30 of the 480 native ones.
    await shop.put(frame(width=480, height=480, native=picture(480, 480)))
    await shop.drain()
    ((face,),) = [event.faces for event in await shop.events()]
    assert (face.unusable, face.embedding) == ("too_small", None)
    assert face.quality.size_px == pytest.approx(30)


async def test_a_face_just_below_the_limit_is_judged_by_the_size_that_is_told():
    shop = Shop(plan(reads_faces=True), faces=OneFace(side_px=31.97))
    await shop.put(frame(width=640, height=640, native=picture()))
    await shop.drain()
    ((face,),) = [event.faces for event in await shop.events()]
    assert (face.quality.size_px, face.unusable) == (32.0, None)


async def test_a_damaged_native_picture_rejects_its_frame_alone():
    shop = Shop(plan(reads_faces=True), faces=OneFace(112))
    good, cut = picture(), picture()[:-900]
    await shop.put(*(frame(seq=s, native=cut if s == 2 else good) for s in (1, 2, 3)))
    before = dropped("door", "undecodable")
    await shop.drain()
    assert [event.frame_seq for event in await shop.events()] == [1, 3]
    assert dropped("door", "undecodable") == before + 1


async def test_an_engine_failure_ends_the_worker_and_leaves_its_frames_to_others():
    shop = Shop(plan(), detector=Broken())
    await shop.put(frame(seq=1), frame(seq=2))
    with pytest.raises(EngineFailure, match="out of memory"):
        await shop.drain()
    other = MemoryFrameBuffer(shop.streams, "workers", "two")
    assert len(await other.claim(idle_s=0, max_frames=10)) == 2
    assert not shop.worker.ready()


async def test_an_engine_that_cannot_warm_up_ends_the_worker():
    shop = Shop(plan(), detector=Broken(good_batches=0))
    with pytest.raises(EngineFailure):
        await shop.drain()


class FlakyLog:
    """A log that is down until the test restores it."""

    def __init__(self, clock):
        self.real = MemoryEventLog(clock)
        self.up = False
        self.attempts = 0

    async def append(self, records):
        self.attempts += 1
        if not self.up:
            raise EventLogUnavailable("no broker answers")
        await self.real.append(records)

    async def subscribe(self, topics, group):
        return await self.real.subscribe(topics, group)


async def test_while_the_log_is_down_nothing_is_acknowledged_and_then_nothing_is_missing():
    log = FlakyLog(ManualClock(EPOCH))
    shop = Shop(plan(), log=log)
    await shop.put(*(frame(seq=seq) for seq in range(1, 6)))
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    await shop.until(lambda: log.attempts >= 3)
    assert await shop.buffer.lag(CameraId("door")) == 5
    assert not shop.worker.ready()
    log.up = True
    await shop.until(lambda: shop.worker.status().get("inferred") == 5)
    assert [event.frame_seq for event in await shop.events()] == [1, 2, 3, 4, 5]
    shop.stopping.set()
    await shop.until(running.done)
    assert await shop.buffer.lag(CameraId("door")) == 0


async def test_stopping_while_the_log_is_down_says_so_and_acknowledges_nothing():
    shop = Shop(plan(), log=FlakyLog(ManualClock(EPOCH)))
    await shop.put(frame())
    with pytest.raises(EventLogUnavailable):
        await shop.drain()
    assert await shop.buffer.lag(CameraId("door")) == 1


async def test_frames_of_a_dead_consumer_are_claimed():
    shop = Shop(plan())
    await shop.put(frame(seq=1), frame(seq=2))
    dead = MemoryFrameBuffer(shop.streams, "workers", "dead")
    assert len(await dead.read(max_frames=10, wait_s=0)) == 2
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    await shop.until(lambda: shop.worker.status().get("inferred") == 2)
    assert shop.clock.monotonic() >= 5
    shop.stopping.set()
    await shop.until(running.done)
    assert [event.frame_seq for event in await shop.events()] == [1, 2]


class Gated(OneOfEach):
    """A detector that blocks every batch after the warm-up until it is released."""

    def __init__(self):
        super().__init__()
        self.entered, self.gate = threading.Event(), threading.Event()

    def detect(self, images):
        if len(self.batches) >= 3:
            self.entered.set()
            self.gate.wait()
        return super().detect(images)


async def test_a_slow_batch_is_not_claimed_by_its_own_worker_and_does_not_block_the_loop():
    shop = Shop(plan(), detector=Gated())
    await shop.put(frame(seq=1))
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    await shop.until(shop.detector.entered.is_set)
    for _ in range(100):
        shop.clock.advance(1)
        await asyncio.sleep(0)
    shop.detector.gate.set()
    await shop.until(lambda: shop.worker.status().get("inferred") == 1)
    shop.stopping.set()
    await shop.until(running.done)
    assert [event.frame_seq for event in await shop.events()] == [1]


async def test_the_frames_in_flight_are_bounded_while_the_networks_are_slow():
    shop = Shop(plan(), detector=Gated())
    await shop.put(*(frame(seq=seq) for seq in range(1, 81)))
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    await shop.until(shop.detector.entered.is_set)
    for _ in range(200):
        shop.clock.advance(0.1)
        await asyncio.sleep(0)
    assert shop.worker.status()["in_flight"] <= 5 * 4
    shop.detector.gate.set()
    shop.stopping.set()
    await shop.until(running.done)
    assert len(await shop.events()) == 80


@pytest.mark.parametrize("part", ["read", "claim"])
async def test_while_the_buffer_is_away_the_worker_waits_and_goes_on_by_itself(part):
    shop = Shop(plan())
    shop.buffer.away = {part}
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    await shop.until(lambda: shop.buffer.refused >= 4)
    assert not shop.worker.ready()
    assert shop.worker.status()["state"] == "waiting for the frame buffer"
    assert shop.worker.status()["problems"] == ["the buffer does not answer"]
    await shop.put(frame(seq=1))
    shop.buffer.away.clear()
    await shop.until(lambda: shop.worker.status().get("inferred") == 1)
    await shop.until(shop.worker.ready)
    shop.stopping.set()
    await shop.until(running.done)
    await running


async def test_a_lost_acknowledgement_is_made_up_for_without_a_second_event():
    shop = Shop(plan())
    shop.buffer.away = {"ack"}
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    await shop.put(frame(seq=1), frame(seq=2))
    await shop.until(lambda: shop.worker.status().get("inferred") == 2)
    await shop.until(lambda: shop.clock.monotonic() > 30)
    assert await shop.buffer.lag(CameraId("door")) == 2
    assert not shop.worker.ready()
    shop.buffer.away.clear()
    await shop.until(shop.worker.ready)
    assert await shop.buffer.lag(CameraId("door")) == 0
    assert shop.worker.status()["in_flight"] == 0
    shop.stopping.set()
    await shop.until(running.done)
    assert [event.frame_seq for event in await shop.events()] == [1, 2]


async def test_frames_that_were_read_before_the_buffer_went_away_are_inferred():
    shop = Shop(plan())
    read = shop.buffer.real.read
    await shop.put(frame(seq=1), frame(seq=2))

    async def read_one_and_break(*, max_frames, wait_s):
        frames = await read(max_frames=1, wait_s=wait_s)
        shop.buffer.away = {"read", "claim", "ack"}
        return frames

    running = asyncio.create_task(shop.worker.run(shop.stopping))
    shop.buffer.real.read = read_one_and_break
    await shop.until(lambda: shop.worker.status().get("inferred") == 1)
    shop.stopping.set()
    await shop.until(running.done)
    assert [event.frame_seq for event in await shop.events()] == [1]


async def test_stopping_while_the_buffer_is_away_ends_at_once_and_leaves_frames_to_others():
    shop = Shop(plan())
    await shop.put(frame())
    running = asyncio.create_task(shop.worker.run(shop.stopping))
    shop.buffer.away = {"read", "claim", "ack"}
    await shop.until(lambda: shop.buffer.refused >= 2)
    shop.stopping.set()
    await running  # without any time passing
    assert await shop.buffer.lag(CameraId("door")) == 1


@pytest.mark.parametrize("ingestor_ahead_s", [0, 7200, -7200])
async def test_live_frames_that_waited_too_long_are_skipped_and_counted_and_no_others(
    ingestor_ahead_s,
):
    """Whatever the clock of the ingestor's host shows."""
    shop = Shop(plan("live", is_live=True), plan("played"))
    before = dropped("live", "stale"), dropped("played", "stale")
    for seq in (1, 2, 3, 4):
        captured_at = shop.clock.now() + timedelta(seconds=ingestor_ahead_s)
        frames = [frame(camera, seq) for camera in ("live", "played")]
        await shop.put(*(replace(each, captured_at=captured_at) for each in frames))
        shop.clock.advance(4)
    await shop.drain()
    events = await shop.events()
    assert [e.frame_seq for e in events if e.camera_id == "live"] == [3, 4]
    assert [e.frame_seq for e in events if e.camera_id == "played"] == [1, 2, 3, 4]
    assert (dropped("live", "stale"), dropped("played", "stale")) == (before[0] + 2, before[1])
    assert shop.worker.status()["dropped"] == 2
    assert await shop.buffer.lag(CameraId("live")) == 0


async def test_frames_of_a_buffer_that_others_read_are_left_to_them_at_a_stop():
    shop = Shop(plan(), policy=WorkerPolicy(drains_at_stop=False))
    await shop.put(frame(seq=1), frame(seq=2))
    await shop.drain()
    assert await shop.buffer.lag(CameraId("door")) == 2
