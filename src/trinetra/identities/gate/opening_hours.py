"""When a shop is open, by its own clock."""

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
    """One opening of a day of the week (0 is Monday), in minutes after its midnight.

    ``closes_min`` lies beyond 24 hours where the shop closes after midnight.
    """

    weekday: int
    opens_min: int
    closes_min: int


@dataclass(frozen=True)
class OpeningHours:
    """Every opening of a week, in a time zone."""

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
        """Return when the opening that ``at`` lies in ends; None where the shop is closed."""
        ends = [closes for opens, closes in self._around(at) if opens <= at < closes]
        return max(ends, default=None)

    def _around(self, at: datetime) -> Sequence[tuple[datetime, datetime]]:
        """Return the openings that began on this day or the day before."""
        today = datetime.combine(at.date(), time(), self._zone)
        return [
            (_clock(day, span.opens_min), _clock(day, span.closes_min))
            for day in (today, today - timedelta(days=1))
            for span in self.spans
            if span.weekday == day.weekday()
        ]


def _clock(day: datetime, minutes: int) -> datetime:
    """Return what the wall clock shows so many minutes after midnight; it may change in between."""
    days, rest = divmod(minutes, _DAY_MIN)
    return day.replace(hour=rest // 60, minute=rest % 60) + timedelta(days=days)
