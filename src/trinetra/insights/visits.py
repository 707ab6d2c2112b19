"""Visits: a customer's presence at the site, over all cameras, from first to last sighting.

Sightings may arrive out of order between cameras: a visit grows at both ends. An absence of more
than ``visit_gap_s`` starts the next visit. A sighting that lies before the known visit by more than
that belongs to a visit already on record, as when a log is replayed, and changes nothing.

A customer the book does not know is ``unfamiliar``: look up the last visit on record and
``restore`` it before stepping, so that visits keep their numbers and ids over restarts.
"""

from dataclasses import dataclass, field

import msgspec

from trinetra.events.schema import Visit
from trinetra.insights.continuity import Name
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    Instant,
    SiteId,
    derive_id,
    seconds_between,
)

COUNTED_KINDS = frozenset({IdentityKind.ANONYMOUS, IdentityKind.ENROLLED})
"""Staff are at work and a watchlist is the alerts' business: neither visits."""


@dataclass(slots=True)
class _Entry:
    """The visit as it stands, and its end as last reported (None: not reported)."""

    visit: Visit
    reported_until: Instant | None = None
    dirty: bool = False


@dataclass(slots=True)
class VisitBook:
    """The visits that go on at one site."""

    site_id: SiteId
    gap_s: float
    resend_s: float
    visits_begun: int = 0
    _entries: dict[CustomerId, _Entry] = field(default_factory=dict)
    _now: Instant | None = None

    def is_unfamiliar(self, name: Name) -> bool:
        """Return whether the last visit of someone must be looked up before the next step."""
        return name.kind in COUNTED_KINDS and name.customer_id not in self._entries

    def restore(self, visit: Visit) -> None:
        """Take a visit from the record; it goes on if the gap allows, else the next one follows."""
        self._entries.setdefault(visit.customer_id, _Entry(visit, visit.captured_at))

    def step(self, name: Name, camera_id: CameraId, since: Instant, until: Instant) -> list[Visit]:
        """Note that someone was in view from ``since`` to ``until``; return visits to report."""
        self._now = max(until, self._now or until)
        if name.kind not in COUNTED_KINDS:
            return []
        entry = self._entries.get(name.customer_id)
        if entry is None:
            return self._begin(name, camera_id, since, until, number=1)
        if seconds_between(until, entry.visit.started_at) > self.gap_s:
            return []
        if seconds_between(entry.visit.captured_at, since) > self.gap_s:
            last = self._report(entry) if entry.dirty else []
            number = entry.visit.visit_number + 1
            return last + self._begin(name, camera_id, since, until, number=number)
        self._extend(entry, name, camera_id, since, until)
        return self._report(entry) if self._has_grown(entry) else []

    def finish(self) -> list[Visit]:
        """Return the final state of visits that ended and forget them; call once a batch."""
        over = [c for c, e in self._entries.items() if self._is_over(e)]
        entries = [self._entries[customer] for customer in over]
        reports = [visit for entry in entries if entry.dirty for visit in self._report(entry)]
        for customer in over:
            del self._entries[customer]
        return reports

    def flush(self) -> list[Visit]:
        """Return every visit that grew since it was last reported."""
        return [v for entry in self._entries.values() if entry.dirty for v in self._report(entry)]

    @property
    def present(self) -> int:
        """How many visits are not over."""
        return len(self._entries)

    def _begin(
        self, name: Name, camera_id: CameraId, since: Instant, until: Instant, *, number: int
    ) -> list[Visit]:
        # The number, not the start, makes the id: a start may still move back.
        event_id = EventId(derive_id("visit", self.site_id, name.customer_id, number))
        visit = Visit(
            event_id=event_id,
            site_id=self.site_id,
            camera_id=camera_id,
            captured_at=until,
            customer_id=name.customer_id,
            kind=name.kind,
            started_at=since,
            cameras=(camera_id,),
            visit_number=number,
        )
        self.visits_begun += 1
        self._entries[name.customer_id] = entry = _Entry(visit)
        return self._report(entry)

    @staticmethod
    def _extend(
        entry: _Entry, name: Name, camera_id: CameraId, since: Instant, until: Instant
    ) -> None:
        visit = entry.visit
        is_new_start = since < visit.started_at
        cameras = visit.cameras if camera_id in visit.cameras else (*visit.cameras, camera_id)
        entry.visit = msgspec.structs.replace(
            visit,
            camera_id=camera_id if is_new_start else visit.camera_id,
            captured_at=max(visit.captured_at, until),
            started_at=min(visit.started_at, since),
            cameras=cameras,
            kind=name.kind,
        )
        entry.dirty = entry.dirty or entry.visit != visit

    def _has_grown(self, entry: _Entry) -> bool:
        until = entry.reported_until
        return until is None or seconds_between(until, entry.visit.captured_at) >= self.resend_s

    def _is_over(self, entry: _Entry) -> bool:
        now = self._now
        return now is not None and seconds_between(entry.visit.captured_at, now) > self.gap_s

    @staticmethod
    def _report(entry: _Entry) -> list[Visit]:
        entry.reported_until, entry.dirty = entry.visit.captured_at, False
        return [entry.visit]
