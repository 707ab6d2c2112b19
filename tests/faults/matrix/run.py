"""Runs rows: services up, load on, the fault, load off, everything out, and the sums."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio
from tests.faults.matrix.bench import Bench
from tests.faults.matrix.expectation import Expectation, Insights, expected, insights_from
from tests.faults.matrix.figures import Figures, add_up
from tests.faults.matrix.ledger import watching
from tests.faults.matrix.load import DetectionLoad, FrameLoad, frames_of, shuffled, twin_detections
from tests.faults.matrix.rig import HostClock, Process, running, service
from tests.faults.matrix.rows import Extent, Row
from tests.faults.matrix.servers import Servers
from tests.servers.rtsp_camera import RtspCamera

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.event_log import KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.events.schema import DetectionEvent, IdentityEvent, TracksEvent
from trinetra.models.manifest import load_manifest
from trinetra.settings import Settings
from trinetra.site import load_site
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, Role
from trinetra.wiring.simulation import site_document

CAMERAS = {CameraId("clip-faces"): Role.FACE, CameraId("clip-aisle"): Role.TRACKING}
"""Cameras that see the sample clips of these roles."""
CLIP_FPS = 3.0
SPEED = 8.0
SETTLE_S = 90.0
"""How long a run may take to bring everything out once the load has ended."""
_SEED = 7


@dataclass(frozen=True, slots=True)
class Result:
    """What a row came to; ``recovery_s`` for every fault from its end to the first new output."""

    row: str
    figures: Figures
    recovery_s: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class World:
    """What all rows share."""

    servers: Servers
    clips: Mapping[Role, Path]
    settings: Settings
    folder: Path


async def run_row(world: World, row: Row, extent: Extent) -> Result:
    """Run one row in a namespace of its own."""
    began_s = time.monotonic()
    namespace = f"m{uuid.uuid4().hex[:10]}"
    folder = world.folder / namespace
    folder.mkdir(parents=True)
    with _sources(world, row) as sources:
        shop, clips = _sites(sources, folder)
        events = twin_detections(_SEED, row.load_s(extent) * SPEED, _models())
        wanted = await expected(load_site(shop, {}), _settings(folder), events)
        environ = _environ(world, row, namespace, folder)
        kafka = KafkaConnection(servers=world.servers.kafka.address)
        layout = Layout(built_in_shop().site_id, namespace)
        await create_topics(kafka, layout, SystemClock())
        clock = HostClock.in_folder(folder)
        with _services(row, environ, shop, clips, folder, clock) as processes:
            async with _bench(world, row, namespace, processes, events, clock) as bench:
                await _work(bench, row, extent)
                figures = await _settled(bench, wanted, shop, folder)
    took_s = time.monotonic() - began_s
    return Result(row.name, figures, tuple(bench.recoveries), round(took_s, 1))


@contextmanager
def _sources(world: World, row: Row) -> Iterator[dict[CameraId, dict[str, object]]]:
    """Serve the clips as cameras where the clock is stepped: a recording has its own time."""
    if not row.steps_clock:
        yield {c: {"file": str(world.clips[role]), "loop": True} for c, role in CAMERAS.items()}
        return
    with ExitStack() as stack:
        cameras = {
            c: stack.enter_context(RtspCamera(world.clips[role])) for c, role in CAMERAS.items()
        }
        yield {c: {"url": camera.url} for c, camera in cameras.items()}


def _sites(sources: Mapping[CameraId, dict[str, object]], folder: Path) -> tuple[Path, Path]:
    """Write the site of all cameras, and the one of those whose frames are looked at."""
    document = site_document(built_in_shop())
    cameras = [
        {
            "id": camera_id,
            "role": role,
            "source": sources[camera_id],
            "fps": CLIP_FPS,
        }
        for camera_id, role in CAMERAS.items()
    ]
    whole = {**document, "cameras": [*document["cameras"], *cameras]}
    clips = {"site": document["site"], "timezone": "UTC", "cameras": cameras}
    paths = folder / "shop.yaml", folder / "clips.yaml"
    for path, content in zip(paths, (whole, clips), strict=True):
        path.write_text(json.dumps(content))  # JSON is YAML too
    return paths


def _models() -> dict[str, str]:
    """Return the versions that a real worker would name, so that faces are matched."""
    profile = load_manifest().profile("default")
    return {model.task: model.version for model in profile.models}


def _settings(folder: Path) -> Settings:
    return Settings(data_dir=folder / "undisturbed", gallery="memory")


def _environ(world: World, row: Row, namespace: str, folder: Path) -> dict[str, str]:
    servers = world.servers
    redis_port = servers.redis_proxy.port if row.through_proxy else servers.redis.port
    kafka_port = servers.kafka_proxy.port if row.through_proxy else servers.kafka.port
    return {
        "TRINETRA_NAMESPACE": namespace,
        "TRINETRA_DATA_DIR": str(folder / "data"),
        "TRINETRA_STORE_URL": f"sqlite:///{folder}/data/insights.db",
        "TRINETRA_CACHE_DIR": str(world.settings.cache_dir),
        "TRINETRA_MODELS_DIR": str(world.settings.models_dir or ""),
        "TRINETRA_FRAME_BUFFER": "redis",
        "TRINETRA_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "TRINETRA_EVENT_LOG": "kafka",
        "TRINETRA_KAFKA_SERVERS": f"127.0.0.1:{kafka_port}",
        "TRINETRA_GALLERY": "qdrant",
        "TRINETRA_QDRANT_URL": servers.gallery.url,
        **dict(row.environ),
    }


@contextmanager
def _services(
    row: Row,
    environ: dict[str, str],
    shop: Path,
    clips: Path,
    folder: Path,
    clock: HostClock,
) -> Iterator[dict[str, Process]]:
    """Start every service, two of those of which the row has more; all are ready inside."""
    sites = {"infer": clips, "resolve": shop, "insight": shop}
    if row.ingests:
        sites["ingest"] = clips
    own = {"ingest": clock.environ()} if row.steps_clock else {}
    processes = {
        name: service(name, name, site, folder, environ | own.get(name, {}))
        for name, site in sites.items()
    }
    for name in row.more:
        processes[f"{name}-2"] = service(name, f"{name}-2", sites[name], folder, environ)
    with running(*processes.values()):
        for process in processes.values():
            process.until_ready()
        yield processes


@asynccontextmanager
async def _bench(
    world: World,
    row: Row,
    namespace: str,
    processes: dict[str, Process],
    events: list[DetectionEvent],
    ingest_clock: HostClock,
) -> AsyncIterator[Bench]:
    servers, clock = world.servers, SystemClock()
    site_id = built_in_shop().site_id
    opening_buffer = RedisFrameBuffer.open(
        servers.redis.url,
        FrameStreams(site_id, list(CAMERAS), namespace),
        group="inference-workers",
        consumer="matrix",
        clock=clock,
    )
    opening_log = KafkaEventLog.open(
        KafkaConnection(servers=servers.kafka.address),
        instance="matrix",
        site_id=site_id,
        clock=clock,
        namespace=namespace,
    )
    frames = {c: frames_of(world.clips[role], c, 30) for c, role in CAMERAS.items()}
    async with (
        opening_buffer as buffer,
        opening_log as log,
        watching(servers.kafka.address, namespace) as ledger,
    ):
        yield Bench(
            servers=servers,
            namespace=namespace,
            processes=processes,
            ledger=ledger,
            frames=FrameLoad(buffer, frames, CLIP_FPS),
            detections=DetectionLoad(log, shuffled(events) if row.shuffled else events, SPEED),
            ingest_clock=ingest_clock,
        )


async def _work(bench: Bench, row: Row, extent: Extent) -> None:
    """Keep the load on until the fault is over and all detections are in the log."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        if not row.ingests:
            group.create_task(bench.frames.run(stop))
        detections = group.create_task(bench.detections.run())
        await row.fault(bench, extent)
        await detections
        stop.set()
    if row.ingests:
        await asyncio.to_thread(bench.processes["ingest"].stop)
        bench.frames.appended = await _entries_added(bench)


async def _entries_added(bench: Bench) -> int:
    """Return how many frames were ever put into the buffer, as Redis itself counted them."""
    async with redis.asyncio.from_url(bench.servers.redis.url) as client:
        keys = [f"{bench.namespace}:frames:{camera}" for camera in bench.frame_cameras]
        streams = [await client.xinfo_stream(key) for key in keys]
    return sum(int(stream["entries-added"]) for stream in streams)


async def _settled(bench: Bench, wanted: Expectation, shop: Path, folder: Path) -> Figures:
    """Wait until everything came out, or for ``SETTLE_S`` each, and add up."""

    def figures() -> Figures:
        stale = _counted(bench, "infer", "trinetra_frames_dropped_total", reason="stale")
        late = _counted(bench, "resolve", "trinetra_events_late_total", reason="late")
        return add_up(bench, wanted, insights, stale=stale, late=late)

    insights = Insights()
    await _within(SETTLE_S, bench.ledger.until(lambda _: figures().is_complete))
    everything = [seen.event for seen in bench.ledger.of(TracksEvent, IdentityEvent)]
    # The clips are of today and go on for ever; the twin's day has an end.
    told = [event for event in everything if event.camera_id not in bench.frame_cameras]
    insights = await insights_from(load_site(shop), _settings(folder), told)
    await _within(SETTLE_S, bench.ledger.until(lambda _: figures().is_complete))
    return figures()


async def _within(seconds: float, waiting: Awaitable[None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await waiting


def _counted(bench: Bench, service: str, metric: str, **labels: str) -> int:
    """Return the sum of a metric over the processes of a service that run."""
    processes = [p for name, p in bench.processes.items() if name.startswith(service)]
    return int(sum(p.metric(metric, **labels) for p in processes if p.is_running()))
