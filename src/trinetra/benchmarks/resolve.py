"""How many detections a second become identities, and how soon: ``run(events, ...)``.

Four twin shops at 24 cameras, against a gallery full of strangers. In memory one resolver shares
its core with those who write and read the log; on Kafka it has a process of its own, and so has a
second one. Every resolver keeps its state, as in a cluster.
"""

import asyncio
import heapq
import multiprocessing
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.adapters.qdrant_edge.protocol import GalleryTuning
from trinetra.benchmarks.bare import delete_topics
from trinetra.benchmarks.resolve_member import (
    DIMENSION,
    MODEL,
    SITE_ID,
    STOP,
    Member,
    resolver,
    serve,
)
from trinetra.events.codec import decode, encode
from trinetra.events.topics import ALL, DETECTIONS, IDENTITIES
from trinetra.ports import EventLog, Record, Subscription, read_up_to
from trinetra.twin.emission import Arrival
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario, Sensing
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, CustomerId, GalleryEntry, IdentityKind, Instant

_SHOPS = 4
_EVENTS_PER_HOUR = 80_000.0
"""At least; of one shop."""
_BUILD_CHUNK = 2_000
_APPEND_CHUNK = 500
_TICK_S = 0.01
_STOPS_WITHIN_S = 20.0
_SPAN = (0.1, 0.9)
"""Of the events; what comes before and after is starting up and running dry."""


def run(
    events: int = 50_000,
    *,
    gallery_size: int = 100_000,
    shoppers_per_hour: float = 60.0,
    rate: float = 1_000.0,
    kafka_servers: str | None = None,
) -> dict[str, Any]:
    """Return events per second and, at ``rate`` events per second, the time to the identity.

    With ``kafka_servers`` also on Kafka, with one and with two resolvers; topics are made for it
    and deleted. Raises ServerUnavailable.
    """
    with tempfile.TemporaryDirectory(prefix="trinetra-resolve-") as name:
        return asyncio.run(
            _measure(Path(name), events, gallery_size, shoppers_per_hour, rate, kafka_servers)
        )


async def _measure(
    folder: Path,
    events: int,
    gallery_size: int,
    shoppers_per_hour: float,
    rate: float,
    kafka_servers: str | None,
) -> dict[str, Any]:
    hours = events / _SHOPS / _EVENTS_PER_HOUR
    stream = list(islice(_stream(shoppers_per_hour, hours), events))
    figures: dict[str, Any] = {
        "events": len(stream),
        "with_faces": sum(b'"embedding"' in record.value for record in stream if record.value),
        "gallery": gallery_size,
        "paced_events_per_s": rate,
    }
    full = folder / "full"
    await _fill(full, gallery_size)
    figures |= await _in_memory(_copy(full, folder), stream, rate)
    for members in (1, 2) if kafka_servers else ():
        galleries = [_copy(full, folder) for _ in range(members)]
        figures |= await _on_kafka(str(kafka_servers), galleries, stream, rate)
    return figures


# --- what is resolved -------------------------------------------------------------------------


def _stream(shoppers_per_hour: float, hours: float) -> Iterator[Record]:
    """Yield the detections of all shops as they come, each shop's cameras under its own names."""
    shops = map(_arrivals, range(_SHOPS), _twins(shoppers_per_hour, hours))
    for _, shop, arrival in heapq.merge(*shops, key=lambda row: row[0]):
        event = decode(arrival.payload)
        camera = CameraId(f"{event.camera_id}-{shop}")
        yield Record(DETECTIONS, camera, encode(msgspec.structs.replace(event, camera_id=camera)))


def _arrivals(shop: int, twin: Twin) -> Iterator[tuple[int, int, Arrival]]:
    for arrival in twin.arrivals():
        yield arrival.at_us, shop, arrival


def _twins(shoppers_per_hour: float, hours: float) -> list[Twin]:
    plan = built_in_shop()
    in_order = Sensing(latency_s=0.02, late_share=0.0)
    return [
        Twin(plan, Scenario(seed, shoppers_per_hour, hours, sensing=in_order))
        for seed in range(_SHOPS)
    ]


async def _fill(folder: Path, size: int) -> None:
    """Make a gallery of ``size`` people nobody ever sees."""
    random = np.random.default_rng(7)
    tuning = GalleryTuning(index_at_latest=_BUILD_CHUNK)
    async with EdgeGallery.open(
        folder, model_version=MODEL, dimension=DIMENSION, tuning=tuning
    ) as gallery:
        for first in range(0, size, _BUILD_CHUNK):
            count = min(_BUILD_CHUNK, size - first)
            faces = random.standard_normal((count, DIMENSION)).astype(np.float32)
            faces /= np.linalg.norm(faces, axis=1, keepdims=True)
            await gallery.upsert([_stranger(first + i, face) for i, face in enumerate(faces)])
        await gallery.count()  # answered once the last step of the index is built


def _stranger(number: int, face: NDArray[np.float32]) -> GalleryEntry:
    name = CustomerId(f"stranger_{number}")
    seen = Scenario().started_at
    return GalleryEntry(
        str(number), name, IdentityKind.ANONYMOUS, face, 0.8, seen, seen, None, consent=False
    )


def _copy(full: Path, folder: Path) -> Path:
    copy = folder / uuid.uuid4().hex
    shutil.copytree(full, copy)
    return copy


# --- what is measured -------------------------------------------------------------------------


@dataclass(slots=True)
class _Meter:
    """When each frame was appended, and when its tracks and its identities could be read."""

    appended_s: dict[tuple[CameraId, Instant], float] = field(default_factory=dict)
    read_s: list[float] = field(default_factory=list)
    identities_s: list[float] = field(default_factory=list)
    tracks_s: list[float] = field(default_factory=list)

    async def follow(self, subscription: Subscription, frames: int) -> None:
        """Read until the tracks of so many frames were seen."""
        while len(self.read_s) < frames:
            got = await subscription.poll(max_records=2_000, wait_s=0.5)
            now_s = time.perf_counter()
            for delivery in got:
                self._note(delivery.value, now_s)
            await subscription.commit(read_up_to(got))

    def _note(self, value: bytes, now_s: float) -> None:
        is_tracks = b'"type":"tracks"' in value
        if is_tracks:
            self.read_s.append(now_s)
        if self.appended_s:  # reading more of it would cost what is being measured
            event = decode(value)
            began_s = self.appended_s[event.camera_id, event.captured_at]
            (self.tracks_s if is_tracks else self.identities_s).append(now_s - began_s)

    @property
    def events_per_s(self) -> int:
        """The rate over the middle of the run."""
        first, last = (round(share * (len(self.read_s) - 1)) for share in _SPAN)
        return round((last - first) / max(self.read_s[last] - self.read_s[first], 1e-9))


async def _pace(log: EventLog, stream: Sequence[Record], rate: float, meter: _Meter) -> None:
    """Append events at a steady rate, and note when."""
    names = [_name(record) for record in stream]
    began_s, done = time.perf_counter(), 0
    while done < len(stream):
        due = min(len(stream), int((time.perf_counter() - began_s) * rate) + 1)
        now_s = time.perf_counter()
        meter.appended_s |= dict.fromkeys(names[done:due], now_s)
        await log.append(stream[done:due])
        done = due
        await asyncio.sleep(_TICK_S)


def _name(record: Record) -> tuple[CameraId, Instant]:
    event = decode(record.value or b"")
    return event.camera_id, event.captured_at


def _latencies(name: str, meter: _Meter) -> dict[str, float]:
    figures = {}
    for what, seconds in (("identity", meter.identities_s), ("tracks", meter.tracks_s)):
        if seconds:
            p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
            figures[f"{name}_{what}_p50_ms"] = round(float(p50), 1)
            figures[f"{name}_{what}_p99_ms"] = round(float(p99), 1)
    return figures


Cpu = Callable[[], Awaitable[float]]
"""Seconds of CPU that the resolvers have used so far."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Three quarters of a stream at full speed, and the rest at a pace."""

    full: _Meter
    paced: _Meter
    cpu_s_per_event: float

    def figures(self, name: str) -> dict[str, Any]:
        """Return the rate, what an event costs at that rate, and the latencies at the pace."""
        return {
            f"{name}_events_per_s": self.full.events_per_s,
            f"{name}_cpu_us_per_event": round(1e6 * self.cpu_s_per_event),
            **_latencies(name, self.paced),
        }


async def _run(log: EventLog, stream: Sequence[Record], rate: float, cpu: Cpu) -> _Run:
    middle = 3 * len(stream) // 4
    full, paced = _Meter(), _Meter()
    reader = await log.subscribe([IDENTITIES], "bench")
    began_s = await cpu()
    for first in range(0, middle, _APPEND_CHUNK):
        await log.append(stream[first : min(first + _APPEND_CHUNK, middle)])
    await full.follow(reader, middle)
    cpu_s = await cpu() - began_s
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_pace(log, stream[middle:], rate, paced))
        tasks.create_task(paced.follow(reader, len(stream) - middle))
    await reader.close()
    return _Run(full, paced, cpu_s / middle)


# --- in memory --------------------------------------------------------------------------------


async def _in_memory(gallery: Path, stream: Sequence[Record], rate: float) -> dict[str, Any]:
    clock, stopping = SystemClock(), asyncio.Event()
    log = MemoryEventLog(clock, keep_records=len(stream) + 1, max_records=len(stream) + 1)
    async with EdgeGallery.open(gallery, model_version=MODEL, dimension=DIMENSION) as edge:
        running = asyncio.create_task(resolver(log, edge, clock).run(stopping))
        measured = await _run(log, stream, rate, _own_cpu)
        stopping.set()
        await running
    return measured.figures("memory")


async def _own_cpu() -> float:
    return time.process_time()


# --- on Kafka ---------------------------------------------------------------------------------


async def _on_kafka(
    servers: str, galleries: Sequence[Path], stream: Sequence[Record], rate: float
) -> dict[str, Any]:
    namespace = f"bench-{uuid.uuid4().hex[:8]}"
    members = [
        Member(servers, namespace, f"member-{number}", gallery)
        for number, gallery in enumerate(galleries)
    ]
    async with _topics(servers, namespace) as log, _processes(members) as cpu:
        measured = await _run(log, stream, rate, cpu)
    return measured.figures(f"kafka_{len(members)}")


@asynccontextmanager
async def _topics(servers: str, namespace: str) -> AsyncIterator[KafkaEventLog]:
    connection, clock = KafkaConnection(servers), SystemClock()
    topics = await create_topics(connection, Layout(SITE_ID, namespace, ALL), clock)
    try:
        async with KafkaEventLog.open(
            connection, instance="bench", site_id=SITE_ID, clock=clock, namespace=namespace
        ) as log:
            yield log
    finally:
        await delete_topics(servers, topics)


@asynccontextmanager
async def _processes(members: Sequence[Member]) -> AsyncIterator[Cpu]:
    """Run a resolver per process; yields what tells the CPU that all of them have used."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in members]
    processes = [
        context.Process(target=serve, args=(member, theirs), daemon=True)
        for member, (_, theirs) in zip(members, pipes, strict=True)
    ]
    for process in processes:
        process.start()

    async def cpu() -> float:
        for ours, _ in pipes:
            ours.send("cpu")
        return float(sum([await asyncio.to_thread(ours.recv) for ours, _ in pipes]))

    try:
        yield cpu
    finally:
        for ours, _ in pipes:
            ours.send(STOP)
        for process in processes:
            await asyncio.to_thread(process.join, _STOPS_WITHIN_S)
            process.kill()
            await asyncio.to_thread(process.join)
