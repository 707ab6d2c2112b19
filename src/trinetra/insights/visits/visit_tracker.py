"""Visit tracker: a customer's presence at the site, over all cameras, first to last sighting.

Sightings of one customer may arrive from different cameras in any order: a visit grows at both
ends, and its content depends on the set of sightings, not on their order. An absence of more than
``gap_s`` starts the next visit. A sighting that precedes the current visit by more than that
belongs to a visit already on record, as when a log is replayed, and changes nothing.

The sightings of a track may be corrected later, because it was another person. A visit therefore
keeps the extent of each track for as long as that can happen, and is made anew without the track:
it shrinks, falls apart into two, or is withdrawn.

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
    TrackId,
    after,
    derive_id,
    seconds_between,
)

_Key = tuple[CameraId, TrackId]
_Span = tuple[Instant, Instant]
_SETTLED = TrackId("")


class Presence(msgspec.Struct, array_like=True):
    """The current state of one visit, and its end as last reported (None: not reported).

    ``started`` is the first sighting; of simultaneous ones, that of the first camera by name.
    ``cameras`` are those known from the record, ``seen`` those that have seen the customer since,
    with the time of the first sighting. ``evidence`` has the first and last sighting of each track,
    and under ``_SETTLED`` those of each camera's tracks that can no longer be corrected. Snapshots
    of earlier versions have none.
    """

    kind: IdentityKind
    kind_at: Instant
    started: tuple[Instant, CameraId]
    until: Instant
    seen: dict[CameraId, Instant]
    cameras: tuple[CameraId, ...] = ()
    reported_until: Instant | None = None
    has_grown: bool = False
    evidence: dict[_Key, _Span] = {}
    revision: int = 0


class CustomerVisits(msgspec.Struct, array_like=True):
    """A customer's last visit and its number; None and 0 if there was none.

    ``awaited_to`` is the offset of the last sighting that was read but may not be stepped yet: up
    to there the customer must not be dropped. ``earlier`` is the visit before the last one, which
    is the last again if that one is withdrawn. ``next_revision`` is that of the next visit: above 0
    after its number was withdrawn.
    """

    number: int = 0
    visit: Presence | None = None
    awaited_to: int = -1
    earlier: Presence | None = None
    next_revision: int = 0


def visits_on_record(visit: Visit | None) -> CustomerVisits:
    """Return the state of a customer whose last visit on record is this one."""
    if visit is None:
        return CustomerVisits()
    if visit.withdrawn:
        after_it = (visit.revision or 0) + 1
        return CustomerVisits(visit.visit_number - 1, next_revision=after_it)
    presence = Presence(
        kind=visit.kind,
        kind_at=visit.captured_at,
        started=(visit.started_at, visit.camera_id),
        until=visit.captured_at,
        seen={},
        cameras=visit.cameras,
        reported_until=visit.captured_at,
        revision=visit.revision or 0,
    )
    return CustomerVisits(visit.visit_number, presence)


@dataclass(slots=True)
class VisitTracker:
    """The ongoing visits at one site, of some of its customers.

    ``now`` is the latest sighting of any customer: captured time, not a clock, decides when an
    absence has ended a visit, so that a replay yields the same visits. A track that a camera has
    not seen for ``settled_after_s`` is not corrected any more.
    """

    site_id: SiteId
    gap_s: float
    resend_s: float
    settled_after_s: float = 120.0
    customers: dict[CustomerId, CustomerVisits] = field(default_factory=dict)
    now: Instant | None = None
    _over: set[CustomerId] = field(default_factory=set)
    _next_end: Instant | None = None

    def meet(self, customer_id: CustomerId, visits: CustomerVisits) -> None:
        """Add a customer; the last visit continues if the gap allows, else the next one starts."""
        self.customers[customer_id] = visits
        if visits.visit and not visits.visit.evidence:
            visits.visit.evidence = _evidence_on_record(visits.visit)
        if visits.visit:
            self.now = max(visits.visit.until, self.now or visits.visit.until)
            self._watch(visits.visit)

    def step(self, sighting: Sighting) -> list[Visit]:
        """Process a sighting; return the visits to report."""
        if sighting.kind not in COUNTED_KINDS:
            return []
        self.now = max(sighting.until, self.now or sighting.until)
        visits = self.customers.setdefault(sighting.customer_id, CustomerVisits())
        if sighting.correction:
            reports = self._correct(sighting, visits)
        else:
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
        _extend(sighting, visit)
        self._settle(sighting, visit)
        self._watch_again(customer_id, visit)
        reported = visit.reported_until
        is_due = reported is None or seconds_between(reported, visit.until) >= self.resend_s
        return self._report_growth(customer_id, visits) if is_due or sighting.left else []

    def _begin(self, sighting: Sighting, visits: CustomerVisits) -> list[Visit]:
        span = (sighting.since, sighting.until)
        visit = _made_of({_key(sighting): span}, sighting.kind, sighting.until)
        self._enter(sighting.customer_id, visits, visit)
        return self._report_growth(sighting.customer_id, visits)

    def _enter(self, customer_id: CustomerId, visits: CustomerVisits, visit: Presence) -> None:
        """Make a visit the last one of a customer."""
        visit.revision, visits.next_revision = visits.next_revision, 0
        visits.number, visits.earlier, visits.visit = visits.number + 1, visits.visit, visit
        if visits.earlier:
            visits.earlier.evidence = {}  # what came before the last visit is not corrected
        self._watch_again(customer_id, visit)

    def _settle(self, sighting: Sighting, visit: Presence) -> None:
        """Join the tracks of the sighting's camera that cannot be corrected any more."""
        camera_id = sighting.camera_id
        for key, (since, until) in list(visit.evidence.items()):
            is_old = seconds_between(until, sighting.until) > self.settled_after_s
            if key[0] == camera_id and key[1] != _SETTLED and is_old:
                del visit.evidence[key]
                _add(visit.evidence, (camera_id, _SETTLED), (since, until))

    def _correct(self, sighting: Sighting, visits: CustomerVisits) -> list[Visit]:
        """Make the last visit anew from what remains of its evidence; return the reports."""
        customer_id, visit = sighting.customer_id, visits.visit
        corrected = _corrected_by(sighting, visit) if visit else []
        if visit is None or not corrected:
            return []  # an earlier visit, or sightings that were withdrawn before
        for key in corrected:
            del visit.evidence[key]
        if sighting.correction == "replaced":
            visit.evidence[_key(sighting)] = sighting.since, sighting.until
        parts = _apart(visit.evidence, self.gap_s)
        if not parts:
            return [self._withdraw(customer_id, visits, visit)]
        first, *later = (
            _made_of(part, visit.kind, visit.kind_at, _on_record(visit.cameras, part))
            for part in parts
        )
        first.revision = visit.revision + 1
        visits.visit = first
        self._watch_again(customer_id, first)
        reports = self._report_growth(customer_id, visits)
        for part in later:
            self._enter(customer_id, visits, part)
            reports += self._report_growth(customer_id, visits)
        return reports

    def _withdraw(self, customer_id: CustomerId, visits: CustomerVisits, visit: Presence) -> Visit:
        """Take the last visit back; return the report."""
        visit.revision += 1
        report = self._report(customer_id, visits.number, visit, withdrawn=True)
        visits.number -= 1
        visits.next_revision = visit.revision + 1
        visits.visit, visits.earlier = visits.earlier, None
        if visits.visit:
            visits.visit.evidence = _evidence_on_record(visits.visit)
            self._watch_again(customer_id, visits.visit)
        else:
            self._over.add(customer_id)
        return report

    def _report_growth(self, customer_id: CustomerId, visits: CustomerVisits) -> list[Visit]:
        visit = visits.visit
        if visit is None or not visit.has_grown:
            return []
        visit.reported_until, visit.has_grown = visit.until, False
        return [self._report(customer_id, visits.number, visit)]

    def _report(
        self,
        customer_id: CustomerId,
        number: int,
        visit: Presence,
        *,
        withdrawn: bool | msgspec.UnsetType = msgspec.UNSET,
    ) -> Visit:
        return Visit(
            # Derived from the number, not from the start, which may still move back.
            event_id=EventId(derive_id("visit", self.site_id, customer_id, number)),
            site_id=self.site_id,
            camera_id=visit.started[1],
            captured_at=visit.until,
            customer_id=customer_id,
            kind=visit.kind,
            started_at=visit.started[0],
            cameras=_cameras(visit),
            visit_number=number,
            revision=visit.revision or msgspec.UNSET,
            withdrawn=withdrawn,
        )

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


def _key(sighting: Sighting) -> _Key:
    return sighting.camera_id, sighting.track_id or _SETTLED


def _add(evidence: dict[_Key, _Span], key: _Key, span: _Span) -> None:
    since, until = evidence.get(key, span)
    evidence[key] = min(since, span[0]), max(until, span[1])


def _extend(sighting: Sighting, visit: Presence) -> None:
    camera_id, since = sighting.camera_id, sighting.since
    before = (visit.kind, visit.started, visit.until, _cameras(visit))
    visit.started = min(visit.started, (since, camera_id))
    visit.until = max(visit.until, sighting.until)
    visit.seen[camera_id] = min(since, visit.seen.get(camera_id, since))
    _add(visit.evidence, _key(sighting), (since, sighting.until))
    # The kind of the latest sighting wins, whatever the order of arrival.
    if sighting.until >= visit.kind_at:
        visit.kind, visit.kind_at = sighting.kind, sighting.until
    if before != (visit.kind, visit.started, visit.until, _cameras(visit)):
        visit.has_grown = True


def _made_of(
    evidence: dict[_Key, _Span],
    kind: IdentityKind,
    kind_at: Instant,
    cameras: tuple[CameraId, ...] = (),
) -> Presence:
    """Return the visit that follows from evidence; ``cameras`` are those known from the record."""
    seen: dict[CameraId, Instant] = {}
    for (camera_id, _), (since, _) in evidence.items():
        seen[camera_id] = min(since, seen.get(camera_id, since))
    return Presence(
        kind=kind,
        kind_at=kind_at,
        started=min((since, camera_id) for camera_id, since in seen.items()),
        until=max(until for _, until in evidence.values()),
        seen=seen,
        cameras=cameras,
        has_grown=True,
        evidence=evidence,
    )


def _evidence_on_record(visit: Presence) -> dict[_Key, _Span]:
    """Return the evidence of a visit of which only the extent and the cameras are known."""
    evidence = {(camera_id, _SETTLED): (since, since) for camera_id, since in visit.seen.items()}
    _add(evidence, (visit.started[1], _SETTLED), (visit.started[0], visit.until))
    return evidence


def _corrected_by(sighting: Sighting, visit: Presence) -> list[_Key]:
    """Return the evidence that a correction is about.

    The evidence of a visit on record is not known by track, but what lies within the corrected
    track, at the only camera of the visit, was that track's.
    """
    key, on_record = _key(sighting), (sighting.camera_id, _SETTLED)
    corrected = [key] if key in visit.evidence else []
    if on_record in visit.evidence and _cameras(visit) == visit.cameras == (sighting.camera_id,):
        since, until = visit.evidence[on_record]
        if sighting.since <= since and until <= sighting.until:
            corrected.append(on_record)
    return corrected


def _on_record(cameras: tuple[CameraId, ...], evidence: dict[_Key, _Span]) -> tuple[CameraId, ...]:
    """Return a record's cameras if its extent, which is kept under one of them, is in the evidence.

    The record names its other cameras without their times.
    """
    is_there = any(camera in cameras and track == _SETTLED for camera, track in evidence)
    return cameras if is_there else ()


def _apart(evidence: dict[_Key, _Span], gap_s: float) -> list[dict[_Key, _Span]]:
    """Return evidence in order of time, divided where an absence was longer than the gap."""
    parts: list[dict[_Key, _Span]] = []
    last: Instant | None = None
    for key, (since, until) in sorted(evidence.items(), key=lambda item: (item[1], item[0])):
        if last is None or seconds_between(last, since) > gap_s:
            parts.append({})
        parts[-1][key] = since, until
        last = max(until, last or until)
    return parts
