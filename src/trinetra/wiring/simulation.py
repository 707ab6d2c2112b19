"""The platform behind a digital twin instead of cameras: no weights, no clips, no network."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import ConfigurationError
from trinetra.frames.connection import CameraState, CameraStatus
from trinetra.models.manifest import load_manifest
from trinetra.ports import Clock, EventLog
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.streaming.waiting import run_until
from trinetra.twin.emission import Arrival
from trinetra.twin.layout import Distances, Sketch, gaps_m, lay_out
from trinetra.twin.plan import FloorPlan, Line, Zone
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.service import publish
from trinetra.values import CameraId, Instant, Role
from trinetra.wiring.connections import open_log
from trinetra.wiring.platform import Platform, Upstream, downstream_of
from trinetra.wiring.site_graph import site_graph


class TwinFeed:
    """A service in the place of ingestor and worker: it tells what a twin's cameras see."""

    name = "digital-twin"

    def __init__(self, twin: Twin, log: EventLog, clock: Clock, speed: float | None) -> None:
        """Take the twin, and how many times as fast as real it goes; None is as fast as it can."""
        self._twin = twin
        self._log = log
        self._clock = clock
        self._speed = speed
        self._frames: Counter[CameraId] = Counter()
        self._since: Instant = clock.now()
        self._state = CameraState.CONNECTING

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish the whole run, or until told to stop."""
        self._state = CameraState.STREAMING
        try:
            await run_until(stopping, self._publish())
        finally:
            self._state = CameraState.ENDED

    async def _publish(self) -> None:
        await publish(self._counted(), self._log, self._clock, self._speed)

    def ready(self) -> bool:
        """Return whether the twin is at work."""
        return self._state is CameraState.STREAMING

    def status(self) -> dict[CameraId, CameraStatus]:
        """Return how many frames each camera has told of."""
        return {
            view.camera_id: CameraStatus(
                state=self._state,
                since=self._since,
                frames_read=self._frames[view.camera_id],
                frames_sampled=self._frames[view.camera_id],
                dropped={},
                failures=0,
                last_frame_at=None,
                width=view.width,
                height=view.height,
                sample_fps=view.fps,
                key_frames_only=False,
                problem=None,
            )
            for view in self._twin.plan.views
        }

    def _counted(self) -> Iterator[Arrival]:
        for arrival in self._twin.arrivals():
            self._frames[CameraId(arrival.camera_id)] += 1
            yield arrival


@asynccontextmanager
async def simulated(
    site: Site,
    settings: Settings,
    twin: Twin,
    *,
    speed: float | None,
    events_path: Path | None = None,
) -> AsyncIterator[Platform]:
    """Build the platform on a twin's detections; nothing runs before it is hosted.

    ``site`` is what the twin's floor plan is to the services, see ``site_of``.
    """
    clock = SystemClock()
    log = MemoryEventLog(clock)
    feed = TwinFeed(twin, log, clock, speed)
    declared = load_manifest().profile(settings.profile).face_embedder
    # The twin's faces are no network's: they are kept apart from a real network's in the gallery.
    face = msgspec.structs.replace(declared, version=twin.models["face_embed"])
    upstream = Upstream((feed,), feed.status, log, clock)
    async with downstream_of(upstream, site, settings, face, events_path) as platform:
        yield platform


def cluster_twin(plan: FloorPlan, scenario: Scenario, settings: Settings) -> Twin:
    """Return a twin whose faces the resolvers of a cluster take for those of their own network.

    Raises ConfigurationError without a namespace: simulated people must not come into the gallery
    and the figures of a real shop.
    """
    if not settings.namespace:
        raise ConfigurationError(
            "a twin would put its people among the real ones: set TRINETRA_NAMESPACE, here and for "
            "the services that are to read it"
        )
    models = load_manifest().profile(settings.profile).models
    return Twin(plan, scenario, {model.task: model.version for model in models})


async def feed_cluster(twin: Twin, site: Site, settings: Settings, speed: float | None) -> None:
    """Publish a run into the event log that the settings name, for services elsewhere."""
    clock = SystemClock()
    async with open_log(site, settings, clock) as log:
        await publish(twin.arrivals(), log, clock, speed)


def floor_plan(site: Site) -> FloorPlan:
    """Return a floor plan on which the site's cameras see people."""
    sketches = [
        Sketch(
            camera_id=camera.camera_id,
            role=camera.role,
            fps=camera.fps,
            labels=frozenset(camera.labels),
            reads_faces=camera.reads_faces,
            min_face_px=float(site.policies.matching.min_face_px),
            lines=tuple(Line(line.id, line.a, line.b) for line in camera.lines),
            zones=tuple(Zone(zone.id, zone.polygon, zone.kind) for zone in camera.zones),
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
    """Return the site that a floor plan is, so that the services can run on it."""
    return Site.model_validate(site_document(plan))


def site_document(plan: FloorPlan) -> dict[str, Any]:
    """Return what a site file would say of a floor plan."""
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
                    {"id": z.zone_id, "kind": z.kind, "polygon": z.polygon} for z in view.zones
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
