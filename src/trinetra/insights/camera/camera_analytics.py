"""Pure core of the insight engine for one camera: identity events in, insights out.

The output depends only on the events and their captured_at: the same input yields the same insights
with the same ids, at any speed and however often it is delivered. Within a capture session, frames
of a camera are ordered by captured_at; one that is not newer than the last has been seen before. No
body, stay or count outlasts its session, because the clock was stepped or stopped in between. When
a camera is reported silent, all that goes on in its view ends at the last instant at which it was
seen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from trinetra.events.schema import (
    AlertEvent,
    IdentityEvent,
    InsightEvent,
    LineCrossing,
    Occupancy,
    TrackPosition,
    TracksEvent,
)
from trinetra.events.sightings import Sighting
from trinetra.insights.camera.coverage import CoverageMeter, Ended
from trinetra.insights.camera.heat import HeatMeter
from trinetra.insights.camera.lines import Crossed, LineCounter, crossing_of
from trinetra.insights.camera.occupancy import OccupancyMeter
from trinetra.insights.camera.presence import PresenceTracker
from trinetra.insights.camera.reported_events import Nameable, ReportedEvents
from trinetra.insights.camera.reports import (
    Place,
    Subject,
    line_crossing,
    occupancy,
    stay_alert,
    unseen,
    zone_stay,
)
from trinetra.insights.camera.scene import scene_of
from trinetra.insights.camera.track_stitching import Name, Revision, Split, TrackStitcher
from trinetra.insights.camera.vehicles import VehicleWatch
from trinetra.insights.camera.zones import Stay, ZoneWatch
from trinetra.insights.config import PERSON, CameraInsights, InsightPolicy
from trinetra.insights.snapshot import CameraMemory, events_of, facts_of
from trinetra.values import CustomerId, IdentityKind, Instant, TrackId

_MERGED = ("merged",)
"""The reasons of a decision that only follows a merge."""
_MAX_EARLIER = 16
"""Earlier sessions remembered per camera, to recognize their frames when they come again."""


@dataclass(slots=True)
class Outcome:
    """Result of one event: insights to store and publish, sightings for the visits, alerts."""

    insights: list[InsightEvent] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    alerts: list[AlertEvent] = field(default_factory=list)


class CameraAnalytics:
    """Crossings, stays, occupancy and customer presence of one camera."""

    def __init__(self, place: Place, config: CameraInsights, policy: InsightPolicy) -> None:
        self._place = place
        self._config = config
        self._policy = policy
        self._session = 0
        self._earlier: dict[int, Instant] = {}
        self._start_over()

    def _start_over(self) -> None:
        policy, config = self._policy, self._config
        self._stitcher = TrackStitcher(policy)
        self._lines = LineCounter(config.lines, policy, config.floor)
        self._zones = ZoneWatch(config.zones, policy)
        self._meter = OccupancyMeter(policy.occupancy_every_s)
        self._reported = ReportedEvents(policy.max_remembered)
        self._presence = PresenceTracker(
            self._place, policy.sighting_every_s, policy.absent_after_s
        )
        self._coverage = CoverageMeter(self._place, policy.coverage_gap_s)
        self._vehicles = VehicleWatch(self._place)
        self._heat = HeatMeter(self._place, policy.coverage_gap_s, config.floor)
        self._last_at: Instant | None = None

    @property
    def open_stays(self) -> int:
        """Number of stays in progress."""
        return self._zones.open_stays

    def forget(self, is_erased: Callable[[CustomerId], bool]) -> bool:
        """Make the bodies of erased customers unidentified; return whether any was identified."""
        present = self._presence.present
        erased = [track for track, presence in present.items() if is_erased(presence.customer_id)]
        for track_id in erased:
            self._presence.settle(track_id)
        nameless = self._stitcher.forget(is_erased)
        return any((erased, nameless, self._reported.forget(is_erased)))

    def is_news(self, event: TracksEvent | IdentityEvent) -> bool:
        """Return whether an event must be processed; frames that were seen before must not."""
        if isinstance(event, IdentityEvent):
            # It may follow the camera's last frame, and then bears its time.
            return self._last_at is None or event.captured_at >= self._last_at
        session = event.session or 0
        last_at = self._last_at if session == self._session else self._earlier.get(session)
        if event.silent is True:
            is_current = session == self._session
            return is_current and (last_at is None or event.captured_at >= last_at)
        return last_at is None or event.captured_at > last_at

    def step(self, event: TracksEvent | IdentityEvent) -> Outcome:
        """Process one event; return the insights that it completes, starts or corrects."""
        if isinstance(event, TracksEvent) and (event.session or 0) != self._session:
            over = self._begin_session(event.session or 0)
            begun = self.step(event)
            return Outcome(
                over.insights + begun.insights, over.sightings + begun.sightings, begun.alerts
            )
        if isinstance(event, TracksEvent) and event.silent is True:
            return self.flush("silent")
        # Absences first: a customer who returns with this event after a long gap starts a new
        # segment instead of extending the old one across the gap.
        lost = self._presence.lose(event.captured_at)
        if isinstance(event, TracksEvent):
            insights, cut = self._look(event), []
            names = {track.track_id: self.name_at(track) for track in event.tracks}
            since = event.captured_at
        else:
            cut = self._settle(event)
            names = {event.track_id: name_in(event)}
            since = event.since or event.track_started_at
            insights = self.identify(event.track_id, names[event.track_id], event.captured_at)
        moved = self._presence.correct(self._stitcher.knows, self._stitcher.name_of)
        until = max(since, event.captured_at)
        seen: list[Sighting] = []
        for track_id, name in names.items():
            seen += self._presence.see(track_id, name, since, until) if name else []
        alerts = self._alerts() if isinstance(event, TracksEvent) else []
        return Outcome(insights, [*lost, *cut, *moved, *seen], alerts)

    def _begin_session(self, session: int) -> Outcome:
        """End what is going on at its last confirmed instant, and start over."""
        over = self.flush("session")
        if self._last_at is not None:
            self._earlier[self._session] = self._last_at
        last_at = self._earlier.pop(session, None)
        while len(self._earlier) > _MAX_EARLIER:
            del self._earlier[next(iter(self._earlier))]
        self._start_over()
        self._session, self._last_at = session, last_at
        return over

    def identify(self, track_id: TrackId, name: Name | None, at: Instant) -> list[InsightEvent]:
        """Set the identity of a track; return the earlier insights that it corrects."""
        outputs = self._revise(self._stitcher.identify(track_id, name, at))
        if body := self._stitcher.body_of(track_id):
            outputs += self._reported.rename(body.body_id, body.name)
        return outputs

    def change(self, config: CameraInsights) -> Outcome:
        """Count by other lines, zones and floor from the next frame on; return what ends by that.

        People in view, and what goes on at lines and in zones that stay as they are, go on.
        """
        before, self._config = self._config, config
        insights: list[InsightEvent] = []
        insights += self._crossings(self._lines.change(config.lines, config.floor))
        insights += self._stays(self._zones.change(config.zones))
        if config.floor != before.floor:
            insights += self._heat.flush()
            self._heat = HeatMeter(self._place, self._policy.coverage_gap_s, config.floor)
        return Outcome(insights)

    def _settle(self, event: IdentityEvent) -> list[Sighting]:
        """Keep unchanged what a decision does not correct; return the end of a presence.

        That is all from before the track switched to another person, and the presence under an id
        that was merged: the visits of both ids are united when they are read (docs/adr/0013).
        """
        if event.reasons == _MERGED:
            self._presence.settle(event.track_id)
        if not event.since:
            return []
        tracks = [event.track_id]
        if body := self._stitcher.body_of(event.track_id):
            self._reported.settle(body.body_id, event.since)
            tracks = [span.track_id for span in body.spans]
        return [
            sighting
            for track_id in tracks
            for sighting in self._presence.cut(track_id, event.since, event.customer_id)
        ]

    def name_at(self, position: TrackPosition) -> Name | None:
        """Return the identity at a position: from the position, its track, or its body."""
        track_id = position.track_id
        stated, own = name_in(position), self._stitcher.own_name(track_id)
        if stated:
            is_known = own and position.kind is None and own.customer_id == stated.customer_id
            return own if is_known else stated
        body = self._stitcher.body_of(track_id)
        return body.name if body else own

    def flush(self, ended: Ended | None = None) -> Outcome:
        """End what goes on in view at its last confirmed instant; from then on it is not seen."""
        crossings = self._crossings(self._lines.flush())
        stays = self._stays(self._zones.flush())
        self._heat.keep(self._stitcher.bodies.keys(), self._stitcher.staff())
        presence = self._heat.flush()
        ended_here = [*crossings, *stays, *self._vehicles.flush(), *self._unseen(), *presence]
        return Outcome([*ended_here, *self._coverage.end(ended)], self._presence.flush())

    def memory(self) -> CameraMemory:
        """Return the state for a snapshot; it is shared and changes with the next step."""
        return CameraMemory(
            last_at=self._last_at,
            bodies=list(self._stitcher.bodies.values()),
            early=self._stitcher.early,
            approaches=self._lines.approaches,
            stays=list(self._zones.open.values()),
            stays_over=list(self._zones.over.values()),
            occupancy=self._meter.reported,
            reported={body: facts_of(events) for body, events in self._reported.events.items()},
            present=self._presence.present,
            session=self._session,
            earlier=self._earlier,
            watched=self._coverage.span,
            joined=self._lines.joined,
            watch=self._lines.watch,
            vehicles=list(self._vehicles.in_view.values()),
            heat=self._heat.span,
        )

    def resume(self, memory: CameraMemory) -> None:
        """Restore the state from a snapshot."""
        self._last_at = memory.last_at
        self._session, self._earlier = memory.session, memory.earlier
        self._stitcher.resume(memory.bodies, memory.early)
        self._lines.approaches, self._lines.joined = memory.approaches, memory.joined
        self._lines.watch = memory.watch
        self._zones.resume(memory.stays, memory.stays_over)
        self._meter.reported = memory.occupancy
        for body_id, records in memory.reported.items():
            for event in events_of(self._place, records):
                self._reported.remember(body_id, event)
        self._presence.resume(memory.present)
        self._coverage.span = memory.watched
        self._vehicles.resume(memory.vehicles)
        self._heat.span = memory.heat

    def _look(self, event: TracksEvent) -> list[InsightEvent]:
        self._last_at = event.captured_at
        scene = scene_of(event)
        outputs: list[InsightEvent] = [*self._crossings(self._lines.lose(scene.at))]
        outputs += self._names_on(event)
        in_view = self._stitcher.in_view(scene.at)
        # Splits are applied before this frame counts, so that it counts for the right bodies.
        bodies, splits = self._stitcher.step(scene)
        outputs += self._revise(splits, seen_together=True)
        body_ids = [body.body_id for body in bodies]
        outputs += self._crossings(self._lines.step(scene, body_ids))
        outputs += self._stays(self._zones.step(scene, body_ids, in_view))
        staff = self._stitcher.staff()
        outputs += self._occupancy(scene.at, staff)
        outputs += self._coverage.step(scene.at)
        outputs += self._vehicles.step(event)
        self._heat.keep(self._stitcher.bodies.keys(), staff)
        predicted = {track.track_id for track in event.tracks if track.predicted}
        outputs += self._heat.step(scene, body_ids, self._session, predicted)
        self._lines.keep(self._stitcher.bodies.keys())
        self._reported.keep(self._stitcher.bodies.keys())
        return outputs

    def _names_on(self, event: TracksEvent) -> list[InsightEvent]:
        """Identify tracks by positions with a customer; one without says nothing about a track."""
        outputs: list[InsightEvent] = []
        for track in event.tracks:
            name = self.name_at(track) if track.customer_id else None
            if name and name != self._stitcher.own_name(track.track_id):
                outputs += self.identify(track.track_id, name, event.captured_at)
        return outputs

    def _revise(
        self, revisions: Iterable[Revision], *, seen_together: bool = False
    ) -> list[InsightEvent]:
        outputs: list[InsightEvent] = []
        for revision in revisions:
            body_id = revision.body.body_id
            if isinstance(revision, Split):
                new_id = revision.new_body.body_id
                self._lines.split(body_id, new_id, seen_together=seen_together)
                self._zones.split(body_id, new_id, revision.left_at, revision.joined_at)
                self._reported.split(body_id, new_id)
                outputs += self._reported.rename(new_id, revision.new_body.name)
            else:
                merged_id = revision.gone.body_id
                self._lines.rename(merged_id, body_id)
                outputs += self._stays(self._zones.merge(body_id, merged_id))
                self._reported.merge(body_id, merged_id)
                self._heat.merge(body_id, merged_id)
            outputs += self._reported.rename(body_id, revision.body.name)
        return outputs

    def _crossings(self, crossings: Iterable[Crossed]) -> list[LineCrossing]:
        return [self._crossing(crossed) for crossed in crossings]

    def _crossing(self, crossed: Crossed) -> LineCrossing:
        body = self._stitcher.bodies[crossed.body_id]
        event = line_crossing(
            self._place, Subject(crossed.track_id, body.label, body.name), crossing_of(crossed)
        )
        self._reported.remember(body.body_id, event)
        return event

    def _stays(self, stays: Iterable[Stay]) -> list[Nameable]:
        return [self._stay(stay) for stay in stays]

    def _stay(self, stay: Stay) -> Nameable:
        body = self._stitcher.bodies.get(stay.body_id)
        event = zone_stay(
            self._place,
            Subject(stay.track_id, stay.label, body.name if body else None),
            zone_id=stay.zone_id,
            entered_at=stay.entered_at,
            inside_at=stay.inside_at,
        )
        return self._reported.revised(stay.body_id, event)

    def _alerts(self) -> list[AlertEvent]:
        """Return that stays last for long, but not those of known staff."""
        found: list[AlertEvent] = []
        for stay, limit in self._zones.alerts(self._config.stay_limits):
            body = self._stitcher.bodies.get(stay.body_id)
            name = body.name if body else None
            if name is None or name.kind is not IdentityKind.STAFF:
                subject = Subject(stay.track_id, stay.label, name)
                found.append(stay_alert(self._place, subject, stay, limit))
        return found

    def _occupancy(self, now: Instant, staff: frozenset[TrackId]) -> list[Occupancy]:
        persons: dict[str | None, int] = {None: self._stitcher.present(PERSON, now, staff)}
        persons |= self._zones.occupancy(PERSON, now, staff)
        gone = self._meter.end(but=persons.keys())
        due = self._meter.step(now, persons)
        return [
            *(unseen(self._place, zone_id, now) for zone_id in gone),
            *(occupancy(self._place, zone_id, count, now) for zone_id, count in due),
        ]

    def _unseen(self) -> list[Occupancy]:
        """Return the end of every occupancy figure at the last frame."""
        zones = self._meter.end()
        return [unseen(self._place, zone_id, self._last_at) for zone_id in zones if self._last_at]


def name_in(stated: TrackPosition | IdentityEvent) -> Name | None:
    """Return the identity in a position or decision; a customer without a kind is anonymous."""
    if stated.customer_id is None:
        return None
    return Name(stated.customer_id, stated.kind or IdentityKind.ANONYMOUS)
