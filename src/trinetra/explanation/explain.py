"""Explains one event, track or customer: what was decided, why, and what would change it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

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
    QueueVisit,
    SiteOccupancy,
    TracksEvent,
    VehicleLink,
    VehicleStay,
    VehicleVisit,
    Visit,
    Withdrawal,
    ZoneStay,
)
from trinetra.events.subjects import customer_of, track_of
from trinetra.explanation import decision
from trinetra.explanation import templates as words
from trinetra.explanation.decision import Naming
from trinetra.explanation.render import counted, position, told
from trinetra.values import CustomerId, EventId, Instant


@dataclass(frozen=True, slots=True)
class Moment:
    """One step in the history of a track or customer."""

    at: Instant
    event_id: EventId
    camera: str
    told: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explanation of ``subject``: a headline, the reasons, and what would have changed it.

    ``story`` lists the other events of the same track or customer in order of time. ``event`` is
    None if the subject is a track or a customer.
    """

    subject: str
    headline: str
    because: tuple[str, ...]
    otherwise: tuple[str, ...]
    story: tuple[Moment, ...]
    event: AnyEvent | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as plain values, with the event as it is on the wire."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


def explain_events(
    subject: str, found: Sequence[AnyEvent], name: Naming = str
) -> Explanation | None:
    """Return the explanation of an event, track or customer, from the events that mention it.

    None if no event mentions it; events must be in order of time.
    """
    event = next((event for event in found if event.event_id == subject), None)
    if event is not None:
        return _of_event(event, found, name)
    of_track = [e for e in found if isinstance(e, IdentityEvent) and e.track_id == subject]
    if of_track:
        return _of_track(subject, of_track, found, name)
    customer = CustomerId(subject)
    of_customer = [event for event in found if customer in _customers(event)]
    return _of_customer(customer, of_customer, name) if of_customer else None


_STATED: Mapping[type[AnyEvent], str] = {
    Occupancy: "The count is the number of people tracked in this frame, without staff.",
    CameraCoverage: "Frames followed each other closely enough to count by.",
    FloorPresence: "The time between two looks at a person counts at the place of the first.",
    QueueVisit: "It follows from stays in queue and till zones: docs/queues.md tells how.",
    Passage: "Crossings of one door at about the same time are one person's.",
    Group: "They passed the same door at about the same time and place.",
    Journey: "It follows from the visit and the stays of this customer.",
    VehicleStay: "One track of a vehicle, from its first to its last frame.",
    VehicleVisit: "Tracks with one plate, or in one place, are one vehicle.",
    SiteOccupancy: "It follows from passages in and out, corrected by what must hold.",
    VehicleLink: "The customer's visit began soon after the vehicle arrived.",
    Withdrawal: "It was derived from other insights, which were corrected.",
}
"""The reason of events that have the same one always."""


def _of_event(event: AnyEvent, found: Sequence[AnyEvent], name: Naming) -> Explanation:
    because: Iterable[str] = ()
    otherwise: Iterable[str] = ()
    match event:
        case IdentityEvent():
            because = decision.because(event, name)
            otherwise = decision.otherwise(event, name)
        case AlertEvent():
            because, otherwise = _of_alert(event, found, name)
        case Visit():
            because = _of_visit(event, found)
        case LifecycleEvent():
            because = _of_change(event, name)
        case LineCrossing() | ZoneStay():
            because = _whose_track(event, found, name)
        case TracksEvent():
            because = (position(track, name) for track in event.tracks)
        case DetectionEvent():
            because = _of_detection(event)
        case _:
            because = (_STATED[type(event)],)
    return Explanation(
        event.event_id,
        told(event, name),
        tuple(because),
        tuple(otherwise),
        _story(_same_matter(event, found), name),
        event,
    )


def _of_track(
    track: str, decisions: Sequence[IdentityEvent], found: Sequence[AnyEvent], name: Naming
) -> Explanation:
    last = decisions[-1]
    of_track = [event for event in found if track_of(event) == track]
    return Explanation(
        track,
        decision.headline(last, name),
        tuple(decision.because(last, name)),
        tuple(decision.otherwise(last, name)),
        _story(of_track, name),
    )


def _of_customer(customer: CustomerId, found: Sequence[AnyEvent], name: Naming) -> Explanation:
    tracks = {e.track_id for e in found if isinstance(e, IdentityEvent)}
    visits = {e.event_id for e in found if isinstance(e, Visit) and not e.withdrawn}
    cameras = sorted({e.camera_id for e in found if e.camera_id})
    first, last = found[0], found[-1]
    return Explanation(
        customer,
        f"{name(customer)} was seen on {counted(len(tracks), 'track')} and in "
        f"{counted(len(visits), 'visit')}, first {first.captured_at:%Y-%m-%d %H:%M:%S}, last "
        f"{last.captured_at:%Y-%m-%d %H:%M:%S} UTC, at {', '.join(cameras) or 'no camera'}.",
        tuple(_born(customer, found)),
        (),
        _story(found, name),
    )


def _born(customer: CustomerId, found: Iterable[AnyEvent]) -> Iterator[str]:
    for event in found:
        if isinstance(event, IdentityEvent) and (event.status, event.customer_id) == (
            "new",
            customer,
        ):
            yield (
                f"The identity was created from {event.track_id} at {event.camera_id}; "
                f"explain {event.event_id} to see why."
            )
            return


def _of_alert(
    alert: AlertEvent, found: Iterable[AnyEvent], name: Naming
) -> tuple[Iterator[str], Iterator[str]]:
    """Return an alert's own numbers, with the decision about its track that led to it."""
    led = _decision_at(alert, found)
    own = iter([f"{words.plain(k).capitalize()}: {_detail(v)}." for k, v in alert.detail.items()])
    if led is None:
        return own, iter(())
    why = (f"The track's decision at that time ({led.event_id}): {decision.headline(led, name)}",)
    return iter((*own, *why, *decision.because(led, name))), decision.otherwise(led, name)


def _of_visit(visit: Visit, found: Iterable[AnyEvent]) -> Iterator[str]:
    if visit.withdrawn:
        yield "Every track that was taken for this customer turned out to be another person's."
        return
    yield (
        f"Seen from {visit.started_at:%H:%M:%S} to {visit.captured_at:%H:%M:%S} UTC at "
        f"{', '.join(visit.cameras)}. Sightings without a long gap between them count as one visit "
        "(policies.stays.visit_gap_s)."
    )
    named = {
        e.track_id: e
        for e in found
        if isinstance(e, IdentityEvent)
        and e.customer_id == visit.customer_id
        and e.track_started_at <= visit.captured_at
        and e.captured_at >= visit.started_at
    }
    for event in named.values():
        known = event.status == "known" and event.evidence.candidates
        score = f" with a score of {event.evidence.candidates[0].score:.3f}" if known else ""
        yield f"{event.track_id} at {event.camera_id} was {event.status}{score} ({event.event_id})."


def _of_change(event: LifecycleEvent, name: Naming) -> Iterator[str]:
    did = "the resolver, automatically" if event.by == "resolver" else "an operator, by command"
    yield f"This was done by {did}."
    if event.reason:
        yield words.cause(event.reason)
    if event.score is not None:
        yield f"The similarity of the two faces is {event.score:.3f}."
    if event.track_id:
        yield f"It was caused by {event.track_id} at {event.camera_id}."
    if event.change == "merged" and event.other:
        yield f"It can be undone; {name(event.other)} then no longer includes both."


def _whose_track(
    event: LineCrossing | ZoneStay, found: Iterable[AnyEvent], name: Naming
) -> Iterator[str]:
    yield f"It belongs to {event.track_id}, a {event.label} at {event.camera_id}."
    if led := _decision_at(event, found):
        yield f"That track's decision then ({led.event_id}): {decision.headline(led, name)}"


def _of_detection(event: DetectionEvent) -> Iterator[str]:
    for found in event.objects:
        yield f"A {found.label}, with a score of {found.score:.2f}."
    for face in event.faces:
        fate = words.face(face.unusable) if face.unusable else "usable"
        size = f"{face.quality.size_px:.0f} px, quality {face.quality.total:.2f}"
        yield f"A face of {size}: {fate}."


def _decision_at(
    event: AlertEvent | LineCrossing | ZoneStay, found: Iterable[AnyEvent]
) -> IdentityEvent | None:
    """Return the last decision about an event's track by then, or else the first one after."""
    of_track = [e for e in found if isinstance(e, IdentityEvent) and e.track_id == event.track_id]
    before = [e for e in of_track if e.captured_at <= event.captured_at]
    return before[-1] if before else (of_track[0] if of_track else None)


def _same_matter(event: AnyEvent, found: Iterable[AnyEvent]) -> Iterator[AnyEvent]:
    """Yield the other events of the same track, or else of the same customer."""
    track, customers = track_of(event), _customers(event)
    for other in found:
        same = track_of(other) == track if track else bool(customers & _customers(other))
        if same and other.event_id != event.event_id:
            yield other


def _story(found: Iterable[AnyEvent], name: Naming) -> tuple[Moment, ...]:
    return tuple(
        Moment(event.captured_at, event.event_id, event.camera_id, told(event, name))
        for event in found
    )


def _detail(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _customers(event: AnyEvent) -> set[CustomerId]:
    other = event.other if isinstance(event, LifecycleEvent) else None
    return {customer for customer in (customer_of(event), other) if customer}
