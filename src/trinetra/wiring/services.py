"""Builds each service as a process of its own, on the servers that the settings name."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.deferred import DeferredEventLog
from trinetra.alerts.desk import AlertDesk
from trinetra.hosting import Dependency, Opened, Service
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import Clock, SiteStore
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import Instant
from trinetra.web.backend import Backend
from trinetra.web.live.parts import LiveParts
from trinetra.web.security.security import Security
from trinetra.wiring import assembly
from trinetra.wiring.alerts import open_alert_service
from trinetra.wiring.assembly import FaceModel, Member, Playback
from trinetra.wiring.connections import (
    need_shared,
    open_buffer,
    open_engine_ports,
    open_latest_frames,
    open_log,
    open_resolver_ports,
    spooling,
)
from trinetra.wiring.live import LiveSources, cluster_teller, open_live
from trinetra.wiring.networks import Networks
from trinetra.wiring.stores import open_alert_store, open_store
from trinetra.wiring.web import backend_of
from trinetra.wiring.web_access import open_security


@asynccontextmanager
async def ingest(
    site: Site,
    settings: Settings,
    environ: Mapping[str, str],
    started_at: Instant,
    *,
    cameras_in_total: int,
) -> AsyncIterator[Opened]:
    """Open the stream-ingestor; other processes may read the rest of the shop's cameras.

    Raises ConfigurationError or BufferUnavailable.
    """
    need_shared(settings, "ingest", "frame_buffer")
    clock = SystemClock()
    playback = Playback({camera.camera_id: started_at for camera in site.cameras})
    opening = open_buffer(site, settings, clock, cameras_in_total=cameras_in_total)
    async with opening as buffer:
        service = assembly.ingestor(
            site, buffer, clock, playback, environ, assembly.ingest_policy(settings)
        )
        yield _opened(service, buffer)


@asynccontextmanager
async def infer(site: Site, settings: Settings, networks: Networks) -> AsyncIterator[Opened]:
    """Open an inference-worker; while the log is unavailable its events are spooled to disk.

    Raises ConfigurationError, EngineFailure or BufferUnavailable.
    """
    need_shared(settings, "infer", "frame_buffer", "event_log")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        buffer = await stack.enter_async_context(open_buffer(site, settings, clock))
        opening = DeferredEventLog.open(lambda: open_log(site, settings, clock), clock)
        log = await stack.enter_async_context(opening)
        spool = await stack.enter_async_context(spooling(log, settings, clock))
        service = assembly.worker(site, settings, networks, buffer, spool, clock)
        yield _opened(service, buffer, log, spool)


@asynccontextmanager
async def resolve(
    site: Site, settings: Settings, model: FaceEmbedderModel
) -> AsyncIterator[Opened]:
    """Open an identity-resolver. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "resolve", "event_log", "gallery", "store_url")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(site, settings, clock))
        opening = open_resolver_ports(log, site, settings, model, clock)
        ports = await stack.enter_async_context(opening)
        face = FaceModel.of(model, settings.data_dir)
        service = assembly.resolver(site, face, ports, Member.of(settings))
        yield _opened(service, log, ports.gallery, ports.customer_log)


@asynccontextmanager
async def insight(site: Site, settings: Settings) -> AsyncIterator[Opened]:
    """Open an insight-engine. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "insight", "event_log", "store_url")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(site, settings, clock))
        ports = await stack.enter_async_context(open_engine_ports(log, site, settings, clock))
        service = assembly.engine(site, ports, Member.of(settings))
        opened = _opened(service, log, ports.store, ports.customer_log)
        yield replace(opened, receipts=assembly.receipt_intake(site, ports))


@dataclass(frozen=True, slots=True)
class OpenedWeb:
    """The web with its resources open."""

    opened: Opened
    backend: Backend
    security: Security


@asynccontextmanager
async def web(site: Site, settings: Settings, clock: Clock) -> AsyncIterator[OpenedWeb]:
    """Open what the web reads. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "web", "store_url")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        security = await stack.enter_async_context(open_security(site.site, settings, clock))
        alert_store = await stack.enter_async_context(open_alert_store(settings))
        opened = _opened(WebService(), store)
        live = await stack.enter_async_context(_open_live(site, settings, store, clock))
        backend = backend_of(site, store, clock, alerts=AlertDesk(alert_store, clock), live=live)
        yield OpenedWeb(opened, backend, security)


@asynccontextmanager
async def _open_live(
    site: Site, settings: Settings, store: SiteStore, clock: Clock
) -> AsyncIterator[LiveParts | None]:
    """Open what happens now in a cluster; None if the events are in another process's memory."""
    if settings.event_log == "memory":
        yield None
        return
    async with AsyncExitStack() as stack:
        opening = DeferredEventLog.open(lambda: open_log(site, settings, clock), clock)
        log = await stack.enter_async_context(opening)
        frames = await stack.enter_async_context(open_latest_frames(settings))
        sources = LiveSources(log, frames, store, cluster_teller(settings), clock)
        yield await stack.enter_async_context(open_live(site, settings, sources))


class WebService:
    """Keeps the web open until it is told to stop."""

    name = "web"

    async def run(self, stopping: asyncio.Event) -> None:
        """Return once ``stopping`` is set."""
        await stopping.wait()

    def ready(self) -> bool:
        """Return True: it is built when its servers answer."""
        return True

    def status(self) -> object:
        """Return nothing special."""
        return {}


@asynccontextmanager
async def alert(
    site: Site, settings: Settings, environ: Mapping[str, str]
) -> AsyncIterator[Opened]:
    """Open an alert service. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "alert", "event_log", "store_url")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(site, settings, clock))
        opening = open_alert_service(
            log, site, settings, environ, clock, member=Member.of(settings)
        )
        service, store = await stack.enter_async_context(opening)
        yield _opened(service, log, store)


def _opened(service: Service, *adapters: object) -> Opened:
    """Return the service with those of its adapters that are servers."""
    return Opened(service, tuple(a for a in adapters if isinstance(a, Dependency)))
