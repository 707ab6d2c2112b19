"""Cost of transporting events and frames: in the codec, through Redis, through Kafka.

Our adapters and the bare clients take turns within one run on the same servers, so that the ratio
of the two holds when the machine drifts. Its interval is the bootstrap's over the rounds.
"""

import asyncio
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.benchmarks.bare import BareKafka, BareRedis, delete_topics
from trinetra.devservers.kafka import KafkaBroker, find_kafka
from trinetra.devservers.redis import RedisServer
from trinetra.evaluation.intervals import bootstrap_median
from trinetra.events.codec import decode, decode_frame, encode, encode_frame, pack_embedding
from trinetra.events.schema import DetectionEvent, FaceBox, FaceQuality, ObjectBox
from trinetra.events.topics import DETECTIONS
from trinetra.ports import Record, Subscription, read_up_to
from trinetra.values import CameraId, EventId, Frame, Letterbox, SiteId

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_CAMERAS = tuple(CameraId(f"camera-{n}") for n in range(4))
_JPEG_BYTES = 65_000
_FRAMES = 320
_FRAME_BATCH = 4
_EVENTS = 4_000
_EVENT_BATCHES = (4, 500)
"""An inference-worker waits for the events of its batch of frames, a spool for what it sends."""
_CODEC_REPEATS = 500


class Contestant(Protocol):
    """A client that writes a fixed number of items and reads them again."""

    async def write(self) -> None:
        """Write everything."""

    async def read(self) -> None:
        """Read and acknowledge everything."""


def run(
    *, redis_url: str | None, kafka_servers: str | None, cache_dir: Path, rounds: int = 9
) -> dict[str, Any]:
    """Return the figures of codec, Redis and Kafka; servers that are not given are started.

    Raises ServerMissing (with how to get it), BufferUnavailable, EventLogUnavailable.
    """
    figures = _codec()
    with tempfile.TemporaryDirectory(prefix="trinetra-wire-") as folder:
        if redis_url:
            figures |= asyncio.run(_redis(redis_url, rounds))
        else:
            with RedisServer(Path(folder) / "redis") as redis:
                figures |= asyncio.run(_redis(redis.url, rounds))
        if kafka_servers:
            figures |= asyncio.run(_kafka(kafka_servers, rounds))
        else:
            with KafkaBroker(Path(folder) / "kafka", find_kafka(cache_dir), jvm=()) as broker:
                figures |= asyncio.run(_kafka(broker.address, rounds))
    return {**figures, "rounds": rounds}


# --- the codec --------------------------------------------------------------------------------


def _codec() -> dict[str, Any]:
    event, frame = _event(0), _frame(0)
    event_bytes, frame_bytes = encode(event), encode_frame(frame)
    return {
        "event_bytes": len(event_bytes),
        "event_encode_us": _microseconds(lambda: encode(event)),
        "event_decode_us": _microseconds(lambda: decode(event_bytes)),
        "frame_bytes": len(frame_bytes),
        "frame_encode_us": _microseconds(lambda: encode_frame(frame)),
        "frame_decode_us": _microseconds(lambda: decode_frame(frame_bytes)),
    }


def _microseconds(work: Callable[[], object], rounds: int = 21) -> float:
    """Return the median over rounds of what one call takes."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(_CODEC_REPEATS):
            work()
        times.append((time.perf_counter() - began) / _CODEC_REPEATS)
    return round(median(times) * 1e6, 2)


def _event(number: int) -> DetectionEvent:
    """Return a detection event with one person and one face of 512 dimensions."""
    random = np.random.default_rng(number)
    vector = random.standard_normal(512).astype(np.float32)
    x, y = (round(float(v), 1) for v in random.uniform(100, 900, 2))
    face = FaceBox(
        score=0.91,
        box=(x + 32.5, y + 20.0, x + 88.2, y + 91.9),
        landmarks=(
            (x + 46.0, y + 48.1),
            (x + 73.5, y + 47.4),
            (x + 60.2, y + 63.0),
            (x + 48.8, y + 75.5),
            (x + 71.9, y + 75.0),
        ),
        quality=FaceQuality(0.72, 55.7, 0.8, 0.9, 0.95),
        embedding=pack_embedding(vector / np.linalg.norm(vector)),
    )
    return DetectionEvent(
        event_id=EventId(f"det_{number:024x}"),
        site_id=SiteId("bench"),
        camera_id=_CAMERAS[number % len(_CAMERAS)],
        captured_at=_NOON,
        frame_seq=number,
        frame_width=1280,
        frame_height=720,
        objects=(ObjectBox("person", 0.87, (x, y, x + 140.5, y + 420.0)),),
        faces=(face,),
        models={"detect": "nanodet-g-416@1", "embed": "mobilefacenet-fr@1"},
    )


def _frame(number: int) -> Frame:
    jpeg = np.random.default_rng(number).bytes(_JPEG_BYTES)
    camera = _CAMERAS[number % len(_CAMERAS)]
    return Frame(camera, number, _NOON, 1280, 720, Letterbox.fit(1280, 720, 640), jpeg)


# --- taking turns -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of each round, ours and the bare client's."""

    ours_s: list[float]
    bare_s: list[float]

    def figures(self, name: str, unit: str, amount: int) -> dict[str, Any]:
        """Return both rates and their ratio."""
        ratios = np.array(self.bare_s) / np.array(self.ours_s)
        interval = bootstrap_median(ratios, np.random.default_rng(7))
        return {
            f"{name}_{unit}_per_s": round(amount / median(self.ours_s)),
            f"{name}_bare_{unit}_per_s": round(amount / median(self.bare_s)),
            f"{name}_ratio": round(float(np.median(ratios)), 3),
            f"{name}_ratio_interval": [round(end, 3) for end in interval] if interval else None,
        }


async def _duel(ours: Contestant, bare: Contestant, rounds: int) -> Mapping[str, Turns]:
    """Let both write and read in turns; the order alternates, and the first round is discarded."""
    turns = {"write": Turns([], []), "read": Turns([], [])}
    for number in range(rounds + 1):
        for action, taken in turns.items():
            both = [(ours, taken.ours_s), (bare, taken.bare_s)]
            for contestant, times in both if number % 2 else reversed(both):
                times.append(await _seconds(getattr(contestant, action)))
    return {name: Turns(taken.ours_s[1:], taken.bare_s[1:]) for name, taken in turns.items()}


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


# --- Redis ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OurRedis:
    buffer: RedisFrameBuffer
    frames: Sequence[Frame]

    async def write(self) -> None:
        for frame in self.frames:
            await self.buffer.append(frame)

    async def read(self) -> None:
        left = len(self.frames)
        while left > 0:
            got = await self.buffer.read(max_frames=_FRAME_BATCH, wait_s=1)
            await self.buffer.ack(got)
            left -= len(got)


async def _redis(url: str, rounds: int) -> dict[str, Any]:
    frames = [_frame(number) for number in range(_FRAMES)]
    payloads = [encode_frame(frame) for frame in frames]
    name = f"bench-{uuid.uuid4().hex[:8]}"
    streams = [f"{name}-bare:frames:{camera}" for camera in _CAMERAS]
    async with AsyncExitStack() as stack:
        buffer = await stack.enter_async_context(
            RedisFrameBuffer.open(
                url,
                FrameStreams(SiteId("bench"), _CAMERAS, name),
                group="bench",
                consumer="bench",
                clock=SystemClock(),
            )
        )
        bare = await stack.enter_async_context(BareRedis.open(url, streams, payloads, _FRAME_BATCH))
        turns = await _duel(_OurRedis(buffer, frames), bare, rounds)
    return {
        **turns["write"].figures("redis_append", "frames", _FRAMES),
        **turns["read"].figures("redis_read_ack", "frames", _FRAMES),
    }


# --- Kafka ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _OurKafka:
    log: KafkaEventLog
    reader: Subscription
    records: Sequence[Record]
    batch: int

    async def write(self) -> None:
        for first in range(0, len(self.records), self.batch):
            await self.log.append(self.records[first : first + self.batch])

    async def read(self) -> None:
        left = len(self.records)
        while left > 0:
            got = await self.reader.poll(max_records=500, wait_s=1)
            await self.reader.commit(read_up_to(got))
            left -= len(got)


async def _kafka(servers: str, rounds: int) -> dict[str, Any]:
    keys = [f"camera-{number % 32}" for number in range(_EVENTS)]
    values = [encode(_event(number)) for number in range(_EVENTS)]
    records = [Record(DETECTIONS, key, value) for key, value in zip(keys, values, strict=True)]
    events = [(key.encode(), value) for key, value in zip(keys, values, strict=True)]
    figures: dict[str, Any] = {}
    async with _topics(servers) as (namespace, bare_topic), AsyncExitStack() as stack:
        log = await stack.enter_async_context(
            KafkaEventLog.open(
                KafkaConnection(servers),
                instance="bench",
                site_id="bench",
                clock=SystemClock(),
                namespace=namespace,
                topics=(DETECTIONS,),
            )
        )
        reader = await log.subscribe([DETECTIONS], "bench")
        bare = await stack.enter_async_context(BareKafka.open(servers, bare_topic, events, 1))
        for batch in _EVENT_BATCHES:
            bare.batch = batch
            turns = await _duel(_OurKafka(log, reader, records, batch), bare, rounds)
            figures |= turns["write"].figures(f"kafka_append_{batch}", "events", _EVENTS)
        figures |= turns["read"].figures("kafka_poll_commit", "events", _EVENTS)
    return figures


@asynccontextmanager
async def _topics(servers: str) -> AsyncIterator[tuple[str, str]]:
    """Create a topic for each, deleted at the end; yields our namespace and the other's topic."""
    connection, clock = KafkaConnection(servers), SystemClock()
    name = f"bench-{uuid.uuid4().hex[:8]}"
    layouts = [Layout("bench", namespace, (DETECTIONS,)) for namespace in (name, f"{name}-bare")]
    made = [await create_topics(connection, layout, clock) for layout in layouts]
    try:
        yield name, made[1][0]
    finally:
        await delete_topics(servers, [topic for names in made for topic in names])
