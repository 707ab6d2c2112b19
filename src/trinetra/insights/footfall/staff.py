"""Staff candidates: customers who behave like staff, proposed to an operator with the reasons.

Nothing follows from a proposal by itself: a customer who works nearby and comes in often would
otherwise vanish from the figures. Enroll a candidate as staff, and all figures leave them out.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from typing import NamedTuple
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
    counted = [visit for visit in visits if visit.kind in COUNTED_KINDS]
    opened = _OpenTime.around(counted, rules.hours) if rules.hours and counted else None
    found: dict[CustomerId, _Presence] = defaultdict(_Presence)
    for visit in counted:
        _add_visit(found[visit.customer_id], visit, rules.zone, opened)
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


class _OpenTime(NamedTuple):
    """The spans in which the shop was open, and how long it was before the end of each one."""

    starts: Sequence[Instant]
    ends: Sequence[Instant]
    until_s: Sequence[float]

    @classmethod
    def around(cls, visits: Sequence[Visit], hours: OpeningHours) -> "_OpenTime":
        """Return the opening times during the visits."""
        first = min(visit.started_at for visit in visits)
        spans = hours.open_spans(first, max(visit.captured_at for visit in visits))
        lengths = (seconds_between(opens, closes) for opens, closes in spans)
        return cls([a for a, _ in spans], [b for _, b in spans], list(accumulate(lengths)))

    def before_s(self, at: Instant) -> float:
        """Return how long the shop was open before an instant."""
        number = bisect_right(self.starts, at)
        if not number:
            return 0.0
        not_yet_s = seconds_between(at, self.ends[number - 1])
        return self.until_s[number - 1] - max(0.0, not_yet_s)


def _add_visit(known: _Presence, visit: Visit, zone: ZoneInfo, opened: _OpenTime | None) -> None:
    start, end = visit.started_at, visit.captured_at
    day = start.astimezone(zone).date()
    present_s = seconds_between(start, end)
    known.visits += 1
    known.present_s[day] += present_s
    if opened is not None:
        known.closed_s[day] += present_s - (opened.before_s(end) - opened.before_s(start))


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
