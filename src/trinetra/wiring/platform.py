"""The whole platform in one process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.edge_gallery import EdgeGallery
from trinetra.adapters.memory import MemoryEventLog, MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.memory_gallery import MemoryGallery
from trinetra.adapters.sources import open_source
from trinetra.adapters.sql import SqlInsightStore
from trinetra.detections.batching import BatchPolicy
from trinetra.detections.quality import QualityPolicy
from trinetra.detections.service import InferenceWorker, WorkerPolicy
from trinetra.frames.connection import CameraStatus
from trinetra.frames.service import StreamIngestor
from trinetra.hosting import Service
from trinetra.identities.recognition import Recogniser
from trinetra.identities.service import IdentityResolver
from trinetra.insights.service import InsightEngine
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import Clock, EventLog, FrameBuffer, FrameSource, Gallery
from trinetra.recording import EventRecorder
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import CameraId, Instant
from trinetra.wiring import plans
from trinetra.wiring.networks import Networks

WORKERS = "inference-workers"


@dataclass(frozen=True, slots=True)
class Platform:
    """The services in the order in which data flows, and a recorder at the end.

    ``upstream`` is what fills the topic of detections: cameras and networks, or a digital twin;
    ``cameras`` tells what each camera is doing.
    """

    upstream: tuple[Service, ...]
    cameras: Callable[[], Mapping[CameraId, CameraStatus]]
    resolver: IdentityResolver
    engine: InsightEngine
    recorder: EventRecorder

    @property
    def services(self) -> tuple[Service, ...]:
        """Every service, upstream first."""
        return (*self.upstream, self.resolver, self.engine, self.recorder)


@dataclass(frozen=True, slots=True)
class Playback:
    """How recordings are played: when they count as begun, and whether as fast as possible."""

    started_at: Mapping[CameraId, Instant]
    in_step: bool = False


@asynccontextmanager
async def embedded(
    site: Site,
    settings: Settings,
    networks: Networks,
    playback: Playback,
    *,
    environ: Mapping[str, str],
    events_path: Path | None = None,
) -> AsyncIterator[Platform]:
    """Build every service on adapters within this process; nothing runs before it is hosted.

    Raises ConfigurationError, EngineFailure, GalleryUnavailable or StorageFull.
    """
    clock = SystemClock()
    buffer = MemoryFrameBuffer(MemoryFrameStreams(clock), WORKERS, "embedded")
    log = MemoryEventLog(clock)
    ingestor = _ingestor(site, buffer, clock, playback, environ)
    worker = _worker(site, settings, networks, buffer, log, clock)
    upstream = Upstream((ingestor, worker), ingestor.status, log, clock)
    face = networks.profile.face_embedder
    async with downstream_of(upstream, site, settings, face, events_path) as platform:
        yield platform


@dataclass(frozen=True, slots=True)
class Upstream:
    """What fills the topic of detections, and the log it fills."""

    services: tuple[Service, ...]
    cameras: Callable[[], Mapping[CameraId, CameraStatus]]
    log: EventLog
    clock: Clock


@asynccontextmanager
async def downstream_of(
    upstream: Upstream,
    site: Site,
    settings: Settings,
    face: FaceEmbedderModel,
    events_path: Path | None,
) -> AsyncIterator[Platform]:
    """Build what turns detections into identities and insights, whoever made the detections."""
    log = upstream.log
    async with AsyncExitStack() as stack:
        gallery = await stack.enter_async_context(_gallery(settings, face))
        store = await stack.enter_async_context(
            SqlInsightStore.open(f"sqlite:///{settings.data_dir / 'insights.db'}")
        )
        recorder = stack.enter_context(EventRecorder(log, events_path))
        yield Platform(
            upstream=upstream.services,
            cameras=upstream.cameras,
            resolver=_resolver(site, face, gallery, log, upstream.clock),
            engine=InsightEngine(
                site.site_id, log, store, plans.insight_plans(site), plans.insight_policy(site)
            ),
            recorder=recorder,
        )


@asynccontextmanager
async def _gallery(settings: Settings, model: FaceEmbedderModel) -> AsyncIterator[Gallery]:
    if settings.gallery == "memory":
        yield MemoryGallery(model.dimension)
        return
    folder = settings.data_dir / "gallery"
    async with EdgeGallery.open(
        folder, model_version=model.version, dimension=model.dimension
    ) as gallery:
        yield gallery


def _ingestor(
    site: Site,
    buffer: FrameBuffer,
    clock: Clock,
    playback: Playback,
    environ: Mapping[str, str],
) -> StreamIngestor:
    specs = {
        camera.camera_id: plans.source_spec(camera, environ, playback.started_at[camera.camera_id])
        for camera in site.cameras
    }

    def source_of(camera_id: CameraId) -> FrameSource:
        return open_source(specs[camera_id], clock)

    cameras = [plans.ingest_plan(camera, in_step=playback.in_step) for camera in site.cameras]
    return StreamIngestor(cameras, source_of, buffer, clock)


def _worker(
    site: Site,
    settings: Settings,
    networks: Networks,
    buffer: FrameBuffer,
    log: EventLog,
    clock: Clock,
) -> InferenceWorker:
    return InferenceWorker(
        site.site_id,
        buffer,
        log,
        networks.lanes,
        plans.detection_plans(site),
        clock,
        WorkerPolicy(batch=BatchPolicy(settings.batch_max_frames, settings.batch_window_ms / 1000)),
        models=networks.versions,
        quality=QualityPolicy(min_total=site.policies.matching.min_quality),
    )


def _resolver(
    site: Site, model: FaceEmbedderModel, gallery: Gallery, log: EventLog, clock: Clock
) -> IdentityResolver:
    recogniser = Recogniser(
        site_id=site.site_id,
        gallery=gallery,
        registry=plans.registry(site),
        graph=plans.site_graph(site),
        clock=clock,
        model=model.version,
        dimension=model.dimension,
        policy=plans.recognition_policy(site, model.calibration),
    )
    return IdentityResolver(log, recogniser, plans.resolver_policy(site))
