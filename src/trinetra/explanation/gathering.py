"""Finding, in a stream of events, those that have to do with one id.

The stream is long and nearly all of it is about others: bytes are searched, and only what mentions
the id is decoded. What tells of single frames is of interest only if it is itself asked for.
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
    Visit,
    ZoneStay,
)
from trinetra.values import EventId, Instant

_FRAMES = (b'{"type":"tracks"', b'{"type":"detection"', b'{"type":"occupancy"')


@dataclass(slots=True)
class Gathering:
    """The events so far that mention one of ``ids``, of those sent again the last.

    ``read`` counts all events, ``oldest`` is when the first readable one was captured.
    """

    ids: frozenset[str]
    events: dict[EventId, AnyEvent] = field(default_factory=dict)
    read: int = 0
    oldest: Instant | None = None

    def add(self, payload: bytes) -> None:
        """Take in one event, as on the wire; what cannot be read is passed over."""
        self.read += 1
        if self.oldest is not None and not self._concerns(payload):
            return
        try:
            event = decode(payload)
        except MalformedEvent:
            return  # its consumer has sent it to the dead letters and counted it
        self.oldest = self.oldest or event.captured_at
        if self._concerns(payload):
            self.events.pop(event.event_id, None)
            self.events[event.event_id] = without_embeddings(event)

    @property
    def found(self) -> tuple[AnyEvent, ...]:
        """The events by the time they tell of."""
        return tuple(sorted(self.events.values(), key=lambda event: event.captured_at))

    def _concerns(self, payload: bytes) -> bool:
        if payload.startswith(_FRAMES):
            return any(b'"event_id":"%s"' % i.encode() in payload for i in self.ids)
        return any(b'"%s"' % i.encode() in payload for i in self.ids)


def subjects_of(asked: str, found: Iterable[AnyEvent]) -> frozenset[str]:
    """Return whom and what an id leads to: the track, the customer and the id itself."""
    event = next((event for event in found if event.event_id == asked), None)
    match event:
        case IdentityEvent() | AlertEvent() | LifecycleEvent() | LineCrossing() | ZoneStay():
            about = {asked, event.track_id, event.customer_id}
        case Visit():
            about = {asked, event.customer_id}
        case _:
            about = {asked}
    return frozenset(i for i in about if i)
