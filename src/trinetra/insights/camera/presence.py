"""Who is in one camera's view, told on in few words.

Visits span cameras, and the cameras of one customer may be watched by several engines. Each
therefore tells the others' visits what it sees, but not in every frame: a customer is sighted at
once, then whenever the stretch has grown by ``resend_s``, when its start turns out to be earlier,
and for the last time when nothing was seen for ``absent_after_s``. The stretches of one customer
join without a gap, so that a visit built from them is the visit built from every frame.
"""

from dataclasses import dataclass, field

import msgspec

from trinetra.events.sightings import Sighting
from trinetra.insights.camera.reports import Place
from trinetra.insights.camera.track_stitching import Name
from trinetra.values import CustomerId, IdentityKind, Instant, seconds_between

COUNTED_KINDS = frozenset({IdentityKind.ANONYMOUS, IdentityKind.ENROLLED, IdentityKind.VIP})
"""Staff are at work and a watchlist is the alerts' business: neither visits."""


class Presence(msgspec.Struct, array_like=True):
    """One customer's stretch in view, and up to where it was told."""

    kind: IdentityKind
    since: Instant
    until: Instant
    told_until: Instant


@dataclass(slots=True)
class PresenceTracker:
    """The customers in view of one camera."""

    place: Place
    resend_s: float
    absent_after_s: float
    present: dict[CustomerId, Presence] = field(default_factory=dict)

    def see(self, name: Name, since: Instant, until: Instant) -> list[Sighting]:
        """Note that someone was in view from ``since`` to ``until``; return what is news."""
        if name.kind not in COUNTED_KINDS:
            return []
        seen = self.present.get(name.customer_id)
        if seen is None:
            self.present[name.customer_id] = Presence(name.kind, since, until, until)
            return [self._sighting(name.customer_id, name.kind, since, until)]
        is_news = since < seen.since or name.kind != seen.kind
        seen.kind, seen.until = name.kind, max(seen.until, until)
        if not is_news and seconds_between(seen.told_until, seen.until) < self.resend_s:
            return []
        start = min(since, seen.told_until)
        seen.since, seen.told_until = min(since, seen.since), seen.until
        return [self._sighting(name.customer_id, name.kind, start, seen.until)]

    def lose(self, now: Instant) -> list[Sighting]:
        """Return the last sighting of everyone who was not seen for long enough; forget them."""
        gone = [
            customer_id
            for customer_id, seen in self.present.items()
            if seconds_between(seen.until, now) > self.absent_after_s
        ]
        return [self._farewell(customer_id) for customer_id in gone]

    def flush(self) -> list[Sighting]:
        """Return the last sighting of everyone in view, because the engine stops."""
        return [self._farewell(customer_id) for customer_id in list(self.present)]

    def _farewell(self, customer_id: CustomerId) -> Sighting:
        seen = self.present.pop(customer_id)
        return self._sighting(customer_id, seen.kind, seen.told_until, seen.until, left=True)

    def _sighting(
        self,
        customer_id: CustomerId,
        kind: IdentityKind,
        since: Instant,
        until: Instant,
        *,
        left: bool = False,
    ) -> Sighting:
        return Sighting(
            site_id=self.place.site_id,
            camera_id=self.place.camera_id,
            customer_id=customer_id,
            kind=kind,
            since=since,
            until=until,
            left=left,
        )
