"""Spans of a report by the shop's clock: hours, days, weeks and months."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from trinetra.events.derivation import Span
from trinetra.events.figures import Granularity
from trinetra.events.rollups import Grain, bucket_start
from trinetra.values import Instant

_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
_GRAINS = {"minute": Grain.MINUTE, "hour": Grain.HOUR}
MONDAY, SUNDAY = 0, 6


def midnight(day: date, zone: ZoneInfo) -> Instant:
    """Return the start of a day of the shop's clock, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def spans_of(
    span: Span, granularity: Granularity, zone: ZoneInfo, week_begins: int = MONDAY
) -> list[Span]:
    """Return the parts of a span, in order; those at its ends may be cut off.

    ``week_begins`` is the first day of the week, 0 for Monday.
    """
    if granularity == "range":
        return [span]
    starts = [span.start, *_starts_in(span, granularity, zone, week_begins)]
    return [Span(a, b) for a, b in zip(starts, [*starts[1:], span.end], strict=True) if a < b]


def grain_of(spans: list[Span], zone: ZoneInfo) -> Grain:
    """Return the coarsest grain whose buckets do not cross the edges of any of these spans."""
    edges = {edge for span in spans for edge in span}
    for grain in (Grain.DAY, Grain.HOUR):
        if all(bucket_start(edge, grain, zone) == edge for edge in edges):
            return grain
    return Grain.MINUTE


def _starts_in(
    span: Span, granularity: Granularity, zone: ZoneInfo, week_begins: int
) -> Iterator[Instant]:
    """Yield the starts of the parts after the first one."""
    if step := _STEPS.get(granularity):
        grain = _GRAINS[granularity]
        at = bucket_start(span.start, grain, zone)
        while (at := bucket_start(at + step, grain, zone)) < span.end:
            yield at
        return
    day = span.start.astimezone(zone).date()
    while (at := midnight(day := day + timedelta(days=1), zone)) < span.end:
        if granularity == "day" or _begins(day, granularity, week_begins):
            yield at


def _begins(day: date, granularity: Granularity, week_begins: int) -> bool:
    return day.day == 1 if granularity == "month" else day.weekday() == week_begins
