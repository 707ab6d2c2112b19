"""Active identity registry: recent sightings of every identity on site.

In memory and bounded: an identity that was not seen for ``ttl_s`` is evicted, and when the registry
is full the least recently seen one is evicted, to a resolution of one second. All times are
captured_at; they may run backwards, and sightings may arrive late and in any order.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from trinetra.identities.gate.topology import Sighting, gap_s
from trinetra.identities.gate.transition_times import TransitionTimes
from trinetra.values import (
    EPOCH,
    CameraId,
    CustomerId,
    IdentityKind,
    Instant,
    after,
    seconds_between,
)


@dataclass(slots=True)
class Presence:
    """One active identity: its last segment of time in each camera's view.

    ``since`` is when it was first seen without having been forgotten in between.
    """

    customer_id: CustomerId
    kind: IdentityKind
    seen_at: Instant
    since: Instant
    sightings: dict[CameraId, Sighting] = field(default_factory=dict)


@dataclass(slots=True)
class _Wheel:
    """Identities by the second in which they were last seen.

    Insertion and removal take constant time, independent of the number of identities (G. Varghese,
    T. Lauck: Hashed and hierarchical timing wheels, 1987).
    """

    slots: dict[int, dict[CustomerId, None]] = field(default_factory=dict)
    _order: list[int] = field(default_factory=list)

    def put(self, customer_id: CustomerId, seen_at: Instant) -> None:
        second = _second(seen_at)
        slot = self.slots.get(second)
        if slot is None:
            slot = self.slots[second] = {}
            heapq.heappush(self._order, second)
            if len(self._order) > 2 * len(self.slots) + 64:  # most belong to removed slots
                self._order = sorted(self.slots)
        slot[customer_id] = None

    def take(self, customer_id: CustomerId, seen_at: Instant) -> None:
        second = _second(seen_at)
        slot = self.slots[second]
        del slot[customer_id]
        if not slot:
            del self.slots[second]

    def oldest(self) -> CustomerId:
        while self._order[0] not in self.slots:
            heapq.heappop(self._order)
        return next(iter(self.slots[self._order[0]]))

    def outside(self, begin: Instant, end: Instant) -> Iterator[CustomerId]:
        """Yield the identities of all seconds that do not lie entirely within a time span."""
        first, last = _second(begin) + 1, _second(end) - 1
        for second in [second for second in self.slots if not first <= second <= last]:
            yield from tuple(self.slots[second])


def _second(instant: Instant) -> int:
    return (instant - EPOCH).days * 86_400 + (instant - EPOCH).seconds


@dataclass(slots=True)
class ActiveRegistry:
    """All identities on site, ordered by when they were last seen.

    ``times`` learns how long people take from one view to the next.
    """

    ttl_s: float = 1800.0
    max_identities: int = 50_000
    segment_gap_s: float = 10.0
    times: TransitionTimes = field(default_factory=TransitionTimes)
    _active: dict[CustomerId, Presence] = field(default_factory=dict)
    _ages: _Wheel = field(default_factory=_Wheel)

    def __len__(self) -> int:
        return len(self._active)

    def get(self, customer_id: CustomerId) -> Presence | None:
        """Return an identity's presence, or None if it is not on site."""
        return self._active.get(customer_id)

    def see(self, customer_id: CustomerId, kind: IdentityKind, sighting: Sighting) -> None:
        """Record that an identity was in a camera's view, at an instant or over a segment.

        Recording the same sighting again changes nothing.
        """
        presence = self._active.get(customer_id)
        if presence is None:
            presence = Presence(customer_id, kind, sighting.last_at, sighting.first_at)
            self._active[customer_id] = presence
            self._ages.put(customer_id, sighting.last_at)
        presence.kind, presence.since = kind, min(presence.since, sighting.first_at)
        self._grow_younger(presence, sighting.last_at)
        known = presence.sightings.get(sighting.camera_id)
        # Learn only from arrivals: frames within one segment are no walk from another view.
        if known is None or seconds_between(known.last_at, sighting.first_at) > self.segment_gap_s:
            self._learn(presence, sighting)
        presence.sightings[sighting.camera_id] = self._extended(known, sighting)
        while len(self._active) > self.max_identities:
            self.forget(self._ages.oldest())

    def elsewhere(self, customer_id: CustomerId, camera_id: CameraId) -> Iterable[Sighting]:
        """Return an identity's sightings by other cameras within the time to live."""
        presence = self._active.get(customer_id)
        if presence is None:
            return ()
        return [s for camera, s in presence.sightings.items() if camera != camera_id]

    def always_present(self, least_s: float) -> list[Presence]:
        """Return the identities that have been on site for so long without an absence."""
        return [
            presence
            for presence in self._active.values()
            if seconds_between(presence.since, presence.seen_at) >= least_s
        ]

    def join(self, erased: CustomerId, into: CustomerId) -> None:
        """Move all sightings of a merged identity ``gone`` to the survivor ``into``."""
        presence = self._active.get(erased)
        if presence is not None:
            self.forget(erased)
            known = self._active.get(into)
            since = presence.since
            kind = known.kind if known else presence.kind
            for sighting in presence.sightings.values():
                self.see(into, kind, sighting)
            joined = self._active[into]
            joined.since = min(joined.since, since)

    def forget(self, customer_id: CustomerId) -> None:
        """Remove an identity at once."""
        presence = self._active.pop(customer_id, None)
        if presence is not None:
            self._ages.take(customer_id, presence.seen_at)

    def retract(self, camera_id: CameraId, since: Instant) -> None:
        """Drop a camera's sightings later than ``since``, at which a new session of it began.

        Their clock was set back since. It will show the same times again, and then they would prove
        that a person who is elsewhere is at that camera.
        """
        for presence in list(self._active.values()):
            known = presence.sightings.get(camera_id)
            if known is None or known.last_at <= since:
                continue
            del presence.sightings[camera_id]
            self._ages.take(presence.customer_id, presence.seen_at)
            if presence.sightings:
                presence.seen_at = max(s.last_at for s in presence.sightings.values())
                self._ages.put(presence.customer_id, presence.seen_at)
            else:
                del self._active[presence.customer_id]

    def forget_all(self, is_erased: Callable[[CustomerId], bool]) -> int:
        """Remove all erased identities; return their number."""
        erased = [customer_id for customer_id in self._active if is_erased(customer_id)]
        for customer_id in erased:
            self.forget(customer_id)
        return len(erased)

    def evict(self, now: Instant) -> int:
        """Remove identities not seen within ``ttl_s`` of ``now``; return their number.

        Also evicts entries dated in the future by more than that: a fast clock wrote them and was
        corrected since, and they would otherwise never expire.
        """
        begin, end = after(now, -self.ttl_s), after(now, self.ttl_s)
        expired = [
            customer_id
            for customer_id in self._ages.outside(begin, end)
            if not begin <= self._active[customer_id].seen_at <= end
        ]
        for customer_id in expired:
            self.forget(customer_id)
        return len(expired)

    def _grow_younger(self, presence: Presence, seen_at: Instant) -> None:
        if seen_at > presence.seen_at:
            self._ages.take(presence.customer_id, presence.seen_at)
            self._ages.put(presence.customer_id, seen_at)
            presence.seen_at = seen_at

    def _learn(self, presence: Presence, arrived: Sighting) -> None:
        """Learn the transition time from the identity's last view to the one it arrived in."""
        before = [s for s in presence.sightings.values() if s.last_at < arrived.first_at]
        if before:
            last = max(before, key=lambda s: s.last_at)
            gone_s = seconds_between(last.last_at, arrived.first_at)
            self.times.learn(last.camera_id, arrived.camera_id, gone_s)

    def _extended(self, known: Sighting | None, new: Sighting) -> Sighting:
        """Join segments that touch; of two separate ones keep the later."""
        if known is None:
            return new
        if gap_s(known, new) > self.segment_gap_s:
            return max(known, new, key=lambda s: s.last_at)
        return known.joined(new)
