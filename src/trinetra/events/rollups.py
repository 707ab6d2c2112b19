"""Cells and buckets: the additive parts of figures, and the spans of time that sum them.

A metric turns each insight into cells. The store adds them up per minute, hour, day and month, and
subtracts the cells of an insight that is corrected, so that every sum equals that of the insights
on record. Values are whole numbers, hence sums are exact in any order.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from trinetra.events.schema import InsightEvent
from trinetra.values import Instant, microseconds

_HOUR_S = 3600
_MINUTE_S = 60


class Cell(NamedTuple):
    """What one insight adds to one series: ``value`` is a count, milliseconds or minor currency.

    ``place`` is a line, zone, till or camera, as ``camera/id`` or ``id``, and "" for the site.
    ``bin`` distinguishes the bins of a histogram, see ``insights/metrics/histogram.py``.
    """

    series: str
    place: str
    at: Instant
    value: int
    bin: int = 0


class Grain(IntEnum):
    """Length of a bucket. Hours, days and months are those of the shop's clock."""

    MINUTE = 0
    HOUR = 1
    DAY = 2
    MONTH = 3


_INTO_NEXT_S = {
    Grain.MINUTE: _MINUTE_S,
    Grain.HOUR: _HOUR_S,
    Grain.DAY: 26 * _HOUR_S,
    Grain.MONTH: 32 * 24 * _HOUR_S,
}
"""From the start of a bucket this leads into the next one, also on a day of 25 hours."""


class RollupRules(NamedTuple):
    """How insights become cells; ``version`` changes with any definition in it."""

    cells_of: Callable[[InsightEvent], Iterable[Cell]]
    version: str


class BucketSum(NamedTuple):
    """Sum of a series over one bucket, which starts at ``start``.

    ``change`` is the number of the store's write that changed it last: later ones are higher.
    """

    series: str
    place: str
    grain: Grain
    start: Instant
    bin: int
    value: int
    change: int


class PartSum(NamedTuple):
    """Sums of a series over one of several spans, by its number; ``bins`` are the sums by bin.

    ``place`` is "" for all places together.
    """

    part: int
    series: str
    place: str
    bins: Mapping[int, int]


def bucket_start(at: Instant, grain: Grain, zone: ZoneInfo) -> Instant:
    """Return the start of the bucket that contains an instant, in UTC.

    A day begins at midnight of the shop's clock and has 23 or 25 hours when that is changed. Hours
    are counted from midnight: one that the clock shows twice is two buckets, and where clocks are
    changed by half an hour, the last one of that day is shorter.
    """
    at_s = microseconds(at) // 1_000_000
    return datetime.fromtimestamp(bucket_start_s(at_s, grain, zone), UTC)


def bucket_start_s(at_s: int, grain: Grain, zone: ZoneInfo) -> int:
    """Return ``bucket_start`` in whole seconds since 1970."""
    if grain is Grain.MINUTE:
        return at_s - at_s % _MINUTE_S
    # All UTC offsets, and so all changes of the clock, are whole multiples of a quarter hour today;
    # cached per quarter, this is not computed for each of many insights.
    return _starts(at_s // 900, zone)[grain - 1]


def next_start_s(start_s: int, grain: Grain, zone: ZoneInfo) -> int:
    """Return the start of the bucket that follows the one with this start."""
    return bucket_start_s(start_s + _INTO_NEXT_S[grain], grain, zone)


@lru_cache(maxsize=16_384)  # more than the hours of a year
def _starts(quarter: int, zone: ZoneInfo) -> tuple[int, int, int]:
    """Return the starts of the hour, day and month that contain a quarter hour."""
    local = datetime.fromtimestamp(quarter * 900, zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    day_s = int(midnight.timestamp())
    hour_s = quarter * 900 - (quarter * 900 - day_s) % _HOUR_S
    return hour_s, day_s, int(midnight.replace(day=1).timestamp())
