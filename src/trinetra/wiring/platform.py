"""The whole platform in one process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from trinetra.adapters.clock import SystemClock
from trinetra.frames.connection import CameraStatus
from trinetra.hosting import Service
from trinetra.identities.service import IdentityResolver
from trinetra.insights.service import InsightEngine
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import Clock, EventLog
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.streaming.event_recorder import EventRecorder
from trinetra.values import CameraId
from trinetra.wiring import assembly
from trinetra.wiring.assembly import Playback
from trinetra.wiring.connections import open_buffer, open_gallery, open_log, spooling
from trinetra.wiring.networks import Networks
from trinetra.wiring.stores import open_customer_log, open_erasure_store, open_store


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
    """Build every service in this process, on the adapters that the settings name; none runs yet.

    Raises ConfigurationError, EngineFailure, ServerUnavailable or StorageFull.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        buffer = await stack.enter_async_context(open_buffer(site, settings, clock))
        log = await stack.enter_async_context(open_log(site, settings, clock))
        spool = await stack.enter_async_context(spooling(log, settings, clock))
        ingestor = assembly.ingestor(site, buffer, clock, playback, environ)
        worker = assembly.worker(site, settings, networks, buffer, spool, clock)
        upstream = Upstream((ingestor, worker), ingestor.status, log, clock)
        face = networks.profile.face_embedder
        yield await stack.enter_async_context(
            downstream_of(upstream, site, settings, face, events_path)
        )


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
    log, clock = upstream.log, upstream.clock
    async with AsyncExitStack() as stack:
        gallery = await stack.enter_async_context(open_gallery(settings, face))
        store = await stack.enter_async_context(open_store(settings))
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        erasure_store = await stack.enter_async_context(open_erasure_store(settings))
        recorder = stack.enter_context(EventRecorder(log, events_path))
        yield Platform(
            upstream=upstream.services,
            cameras=upstream.cameras,
            resolver=assembly.resolver(
                site, settings, face, gallery, log, customer_log, clock, erasure_store
            ),
            engine=assembly.engine(site, settings, log, store, customer_log, clock, erasure_store),
            recorder=recorder,
        )
