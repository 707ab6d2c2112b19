"""Staff candidates: customers who behave like staff, proposed to an operator with the reasons.

Nothing follows from a proposal by itself: a customer who works nearby and comes in often would
otherwise vanish from the figures. Enroll a candidate as staff, and all figures leave them out.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

from trinetra.events.schema import Visit, ZoneStay
from trinetra.insights.camera.presence import COUNTED_KINDS
from trinetra.opening_hours import OpeningHours
from trinetra.values import CameraId, CustomerId, IdentityKind, Instant, seconds_between

_CLOSED_S = 600.0
_COUNTER_S = 1200.0
_LONG_S = 4 * 3600.0
_REGULAR_S, _REGULAR_DAYS = 2 * 3600.0, 3
"""Few visits to a shop last hours: for supermarkets, the median is under half an hour."""


@dataclass(frozen=True, slots=True)
class StaffRules:
    """What candidates are looked for by: opening hours, and zones where only staff stand."""

    zone: ZoneInfo
    hours: OpeningHours | None = None
    counters: frozenset[tuple[CameraId, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class StaffCandidate:
    """A customer who may be staff, with the reasons, and what the figures count of them."""

    customer_id: CustomerId
    reasons: tuple[str, ...]
    days: int
    visits: int
    present_s: float


@dataclass(slots=True)
class _Presence:
    """What is known of one customer, in seconds by day of the shop's clock."""

    present_s: dict[date, float] = field(default_factory=lambda: defaultdict(float))
    closed_s: dict[date, float] = field(default_factory=lambda: defaultdict(float))
    counter_s: dict[date, float] = field(default_factory=lambda: defaultdict(float))
    visits: int = 0


def staff_candidates(
    visits: Iterable[Visit], stays: Iterable[ZoneStay], rules: StaffRules
) -> list[StaffCandidate]:
    """Return the candidates, those with the longest presence first; known staff are not among them.

    ``visits`` are those of people, merged identities united.
    """
    found: dict[CustomerId, _Presence] = defaultdict(_Presence)
    for visit in visits:
        if visit.kind in COUNTED_KINDS:
            _add_visit(found[visit.customer_id], visit, rules)
    for stay in stays:
        if (stay.camera_id, stay.zone_id) in rules.counters and stay.customer_id in found:
            day = stay.entered_at.astimezone(rules.zone).date()
            found[stay.customer_id].counter_s[day] += stay.dwell_s
    proposed = (_candidate(customer_id, known) for customer_id, known in found.items())
    return sorted((c for c in proposed if c), key=lambda c: (-c.present_s, c.customer_id))


def without_candidates(
    visits: Iterable[Visit], candidates: Collection[StaffCandidate]
) -> list[Visit]:
    """Return the visits that would count if all candidates were staff."""
    gone = {candidate.customer_id for candidate in candidates}
    return [v for v in visits if v.customer_id not in gone and v.kind is not IdentityKind.STAFF]


def _add_visit(known: _Presence, visit: Visit, rules: StaffRules) -> None:
    start, end = visit.started_at, visit.captured_at
    day = start.astimezone(rules.zone).date()
    known.visits += 1
    known.present_s[day] += seconds_between(start, end)
    if rules.hours is not None:
        known.closed_s[day] += _closed_s(start, end, rules.hours)


def _closed_s(start: Instant, end: Instant, hours: OpeningHours) -> float:
    open_s = sum(seconds_between(a, b) for a, b in hours.open_spans(start, end))
    return seconds_between(start, end) - open_s


def _candidate(customer_id: CustomerId, known: _Presence) -> StaffCandidate | None:
    reasons = tuple(_reasons(known))
    if not reasons:
        return None
    present_s = sum(known.present_s.values())
    return StaffCandidate(customer_id, reasons, len(known.present_s), known.visits, present_s)


def _reasons(known: _Presence) -> Iterable[str]:
    if days := _days_above(known.closed_s, _CLOSED_S):
        longest = max(known.closed_s.values()) / 60
        yield f"present while the shop is closed on {days} day(s), up to {longest:.0f} min"
    if days := _days_above(known.counter_s, _COUNTER_S):
        longest = max(known.counter_s.values()) / 60
        yield f"behind a till on {days} day(s), up to {longest:.0f} min"
    if days := _days_above(known.present_s, _LONG_S):
        longest = max(known.present_s.values()) / 3600
        yield f"present for hours on {days} day(s), up to {longest:.1f} h"
    elif (days := _days_above(known.present_s, _REGULAR_S)) >= _REGULAR_DAYS:
        yield f"present for more than {_REGULAR_S / 3600:.0f} h on {days} days"


def _days_above(by_day: Mapping[date, float], least_s: float) -> int:
    return sum(seconds >= least_s for seconds in by_day.values())
