"""Occupancy of the site: how many customers are inside, from passages in and out.

Counts of both directions err, and their difference drifts: with 1 % of 1,000 exits missed, ten
people would stay forever. Three facts hold the drift: the shop is empty at closing, as many people
go out as come in, and no count is negative. Exits are therefore weighted, over a day that is closed
by the ratio of entries to exits of that day, over an open one by that of the last closed day; and
where the sum would fall below zero, it stays at zero (a reflected walk).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, Passage, SiteOccupancy
from trinetra.insights.footfall.groups import counts
from trinetra.opening_hours import OpeningHours
from trinetra.values import CameraId, EventId, Instant, derive_id

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_EMPTY_AT = time(4)
"""A shop without opening hours counts as empty at this time of its clock."""
_LEAST_PASSAGES = 30
_MOST_IMBALANCE = 1.5
"""Beyond this a ratio is no counting error: a door is not seen, or a camera failed."""
_GRACE = timedelta(minutes=30)
"""People may leave for so long after the shop has closed."""


@dataclass(frozen=True, slots=True)
class SiteOccupancies:
    """The derivation of the site's occupancy from passages.

    ``hours`` are the opening hours, None for a shop that is always open.
    """

    zone: ZoneInfo
    hours: OpeningHours | None = None
    name: str = "site_occupancy"
    version: int = 1
    # Coverage tells that time has gone on when no person passes.
    inputs: frozenset[str] = frozenset({"passage", "coverage"})
    outputs: frozenset[str] = frozenset({"site_occupancy"})
    window_s: float = 86_400.0
    margin_s: float = 2 * 86_400.0

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> list[InsightEvent]:
        """Return the occupancies that begin in a span, cut at full hours; none for an empty shop.

        The last one ends at the last instant that is known of.
        """
        passages = [p for p in inputs if isinstance(p, Passage) and counts(p)]
        if not passages:
            return []
        known_until = inputs[-1].captured_at
        whole = Span(span.start - _DAY, span.end + _DAY)
        found: list[InsightEvent] = []
        ratio = 1.0
        for day in _business_days(whole, self.zone, self.hours):
            own = [p for p in passages if day.start <= p.captured_at < day.end]
            is_closed = known_until >= day.end
            ratio = (_ratio(own) if is_closed else None) or ratio
            for start, end, people in _counted(own, ratio, min(day.end, known_until)):
                found += _events(Span(start, end), people, passages[0])
        return [one for one in found if span.start <= one.captured_at < span.end]


def _business_days(span: Span, zone: ZoneInfo, hours: OpeningHours | None) -> Iterator[Span]:
    """Yield spans between instants at which the shop is empty."""
    empty = sorted(_empty_at(span, zone, hours))
    yield from (Span(*edges) for edges in pairwise(empty))


def _empty_at(span: Span, zone: ZoneInfo, hours: OpeningHours | None) -> Iterator[Instant]:
    around = Span(span.start - _DAY, span.end + _DAY)
    if hours is None:
        day = around.start.astimezone(zone).date()
        while (at := datetime.combine(day, _EMPTY_AT, zone).astimezone(UTC)) < around.end:
            yield at
            day += _DAY
        return
    yield from around
    opened = hours.open_spans(*around)
    for (_, closes), (opens, _) in pairwise([*opened, (around.end, around.end)]):
        yield min(closes + _GRACE, opens)


def _ratio(passages: Sequence[Passage]) -> float | None:
    """Return entries by exits of a day, if both were counted well enough."""
    came = sum(p.direction == "in" for p in passages)
    went = len(passages) - came
    if len(passages) < _LEAST_PASSAGES or not went:
        return None
    ratio = came / went
    return ratio if 1 / _MOST_IMBALANCE <= ratio <= _MOST_IMBALANCE else None


def _counted(
    passages: Iterable[Passage], ratio: float, end: Instant
) -> Iterator[tuple[Instant, Instant, int]]:
    """Yield start, end and number of customers inside, where there are any."""
    inside, people, since = 0.0, 0, None
    for passage in passages:
        inside = max(0.0, inside + (1.0 if passage.direction == "in" else -ratio))
        if (now := round(inside)) == people:
            continue
        if people and since is not None:
            yield since, passage.captured_at, people
        people, since = now, passage.captured_at
    if people and since is not None and since < end:
        yield since, end, people


def _events(span: Span, people: int, of: Passage) -> Iterator[SiteOccupancy]:
    """Yield one event for each hour of a span, so that none counts for long after its start."""
    at = span.start
    while at < span.end:
        upto = min(span.end, at.replace(minute=0, second=0, microsecond=0) + _HOUR)
        yield SiteOccupancy(
            event_id=EventId(derive_id("site_occupancy", of.site_id, at)),
            site_id=of.site_id,
            camera_id=CameraId(""),
            captured_at=at,
            until=upto,
            people=people,
        )
        at = upto
