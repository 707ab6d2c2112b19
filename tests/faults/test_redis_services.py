"""The ingestor and a worker on a real Redis that dies, comes back empty, and is flushed."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from tests.faults.redis_shop import DOOR, buffer_of, plain_client
from tests.flows.test_ingest import EVERY, SMALL, Scripted, pictures, until

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.detections.event_builder import CameraPlan as DetectionPlan
from trinetra.detections.frame_analyzer import FrameAnalyzerConfig
from trinetra.detections.service import InferenceThread, InferenceWorker
from trinetra.devservers.redis import RedisServer
from trinetra.events.codec import decode
from trinetra.events.topics import DETECTIONS
from trinetra.frames.camera import CameraPlan
from trinetra.frames.service import IngestPolicy, StreamIngestor
from trinetra.values import FaceVectors, SiteId, no_detections, no_faces

pytestmark = pytest.mark.redis


class Nobody:
    """Networks that find nothing."""

    def detect(self, images):
        return [no_detections() for _ in images]

    def find(self, images):
        return [no_faces() for _ in images]

    def embed(self, aligned):
        return FaceVectors(np.zeros((len(aligned), 512), np.float32), np.ones(len(aligned)))


@dataclass
class Shop:
    """A door camera whose pictures the test releases, an ingestor and a worker."""

    shutter: threading.Semaphore
    ingestor: StreamIngestor
    worker: InferenceWorker
    log: MemoryEventLog
    taken: int = 0

    def counts(self) -> tuple[int, int]:
        """Return how many pictures became events, and how many were lost at the buffer."""
        lost = self.ingestor.status()[DOOR].dropped.get("buffer_unavailable", 0)
        return int(self.worker.status().get("inferred", 0)), lost

    async def take(self, count: int) -> None:
        """Release pictures one by one, each when what became of the last one is known."""
        for _ in range(count):
            self.taken += 1
            self.shutter.release()
            await until(lambda: sum(self.counts()) == self.taken)

    async def until_ready(self) -> None:
        await until(lambda: self.ingestor.ready() and self.worker.ready())


@asynccontextmanager
async def open_shop(url: str) -> AsyncIterator[Shop]:
    clock, log, stopping = SystemClock(), MemoryEventLog(SystemClock()), asyncio.Event()
    shutter = threading.Semaphore(0)
    async with buffer_of(url, "ingestor") as inbox, buffer_of(url, "worker") as outbox:
        ingestor = StreamIngestor(
            [CameraPlan(DOOR, sampling=EVERY, encoding=SMALL)],
            lambda _: Scripted(pictures(10_000), gate=shutter),
            inbox,
            clock,
            IngestPolicy(buffer_retry_s=0.02, watch_every_s=0.02, ready_share=0.0),
        )
        plans = {DOOR: DetectionPlan(DOOR, frozenset({"person"}), reads_faces=True)}
        lanes = [InferenceThread({"": Nobody()}, Nobody())]
        config = FrameAnalyzerConfig(SiteId("north-street"), plans)
        worker = InferenceWorker(config, lanes, outbox, log, clock)
        shop = Shop(shutter, ingestor, worker, log)
        async with asyncio.TaskGroup() as group:
            group.create_task(ingestor.run(stopping))
            group.create_task(worker.run(stopping))
            try:
                await shop.until_ready()
                yield shop
            finally:
                stopping.set()
                shutter.release(10_000)


async def test_a_killed_redis_costs_the_frames_of_its_absence_and_nothing_else(
    redis_server: RedisServer,
) -> None:
    async with open_shop(redis_server.url) as shop:
        await shop.take(10)
        for life in (1, 2):
            redis_server.kill()
            await shop.take(20)
            await until(lambda: not shop.ingestor.ready() and not shop.worker.ready())
            await asyncio.to_thread(redis_server.start)
            await shop.until_ready()
            await shop.take(10)
            assert shop.counts() == (10 + 10 * life, 20 * life)
        reader = await shop.log.subscribe([DETECTIONS], "test")
        seen = [decode(d.value).frame_seq for d in await reader.poll(max_records=99, wait_s=0)]
    assert [seq - seen[0] for seq in seen] == [*range(10), *range(30, 40), *range(60, 70)]


async def test_a_flush_stops_nobody(redis_server: RedisServer) -> None:
    async with open_shop(redis_server.url) as shop, plain_client(redis_server.url) as redis:
        for _ in range(5):
            await shop.take(4)
            await redis.flushall()
        await shop.take(4)
        assert shop.counts() == (24, 0)
        assert shop.ingestor.ready()
        assert shop.worker.ready()


async def test_a_redis_that_hangs_holds_neither_camera_nor_stop_up(
    redis_server: RedisServer,
) -> None:
    async with open_shop(redis_server.url) as shop:
        await shop.take(3)
        redis_server.suspend()
        shop.shutter.release(500)
        await until(lambda: not shop.ingestor.ready() and not shop.worker.ready())
        await until(lambda: shop.ingestor.status()[DOOR].frames_read >= 500)
    assert not shop.worker.ready()
    redis_server.resume()
