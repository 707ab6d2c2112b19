"""The active identity registry: who was seen where and when, lately.

In memory, bounded, and forgetful: an identity that was not seen for ``ttl_s`` is evicted, and when
the registry is full the one seen longest ago gives way. Time is captured_at throughout.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from trinetra.identities.topology import Sighting
from trinetra.identities.transitions import TransitionTimes
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
    """Every identity on site, ordered by when it was last heard of.

    ``times`` learns how long they take from one view to the next.
    """

    ttl_s: float = 1800.0
    max_identities: int = 50_000
    stretch_gap_s: float = 10.0
    times: TransitionTimes = field(default_factory=TransitionTimes)
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
        if known is None or self._apart_s(known, sighting) > self.stretch_gap_s:
            self._learn(presence, sighting)
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

    def join(self, gone: CustomerId, into: CustomerId) -> None:
        """Note that two identities are one person: all that was seen is of ``into``."""
        presence = self._active.pop(gone, None)
        if presence is not None:
            known = self._active.get(into)
            kind = known.kind if known else presence.kind
            for sighting in presence.sightings.values():
                self.see(into, kind, sighting)

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

    def _learn(self, presence: Presence, arrived: Sighting) -> None:
        """Learn from somebody's way here from where they were last, if they came from elsewhere."""
        before = [s for s in presence.sightings.values() if s.last_at < arrived.first_at]
        if before:
            last = max(before, key=lambda s: s.last_at)
            gone_s = seconds_between(last.last_at, arrived.first_at)
            self.times.learn(last.camera_id, arrived.camera_id, gone_s)

    def _apart_s(self, known: Sighting, new: Sighting) -> float:
        """Return the seconds between two stretches, negative where they overlap."""
        return max(
            seconds_between(known.last_at, new.first_at),
            seconds_between(new.last_at, known.first_at),
        )

    def _extended(self, known: Sighting | None, new: Sighting) -> Sighting:
        """Join stretches that touch; of two apart the later one counts."""
        if known is None:
            return new
        if self._apart_s(known, new) > self.stretch_gap_s:
            return max(known, new, key=lambda s: s.last_at)
        return known.joined(new)
