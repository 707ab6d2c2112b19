"""The active identity registry: who was seen where and when, lately.

In memory, bounded, and forgetful: an identity that was not seen for ``ttl_s`` is evicted, and when
the registry is full the one seen longest ago gives way. Time is captured_at throughout.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from trinetra.identities.topology import Sighting
from trinetra.values import CameraId, CustomerId, IdentityKind, Instant, seconds_between


@dataclass(slots=True)
class Presence:
    """One active identity: its last stretch of time in each camera's view."""

    customer_id: CustomerId
    kind: IdentityKind
    seen_at: Instant
    sightings: dict[CameraId, Sighting] = field(default_factory=dict)


@dataclass(slots=True)
class ActiveRegistry:
    """Every identity on site, ordered by when it was last heard of."""

    ttl_s: float = 1800.0
    max_identities: int = 50_000
    stretch_gap_s: float = 10.0
    _active: OrderedDict[CustomerId, Presence] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._active)

    def get(self, customer_id: CustomerId) -> Presence | None:
        """Return an identity's presence, or None when it is not on site."""
        return self._active.get(customer_id)

    def see(self, customer_id: CustomerId, kind: IdentityKind, sighting: Sighting) -> None:
        """Note that an identity was in a camera's view, at one instant or over a stretch."""
        presence = self._active.pop(customer_id, None)
        if presence is None:
            presence = Presence(customer_id, kind, sighting.last_at)
        presence.kind = kind
        presence.seen_at = max(presence.seen_at, sighting.last_at)
        known = presence.sightings.get(sighting.camera_id)
        presence.sightings[sighting.camera_id] = self._extended(known, sighting)
        self._active[customer_id] = presence
        while len(self._active) > self.max_identities:
            self._active.popitem(last=False)

    def elsewhere(self, customer_id: CustomerId, camera_id: CameraId) -> Iterable[Sighting]:
        """Return where else an identity was seen within the time to live."""
        presence = self._active.get(customer_id)
        if presence is None:
            return ()
        return [s for camera, s in presence.sightings.items() if camera != camera_id]

    def forget(self, customer_id: CustomerId) -> None:
        """Remove an identity at once."""
        self._active.pop(customer_id, None)

    def evict(self, now: Instant) -> int:
        """Remove what was not seen for ``ttl_s`` of captured time; return how many."""
        expired = 0
        while self._active:
            oldest = next(iter(self._active.values()))
            if seconds_between(oldest.seen_at, now) <= self.ttl_s:
                break
            self._active.popitem(last=False)
            expired += 1
        return expired

    def _extended(self, known: Sighting | None, new: Sighting) -> Sighting:
        """Join stretches that touch; of two apart the later one counts."""
        if known is None:
            return new
        apart_s = max(
            seconds_between(known.last_at, new.first_at),
            seconds_between(new.last_at, known.first_at),
        )
        if apart_s > self.stretch_gap_s:
            return max(known, new, key=lambda s: s.last_at)
        first, last = min(known.first_at, new.first_at), max(known.last_at, new.last_at)
        return Sighting(new.camera_id, first, last)
