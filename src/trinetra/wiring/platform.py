"""Builds the whole platform in one process."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from trinetra.adapters.clock import SystemClock
from trinetra.alerts.desk import AlertDesk
from trinetra.alerts.service import AlertService
from trinetra.frames.connection import CameraStatus
from trinetra.hosting import Service
from trinetra.insights.receipts import ReceiptIntake
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import Clock, EventLog, Gallery, LatestFrames, SiteStore
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.streaming.event_recorder import EventRecorder
from trinetra.streaming.runner import StreamRunner
from trinetra.values import CameraId
from trinetra.wiring import assembly
from trinetra.wiring.alerts import live_alerts, open_alert_service
from trinetra.wiring.assembly import EnginePorts, FaceModel, Member, Playback
from trinetra.wiring.connections import (
    open_buffer,
    open_log,
    open_resolver_ports,
    spooling,
)
from trinetra.wiring.figures import live_figures, prepare_figures
from trinetra.wiring.networks import Networks
from trinetra.wiring.receiver import SiteReceiver
from trinetra.wiring.site_watch import SiteWatcher
from trinetra.wiring.stores import open_store


@dataclass(frozen=True, slots=True)
class Platform:
    """The services in the order in which data flows, and a recorder at the end.

    ``upstream`` writes the detections: ingestor and worker, or a digital twin. ``cameras`` returns
    the status of each camera. ``store`` has the insights of this and earlier runs,
    ``gallery`` the faces. ``receipts`` takes those of points of sale, ``alert_desk`` has the list
    of alerts, ``watcher`` takes a changed site file over. ``frames`` has the last ones of the
    cameras, and is None for a twin, which has no pictures.
    """

    upstream: tuple[Service, ...]
    cameras: Callable[[], Mapping[CameraId, CameraStatus]]
    resolver: StreamRunner
    engine: StreamRunner
    alerts: AlertService
    recorder: EventRecorder
    store: SiteStore
    gallery: Gallery
    alert_desk: AlertDesk
    clock: Clock
    receipts: ReceiptIntake
    log: EventLog
    frames: LatestFrames | None = None
    watcher: SiteWatcher | None = None

    @property
    def services(self) -> tuple[Service, ...]:
        """Every service, upstream first."""
        watchers = (self.watcher,) if self.watcher else ()
        through = (self.resolver, self.engine, self.alerts, self.recorder)
        return (*self.upstream, *through, *watchers)


@asynccontextmanager
async def embedded(
    site: Site,
    settings: Settings,
    networks: Networks,
    playback: Playback,
    *,
    environ: Mapping[str, str],
    events_path: Path | None = None,
    site_file: Path | None = None,
) -> AsyncIterator[Platform]:
    """Build every service in this process, on the adapters that the settings name; none is started.

    With ``site_file`` they take over what is changed in it. Raises ConfigurationError,
    EngineFailure, ServerUnavailable or StorageFull.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        buffer = await stack.enter_async_context(open_buffer(site, settings, clock))
        log = await stack.enter_async_context(open_log(site, settings, clock))
        spool = await stack.enter_async_context(spooling(log, settings, clock))
        ingestor = assembly.ingestor(
            site, buffer, clock, playback, environ, assembly.ingest_policy(settings)
        )
        worker = assembly.worker(site, settings, networks, buffer, spool, clock)
        upstream = Upstream((ingestor, worker), ingestor.status, log, clock, buffer)
        watcher = None
        if site_file:
            needs = assembly.missing_for(networks)
            watcher = SiteWatcher(site_file, site, clock, environ, missing_for=needs)
            upstream = replace(
                upstream,
                watcher=watcher,
                receivers=(
                    assembly.live_worker(worker, networks),
                    assembly.live_ingestor(ingestor, site, clock, environ),
                ),
            )
        face = networks.profile.face_embedder
        yield await stack.enter_async_context(
            downstream_of(upstream, site, settings, face, events_path, environ=environ)
        )


@dataclass(frozen=True, slots=True)
class Upstream:
    """The services that write detections, and the log that they write to.

    ``receivers`` are their parts that take over what ``watcher`` finds in the site file.
    """

    services: tuple[Service, ...]
    cameras: Callable[[], Mapping[CameraId, CameraStatus]]
    log: EventLog
    clock: Clock
    frames: LatestFrames | None = None
    watcher: SiteWatcher | None = None
    receivers: tuple[SiteReceiver, ...] = ()


@asynccontextmanager
async def downstream_of(
    upstream: Upstream,
    site: Site,
    settings: Settings,
    model: FaceEmbedderModel,
    events_path: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Platform]:
    """Build resolver, insight engine and alert service on detections; none is started.

    Raises ConfigurationError, ServerUnavailable or StorageFull.
    """
    log, clock, member = upstream.log, upstream.clock, Member.of(settings)
    async with AsyncExitStack() as stack:
        opening = open_resolver_ports(log, site, settings, model, clock)
        ports = await stack.enter_async_context(opening)
        store = await stack.enter_async_context(open_store(settings))
        await prepare_figures(store, site, settings, clock)
        engine_ports = EnginePorts(
            log, store, ports.customer_log, clock, ports.erasure_store, store
        )
        recorder = stack.enter_context(EventRecorder(log, events_path))
        face = FaceModel.of(model, settings.data_dir)
        alerting = open_alert_service(log, site, settings, environ, clock, member=member)
        alerts, alert_store = await stack.enter_async_context(alerting)
        resolver, live_resolver = assembly.live_resolver(site, face, ports, member)
        engine, live_engine = assembly.live_engine(site, engine_ports, member)
        receipts = assembly.receipt_intake(site, engine_ports)
        if upstream.watcher:
            # Downstream first: a new camera's first frame finds every stage prepared.
            for receiver in (
                live_figures(store, settings, clock),
                live_alerts(alerts),
                assembly.live_intake(receipts),
                live_engine,
                live_resolver,
                *upstream.receivers,
            ):
                upstream.watcher.add(receiver)
        yield Platform(
            upstream=upstream.services,
            cameras=upstream.cameras,
            resolver=resolver,
            engine=engine,
            alerts=alerts,
            recorder=recorder,
            store=store,
            gallery=ports.gallery,
            alert_desk=AlertDesk(alert_store, clock),
            clock=clock,
            receipts=receipts,
            log=log,
            frames=upstream.frames,
            watcher=upstream.watcher,
        )
