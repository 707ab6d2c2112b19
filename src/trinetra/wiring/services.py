"""Builds each service as a process of its own, on the servers that the settings name."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

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
from trinetra.wiring.alerts import live_alerts, open_alert_service
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
from trinetra.wiring.figures import live_figures
from trinetra.wiring.live import LiveSources, cluster_teller, open_live
from trinetra.wiring.networks import Networks
from trinetra.wiring.receiver import SiteReceiver
from trinetra.wiring.site_watch import SiteWatcher, WatchedService
from trinetra.wiring.stores import open_alert_store, open_store
from trinetra.wiring.takeover import MissingFor
from trinetra.wiring.web import SiteFile, backend_of, with_people
from trinetra.wiring.web_access import open_security


@dataclass(frozen=True, slots=True)
class Watched:
    """The site file that a service watches, and which part of a site it is about."""

    path: Path
    select: Callable[[Site], Site] = lambda site: site


@asynccontextmanager
async def ingest(
    site: Site,
    settings: Settings,
    environ: Mapping[str, str],
    started_at: Instant,
    *,
    cameras_in_total: int,
    watched: Watched | None = None,
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
        receivers = (assembly.live_ingestor(service, site, clock, environ),)
        yield _opened(_watching(service, watched, site, clock, environ, receivers), buffer)


@asynccontextmanager
async def infer(
    site: Site, settings: Settings, networks: Networks, watched: Watched | None = None
) -> AsyncIterator[Opened]:
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
        receivers = (assembly.live_worker(service, networks),)
        needs = assembly.missing_for(networks)
        watching = _watching(service, watched, site, clock, None, receivers, needs)
        yield _opened(watching, buffer, log, spool)


@asynccontextmanager
async def resolve(
    site: Site,
    settings: Settings,
    model: FaceEmbedderModel,
    watched: Watched | None = None,
) -> AsyncIterator[Opened]:
    """Open an identity-resolver. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "resolve", "event_log", "gallery", "store_url")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(site, settings, clock))
        opening = open_resolver_ports(log, site, settings, model, clock)
        ports = await stack.enter_async_context(opening)
        face = FaceModel.of(model, settings.data_dir)
        service, receiver = assembly.live_resolver(site, face, ports, Member.of(settings))
        watching = _watching(service, watched, site, clock, None, (receiver,))
        yield _opened(watching, log, ports.gallery, ports.customer_log)


@asynccontextmanager
async def insight(
    site: Site, settings: Settings, watched: Watched | None = None
) -> AsyncIterator[Opened]:
    """Open an insight-engine. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "insight", "event_log", "store_url")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(site, settings, clock))
        ports = await stack.enter_async_context(open_engine_ports(log, site, settings, clock))
        service, receiver = assembly.live_engine(site, ports, Member.of(settings))
        intake = assembly.receipt_intake(site, ports)
        marking = (live_figures(ports.figures, settings, clock),) if ports.figures else ()
        receivers = (*marking, assembly.live_intake(intake), receiver)
        watching = _watching(service, watched, site, clock, None, receivers)
        opened = _opened(watching, log, ports.store, ports.customer_log)
        yield replace(opened, receipts=intake)


def _watching(
    service: Service,
    watched: Watched | None,
    site: Site,
    clock: Clock,
    environ: Mapping[str, str] | None,
    receivers: tuple[SiteReceiver, ...],
    missing_for: MissingFor = lambda _: None,
) -> Service:
    """Return the service with a watcher of its site file, if it is to be watched."""
    if watched is None:
        return service
    watcher = SiteWatcher(
        watched.path, site, clock, environ, select=watched.select, missing_for=missing_for
    )
    for receiver in receivers:
        watcher.add(receiver)
    return WatchedService(service, watcher)


@dataclass(frozen=True, slots=True)
class OpenedWeb:
    """The web with its resources open."""

    opened: Opened
    backend: Backend
    security: Security


@asynccontextmanager
async def web(
    site: Site, settings: Settings, clock: Clock, watched: Watched | None = None
) -> AsyncIterator[OpenedWeb]:
    """Open what the web reads; with ``watched`` it may change the site file.

    Raises ConfigurationError, ServerUnavailable or StorageFull.
    """
    need_shared(settings, "web", "store_url")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        security = await stack.enter_async_context(open_security(site.site, settings, clock))
        alert_store = await stack.enter_async_context(open_alert_store(settings))
        service: Service = WebService()
        site_file, watcher = None, None
        if watched:
            watcher = SiteWatcher(watched.path, site, clock, None)
            service = WatchedService(service, watcher)
            site_file = SiteFile(watched.path, site, settings, watcher)
        live = await stack.enter_async_context(_open_live(site, settings, store, clock, watcher))
        desk = AlertDesk(alert_store, clock)
        bare = backend_of(site, store, clock, alerts=desk, site_file=site_file, live=live)
        current = site_file.current if site_file else lambda: site
        opening = with_people(bare, current, store, settings, clock)
        backend = await stack.enter_async_context(opening)
        yield OpenedWeb(_opened(service, store), backend, security)


@asynccontextmanager
async def _open_live(
    site: Site, settings: Settings, store: SiteStore, clock: Clock, watcher: SiteWatcher | None
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
        yield await stack.enter_async_context(open_live(site, settings, sources, watcher))


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
    site: Site, settings: Settings, environ: Mapping[str, str], watched: Watched | None = None
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
        watching = _watching(service, watched, site, clock, None, (live_alerts(service),))
        yield _opened(watching, log, store)


def _opened(service: Service, *adapters: object) -> Opened:
    """Return the service with those of its adapters that are servers."""
    return Opened(service, tuple(a for a in adapters if isinstance(a, Dependency)))
