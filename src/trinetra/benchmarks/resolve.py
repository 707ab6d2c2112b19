"""Throughput and latency of the identity-resolver: ``run(settings, events, ...)``.

Four twin shops with 24 cameras, against a gallery of strangers. Every resolver is built by wiring
as in production, with all its background tasks, on a customer log and an erasure store in SQLite.
In memory the resolver shares its process, and so one core, with the benchmark; on Kafka one or two
resolvers run in processes of their own.
"""

import asyncio
import heapq
import multiprocessing
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.adapters.qdrant_edge.protocol import GalleryTuning
from trinetra.benchmarks.bare import delete_topics
from trinetra.benchmarks.resolve_process import STOP, serve
from trinetra.events.codec import decode, encode
from trinetra.events.topics import DETECTIONS, IDENTITIES
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import EventLog, Record, Subscription, read_up_to
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.twin.emission import Arrival
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario, Sensing
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, CustomerId, GalleryEntry, IdentityKind, Instant
from trinetra.wiring import assembly
from trinetra.wiring.assembly import FaceModel
from trinetra.wiring.connections import journaling, open_resolver_ports
from trinetra.wiring.places import kafka_connection
from trinetra.wiring.simulation import face_model, site_of
from trinetra.wiring.topics import site_topics

_SHOPS = 4
_EVENTS_PER_HOUR = 80_000.0
"""Of one shop, at least."""
_BUILD_CHUNK = 2_000
_APPEND_CHUNK = 500
_TICK_S = 0.01
_STOPS_WITHIN_S = 20.0
_SPAN = (0.1, 0.9)
"""Share of the events that is measured; before it services start, after it they run out of work."""


@dataclass(frozen=True, slots=True)
class _Workload:
    """The detections to resolve, the rate of the latency measurement, the site and the model.

    ``gallery`` is a folder with the gallery that every resolver gets a copy of.
    """

    site: Site
    model: FaceEmbedderModel
    stream: Sequence[Record]
    rate: float
    gallery: Path


def run(
    settings: Settings,
    events: int = 50_000,
    *,
    gallery_size: int = 100_000,
    shoppers_per_hour: float = 60.0,
    rate: float = 1_000.0,
    kafka_servers: str | None = None,
) -> dict[str, Any]:
    """Return events per second and, at ``rate`` events per second, the time to the identity.

    With ``kafka_servers`` it also measures one and two resolvers on Kafka; their topics are
    deleted again. Raises ServerUnavailable.
    """
    twins = _twins(shoppers_per_hour, events / _SHOPS / _EVENTS_PER_HOUR)
    with tempfile.TemporaryDirectory(prefix="trinetra-resolve-") as name:
        folder = Path(name)
        workload = _Workload(
            site=site_of(twins[0].plan),
            model=face_model(twins[0], settings.profile),
            stream=list(islice(_stream(twins), events)),
            rate=rate,
            gallery=folder / "gallery",
        )
        local = _changed(settings, gallery="edge", data_dir=folder, store_url=None)
        return asyncio.run(_measure(workload, local, gallery_size, kafka_servers))


def _changed(settings: Settings, **changes: object) -> Settings:
    return Settings.model_validate({**settings.model_dump(), **changes})


async def _measure(
    workload: _Workload, settings: Settings, gallery_size: int, kafka_servers: str | None
) -> dict[str, Any]:
    payloads = [record.value for record in workload.stream if record.value]
    figures: dict[str, Any] = {
        "events": len(payloads),
        "with_faces": sum(b'"embedding"' in payload for payload in payloads),
        "gallery": gallery_size,
        "paced_events_per_s": workload.rate,
    }
    await _fill(workload, gallery_size)
    figures |= await _in_memory(workload, settings)
    for members in (1, 2) if kafka_servers else ():
        on_kafka = _changed(settings, event_log="kafka", kafka_servers=kafka_servers)
        figures |= await _on_kafka(workload, on_kafka, members)
    return figures


# --- the workload -------------------------------------------------------------------------------


def _stream(twins: Sequence[Twin]) -> Iterator[Record]:
    """Yield the detections of all shops as they arrive; each shop's cameras get their own names."""
    shops = map(_arrivals, range(len(twins)), twins)
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


async def _fill(workload: _Workload, size: int) -> None:
    """Build a gallery of ``size`` people who never appear."""
    random = np.random.default_rng(7)
    version, dimension = workload.model.version, workload.model.dimension
    tuning = GalleryTuning(index_at_latest=_BUILD_CHUNK)
    async with EdgeGallery.open(
        workload.gallery, model_version=version, dimension=dimension, tuning=tuning
    ) as gallery:
        for first in range(0, size, _BUILD_CHUNK):
            count = min(_BUILD_CHUNK, size - first)
            faces = random.standard_normal((count, dimension)).astype(np.float32)
            faces /= np.linalg.norm(faces, axis=1, keepdims=True)
            await gallery.upsert([_stranger(first + i, face) for i, face in enumerate(faces)])
        await gallery.count()  # answered once the last step of the index is built


def _stranger(number: int, face: NDArray[np.float32]) -> GalleryEntry:
    name = CustomerId(f"stranger_{number}")
    seen = Scenario().started_at
    return GalleryEntry(
        str(number), name, IdentityKind.ANONYMOUS, face, 0.8, seen, seen, None, consent=False
    )


@contextmanager
def _data_dir(workload: _Workload, settings: Settings) -> Iterator[Path]:
    """Create the data folder of a resolver, with its own gallery, and delete it at the end."""
    folder = settings.data_dir / uuid.uuid4().hex
    shutil.copytree(workload.gallery, folder / "gallery")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# --- the measurement ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Meter:
    """When each frame was appended, and when its tracks and identities were read."""

    appended_s: dict[tuple[CameraId, Instant], float] = field(default_factory=dict)
    read_s: list[float] = field(default_factory=list)
    identities_s: list[float] = field(default_factory=list)
    tracks_s: list[float] = field(default_factory=list)

    async def follow(self, subscription: Subscription, frames: int) -> None:
        """Read until the tracks of so many frames have been read."""
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
        if self.appended_s:  # decoding at full speed would slow down what is measured
            event = decode(value)
            began_s = self.appended_s[event.camera_id, event.captured_at]
            (self.tracks_s if is_tracks else self.identities_s).append(now_s - began_s)

    @property
    def events_per_s(self) -> int:
        """Frames per second over the middle of the run."""
        first, last = (round(share * (len(self.read_s) - 1)) for share in _SPAN)
        return round((last - first) / max(self.read_s[last] - self.read_s[first], 1e-9))


async def _pace(log: EventLog, stream: Sequence[Record], rate: float, meter: _Meter) -> None:
    """Append events at a steady rate and note the times."""
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
"""Returns the CPU seconds that the resolvers have used so far."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Three quarters of a stream at full speed, and the rest at a steady rate."""

    full: _Meter
    paced: _Meter
    cpu_s_per_event: float

    def figures(self, name: str) -> dict[str, Any]:
        """Return the rate, the processor time of an event at that rate, and the latencies."""
        return {
            f"{name}_events_per_s": self.full.events_per_s,
            f"{name}_cpu_us_per_event": round(1e6 * self.cpu_s_per_event),
            **_latencies(name, self.paced),
        }


async def _drive(log: EventLog, workload: _Workload, cpu: Cpu) -> _Measured:
    """Write the stream to the log and read the output of the resolvers."""
    stream = workload.stream
    middle = 3 * len(stream) // 4
    full, paced = _Meter(), _Meter()
    reader = await log.subscribe([IDENTITIES], "bench")
    began_s = await cpu()
    for first in range(0, middle, _APPEND_CHUNK):
        await log.append(stream[first : min(first + _APPEND_CHUNK, middle)])
    await full.follow(reader, middle)
    cpu_s = await cpu() - began_s
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_pace(log, stream[middle:], workload.rate, paced))
        tasks.create_task(paced.follow(reader, len(stream) - middle))
    await reader.close()
    return _Measured(full, paced, cpu_s / middle)


# --- in memory --------------------------------------------------------------------------------


async def _in_memory(workload: _Workload, settings: Settings) -> dict[str, Any]:
    clock, stopping, all_of_it = SystemClock(), asyncio.Event(), len(workload.stream) + 1
    # Room for the whole stream, because this process writes it all before it reads the output.
    memory = MemoryEventLog(clock, keep_records=all_of_it, max_records=all_of_it)
    async with AsyncExitStack() as stack:
        data_dir = stack.enter_context(_data_dir(workload, settings))
        own = _changed(settings, event_log="memory", data_dir=data_dir)
        log = await stack.enter_async_context(journaling(memory, workload.site, own))
        opening = open_resolver_ports(log, workload.site, own, workload.model, clock)
        ports = await stack.enter_async_context(opening)
        face, member = FaceModel.of(workload.model, data_dir), assembly.Member.of(own)
        service = assembly.resolver(workload.site, face, ports, member)
        running = asyncio.create_task(service.run(stopping))
        measured = await _drive(log, workload, _own_cpu)
        stopping.set()
        await running
    return measured.figures("memory")


async def _own_cpu() -> float:
    return time.process_time()


# --- on Kafka ---------------------------------------------------------------------------------


async def _on_kafka(workload: _Workload, settings: Settings, members: int) -> dict[str, Any]:
    namespace = f"bench-{uuid.uuid4().hex[:8]}"
    shared = _changed(
        settings,
        namespace=namespace,
        store_url=f"sqlite:///{settings.data_dir / namespace}.db",
    )
    async with AsyncExitStack() as stack:
        resolvers = []
        for number in range(members):
            data_dir = stack.enter_context(_data_dir(workload, settings))
            resolvers.append(_changed(shared, instance=f"member-{number}", data_dir=data_dir))
        log = await stack.enter_async_context(_topics(workload.site, shared))
        cpu = await stack.enter_async_context(_processes(workload, resolvers))
        measured = await _drive(log, workload, cpu)
    return measured.figures(f"kafka_{members}")


@asynccontextmanager
async def _topics(site: Site, settings: Settings) -> AsyncIterator[EventLog]:
    """Create the topics of the run, open the log, and delete the topics at the end."""
    connection, clock = kafka_connection(settings), SystemClock()
    layout = Layout(site.site_id, settings.namespace, site_topics(site))
    topics = await create_topics(connection, layout, clock)
    try:
        async with KafkaEventLog.open(
            connection,
            instance="bench",
            site_id=site.site_id,
            clock=clock,
            namespace=settings.namespace,
        ) as log:
            yield log
    finally:
        await delete_topics(settings.kafka_servers, topics)


@asynccontextmanager
async def _processes(workload: _Workload, resolvers: Sequence[Settings]) -> AsyncIterator[Cpu]:
    """Run a resolver per process; yields a function that returns the CPU time of all of them."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in resolvers]
    processes = [
        context.Process(
            target=serve, args=(workload.site, settings, workload.model, theirs), daemon=True
        )
        for settings, (_, theirs) in zip(resolvers, pipes, strict=True)
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
