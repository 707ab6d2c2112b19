"""The customer and the track that an event is about, for readers of many types of events."""

from trinetra.events.schema import AnyEvent
from trinetra.values import CustomerId, TrackId


def customer_of(event: AnyEvent) -> CustomerId | None:
    """Return the customer that an event names; None if its type names none, or it is unknown."""
    return getattr(event, "customer_id", None)


def track_of(event: AnyEvent) -> TrackId | None:
    """Return the track that an event is about; None if its type has none."""
    return getattr(event, "track_id", None)
