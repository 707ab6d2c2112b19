"""The insight engine's pure core: identity events in, insight events out.

Everything follows from the events and their captured_at, so that the same input yields the same
insights with the same ids at any speed and however often it is delivered. A camera's frames count
in the order of captured_at; a frame not newer than the last one of its camera was seen before.
"""

from collections.abc import Iterable, Mapping

from trinetra.events.schema import (
    IdentityEvent,
    InsightEvent,
    LineCrossing,
    Occupancy,
    TrackPosition,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.insights.continuity import Body, Continuity, Name, Revision, Split
from trinetra.insights.lines import Crossed, LineCounter
from trinetra.insights.occupancy import OccupancyMeter
from trinetra.insights.plan import PERSON, CameraInsights, InsightPolicy
from trinetra.insights.recall import Nameable, Recall
from trinetra.insights.scene import Scene, scene_of
from trinetra.insights.visits import VisitBook
from trinetra.insights.zones import Stay, ZoneWatch
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    Instant,
    SiteId,
    TrackId,
    derive_id,
)


class CameraMachine:
    """Crossings, stays and occupancy of one camera."""

    def __init__(
        self, site_id: SiteId, camera_id: CameraId, plan: CameraInsights, policy: InsightPolicy
    ) -> None:
        self._site_id = site_id
        self._camera_id = camera_id
        self._policy = policy
        self._plan = plan
        self._continuity = Continuity(policy)
        self._lines = LineCounter(plan.lines, policy)
        self._zones = ZoneWatch(plan.zones, policy)
        self._meter = OccupancyMeter(policy.occupancy_every_s)
        self._recall = Recall(policy.max_remembered)
        self._last_at: Instant | None = None

    @property
    def open_stays(self) -> int:
        """How many stays go on."""
        return self._zones.open_stays

    def is_news(self, event: TracksEvent) -> bool:
        """Return whether the frame is newer than the last one of this camera."""
        return self._last_at is None or event.captured_at > self._last_at

    def step(self, event: TracksEvent) -> list[InsightEvent]:
        """Take in one frame; return what it completes."""
        self._last_at = event.captured_at
        scene = scene_of(event)
        outputs = self._names_on(event)
        bodies, splits = self._continuity.step(scene)
        outputs += self._revise(splits)
        body_ids = [body.body_id for body in bodies]
        for crossed in self._lines.step(scene, body_ids):
            outputs.append(self._crossing(crossed, scene, bodies[crossed.row]))
        outputs += self._stays(self._zones.step(scene, body_ids))
        outputs += self._occupancy(scene.at)
        self._lines.keep(set(self._continuity.bodies))
        self._recall.keep(set(self._continuity.bodies))
        return outputs

    def identify(self, track_id: TrackId, name: Name | None, at: Instant) -> list[InsightEvent]:
        """Take note of who a track is; return earlier insights corrected by it."""
        outputs = self._revise(self._continuity.identify(track_id, name, at))
        if body := self._continuity.body_of(track_id):
            outputs += self._recall.rename(body.body_id, _customer(body))
        return outputs

    def name_at(self, position: TrackPosition) -> Name | None:
        """Return who stands there: as the position says, as its track is known, or its body."""
        track_id = position.track_id
        told, own = name_in(position), self._continuity.own_name(track_id)
        if told:
            is_known = own and position.kind is None and own.customer_id == told.customer_id
            return own if is_known else told
        body = self._continuity.body_of(track_id)
        return body.name if body else own

    def flush(self) -> list[InsightEvent]:
        """End all stays at the last instant they were seen to last."""
        return [*self._stays(self._zones.flush())]

    def _names_on(self, event: TracksEvent) -> list[InsightEvent]:
        """Learn from positions that bear a customer; one without says nothing about its track."""
        outputs: list[InsightEvent] = []
        for track in event.tracks:
            name = self.name_at(track) if track.customer_id else None
            if name and name != self._continuity.own_name(track.track_id):
                outputs += self.identify(track.track_id, name, event.captured_at)
        return outputs

    def _revise(self, revisions: Iterable[Revision]) -> list[InsightEvent]:
        outputs: list[InsightEvent] = []
        for revision in revisions:
            body_id = revision.body.body_id
            if isinstance(revision, Split):
                new_id = revision.new_body.body_id
                self._lines.copy(body_id, new_id)
                self._zones.split(body_id, new_id, revision.left_at, revision.joined_at)
                self._recall.split(body_id, new_id)
                outputs += self._recall.rename(new_id, _customer(revision.new_body))
            else:
                gone_id = revision.gone.body_id
                self._lines.rename(gone_id, body_id)
                outputs += self._stays(self._zones.merge(body_id, gone_id))
                self._recall.merge(body_id, gone_id)
            outputs += self._recall.rename(body_id, _customer(revision.body))
        return outputs

    def _crossing(self, crossed: Crossed, scene: Scene, body: Body) -> LineCrossing:
        track_id = scene.track_ids[crossed.row]
        parts = (self._site_id, self._camera_id, crossed.line_id, track_id, crossed.at)
        event = LineCrossing(
            event_id=EventId(derive_id("crossing", *parts)),
            site_id=self._site_id,
            camera_id=self._camera_id,
            captured_at=crossed.at,
            line_id=crossed.line_id,
            direction=crossed.direction,
            track_id=track_id,
            label=scene.labels[crossed.row],
            customer_id=_customer(body),
        )
        self._recall.remember(body.body_id, event)
        return event

    def _stays(self, stays: Iterable[Stay]) -> list[Nameable]:
        return [self._stay(stay) for stay in stays]

    def _stay(self, stay: Stay) -> ZoneStay:
        parts = (self._site_id, self._camera_id, stay.zone_id, stay.track_id, stay.entered_at)
        body = self._continuity.bodies.get(stay.body_id)
        event = ZoneStay(
            event_id=EventId(derive_id("stay", *parts)),
            site_id=self._site_id,
            camera_id=self._camera_id,
            captured_at=stay.inside_at,
            zone_id=stay.zone_id,
            track_id=stay.track_id,
            label=stay.label,
            entered_at=stay.entered_at,
            dwell_s=round(stay.dwell_s, 3),
            customer_id=_customer(body) if body else None,
        )
        self._recall.remember(stay.body_id, event)
        return event

    def _occupancy(self, now: Instant) -> list[Occupancy]:
        persons: dict[str | None, int] = {None: self._continuity.present(PERSON, now)}
        for zone in self._plan.zones:
            persons[zone.zone_id] = self._zones.present(zone.zone_id, PERSON, now)
        return [
            Occupancy(
                event_id=EventId(
                    derive_id("occupancy", self._site_id, self._camera_id, zone or "", now)
                ),
                site_id=self._site_id,
                camera_id=self._camera_id,
                captured_at=now,
                zone_id=zone,
                persons=count,
            )
            for zone, count in self._meter.step(now, persons)
        ]


class InsightMachine:
    """All cameras of a site and the visits over them."""

    def __init__(
        self, site_id: SiteId, plans: Mapping[CameraId, CameraInsights], policy: InsightPolicy
    ) -> None:
        self._site_id = site_id
        self._plans = plans
        self._policy = policy
        self._cameras: dict[CameraId, CameraMachine] = {}
        self.visits = VisitBook(site_id, policy.visit_gap_s, policy.visit_resend_s)

    @property
    def open_stays(self) -> int:
        """How many stays go on at the site."""
        return sum(camera.open_stays for camera in self._cameras.values())

    def is_news(self, event: TracksEvent | IdentityEvent) -> bool:
        """Return whether an event must be stepped; a frame that was seen before must not."""
        return isinstance(event, IdentityEvent) or self._camera(event.camera_id).is_news(event)

    def unfamiliar(self, event: TracksEvent | IdentityEvent) -> set[CustomerId]:
        """Return whose last visit must be restored before this event is stepped."""
        names = [name_in(event)] if isinstance(event, IdentityEvent) else self._names(event)
        return {name.customer_id for name in names if name and self.visits.is_unfamiliar(name)}

    def step(self, event: TracksEvent | IdentityEvent) -> list[InsightEvent]:
        """Take in one event; return the insights it completes, begins or corrects."""
        camera = self._camera(event.camera_id)
        if isinstance(event, TracksEvent):
            outputs = camera.step(event)
            for name in self._names(event):
                outputs += self._sight(name, event, event.captured_at)
            return outputs
        name = name_in(event)
        outputs = camera.identify(event.track_id, name, event.captured_at)
        return outputs + self._sight(name, event, event.track_started_at)

    def finish_visits(self) -> list[Visit]:
        """End the visits that are over; call after the outputs so far are in the store."""
        return self.visits.finish()

    def flush(self) -> list[InsightEvent]:
        """End all stays and report all visits as they stand, because the engine stops."""
        stays = [stay for camera in self._cameras.values() for stay in camera.flush()]
        return [*stays, *self.visits.flush()]

    def forget_camera(self, camera_id: CameraId) -> None:
        """Drop a camera's state, because another engine owns the camera now."""
        self._cameras.pop(camera_id, None)

    def _camera(self, camera_id: CameraId) -> CameraMachine:
        if camera_id not in self._cameras:
            plan = self._plans.get(camera_id, CameraInsights())
            self._cameras[camera_id] = CameraMachine(self._site_id, camera_id, plan, self._policy)
        return self._cameras[camera_id]

    def _names(self, event: TracksEvent) -> list[Name | None]:
        camera = self._camera(event.camera_id)
        return [camera.name_at(track) for track in event.tracks]

    def _sight(
        self, name: Name | None, event: TracksEvent | IdentityEvent, since: Instant
    ) -> list[Visit]:
        if name is None:
            return []
        until = max(since, event.captured_at)
        return self.visits.step(name, event.camera_id, since, until)


def name_in(told: TrackPosition | IdentityEvent) -> Name | None:
    """Return the name in a position or decision; a customer of no stated kind is anonymous."""
    if told.customer_id is None:
        return None
    return Name(told.customer_id, told.kind or IdentityKind.ANONYMOUS)


def _customer(body: Body) -> CustomerId | None:
    return body.name.customer_id if body.name else None
