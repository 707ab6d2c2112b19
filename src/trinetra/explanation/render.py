"""Describes every event in one sentence."""

from typing import assert_never

from trinetra.events.currencies import money
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    CameraCoverage,
    DetectionEvent,
    FloorPresence,
    Group,
    IdentityEvent,
    Journey,
    LifecycleEvent,
    LineCrossing,
    Occupancy,
    Passage,
    Purchase,
    QueueVisit,
    Receipt,
    SiteOccupancy,
    TrackPosition,
    TracksEvent,
    UnpaidStay,
    VehicleLink,
    VehicleStay,
    VehicleVisit,
    Visit,
    Withdrawal,
    ZoneStay,
)
from trinetra.explanation import decision
from trinetra.explanation import templates as words
from trinetra.explanation.decision import Naming
from trinetra.values import seconds_between

_PLURALS = {"person": "people"}


def told(event: AnyEvent, name: Naming = str) -> str:
    """Return the sentence that describes an event."""
    match event:
        case IdentityEvent():
            sentence = decision.headline(event, name)
        case AlertEvent():
            sentence = f"Alert ({event.severity}): {event.message}."
        case LifecycleEvent():
            sentence = _change(event, name)
        case Visit() if event.withdrawn:
            sentence = (
                f"Visit number {event.visit_number} of {name(event.customer_id)} is withdrawn."
            )
        case Visit():
            sentence = f"{name(event.customer_id)} came for visit number {event.visit_number}."
        case Receipt() | Purchase() | UnpaidStay():
            sentence = _at_till(event, name)
        case DetectionEvent() | TracksEvent() | Occupancy() | FloorPresence():
            sentence = _frame(event)
        case _:
            sentence = _insight(event, name)
    return sentence


_Insight = (
    LineCrossing
    | ZoneStay
    | CameraCoverage
    | QueueVisit
    | Journey
    | VehicleStay
    | VehicleVisit
    | VehicleLink
    | Withdrawal
    | SiteOccupancy
    | Passage
    | Group
)


def _insight(event: _Insight, name: Naming) -> str:  # noqa: C901, PLR0911 -- one line for each type
    match event:
        case VehicleStay() | VehicleVisit() | VehicleLink():
            return _vehicle(event, name)
        case LineCrossing():
            return f"{_who(event, name)} crossed {event.line_id} ({event.direction})."
        case ZoneStay():
            return f"{_who(event, name)} stayed {event.dwell_s:.1f} s in {event.zone_id}."
        case CameraCoverage():
            end = f" It ended: {event.ended}." if event.ended else ""
            return f"The camera was watched in {event.frames} frames without a gap.{end}"
        case Journey():
            path = ", ".join(step.zone_id for step in event.steps)
            return f"{name(event.customer_id)} stayed in {path}."
        case QueueVisit():
            return _queue(event, name)
        case SiteOccupancy():
            return f"{counted(event.people, 'customer')} inside until {event.until:%H:%M:%S} UTC."
        case Passage():
            seen = counted(len(event.crossings), "crossing")
            return f"A {event.label} passed {event.door_id} ({event.direction}), in {seen}."
        case Group():
            people = counted(event.people, "person")
            return f"A group of {people} passed {event.door_id} ({event.direction})."
        case Withdrawal():
            return f"The {event.insight_type} {event.insight_id} no longer holds."
        case _:
            assert_never(event)


def _vehicle(event: VehicleStay | VehicleVisit | VehicleLink, name: Naming) -> str:
    match event:
        case VehicleStay():
            seen_s = seconds_between(event.entered_at, event.captured_at)
            return (
                f"{event.track_id}, a {event.label}, was in view for {seen_s:.0f} s.{_plate(event)}"
            )
        case VehicleVisit():
            return f"A {event.label} was here for {event.stay_s:.0f} s.{_plate(event)}"
        case VehicleLink():
            return (
                f"{name(event.customer_id)} came {event.delay_s:.0f} s after the vehicle of "
                f"{event.vehicle_visit_id} (confidence {event.confidence:.2f})."
            )


def _plate(event: VehicleStay | VehicleVisit) -> str:
    if event.plate is None:
        return ""
    readings = counted(event.plate.readings, "reading")
    return f" Plate {event.plate.text or event.plate.plate_id} from {readings}."


def position(track: TrackPosition, name: Naming = str) -> str:
    """Return the description of one track in a frame."""
    who = f"{name(track.customer_id)} on " if track.customer_id else ""
    x1, y1, x2, y2 = track.box
    size = f"{x2 - x1:.0f} x {y2 - y1:.0f} px at ({x1:.0f}, {y1:.0f})"
    return f"{who}{track.track_id}, a {track.label}, {size}."


def counted(number: int, what: str) -> str:
    """Return a count with its noun, like ``1 face`` and ``2 faces``."""
    return f"{number} {what if number == 1 else _PLURALS.get(what, what + 's')}"


def _change(event: LifecycleEvent, name: Naming) -> str:
    other = name(event.other) if event.other else "another identity"
    return f"{name(event.customer_id)} {words.CHANGES[event.change].format(other=other)}."


def _at_till(event: Receipt | Purchase | UnpaidStay, name: Naming) -> str:
    match event:
        case Receipt():
            return (
                f"{event.till_id} issued {event.kind} receipt {event.receipt_id}: "
                f"{money(event.total_minor, event.currency)}."
            )
        case Purchase() if event.track_id is None:
            return f"Receipt {event.receipt_id} of {event.till_id} belongs to no person seen."
        case Purchase():
            who = name(event.customer_id) if event.customer_id else str(event.track_id)
            return (
                f"{who} paid {money(event.total_minor, event.currency)} at {event.till_id} "
                f"(receipt {event.receipt_id}, confidence {event.confidence:.2f})."
            )
        case UnpaidStay():
            who = name(event.customer_id) if event.customer_id else str(event.track_id)
            return f"{who} stayed {event.dwell_s:.1f} s at {event.till_id} without a receipt."


def _frame(event: DetectionEvent | TracksEvent | Occupancy | FloorPresence) -> str:
    match event:
        case FloorPresence():
            hours = (event.unplaced_ms + sum(cell.ms for cell in event.cells)) / 3_600_000
            return f"People were in view for {hours:.2f} person-hours."
        case Occupancy():
            count = "not seen" if event.unseen else counted(event.persons, "person")
            return f"Occupancy of {event.zone_id or 'the view'}: {count}."
        case TracksEvent() if event.silent:
            return f"No frame has followed frame {event.frame_seq}."
        case TracksEvent():
            return f"Frame {event.frame_seq} shows {counted(len(event.tracks), 'track')}."
        case DetectionEvent():
            objects, faces = (
                counted(len(event.objects), "object"),
                counted(len(event.faces), "face"),
            )
            return f"Frame {event.frame_seq} shows {objects} and {faces}."


def _queue(event: QueueVisit, name: Naming) -> str:
    who = name(event.customer_id) if event.customer_id else event.track_id
    party = who if event.persons == 1 else f"{who} and {event.persons - 1} more"
    waited = "came" if event.wait_s is None else f"waited {event.wait_s:.0f} s"
    match event.end:
        case "served":
            return (
                f"{party} {waited} and was served for {event.service_s:.0f} s at {event.till_id}."
            )
        case "moved":
            return f"{party} {waited} in {event.queue_id} and changed to another queue."
        case "abandoned":
            return f"{party} {waited} in {event.queue_id} and left unserved."


def _who(event: LineCrossing | ZoneStay, name: Naming) -> str:
    return name(event.customer_id) if event.customer_id else f"{event.track_id}, a {event.label},"
