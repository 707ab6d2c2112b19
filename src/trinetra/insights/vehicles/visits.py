"""Vehicle visits, derived from the stays of vehicles in the views of all cameras.

A stay continues a visit if the same plate was read on both, or if the vehicle appears where the
visit's one vanished: a parked car is not detected in every frame, and its plate is not legible from
every side. A vehicle that crossed a line inward is here until it crosses one outward, however long
no camera sees it; any other one is gone after ``gap_s``.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trinetra.events.derivation import Span
from trinetra.events.schema import (
    Box,
    InsightEvent,
    LineCrossing,
    TrackPlate,
    VehicleStay,
    VehicleVisit,
)
from trinetra.insights.camera.vehicles import VEHICLES
from trinetra.values import CameraId, EventId, Instant, TrackId, derive_id, seconds_between

Direction = Literal["in", "out"]
_Crossed = Mapping[tuple[CameraId, TrackId], Direction]
_DAY_S = 86_400.0
_SURE_READINGS, _SURE_CONFIDENCE = 3, 0.8


@dataclass(frozen=True, slots=True)
class VehiclePolicy:
    """What counts as one visit of a vehicle.

    gap_s: the longest time that a vehicle which crossed no line is unseen within one visit.
    parked_s: the longest time that one which came in over a line is unseen.
    same_place_iou, same_place_s: overlap of boxes from which on a vehicle is where another one
        vanished, and how long ago: cars that leave and others that come pass the same gate.
    min_stay_s: a vehicle that crossed no line and was there for less has only passed.
    """

    gap_s: float = 1800.0
    parked_s: float = 43_200.0
    same_place_iou: float = 0.5
    same_place_s: float = 60.0
    min_stay_s: float = 30.0


@dataclass(slots=True, eq=False)
class _Visit:
    """A visit as it grows, stay by stay."""

    stays: list[VehicleStay]
    until: Instant
    came_in: bool
    departed: bool = False
    plates: set[str] = field(default_factory=set)

    @classmethod
    def begun(cls, stay: VehicleStay, direction: Direction | None) -> "_Visit":
        visit = cls([], stay.captured_at, came_in=direction == "in")
        visit.add(stay, direction)
        return visit

    def add(self, stay: VehicleStay, direction: Direction | None) -> None:
        self.stays.append(stay)
        self.until = max(self.until, stay.captured_at)
        self.came_in |= direction == "in"
        self.departed |= direction == "out"
        if stay.plate_id:
            self.plates.add(stay.plate_id)


@dataclass(frozen=True, slots=True)
class VehicleVisits:
    """The derivation of vehicle visits."""

    policy: VehiclePolicy = field(default_factory=VehiclePolicy)
    name: str = "vehicle_visits"
    version: int = 1
    inputs: frozenset[str] = frozenset({"vehicle_stay", "line_crossing"})
    outputs: frozenset[str] = frozenset({"vehicle_visit"})
    window_s: float = _DAY_S

    @property
    def margin_s(self) -> float:
        """A visit that begins in a window may go on after it, and one before it may end in it."""
        return min(_DAY_S, self.policy.parked_s + self.policy.gap_s)

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[InsightEvent]:
        """Return the visits that begin in ``span``."""
        stays = sorted(
            (event for event in inputs if isinstance(event, VehicleStay)),
            key=lambda stay: (stay.entered_at, stay.event_id),
        )
        visits = _united(stays, _directions(inputs), self.policy)
        events = (_event(visit) for visit in visits if self._counts(visit))
        return [event for event in events if span.start <= event.captured_at < span.end]

    def _counts(self, visit: _Visit) -> bool:
        stay_s = seconds_between(visit.stays[0].entered_at, visit.until)
        return visit.came_in or visit.departed or stay_s >= self.policy.min_stay_s


def _directions(inputs: Iterable[InsightEvent]) -> _Crossed:
    """Return the direction in which each vehicle's track last crossed a line."""
    return {
        (event.camera_id, event.track_id): event.direction
        for event in inputs
        if isinstance(event, LineCrossing) and event.label in VEHICLES
    }


def _united(
    stays: Iterable[VehicleStay], crossed: _Crossed, policy: VehiclePolicy
) -> Iterator[_Visit]:
    going_on: list[_Visit] = []
    for stay in stays:
        direction = crossed.get((stay.camera_id, stay.track_id))
        over = [visit for visit in going_on if _is_over(visit, stay.entered_at, policy)]
        yield from over
        going_on = [visit for visit in going_on if visit not in over]
        known = _continued(going_on, stay, policy)
        if known is None or (direction == "in" and known.came_in):
            going_on.append(_Visit.begun(stay, direction))
        else:
            known.add(stay, direction)
    yield from going_on


def _is_over(visit: _Visit, at: Instant, policy: VehiclePolicy) -> bool:
    longest_s = policy.parked_s if visit.came_in and not visit.departed else policy.gap_s
    return seconds_between(visit.until, at) > longest_s


def _continued(
    going_on: Sequence[_Visit], stay: VehicleStay, policy: VehiclePolicy
) -> _Visit | None:
    """Return the visit that a stay continues: one with its plate, else one in its place."""
    there = [visit for visit in going_on if not visit.departed]
    alike = [visit for visit in there if stay.plate_id in visit.plates]
    if not alike:
        alike = [visit for visit in there if _is_in_place(visit, stay, policy)]
    return max(alike, key=lambda visit: visit.until, default=None)


def _is_in_place(visit: _Visit, stay: VehicleStay, policy: VehiclePolicy) -> bool:
    last = max(visit.stays, key=lambda seen: seen.captured_at)
    return (
        not (_is_sure(stay.plate) and any(_is_sure(seen.plate) for seen in visit.stays))
        and last.camera_id == stay.camera_id
        and last.captured_at <= stay.entered_at
        and seconds_between(last.captured_at, stay.entered_at) <= policy.same_place_s
        and _iou(last.vanished, stay.appeared) >= policy.same_place_iou
    )


def _is_sure(plate: TrackPlate | None) -> bool:
    """Return whether a plate was read well enough to tell two vehicles in one place apart."""
    return (
        plate is not None
        and plate.readings >= _SURE_READINGS
        and plate.confidence >= _SURE_CONFIDENCE
    )


def _event(visit: _Visit) -> VehicleVisit:
    first = visit.stays[0]
    plates = [stay.plate for stay in visit.stays if stay.plate]
    seen_s: defaultdict[str, float] = defaultdict(float)
    for stay in visit.stays:
        seen_s[stay.label] += seconds_between(stay.entered_at, stay.captured_at)
    return VehicleVisit(
        event_id=EventId(derive_id("carvisit", first.event_id)),
        site_id=first.site_id,
        camera_id=first.camera_id,
        captured_at=first.entered_at,
        left_at=visit.until,
        stay_s=round(seconds_between(first.entered_at, visit.until), 3),
        label=max(sorted(seen_s), key=lambda label: seen_s[label]),
        stays=tuple(stay.event_id for stay in visit.stays),
        cameras=tuple(dict.fromkeys(stay.camera_id for stay in visit.stays)),
        departed=visit.departed,
        plate=max(plates, key=lambda p: (p.confidence * p.readings, p.plate_id), default=None),
    )


def _iou(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)) - shared
    return shared / both if both > 0 else 0.0
