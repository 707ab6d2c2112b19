"""The pure core of the insight engine for one camera: identity events in, insights out.

Everything follows from the events and their captured_at, so that the same input yields the same
insights with the same ids at any speed and however often it is delivered. A camera's frames count
in the order of captured_at; a frame not newer than the last one of its camera was seen before.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from trinetra.events.schema import (
    IdentityEvent,
    InsightEvent,
    LineCrossing,
    Occupancy,
    TrackPosition,
    TracksEvent,
)
from trinetra.events.sightings import Sighting
from trinetra.insights.camera.lines import Crossed, LineCounter
from trinetra.insights.camera.occupancy import OccupancyMeter
from trinetra.insights.camera.presence import PresenceTracker
from trinetra.insights.camera.reported_events import Nameable, ReportedEvents
from trinetra.insights.camera.reports import Place, Subject, line_crossing, occupancy, zone_stay
from trinetra.insights.camera.scene import Scene, scene_of
from trinetra.insights.camera.track_stitching import Body, Name, Revision, Split, TrackStitcher
from trinetra.insights.camera.zones import Stay, ZoneWatch
from trinetra.insights.config import PERSON, CameraInsights, InsightPolicy
from trinetra.insights.snapshot import CameraMemory, events_of, facts_of
from trinetra.values import CustomerId, IdentityKind, Instant, TrackId


@dataclass(slots=True)
class Outcome:
    """What an event led to: insights to keep and tell, and sightings for the visits."""

    insights: list[InsightEvent] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)


class CameraAnalytics:
    """Crossings, stays, occupancy and attendance of one camera."""

    def __init__(self, place: Place, plan: CameraInsights, policy: InsightPolicy) -> None:
        self._place = place
        self._plan = plan
        self._continuity = TrackStitcher(policy)
        self._lines = LineCounter(plan.lines, policy)
        self._zones = ZoneWatch(plan.zones, policy)
        self._meter = OccupancyMeter(policy.occupancy_every_s)
        self._recall = ReportedEvents(policy.max_remembered)
        self._attendance = PresenceTracker(place, policy.sighting_every_s, policy.absent_after_s)
        self._last_at: Instant | None = None

    @property
    def open_stays(self) -> int:
        """How many stays go on."""
        return self._zones.open_stays

    def forget(self, is_erased: Callable[[CustomerId], bool]) -> bool:
        """Forget who was erased: their bodies are nobody's; return whether somebody was known."""
        present = self._attendance.present
        erased = [customer_id for customer_id in present if is_erased(customer_id)]
        for customer_id in erased:
            del present[customer_id]
        nameless = self._continuity.forget(is_erased)
        return any((erased, nameless, self._recall.forget(is_erased)))

    def is_news(self, event: TracksEvent | IdentityEvent) -> bool:
        """Return whether an event must be stepped: a frame that was seen before must not."""
        if isinstance(event, IdentityEvent) or self._last_at is None:
            return True
        return event.captured_at > self._last_at

    def step(self, event: TracksEvent | IdentityEvent) -> Outcome:
        """Take in one event; return what it completes, begins or corrects."""
        lost = self._attendance.lose(event.captured_at)
        if isinstance(event, TracksEvent):
            insights = self._look(event)
            names, since = [self.name_at(track) for track in event.tracks], event.captured_at
        else:
            name, since = name_in(event), event.since or event.track_started_at
            if event.since:
                self._settle(event.track_id, event.since)
            insights, names = self.identify(event.track_id, name, event.captured_at), [name]
        until = max(since, event.captured_at)
        seen = [s for name in names if name for s in self._attendance.see(name, since, until)]
        return Outcome(insights, [*lost, *seen])

    def identify(self, track_id: TrackId, name: Name | None, at: Instant) -> list[InsightEvent]:
        """Take note of who a track is; return earlier insights corrected by it."""
        outputs = self._revise(self._continuity.identify(track_id, name, at))
        if body := self._continuity.body_of(track_id):
            outputs += self._recall.rename(body.body_id, body.name)
        return outputs

    def _settle(self, track_id: TrackId, before: Instant) -> None:
        """Leave as it is what a track did before it went over to somebody else."""
        if body := self._continuity.body_of(track_id):
            self._recall.settle(body.body_id, before)

    def name_at(self, position: TrackPosition) -> Name | None:
        """Return who stands there: as the position says, as its track is known, or its body."""
        track_id = position.track_id
        told, own = name_in(position), self._continuity.own_name(track_id)
        if told:
            is_known = own and position.kind is None and own.customer_id == told.customer_id
            return own if is_known else told
        body = self._continuity.body_of(track_id)
        return body.name if body else own

    def flush(self) -> Outcome:
        """End all stays and stretches in view at the last instant they were seen to last."""
        return Outcome([*self._stays(self._zones.flush())], self._attendance.flush())

    def memory(self) -> CameraMemory:
        """Return what the camera's next insights depend on; it changes with the next step."""
        return CameraMemory(
            last_at=self._last_at,
            bodies=list(self._continuity.bodies.values()),
            early=self._continuity.early,
            approaches=self._lines.approaches,
            stays=list(self._zones.open.values()),
            stays_over=list(self._zones.over.values()),
            occupancy=self._meter.reported,
            reported={body: facts_of(events) for body, events in self._recall.events.items()},
            present=self._attendance.present,
        )

    def resume(self, memory: CameraMemory) -> None:
        """Go on from what was remembered."""
        self._last_at = memory.last_at
        self._continuity.resume(memory.bodies, memory.early)
        self._lines.approaches = memory.approaches
        self._zones.resume(memory.stays, memory.stays_over)
        self._meter.reported = memory.occupancy
        for body_id, facts in memory.reported.items():
            for event in events_of(self._place, facts):
                self._recall.remember(body_id, event)
        self._attendance.present = memory.present

    def _look(self, event: TracksEvent) -> list[InsightEvent]:
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
                outputs += self._recall.rename(new_id, revision.new_body.name)
            else:
                gone_id = revision.gone.body_id
                self._lines.rename(gone_id, body_id)
                outputs += self._stays(self._zones.merge(body_id, gone_id))
                self._recall.merge(body_id, gone_id)
            outputs += self._recall.rename(body_id, revision.body.name)
        return outputs

    def _crossing(self, crossed: Crossed, scene: Scene, body: Body) -> LineCrossing:
        event = line_crossing(
            self._place,
            Subject(scene.track_ids[crossed.row], scene.labels[crossed.row], body.name),
            line_id=crossed.line_id,
            direction=crossed.direction,
            at=crossed.at,
        )
        self._recall.remember(body.body_id, event)
        return event

    def _stays(self, stays: Iterable[Stay]) -> list[Nameable]:
        return [self._stay(stay) for stay in stays]

    def _stay(self, stay: Stay) -> Nameable:
        body = self._continuity.bodies.get(stay.body_id)
        event = zone_stay(
            self._place,
            Subject(stay.track_id, stay.label, body.name if body else None),
            zone_id=stay.zone_id,
            entered_at=stay.entered_at,
            inside_at=stay.inside_at,
        )
        self._recall.remember(stay.body_id, event)
        return event

    def _occupancy(self, now: Instant) -> list[Occupancy]:
        staff = self._continuity.staff()
        persons: dict[str | None, int] = {None: self._continuity.present(PERSON, now, staff)}
        for zone in self._plan.zones:
            persons[zone.zone_id] = self._zones.present(zone.zone_id, PERSON, now, staff)
        due = self._meter.step(now, persons)
        return [occupancy(self._place, zone_id, count, now) for zone_id, count in due]


def name_in(told: TrackPosition | IdentityEvent) -> Name | None:
    """Return the name in a position or decision; a customer of no stated kind is anonymous."""
    if told.customer_id is None:
        return None
    return Name(told.customer_id, told.kind or IdentityKind.ANONYMOUS)
