"""The active identity registry: who was seen where and when, lately.

In memory, bounded, and forgetful: an identity that was not seen for ``ttl_s`` is evicted, and when
the registry is full the one seen longest ago gives way, to the second. Time is captured_at
throughout; it may run backwards, and what was seen may be told late and in any order.
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
    """One active identity: its last stretch of time in each camera's view."""

    customer_id: CustomerId
    kind: IdentityKind
    seen_at: Instant
    sightings: dict[CameraId, Sighting] = field(default_factory=dict)


@dataclass(slots=True)
class _Wheel:
    """Identities by the second they were last seen in; putting and taking do not grow with them.

    After G. Varghese, T. Lauck: Hashed and hierarchical timing wheels, 1987.
    """

    slots: dict[int, dict[CustomerId, None]] = field(default_factory=dict)
    _order: list[int] = field(default_factory=list)

    def put(self, customer_id: CustomerId, seen_at: Instant) -> None:
        second = _second(seen_at)
        slot = self.slots.get(second)
        if slot is None:
            slot = self.slots[second] = {}
            heapq.heappush(self._order, second)
            if len(self._order) > 2 * len(self.slots) + 64:  # most are of slots long empty
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
        """Yield those of the seconds that do not lie wholly within a span of time."""
        first, last = _second(begin) + 1, _second(end) - 1
        for second in [second for second in self.slots if not first <= second <= last]:
            yield from tuple(self.slots[second])


def _second(instant: Instant) -> int:
    return (instant - EPOCH).days * 86_400 + (instant - EPOCH).seconds


@dataclass(slots=True)
class ActiveRegistry:
    """Every identity on site, by when it was last seen.

    ``times`` learns how long they take from one view to the next.
    """

    ttl_s: float = 1800.0
    max_identities: int = 50_000
    stretch_gap_s: float = 10.0
    times: TransitionTimes = field(default_factory=TransitionTimes)
    _active: dict[CustomerId, Presence] = field(default_factory=dict)
    _ages: _Wheel = field(default_factory=_Wheel)

    def __len__(self) -> int:
        return len(self._active)

    def get(self, customer_id: CustomerId) -> Presence | None:
        """Return an identity's presence, or None when it is not on site."""
        return self._active.get(customer_id)

    def see(self, customer_id: CustomerId, kind: IdentityKind, sighting: Sighting) -> None:
        """Note that an identity was in a camera's view, at one instant or over a stretch."""
        presence = self._active.get(customer_id)
        if presence is None:
            presence = Presence(customer_id, kind, sighting.last_at)
            self._active[customer_id] = presence
            self._ages.put(customer_id, sighting.last_at)
        presence.kind = kind
        self._grow_younger(presence, sighting.last_at)
        known = presence.sightings.get(sighting.camera_id)
        if known is None or seconds_between(known.last_at, sighting.first_at) > self.stretch_gap_s:
            self._learn(presence, sighting)
        presence.sightings[sighting.camera_id] = self._extended(known, sighting)
        while len(self._active) > self.max_identities:
            self.forget(self._ages.oldest())

    def elsewhere(self, customer_id: CustomerId, camera_id: CameraId) -> Iterable[Sighting]:
        """Return where else an identity was seen within the time to live."""
        presence = self._active.get(customer_id)
        if presence is None:
            return ()
        return [s for camera, s in presence.sightings.items() if camera != camera_id]

    def join(self, gone: CustomerId, into: CustomerId) -> None:
        """Note that two identities are one person: all that was seen is of ``into``."""
        presence = self._active.get(gone)
        if presence is not None:
            self.forget(gone)
            known = self._active.get(into)
            kind = known.kind if known else presence.kind
            for sighting in presence.sightings.values():
                self.see(into, kind, sighting)

    def forget(self, customer_id: CustomerId) -> None:
        """Remove an identity at once."""
        presence = self._active.pop(customer_id, None)
        if presence is not None:
            self._ages.take(customer_id, presence.seen_at)

    def forget_all(self, is_erased: Callable[[CustomerId], bool]) -> int:
        """Remove everybody who was erased; return how many that were."""
        gone = [customer_id for customer_id in self._active if is_erased(customer_id)]
        for customer_id in gone:
            self.forget(customer_id)
        return len(gone)

    def evict(self, now: Instant) -> int:
        """Remove what was not seen within ``ttl_s`` of captured time; return how many.

        Nor what was seen later than that: there a clock was wrong, and has been set right.
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
        """Learn from somebody's way here from where they were last, if they came from elsewhere."""
        before = [s for s in presence.sightings.values() if s.last_at < arrived.first_at]
        if before:
            last = max(before, key=lambda s: s.last_at)
            gone_s = seconds_between(last.last_at, arrived.first_at)
            self.times.learn(last.camera_id, arrived.camera_id, gone_s)

    def _extended(self, known: Sighting | None, new: Sighting) -> Sighting:
        """Join stretches that touch; of two apart the later one counts."""
        if known is None:
            return new
        if gap_s(known, new) > self.stretch_gap_s:
            return max(known, new, key=lambda s: s.last_at)
        return known.joined(new)
