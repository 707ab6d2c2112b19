"""Rules about what one camera sees: crowds, queues, intruders, lines, gaps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from trinetra.alerts.rules.conditions import Conditions, Holding, compare, without_obsolete
from trinetra.alerts.rules.plan import SITE, AlertPlan
from trinetra.alerts.rules.signal import Facts, Signal
from trinetra.events.alerts import NoticeKey, RuleName
from trinetra.events.schema import (
    CameraCoverage,
    InsightEvent,
    LineCrossing,
    Occupancy,
    SiteOccupancy,
)
from trinetra.values import CameraId, Instant, seconds_between


class LastCrossing(msgspec.Struct, array_like=True):
    """The latest crossing of a line: when, which way, and by which track."""

    at: Instant
    direction: str
    body: str


class CameraState(msgspec.Struct, omit_defaults=True):
    """What the rules remember of one camera; ``people`` by zone, the whole view under ``""``.

    A view that is not seen now has no entry in ``people``. ``newest`` is the time of its latest
    event, ``watched_until`` the end of the time in which it was watched.
    """

    newest: Instant | None = None
    people: dict[str, int] = {}
    unseen: bool = False
    conditions: Conditions = {}
    crossings: dict[str, LastCrossing] = {}
    watched_until: Instant | None = None


@dataclass(slots=True)
class CameraRules:
    """The rules applied to the events of one camera, in order; site-wide events have camera ''."""

    plan: AlertPlan
    camera_id: CameraId
    state: CameraState = field(default_factory=CameraState)
    _looked_at: set[str] = field(default_factory=set)

    def step(self, event: InsightEvent) -> list[Signal]:
        """Take an event in; return what it calls for."""
        found: list[Signal] = []
        match event:
            case Occupancy():
                self._take_occupancy(event)
            case SiteOccupancy():
                self.state.people[""] = event.people
            case LineCrossing():
                found = list(self._crossed(event))
            case CameraCoverage():
                found = list(self._covered(event))
        newest = self.state.newest
        self.state.newest = max(newest, event.captured_at) if newest else event.captured_at
        return [*found, *self.look(self.state.newest)]

    def change(self, plan: AlertPlan) -> None:
        """Apply other rules from now on; what is left of those that are gone is forgotten."""
        self.plan = plan
        self.state.conditions = without_obsolete(self.state.conditions, plan)

    def look(self, at: Instant) -> list[Signal]:
        """Return which conditions are to be told at an instant, or are over."""
        possible: dict[NoticeKey, CameraId | None] = {}
        holding: dict[NoticeKey, Holding] = {}
        for key, is_so, held in self._conditions(at):
            possible[key] = self.camera_id or None
            if is_so:
                holding[key] = held
        return compare(self.state.conditions, holding, possible, at, self._is_first)

    def _is_first(self, text: str) -> bool:
        is_first = text not in self._looked_at
        self._looked_at.add(text)
        return is_first

    # --- conditions ---------------------------------------------------------------------------

    def _take_occupancy(self, event: Occupancy) -> None:
        zone = event.zone_id or ""
        unseen = event.unseen is True
        if not zone:
            self.state.unseen = unseen
        if unseen:
            self.state.people.pop(zone, None)
        else:
            self.state.people[zone] = event.persons

    def _conditions(self, at: Instant) -> Iterator[tuple[NoticeKey, bool, Holding]]:
        """Yield each condition that this camera could fulfill, and whether it does."""
        if not self.camera_id:
            yield from self._limit("occupancy", SITE, self.state.people.get(""), None)
            return
        for zone, people in self.state.people.items():
            place = self.camera_id, zone
            if place in self.plan.queues:
                yield from self._limit("queue_length", self._subject(zone), people, zone)
            if limit := self.plan.crowded.get(place):
                yield from self._limit("occupancy", self._subject(zone), people, zone, limit)
        yield from self._after_hours(at)
        yield from self._dark()

    def _limit(
        self,
        rule: RuleName,
        subject: str,
        people: int | None,
        zone: str | None,
        limit: float | None = None,
    ) -> Iterator[tuple[NoticeKey, bool, Holding]]:
        plan = self.plan.rules.get(rule)
        most = limit if limit is not None else plan.limit if plan else 0
        if plan is None or not most:
            return
        facts: Facts = {
            "camera": self.camera_id,
            "zone": zone or "",
            "people": people or 0,
            "limit": most,
        }
        held = Holding(plan.for_s, facts, self.camera_id or None)
        yield NoticeKey(rule, subject), people is not None and people >= most, held

    def _after_hours(self, at: Instant) -> Iterator[tuple[NoticeKey, bool, Holding]]:
        plan = self.plan.rules.get("after_hours")
        if plan is None or self.plan.hours is None:
            return
        people = self.state.people.get("", 0)
        is_so = people > 0 and self.plan.is_after_hours(at)
        held = Holding(plan.for_s, {"camera": self.camera_id, "people": people}, self.camera_id)
        yield NoticeKey("after_hours", self.camera_id), is_so, held

    def _dark(self) -> Iterator[tuple[NoticeKey, bool, Holding]]:
        plan = self.plan.rules.get("camera_offline")
        if plan is None or self.camera_id not in self.plan.live:
            return
        facts = {"camera": self.camera_id, "state": "silent"}
        held = Holding(plan.for_s, facts, self.camera_id)
        yield NoticeKey("camera_offline", self.camera_id), self.state.unseen, held

    # --- single events ------------------------------------------------------------------------

    def _crossed(self, event: LineCrossing) -> Iterator[Signal]:
        if event.revision is not msgspec.UNSET:
            return  # a correction of a crossing that was judged before
        place = event.camera_id, event.line_id
        facts: Facts = {"line": event.line_id, "direction": event.direction}
        if self.plan.one_way.get(place) == event.direction and "wrong_direction" in self.plan.rules:
            yield self._signal("wrong_direction", event.line_id, event.captured_at, facts)
        if place in self.plan.tailgating and self._follows_closely(event):
            yield self._signal("tailgating", event.line_id, event.captured_at, facts)

    def _follows_closely(self, event: LineCrossing) -> bool:
        """Return whether another person crossed the line the same way just before."""
        plan = self.plan.rules.get("tailgating")
        body = event.track_id if event.body_id is msgspec.UNSET else event.body_id
        before = self.state.crossings.get(event.line_id)
        self.state.crossings[event.line_id] = LastCrossing(event.captured_at, event.direction, body)
        if plan is None or before is None or before.body == body:
            return False
        gap_s = abs(seconds_between(before.at, event.captured_at))
        return before.direction == event.direction and gap_s <= plan.limit

    def _covered(self, event: CameraCoverage) -> Iterator[Signal]:
        """Yield that the camera was not watched for long while the shop was open."""
        before, self.state.watched_until = self.state.watched_until, event.captured_at
        if before is None or event.captured_at <= before:
            self.state.watched_until = before or event.captured_at
            return
        plan = self.plan.rules.get("figure_incomplete")
        if plan is None or event.started_at <= before:
            return
        missed_s = self._open_s(before, event.started_at)
        if missed_s >= plan.limit:
            facts: Facts = {
                "minutes": missed_s / 60,
                "from": before.isoformat(),
                "to": event.started_at.isoformat(),
            }
            yield self._signal("figure_incomplete", "", event.captured_at, facts)

    def _open_s(self, start: Instant, end: Instant) -> float:
        hours = self.plan.hours
        spans: Sequence[tuple[Instant, Instant]] = (
            hours.open_spans(start, end) if hours else [(start, end)]
        )
        return sum(seconds_between(opens, closes) for opens, closes in spans)

    def _signal(self, rule: RuleName, name: str, at: Instant, facts: Facts) -> Signal:
        about = {"camera": self.camera_id, **facts}
        return Signal(rule, self._subject(name), at, self.camera_id or None, about)

    def _subject(self, name: str) -> str:
        if not self.camera_id:
            return name or SITE
        return f"{self.camera_id}/{name}" if name else self.camera_id
