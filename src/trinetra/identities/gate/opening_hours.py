"""Opening hours of a shop in its local time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from trinetra.values import Instant

_DAYS = 7
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """One opening period on a weekday (0 is Monday), in minutes after midnight.

    ``closes_min`` exceeds 24 hours if the shop closes after midnight.
    """

    weekday: int
    opens_min: int
    closes_min: int


@dataclass(frozen=True)
class OpeningHours:
    """All opening periods of a week, in a time zone."""

    spans: tuple[OpenSpan, ...]
    timezone: str

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def closed_between(self, start: Instant, end: Instant) -> bool:
        """Return whether the shop was closed at any moment from ``start`` to ``end``."""
        at = start.astimezone(self._zone)
        for _ in range(_DAYS * len(self.spans) + 1):
            closes = self._closes_after(at)
            if closes is None:
                return True
            if closes >= end:
                return False
            at = closes
        return False  # open round the clock

    def _closes_after(self, at: datetime) -> datetime | None:
        """Return the end of the opening period that contains ``at``; None if closed then."""
        ends = [closes for opens, closes in self._around(at) if opens <= at < closes]
        return max(ends, default=None)

    def _around(self, at: datetime) -> Sequence[tuple[datetime, datetime]]:
        """Return the opening periods that began on this day or the day before."""
        today = datetime.combine(at.date(), time(), self._zone)
        return [
            (_clock(day, span.opens_min), _clock(day, span.closes_min))
            for day in (today, today - timedelta(days=1))
            for span in self.spans
            if span.weekday == day.weekday()
        ]


def _clock(day: datetime, minutes: int) -> datetime:
    """Return the wall-clock time ``minutes`` after midnight.

    The time of day is replaced rather than added, so that a change to or from daylight saving time
    in between does not shift the result.
    """
    days, rest = divmod(minutes, _DAY_MIN)
    return day.replace(hour=rest // 60, minute=rest % 60) + timedelta(days=days)
