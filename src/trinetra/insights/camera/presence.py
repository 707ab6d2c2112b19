"""Presence of customers in one camera's view, published as a few sightings.

Visits span cameras, and the cameras that see one customer may belong to several engines. Each
therefore publishes sightings, but not for every frame: one when the customer appears, then whenever
the segment in view has grown by ``resend_s``, when its start turns out to be earlier, and a last
one when the customer was not seen for ``absent_after_s``. The sightings of one segment join without
a gap, so that a visit built from them equals the visit built from every frame.

Each track has segments of its own. When a track turns out to be another person's, its sightings
are withdrawn from one customer and published for the other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from trinetra.events.sightings import Sighting
from trinetra.insights.camera.reports import Place
from trinetra.insights.camera.track_stitching import Name
from trinetra.values import (
    CustomerId,
    IdentityKind,
    Instant,
    TrackId,
    longest,
    seconds_between,
)

COUNTED_KINDS = frozenset({IdentityKind.ANONYMOUS, IdentityKind.ENROLLED, IdentityKind.VIP})
"""Kinds with visits: staff are at work, and people on the watchlist are handled by alerts."""


class Presence(msgspec.Struct, array_like=True):
    """One track of a customer in view, and the end that was reported last.

    ``since`` is when the track began to be this customer. ``has_left`` is true between segments:
    the track was not seen for a while, but its customer may still be corrected. Snapshots of
    earlier versions have one such segment per customer, without ``customer_id``.
    """

    kind: IdentityKind
    since: Instant
    until: Instant
    reported_until: Instant
    customer_id: CustomerId = CustomerId("")
    has_left: bool = False


@dataclass(slots=True)
class PresenceTracker:
    """The customers in view of one camera, by track."""

    place: Place
    resend_s: float
    absent_after_s: float
    present: dict[TrackId, Presence] = field(default_factory=dict)

    def resume(self, present: dict[TrackId, Presence]) -> None:
        """Restore the tracks from a snapshot."""
        for key, presence in present.items():
            presence.customer_id = presence.customer_id or CustomerId(key)
        self.present = present

    def see(self, track_id: TrackId, name: Name, since: Instant, until: Instant) -> list[Sighting]:
        """Record that a track was a customer from ``since`` to ``until``; return new sightings."""
        if name.kind not in COUNTED_KINDS:
            return []
        presence = self.present.get(track_id)
        if presence is None or presence.customer_id != name.customer_id:
            presence = Presence(name.kind, since, until, until, name.customer_id)
            self.present[track_id] = presence
            return [self._sighting(track_id, presence, since)]
        is_news = since < presence.since or name.kind != presence.kind
        if presence.has_left:
            is_news, presence.has_left, presence.reported_until = True, False, since
        presence.kind, presence.until = name.kind, max(presence.until, until)
        if not is_news and seconds_between(presence.reported_until, presence.until) < self.resend_s:
            return []
        # Starts where the last report ended: consecutive sightings leave no gap to be mistaken for
        # an absence.
        start = min(since, presence.reported_until)
        presence.since, presence.reported_until = min(since, presence.since), presence.until
        return [self._sighting(track_id, presence, start)]

    def lose(self, now: Instant) -> list[Sighting]:
        """Return the last sightings of tracks that are absent."""
        oldest = now - longest(self.absent_after_s)
        return self._leave(lambda presence: presence.until < oldest)

    def flush(self) -> list[Sighting]:
        """Return the last sightings of all tracks in view; for the end of the engine."""
        return self._leave(lambda _: True)

    def settle(self, track_id: TrackId) -> None:
        """Leave what was reported of a track as it is, whatever it will be identified as."""
        self.present.pop(track_id, None)

    def correct(
        self, is_known: Callable[[TrackId], bool], name_of: Callable[[TrackId], Name | None]
    ) -> list[Sighting]:
        """Move tracks that turned out to be another person's; return the sightings that tell it.

        Tracks that have left and are no longer known cannot be corrected and are dropped.
        """
        sightings: list[Sighting] = []
        for track_id, presence in list(self.present.items()):
            if is_known(track_id):
                sightings += self._moved(track_id, presence, name_of(track_id))
            elif presence.has_left:
                del self.present[track_id]
        return sightings

    def _moved(self, track_id: TrackId, presence: Presence, name: Name | None) -> list[Sighting]:
        if name and name.customer_id == presence.customer_id and name.kind in COUNTED_KINDS:
            return []
        del self.present[track_id]
        gone = self._sighting(track_id, presence, presence.since, correction="withdrawn")
        again = self.see(track_id, name, presence.since, presence.until) if name else []
        return [gone, *again]

    def cut(self, track_id: TrackId, at: Instant, now: CustomerId | None) -> list[Sighting]:
        """End the presence of the person before a track switched to customer ``now``."""
        presence = self.present.get(track_id)
        if presence is None or presence.customer_id == now:
            return []
        self.settle(track_id)
        if presence.until <= at:
            return []
        if at <= presence.since:
            return [self._sighting(track_id, presence, presence.since, correction="withdrawn")]
        presence.until = at
        return [self._sighting(track_id, presence, presence.since, correction="replaced")]

    def _leave(self, is_absent: Callable[[Presence], bool]) -> list[Sighting]:
        absent = [(t, p) for t, p in self.present.items() if not p.has_left and is_absent(p)]
        for _, presence in absent:
            presence.has_left = True
        return [self._sighting(t, p, p.reported_until, left=True) for t, p in absent]

    def _sighting(
        self,
        track_id: TrackId,
        presence: Presence,
        since: Instant,
        *,
        left: bool = False,
        correction: Literal["replaced", "withdrawn"] | msgspec.UnsetType = msgspec.UNSET,
    ) -> Sighting:
        return Sighting(
            site_id=self.place.site_id,
            camera_id=self.place.camera_id,
            customer_id=presence.customer_id,
            kind=presence.kind,
            since=since,
            until=presence.until,
            left=left,
            track_id=track_id,
            correction=correction,
        )
