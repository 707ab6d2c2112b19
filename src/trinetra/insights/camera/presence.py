"""Presence of customers in one camera's view, published as a few sightings.

Visits span cameras, and the cameras that see one customer may belong to several engines. Each
therefore publishes sightings, but not for every frame: one when the customer appears, then whenever
the segment in view has grown by ``resend_s``, when its start turns out to be earlier, and a last
one when the customer was not seen for ``absent_after_s``. The sightings of one segment join without
a gap, so that a visit built from them equals the visit built from every frame.
"""

from dataclasses import dataclass, field

import msgspec

from trinetra.events.sightings import Sighting
from trinetra.insights.camera.reports import Place
from trinetra.insights.camera.track_stitching import Name
from trinetra.values import CustomerId, IdentityKind, Instant, seconds_between

COUNTED_KINDS = frozenset({IdentityKind.ANONYMOUS, IdentityKind.ENROLLED, IdentityKind.VIP})
"""Kinds with visits: staff are at work, and people on the watchlist are handled by alerts."""


class Presence(msgspec.Struct, array_like=True):
    """One customer's segment in view, and the end that was reported last."""

    kind: IdentityKind
    since: Instant
    until: Instant
    reported_until: Instant


@dataclass(slots=True)
class PresenceTracker:
    """The customers in view of one camera."""

    place: Place
    resend_s: float
    absent_after_s: float
    present: dict[CustomerId, Presence] = field(default_factory=dict)

    def see(self, name: Name, since: Instant, until: Instant) -> list[Sighting]:
        """Record that a customer was in view from ``since`` to ``until``; return new sightings."""
        if name.kind not in COUNTED_KINDS:
            return []
        presence = self.present.get(name.customer_id)
        if presence is None:
            self.present[name.customer_id] = Presence(name.kind, since, until, until)
            return [self._sighting(name.customer_id, name.kind, since, until)]
        is_news = since < presence.since or name.kind != presence.kind
        presence.kind, presence.until = name.kind, max(presence.until, until)
        if not is_news and seconds_between(presence.reported_until, presence.until) < self.resend_s:
            return []
        # Starts where the last report ended: consecutive sightings leave no gap to be mistaken for
        # an absence.
        start = min(since, presence.reported_until)
        presence.since, presence.reported_until = min(since, presence.since), presence.until
        return [self._sighting(name.customer_id, name.kind, start, presence.until)]

    def lose(self, now: Instant) -> list[Sighting]:
        """Return the last sightings of customers who are absent, and drop them."""
        absent = [
            customer_id
            for customer_id, presence in self.present.items()
            if seconds_between(presence.until, now) > self.absent_after_s
        ]
        return [self._last_sighting(customer_id) for customer_id in absent]

    def flush(self) -> list[Sighting]:
        """Return the last sightings of all customers in view; for the end of the engine."""
        return [self._last_sighting(customer_id) for customer_id in list(self.present)]

    def _last_sighting(self, customer_id: CustomerId) -> Sighting:
        presence = self.present.pop(customer_id)
        return self._sighting(
            customer_id, presence.kind, presence.reported_until, presence.until, left=True
        )

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
