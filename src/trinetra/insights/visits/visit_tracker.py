"""Visit tracker: a customer's presence at the site, over all cameras, first to last sighting.

Sightings of one customer may arrive from different cameras in any order: a visit grows at both
ends, and its content depends on the set of sightings, not on their order. An absence of more than
``gap_s`` starts the next visit. A sighting that precedes the current visit by more than that
belongs to a visit already on record, as when a log is replayed, and changes nothing.

For a customer unknown to the tracker, look up the last visit on record and ``meet`` the customer
with it before stepping, so that visits keep their numbers and ids across restarts.
"""

from dataclasses import dataclass, field

import msgspec

from trinetra.events.schema import Visit
from trinetra.events.sightings import Sighting
from trinetra.insights.camera.presence import COUNTED_KINDS
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    Instant,
    SiteId,
    after,
    derive_id,
    seconds_between,
)


class Presence(msgspec.Struct, array_like=True):
    """The current state of one visit, and its end as last reported (None: not reported).

    ``started`` is the first sighting; of simultaneous ones, that of the first camera by name.
    ``cameras`` are those known from the record, ``seen`` those that have seen the customer since,
    with the time of the first sighting.
    """

    kind: IdentityKind
    kind_at: Instant
    started: tuple[Instant, CameraId]
    until: Instant
    seen: dict[CameraId, Instant]
    cameras: tuple[CameraId, ...] = ()
    reported_until: Instant | None = None
    has_grown: bool = False


class CustomerVisits(msgspec.Struct, array_like=True):
    """A customer's last visit and its number; None and 0 if there was none.

    ``awaited_to`` is the offset of the last sighting that was read but may not be stepped yet: up
    to there the customer must not be dropped.
    """

    number: int = 0
    visit: Presence | None = None
    awaited_to: int = -1


def visits_on_record(visit: Visit | None) -> CustomerVisits:
    """Return the state of a customer whose last visit on record is this one."""
    if visit is None:
        return CustomerVisits()
    presence = Presence(
        kind=visit.kind,
        kind_at=visit.captured_at,
        started=(visit.started_at, visit.camera_id),
        until=visit.captured_at,
        seen={},
        cameras=visit.cameras,
        reported_until=visit.captured_at,
    )
    return CustomerVisits(visit.visit_number, presence)


@dataclass(slots=True)
class VisitTracker:
    """The ongoing visits at one site, of some of its customers.

    ``now`` is the latest sighting of any customer: captured time, not a clock, decides when an
    absence has ended a visit, so that a replay yields the same visits.
    """

    site_id: SiteId
    gap_s: float
    resend_s: float
    customers: dict[CustomerId, CustomerVisits] = field(default_factory=dict)
    now: Instant | None = None
    _over: set[CustomerId] = field(default_factory=set)
    _next_end: Instant | None = None

    def meet(self, customer_id: CustomerId, visits: CustomerVisits) -> None:
        """Add a customer; the last visit continues if the gap allows, else the next one starts."""
        self.customers[customer_id] = visits
        if visits.visit:
            self.now = max(visits.visit.until, self.now or visits.visit.until)
            self._watch(visits.visit)

    def step(self, sighting: Sighting) -> list[Visit]:
        """Process a sighting; return the visits to report."""
        if sighting.kind not in COUNTED_KINDS:
            return []
        self.now = max(sighting.until, self.now or sighting.until)
        visits = self.customers.setdefault(sighting.customer_id, CustomerVisits())
        reports = self._take(sighting, visits)
        return reports + self._end_others()

    def forget_ended(self, offset: int) -> set[CustomerId]:
        """Drop and return the customers whose visits ended and who are not awaited past ``offset``.

        Their visits must be on record: they are looked up there when the customers return.
        """
        forgotten = {c for c in self._over if self.customers[c].awaited_to <= offset}
        self._over -= forgotten
        for customer_id in forgotten:
            del self.customers[customer_id]
        return forgotten

    def forget(self, customer_id: CustomerId) -> None:
        """Drop an erased customer with the visit."""
        self._over.discard(customer_id)
        del self.customers[customer_id]

    def may_end(self, customer_id: CustomerId, horizon: Instant) -> bool:
        """Return whether a customer may be dropped before ``horizon`` has been reached."""
        visit = self.customers[customer_id].visit
        latest = max(horizon, self.now or horizon)
        return visit is None or seconds_between(visit.until, latest) > self.gap_s

    def flush(self) -> list[Visit]:
        """Return every visit that grew since it was last reported."""
        return [v for c, visits in self.customers.items() for v in self._report_growth(c, visits)]

    def _take(self, sighting: Sighting, visits: CustomerVisits) -> list[Visit]:
        customer_id, visit = sighting.customer_id, visits.visit
        if visit is None:
            return self._begin(sighting, visits)
        # A sighting belongs to a visit on record, starts the next visit, or is folded into this
        # one. Both gaps are measured from the visit's ends, since it may grow at either.
        if seconds_between(sighting.until, visit.started[0]) > self.gap_s:
            return []
        if seconds_between(visit.until, sighting.since) > self.gap_s:
            return self._report_growth(customer_id, visits) + self._begin(sighting, visits)
        self._extend(sighting, visit)
        self._watch_again(customer_id, visit)
        reported = visit.reported_until
        is_due = reported is None or seconds_between(reported, visit.until) >= self.resend_s
        return self._report_growth(customer_id, visits) if is_due or sighting.left else []

    def _begin(self, sighting: Sighting, visits: CustomerVisits) -> list[Visit]:
        visits.number += 1
        visits.visit = Presence(
            kind=sighting.kind,
            kind_at=sighting.until,
            started=(sighting.since, sighting.camera_id),
            until=sighting.until,
            seen={sighting.camera_id: sighting.since},
            has_grown=True,
        )
        self._watch_again(sighting.customer_id, visits.visit)
        return self._report_growth(sighting.customer_id, visits)

    @staticmethod
    def _extend(sighting: Sighting, visit: Presence) -> None:
        camera_id, since = sighting.camera_id, sighting.since
        before = (visit.kind, visit.started, visit.until, _cameras(visit))
        visit.started = min(visit.started, (since, camera_id))
        visit.until = max(visit.until, sighting.until)
        visit.seen[camera_id] = min(since, visit.seen.get(camera_id, since))
        # The kind of the latest sighting wins, whatever the order of arrival.
        if sighting.until >= visit.kind_at:
            visit.kind, visit.kind_at = sighting.kind, sighting.until
        if before != (visit.kind, visit.started, visit.until, _cameras(visit)):
            visit.has_grown = True

    def _report_growth(self, customer_id: CustomerId, visits: CustomerVisits) -> list[Visit]:
        visit = visits.visit
        if visit is None or not visit.has_grown:
            return []
        visit.reported_until, visit.has_grown = visit.until, False
        # The id is derived from the number, not the start: the start may still move back.
        event_id = EventId(derive_id("visit", self.site_id, customer_id, visits.number))
        return [
            Visit(
                event_id=event_id,
                site_id=self.site_id,
                camera_id=visit.started[1],
                captured_at=visit.until,
                customer_id=customer_id,
                kind=visit.kind,
                started_at=visit.started[0],
                cameras=_cameras(visit),
                visit_number=visits.number,
            )
        ]

    def _end_others(self) -> list[Visit]:
        """Return the final state of visits that have ended.

        ``_next_end`` is a lower bound on the next end, so most calls need not look at any visit.
        """
        if self.now is None or self._next_end is None or self.now <= self._next_end:
            return []
        self._next_end = None
        reports: list[Visit] = []
        for customer_id, visits in self.customers.items():
            if visits.visit is None or customer_id in self._over:
                continue
            if seconds_between(visits.visit.until, self.now) > self.gap_s:
                self._over.add(customer_id)
                reports += self._report_growth(customer_id, visits)
            else:
                self._watch(visits.visit)
        return reports

    def _watch_again(self, customer_id: CustomerId, visit: Presence) -> None:
        self._over.discard(customer_id)
        self._watch(visit)

    def _watch(self, visit: Presence) -> None:
        ends_at = after(visit.until, self.gap_s)
        self._next_end = min(ends_at, self._next_end or ends_at)


def _cameras(visit: Presence) -> tuple[CameraId, ...]:
    """Return the cameras of a visit in the order in which they first saw the customer."""
    later = sorted((since, camera) for camera, since in visit.seen.items())
    return (*visit.cameras, *(c for _, c in later if c not in visit.cameras))
