"""Periods of reports and what they are compared with, by the shop's calendar."""

from calendar import monthrange
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from trinetra.events.figures import Granularity
from trinetra.values import Instant

PeriodKind = Literal["day", "week", "month", "range"]
ComparisonName = Literal["previous", "last-week", "last-year"]
COMPARISONS: tuple[ComparisonName, ...] = ("previous", "last-week", "last-year")
_WEEK = timedelta(days=7)
_YEAR = timedelta(days=364)
"""52 weeks: a Saturday is compared with a Saturday."""
_HOURLY_DAYS = 2
_DAILY_DAYS = 92
_WEEKLY_DAYS = 730


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days from ``first`` to ``last`` inclusive, by the clock of ``zone``."""

    kind: PeriodKind
    first: date
    last: date
    zone: ZoneInfo

    @property
    def start(self) -> Instant:
        """Midnight at which the first day begins, in UTC."""
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> Instant:
        """Midnight at which the last day ends, in UTC."""
        return _midnight(self.last + timedelta(days=1), self.zone)

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1

    @property
    def granularity(self) -> Granularity:
        """Length of the rows that suits the length of the period."""
        if self.days <= _HOURLY_DAYS:
            return "hour"
        if self.days <= _DAILY_DAYS:
            return "day"
        return "week" if self.days <= _WEEKLY_DAYS else "month"

    @property
    def title(self) -> str:
        """Name of the kind of report."""
        names = {"day": "Daily", "week": "Weekly", "month": "Monthly", "range": "Custom"}
        return f"{names[self.kind]} report"

    @property
    def dates(self) -> str:
        """The dates in words, such as ``Monday 23 November 2026``."""
        if self.kind == "month":
            return f"{self.first:%B %Y}"
        if self.days == 1:
            return f"{self.first:%A} {self.first.day} {self.first:%B %Y}"
        return f"{_short(self.first, self.last)} – {self.last.day} {self.last:%B %Y}"

    @property
    def file_part(self) -> str:
        """The dates as a part of the name of a file."""
        if self.kind == "month":
            return f"{self.first:%Y-%m}"
        return f"{self.first}" if self.days == 1 else f"{self.first}-to-{self.last}"


def day_of(day: date, zone: ZoneInfo) -> Period:
    """Return a day."""
    return Period("day", day, day, zone)


def week_of(day: date, zone: ZoneInfo) -> Period:
    """Return the week from Monday to Sunday that contains a day."""
    monday = day - timedelta(days=day.weekday())
    return Period("week", monday, monday + timedelta(days=6), zone)


def month_of(day: date, zone: ZoneInfo) -> Period:
    """Return the calendar month that contains a day."""
    last = day.replace(day=monthrange(day.year, day.month)[1])
    return Period("month", day.replace(day=1), last, zone)


def range_of(first: date, last: date, zone: ZoneInfo) -> Period:
    """Return the days from ``first`` to ``last``. Raises ValueError if they are in reverse."""
    if last < first:
        raise ValueError(f"the range ends on {last}, before it begins on {first}")
    return Period("range", first, last, zone)


def last_complete(kind: PeriodKind, today: date, zone: ZoneInfo) -> Period:
    """Return the last day, week or month that is over."""
    if kind == "week":
        return week_of(today - _WEEK, zone)
    if kind == "month":
        return month_of(today.replace(day=1) - timedelta(days=1), zone)
    return day_of(today - timedelta(days=1), zone)


@dataclass(frozen=True, slots=True)
class ComparedPeriod:
    """A period that another one is compared with; ``title`` is the head of its column."""

    name: ComparisonName
    title: str
    period: Period


def compared_with(period: Period) -> Iterator[ComparedPeriod]:
    """Yield the periods to compare with, each once: the week before is also that of last week."""
    yield ComparedPeriod("previous", _before_title(period), _before(period))
    if period.kind == "day":
        title = f"{period.first:%A} last week"
        yield ComparedPeriod("last-week", title, _shifted(period, _WEEK))
    yield ComparedPeriod("last-year", _last_year_title(period), _last_year(period))


def chosen_comparisons(period: Period, names: Collection[str]) -> tuple[ComparedPeriod, ...]:
    """Return the periods to compare with that have these names; all without names."""
    possible = tuple(compared_with(period))
    wanted = set(names)
    if "last-week" in wanted and period.kind == "week":
        wanted.add("previous")
    return tuple(each for each in possible if not wanted or each.name in wanted)


def period_with(
    kind: PeriodKind, first: date | None, last: date | None, today: date, zone: ZoneInfo
) -> Period:
    """Return the period of a kind that contains ``first``, by default the last one that is over.

    A range goes from ``first`` to ``last``. Raises ValueError for a range that ends before it
    begins or lacks a day, and for dates that no calendar has.
    """
    if kind == "range":
        if first is None or last is None:
            raise ValueError("a range needs its first and its last day")
        return range_of(first, last, zone)
    if first is None:
        return last_complete(kind, today, zone)
    return {"day": day_of, "week": week_of, "month": month_of}[kind](first, zone)


def _before(period: Period) -> Period:
    if period.kind == "month":
        return month_of(period.first - timedelta(days=1), period.zone)
    return _shifted(period, timedelta(days=period.days))


def _before_title(period: Period) -> str:
    names = {"day": "day before", "week": "week before", "month": "month before"}
    return names.get(period.kind, f"{period.days} days before")


def _last_year(period: Period) -> Period:
    if period.kind == "month":
        return month_of(period.first.replace(year=period.first.year - 1), period.zone)
    return _shifted(period, _YEAR)


def _last_year_title(period: Period) -> str:
    if period.kind == "day":
        return f"{period.first:%A} last year"
    return "month last year" if period.kind == "month" else "same weekdays last year"


def _shifted(period: Period, back: timedelta) -> Period:
    return replace(period, first=period.first - back, last=period.last - back)


def _midnight(day: date, zone: ZoneInfo) -> Instant:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _short(first: date, last: date) -> str:
    if first.year != last.year:
        return f"{first.day} {first:%B %Y}"
    return f"{first.day}" if first.month == last.month else f"{first.day} {first:%B}"
