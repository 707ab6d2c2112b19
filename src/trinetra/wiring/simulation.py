"""Builds the platform on a digital twin instead of cameras: it needs no models and no clips."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import ConfigurationError
from trinetra.frames.connection import CameraState, CameraStatus
from trinetra.models.manifest import FaceEmbedderModel, load_manifest
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.twin.layout import Distances, Sketch, gaps_m, lay_out
from trinetra.twin.plan import FloorPlan, Line, Zone
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.service import TwinFeed, publish
from trinetra.values import CameraId, Instant, Role
from trinetra.wiring.connections import open_log
from trinetra.wiring.plate_key import plate_key
from trinetra.wiring.platform import Platform, Upstream, downstream_of
from trinetra.wiring.site_graph import site_graph
from trinetra.wiring.site_watch import SiteWatcher


@asynccontextmanager
async def simulated(
    site: Site,
    settings: Settings,
    twin: Twin,
    *,
    speed: float | None,
    since: Instant | None = None,
    events_path: Path | None = None,
    site_file: Path | None = None,
) -> AsyncIterator[Platform]:
    """Build the platform on a twin's detections; none of its services is started.

    ``site`` is the twin's floor plan as a site, see ``site_of``. ``speed`` is how many times as
    fast as real the twin runs; None is as fast as possible. What its cameras saw before ``since``
    is left out. What is changed in ``site_file`` is taken over, but the twin's cameras stay.
    """
    clock = SystemClock()
    log = MemoryEventLog(clock)
    twin = replace(twin, plate_key=twin.plate_key or plate_key(site, settings))
    feed = TwinFeed(twin, log, clock, speed, since)
    watcher = SiteWatcher(site_file, site, clock, None) if site_file else None
    upstream = Upstream((feed,), partial(camera_statuses, feed), log, clock, watcher=watcher)
    model = face_model(twin, settings.profile)
    async with downstream_of(upstream, site, settings, model, events_path) as platform:
        yield platform


def face_model(twin: Twin, profile: str) -> FaceEmbedderModel:
    """Return the face model of a profile under the version that the twin's faces carry.

    Simulated faces come from no network: under a version of their own they have their own
    collection in the gallery.
    """
    declared = load_manifest().profile(profile).face_embedder
    return msgspec.structs.replace(declared, version=twin.models["face_embed"])


def camera_statuses(feed: TwinFeed) -> dict[CameraId, CameraStatus]:
    """Return the status of each of a twin's cameras, as an ingestor would report it."""
    state = CameraState.STREAMING if feed.is_running else CameraState.ENDED
    return {
        view.camera_id: CameraStatus(
            state=state if feed.was_started else CameraState.CONNECTING,
            since=feed.since,
            frames_read=feed.frames[view.camera_id],
            frames_sampled=feed.frames[view.camera_id],
            dropped={},
            frames_left_to_other=0,
            failures=0,
            last_frame_at=None,
            width=view.width,
            height=view.height,
            sample_fps=view.fps,
            key_frames_only=False,
            problem=None,
        )
        for view in feed.views
    }


def cluster_twin(plan: FloorPlan, scenario: Scenario, settings: Settings) -> Twin:
    """Return a twin whose faces carry the version of the network that the cluster runs.

    Raises ConfigurationError without a namespace: simulated people must not get into the gallery
    and the figures of a real shop.
    """
    if not settings.namespace:
        raise ConfigurationError(
            "a twin would mix its people with real ones: set TRINETRA_NAMESPACE, here and for the "
            "services that are to read it"
        )
    models = load_manifest().profile(settings.profile).models
    versions = {model.task: model.version for model in models}
    key = plate_key(site_of(plan), settings)
    return Twin(plan, scenario, versions, plate_key=key)


async def feed_cluster(twin: Twin, site: Site, settings: Settings, speed: float | None) -> None:
    """Publish a run to the event log that the settings name, for services in other processes."""
    clock = SystemClock()
    async with open_log(site, settings, clock) as log:
        await publish(twin.arrivals(), log, clock, speed)


def floor_plan(site: Site) -> FloorPlan:
    """Return a floor plan for the cameras of a site."""
    sketches = [
        Sketch(
            camera_id=camera.camera_id,
            role=camera.role,
            fps=camera.fps,
            labels=frozenset(camera.labels),
            reads_faces=camera.reads_faces,
            min_face_px=float(site.policies.matching.min_face_px),
            lines=tuple(Line(line.id, line.a, line.b) for line in camera.lines),
            zones=tuple(
                Zone(zone.id, zone.polygon, zone.kind, zone.tills) for zone in camera.zones
            ),
        )
        for camera in site.cameras
    ]
    return lay_out(site.site_id, sketches, _distances(site))


def _distances(site: Site) -> Distances:
    graph = site_graph(site)
    cameras = [camera.camera_id for camera in site.cameras]
    known = {(a, b): graph.distance(a, b) for a in cameras for b in cameras if a != b}
    return {pair: metres for pair, metres in known.items() if metres is not None}


def site_of(plan: FloorPlan) -> Site:
    """Return a floor plan as a site, so that the services can run on it."""
    return Site.model_validate(site_document(plan))


def site_document(plan: FloorPlan) -> dict[str, Any]:
    """Return the content of a site file for a floor plan."""
    gaps = gaps_m(plan)
    roles = {view.camera_id: view.role for view in plan.views}
    walked = {pair: m for pair, m in gaps.items() if Role.VEHICLE not in {roles[c] for c in pair}}
    return {
        "site": plan.site_id,
        "timezone": "UTC",
        "cameras": [
            {
                "id": view.camera_id,
                "role": view.role,
                "source": {"url": f"rtsp://127.0.0.1:8554/{view.camera_id}"},
                "fps": view.fps,
                "labels": sorted(view.labels),
                "reads_faces": view.reads_faces,
                "lines": [{"id": i.line_id, "a": i.a, "b": i.b} for i in view.lines],
                "zones": [
                    {"id": z.zone_id, "kind": z.kind, "polygon": z.polygon, "tills": z.tills}
                    for z in view.zones
                ],
            }
            for view in plan.views
        ],
        "topology": {
            "edges": [
                {"from": a, "to": b, "distance_m": m} for (a, b), m in walked.items() if m > 0
            ],
            "overlaps": [pair for pair, m in walked.items() if m == 0],
        },
    }
