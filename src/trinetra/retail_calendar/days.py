"""Days, weeks and months by the clock of a shop.

A day lasts from midnight to midnight of the shop's clock: 23 or 25 hours when the clock is changed.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from trinetra.values import Instant

DAYS_OF_WEEK = 7
_DECEMBER = 12


class FirstDay(IntEnum):
    """Day on which a week begins, numbered as by ``date.weekday``."""

    MONDAY = 0
    SUNDAY = 6


class Dates(NamedTuple):
    """Consecutive days, both ends included."""

    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        """Yield the days in order."""
        return (self.first + timedelta(days=n) for n in range(self.number))

    @property
    def number(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1

    def shifted(self, days: int) -> "Dates":
        """Return as many days, some days later."""
        shift = timedelta(days=days)
        return Dates(self.first + shift, self.last + shift)


def local_day(instant: Instant, zone: ZoneInfo) -> date:
    """Return the day of the shop's clock that contains an instant."""
    return instant.astimezone(zone).date()


def span_of(days: Dates, zone: ZoneInfo) -> tuple[Instant, Instant]:
    """Return the half-open span of days, in UTC."""
    return _at(days.first, time(), zone), _at(days.last + timedelta(days=1), time(), zone)


def span_until(day: date, until: time, zone: ZoneInfo) -> tuple[Instant, Instant]:
    """Return the span of a day up to a time of the shop's clock, in UTC.

    It compares a day that goes on with the same part of another.
    """
    start, end = span_of(Dates(day, day), zone)
    return start, max(start, min(end, _at(day, until, zone)))


def week_of(day: date, first: FirstDay) -> Dates:
    """Return the week that contains a day."""
    start = day - timedelta(days=(day.weekday() - first) % DAYS_OF_WEEK)
    return Dates(start, start + timedelta(days=DAYS_OF_WEEK - 1))


def month_of(day: date) -> Dates:
    """Return the calendar month that contains a day."""
    first = day.replace(day=1)
    is_december = day.month == _DECEMBER
    following = date(day.year + is_december, 1 if is_december else day.month + 1, 1)
    return Dates(first, following - timedelta(days=1))


def _at(day: date, clock: time, zone: ZoneInfo) -> Instant:
    """Return the instant of a time of day in UTC.

    Of a time that the clock shows twice it is the first. One that is skipped is read with the
    offset from before the change (PEP 495): midnight is then the instant of the change itself.
    """
    return datetime.combine(day, clock, zone).astimezone(UTC)
