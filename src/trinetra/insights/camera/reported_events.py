"""Reported crossings and stays whose bodies may still be identified.

A track is often identified after it has crossed a line. The events of a body are therefore
remembered (bounded in number and time); when the body's identity changes, they are reported again
under the same event id with the customer filled in and the next revision, which stores treat as an
update.
"""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec

from trinetra.events.schema import LineCrossing, ZoneStay
from trinetra.insights.camera.track_stitching import Name
from trinetra.values import CustomerId, Instant, TrackId

Nameable = LineCrossing | ZoneStay


@dataclass(slots=True)
class ReportedEvents:
    """The events reported recently for each body of one camera; the oldest are evicted."""

    max_remembered: int
    events: dict[TrackId, deque[Nameable]] = field(default_factory=dict)

    def remember(self, body_id: TrackId, event: Nameable) -> None:
        """Remember an event; it replaces an earlier one with the same id."""
        events = self.events.setdefault(body_id, deque(maxlen=self.max_remembered))
        known = self._known(body_id, event)
        if known is not None:
            events.remove(known)
        events.append(event)

    def revised(self, body_id: TrackId, event: Nameable) -> Nameable:
        """Return the event with the revision that follows its last one, and remember it."""
        if known := self._known(body_id, event):
            event = msgspec.structs.replace(event, revision=(known.revision or 0) + 1)
        self.remember(body_id, event)
        return event

    def _known(self, body_id: TrackId, event: Nameable) -> Nameable | None:
        events = self.events.get(body_id, ())
        return next((old for old in events if old.event_id == event.event_id), None)

    def rename(self, body_id: TrackId, name: Name | None) -> list[Nameable]:
        """Return a body's events that have another customer or kind, corrected."""
        customer_id = name.customer_id if name else None
        kind = name.kind if name else msgspec.UNSET
        corrected = []
        for event in tuple(self.events.get(body_id, ())):
            if (event.customer_id, event.kind) != (customer_id, kind):
                named = msgspec.structs.replace(event, customer_id=customer_id, kind=kind)
                corrected.append(self.revised(body_id, named))
        return corrected

    def forget(self, is_erased: Callable[[CustomerId], bool]) -> bool:
        """Remove erased customers from remembered events; return whether there were any."""
        bodies = [
            body_id
            for body_id, events in self.events.items()
            if any(e.customer_id and is_erased(e.customer_id) for e in events)
        ]
        for body_id in bodies:
            self.rename(body_id, None)
        return bool(bodies)

    def settle(self, body_id: TrackId, before: Instant) -> None:
        """Drop a body's events before an instant, since its identity changes only from then on."""
        if events := self.events.get(body_id):
            later = [event for event in events if event.captured_at >= before]
            self.events[body_id] = deque(later, maxlen=self.max_remembered)

    def split(self, body_id: TrackId, new_body_id: TrackId) -> None:
        """Move the events of a track to the body that was split off."""
        mine = [e for e in self.events.get(body_id, ()) if e.track_id == new_body_id]
        for event in mine:
            self.events[body_id].remove(event)
            self.remember(new_body_id, event)

    def merge(self, body_id: TrackId, gone_id: TrackId) -> None:
        """Move the events of body ``gone_id`` to the body that it continues."""
        for event in self.events.pop(gone_id, ()):
            self.remember(body_id, event)

    def keep(self, body_ids: Collection[TrackId]) -> None:
        """Drop all bodies except these."""
        for body_id in [body_id for body_id in self.events if body_id not in body_ids]:
            del self.events[body_id]
