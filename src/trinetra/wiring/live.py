"""Builds the live part of the web: pictures, positions, queues and health of a running platform."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.disk.temp_copies import clear_temp_copies
from trinetra.client.models import (
    CameraState,
    FloorArea,
    FloorCamera,
    FloorNow,
    FloorPerson,
    FloorPlan,
    HeatmapAnswer,
    HeatmapCell,
    JourneyFlow,
    JourneyPath,
    Journeys,
    JourneyStep,
    ModelInUse,
    Resource,
)
from trinetra.events.derivation import Span
from trinetra.events.schema import Journey
from trinetra.geometry import Homography, fit
from trinetra.insights.heatmap import read_heatmap
from trinetra.insights.journeys.paths import flows, paths, shown, stepwise
from trinetra.ports import Clock, EventLog, LatestFrames, SiteStore
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.site.cameras import Camera
from trinetra.values import CameraId
from trinetra.web.access import Principal
from trinetra.web.live.floor import dots
from trinetra.web.live.hub import LiveTopic
from trinetra.web.live.live import Live
from trinetra.web.live.parts import LiveParts
from trinetra.web.live.pictures import LiveCamera
from trinetra.wiring.audit_recordings import AuditRecordings
from trinetra.wiring.cached import Cached
from trinetra.wiring.config import queue_plan
from trinetra.wiring.figures import figure_reader
from trinetra.wiring.health import (
    HealthPages,
    OwnServices,
    Teller,
    Told,
    ToldCamera,
    health_report,
    models_in_use,
)
from trinetra.wiring.heatmaps import heatmap_query
from trinetra.wiring.platform import Platform
from trinetra.wiring.profiles import choose_profile
from trinetra.wiring.queues import StoredQueues
from trinetra.wiring.receiver import SiteReceiver
from trinetra.wiring.site_watch import SiteWatcher

_STATE_S = 1.0
_PERSON = "person"
_VIEWING_S, _VIEWING_AGAIN_S = 60.0, 600.0
"""Pictures asked for at most this long apart are one viewing, entered again after this long."""
_MOST_VIEWINGS = 10_000
_MOST_PATHS, _MOST_STEPS = 50, 6


@dataclass(frozen=True, slots=True)
class LiveSources:
    """Where the live part reads: the log, the last frames, the store, and the services."""

    log: EventLog
    frames: LatestFrames | None
    store: SiteStore
    teller: Teller
    clock: Clock


def sources_of(platform: Platform) -> LiveSources:
    """Return the sources of a platform in this process."""
    teller = OwnServices(platform.services, platform.cameras)
    return LiveSources(platform.log, platform.frames, platform.store, teller, platform.clock)


def cluster_teller(settings: Settings) -> Teller:
    """Return what asks the services of a cluster, by the addresses in the settings."""
    given = (url.strip().rstrip("/") for url in settings.health_urls.split(","))
    return HealthPages([url for url in given if url])


@asynccontextmanager
async def open_live(
    site: Site, settings: Settings, sources: LiveSources, watcher: SiteWatcher | None = None
) -> AsyncIterator[LiveParts]:
    """Follow the event log and provide the live part while the context is open.

    With ``watcher`` it shows the cameras that the site file has by now.
    """
    clock = sources.clock
    clear_temp_copies(settings.data_dir)
    queues = StoredQueues(queue_plan(site), sources.store, clock)
    recordings = AuditRecordings(lambda: live.pictures, settings.data_dir, clock)
    listeners = [queues.take, recordings.take]
    live = Live(_shown(site), sources.log, sources.frames, clock, listeners)
    current = _LiveSite(site, settings, live, queues)
    if watcher:
        watcher.add(SiteReceiver("live", current.change))
    parts = LiveParts(
        feed=live,
        cameras=_States(current, live, sources).cameras,
        floor=_Floor(current, live).plan,
        queues=queues.now,
        health=Cached(
            lambda: health_report(sources.teller, current.models, clock), _STATE_S, clock
        ).get,
        note_faces_shown=FacesTrail(settings, clock).note,
        recordings=recordings,
    )
    live.offer(_topics(parts))
    stopping = asyncio.Event()
    tail = asyncio.create_task(live.tail.run(stopping), name=live.tail.name)
    try:
        yield parts
    finally:
        stopping.set()
        await recordings.close()
        await live.close()
        await tail


def _shown(site: Site) -> dict[CameraId, LiveCamera]:
    return {camera.camera_id: LiveCamera(_PERSON in camera.labels) for camera in site.cameras}


class _LiveSite:
    """The site by which the live part goes, and what follows from it."""

    def __init__(self, site: Site, settings: Settings, live: Live, queues: StoredQueues) -> None:
        self._settings = settings
        self._live = live
        self._queues = queues
        self._take(site)

    async def change(self, site: Site) -> None:
        """Go by another site from now on."""
        self._queues.change(queue_plan(site))
        self._take(site)
        await self._live.change(_shown(site))

    def _take(self, site: Site) -> None:
        self.site = site
        self.models: Sequence[ModelInUse] = models_in_use(
            choose_profile(self._settings, site), site
        )
        self.floors = {c.camera_id: fit(c.floor) for c in site.cameras if c.floor}
        self.areas = tuple(
            area
            for camera in site.cameras
            if (floor := self.floors.get(camera.camera_id))
            for area in _areas_of(camera, floor)
        )


def _areas_of(camera: Camera, floor: Homography) -> Iterator[FloorArea]:
    for zone in camera.zones:
        corners = [floor.to_floor(x, y) for x, y in zone.polygon]
        polygon = tuple((round(p.x_m, 2), round(p.y_m, 2)) for p in corners if p)
        if len(polygon) == len(zone.polygon):
            yield FloorArea(camera=camera.id, zone=zone.id, kind=zone.kind, polygon_m=polygon)


def _topics(parts: LiveParts) -> dict[str, LiveTopic]:
    async def cameras() -> bytes:
        return b"[%s]" % b",".join(map(_json, await parts.cameras()))

    async def floor() -> bytes:
        return _json(parts.floor().now)

    async def queues() -> bytes:
        return _json(await parts.queues())

    return {
        "cameras": LiveTopic(cameras, 1.0),
        "floor": LiveTopic(floor, 0.5),
        "queues": LiveTopic(queues, 2.0),
    }


def _json(resource: Resource) -> bytes:
    return resource.model_dump_json().encode()


class _States:
    """The state of the cameras: as the ingestor tells it, and what is seen."""

    def __init__(self, current: _LiveSite, live: Live, sources: LiveSources) -> None:
        self._current = current
        self._live = live
        self._told = Cached(sources.teller.ask, _STATE_S, sources.clock)

    async def cameras(self) -> list[CameraState]:
        told = await self._told.get()
        now_s = self._live.clock.monotonic()
        return [self._state(camera, told, now_s) for camera in self._current.site.cameras]

    def _state(self, camera: Camera, told: Told, now_s: float) -> CameraState:
        view, of = self._live.view, told.cameras.get(camera.id)
        seen = CameraState(
            id=camera.id,
            role=camera.role.value,
            state="unknown",
            waiting=told.waiting(camera.id),
            delay_s=view.delay_s(camera.camera_id, now_s),
            people=view.people(camera.camera_id, now_s),
            has_pictures=self._live.pictures is not None,
        )
        return seen if of is None else seen.model_copy(update=_as_told(of))


def _as_told(camera: ToldCamera) -> dict[str, object]:
    return {
        "state": camera.state,
        "since": camera.since,
        "problem": camera.problem,
        "fps": round(camera.sample_fps, 2),
        "dropped": camera.dropped,
        "last_frame_at": camera.last_frame_at,
        "width": camera.width or None,
        "height": camera.height or None,
    }


class _Floor:
    """The floor plan of a site, and the people on it."""

    def __init__(self, current: _LiveSite, live: Live) -> None:
        self._current = current
        self._live = live

    def plan(self) -> FloorPlan:
        return FloorPlan(now=self._now(), areas=self._current.areas)

    def _now(self) -> FloorNow:
        now_s, view = self._live.clock.monotonic(), self._live.view
        floors = self._current.floors
        return FloorNow(
            at=self._live.clock.now(),
            people=tuple(
                FloorPerson(
                    x_m=dot.x_m,
                    y_m=dot.y_m,
                    camera=dot.camera_id,
                    kind=dot.kind.value if dot.kind else None,
                )
                for dot in dots(view, floors, now_s)
            ),
            cameras=tuple(
                FloorCamera(
                    id=c.id,
                    x_m=c.position.x_m if c.position else None,
                    y_m=c.position.y_m if c.position else None,
                    people=view.people(c.camera_id, now_s),
                    is_calibrated=c.camera_id in floors,
                )
                for c in self._current.site.cameras
                if _PERSON in c.labels
            ),
        )


class FacesTrail:
    """Enters in the audit log that a user sees the faces of a camera.

    Pictures are asked for every second; a viewing is entered when it begins, and again while it
    goes on, not every picture.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._log = AuditLog(settings.data_dir / "audit")
        self._clock = clock
        self._viewings: dict[tuple[str, str], tuple[float, float]] = {}

    async def note(self, principal: Principal, camera_id: str) -> None:
        """Enter a viewing unless it is entered. Raises StorageFull or ConfigurationError."""
        key, now_s = (principal.user_id or principal.name, camera_id), self._clock.monotonic()
        entered_s, last_s = self._viewings.get(key, (float("-inf"), float("-inf")))
        if now_s - last_s > _VIEWING_S or now_s - entered_s >= _VIEWING_AGAIN_S:
            detail = f"{principal.name} ({principal.role.value}) saw faces of camera {camera_id}"
            await asyncio.to_thread(
                self._log.append, self._clock.now(), "view_faces", "everybody", detail
            )
            entered_s = now_s
        self._viewings[key] = entered_s, now_s
        if len(self._viewings) > _MOST_VIEWINGS:
            del self._viewings[next(iter(self._viewings))]


async def read_journeys(site: Site, store: SiteStore, span: Span) -> Journeys:
    """Return flows and paths of journeys, without what few people did. Raises StoreUnavailable."""
    found = [e for e in await store.counted({"journey"}, span) if isinstance(e, Journey)]
    least = site.policies.privacy.least_people
    moves, walked = shown(flows(found), least), shown(paths(found), least)
    layers = shown(stepwise(found, _MOST_STEPS), least)
    most = list(walked.cells.items())[:_MOST_PATHS]
    return Journeys(
        start=span.start,
        end=span.end,
        journeys=len(found),
        least_people=least,
        flows=tuple(
            JourneyFlow(start=a, end=b, times=cell.times, people=cell.people)
            for (a, b), cell in moves.cells.items()
        ),
        flows_left_out=moves.left_out,
        steps=tuple(
            JourneyStep(step=step, start=a, end=b, times=cell.times, people=cell.people)
            for (step, a, b), cell in layers.cells.items()
        ),
        steps_left_out=layers.left_out,
        paths=tuple(
            JourneyPath(zones=path, times=cell.times, people=cell.people) for path, cell in most
        ),
        paths_left_out=walked.left_out + len(walked.cells) - len(most),
    )


async def heatmap_of(
    site: Site, store: SiteStore, clock: Clock, camera: str | None, span: Span
) -> HeatmapAnswer:
    """Return a heatmap. Raises ConfigurationError or StoreUnavailable."""
    reader = figure_reader(site, store, clock)
    found = await read_heatmap(reader, store, heatmap_query(site, span, camera))
    return HeatmapAnswer(
        grid=found.grid,
        cell_m=found.cell_m,
        start=span.start,
        end=span.end,
        cells=tuple(
            HeatmapCell(x=cell.x, y=cell.y, hours=hours) for cell, hours in found.hours.items()
        ),
        left_out=found.left_out,
        completeness={CameraId(camera): share for camera, share in found.completeness.items()},
    )
