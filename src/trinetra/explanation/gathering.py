"""Finds the events in a stream that mention one id.

The stream is long and nearly all of it is irrelevant, so the bytes are searched and only events
that mention the id are decoded. Events of single frames matter only if they are themselves the
subject.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from trinetra.errors import MalformedEvent
from trinetra.events.codec import decode, without_embeddings
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    IdentityEvent,
    LifecycleEvent,
    LineCrossing,
    Purchase,
    UnpaidStay,
    Visit,
    ZoneStay,
)
from trinetra.values import EventId, Instant

_FRAMES = (b'{"type":"tracks"', b'{"type":"detection"', b'{"type":"occupancy"')


@dataclass(slots=True)
class Gathering:
    """Collects the events that mention one of ``ids``; of a re-sent event, the last version.

    ``read`` counts all events, ``oldest`` is the capture time of the first readable one.
    """

    ids: frozenset[str]
    events: dict[EventId, AnyEvent] = field(default_factory=dict)
    read: int = 0
    oldest: Instant | None = None

    def add(self, payload: bytes) -> None:
        """Add one event as on the wire; unreadable events are skipped."""
        self.read += 1
        # Until the first readable event, every event is decoded: its time bounds the history.
        if self.oldest is not None and not self._concerns(payload):
            return
        try:
            event = decode(payload)
        except MalformedEvent:
            return  # its consumer has sent it to the dead-letter topic and counted it
        self.oldest = self.oldest or event.captured_at
        if self._concerns(payload):
            self.events.pop(event.event_id, None)
            self.events[event.event_id] = without_embeddings(event)

    @property
    def found(self) -> tuple[AnyEvent, ...]:
        """The events in order of capture."""
        return tuple(sorted(self.events.values(), key=lambda event: event.captured_at))

    def _concerns(self, payload: bytes) -> bool:
        if payload.startswith(_FRAMES):
            return any(b'"event_id":"%s"' % i.encode() in payload for i in self.ids)
        return any(b'"%s"' % i.encode() in payload for i in self.ids)


def subjects_of(asked: str, found: Iterable[AnyEvent]) -> frozenset[str]:
    """Return the ids that an id leads to: the track, the customer and the id itself."""
    event = next((event for event in found if event.event_id == asked), None)
    match event:
        case IdentityEvent() | AlertEvent() | LifecycleEvent() | LineCrossing() | ZoneStay():
            about = {asked, event.track_id, event.customer_id}
        case Purchase() | UnpaidStay():
            about = {asked, event.track_id, event.customer_id}
        case Visit():
            about = {asked, event.customer_id}
        case _:
            about = {asked}
    return frozenset(i for i in about if i)
