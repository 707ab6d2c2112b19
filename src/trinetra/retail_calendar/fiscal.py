"""The 4-5-4 fiscal calendar of the National Retail Federation.

A fiscal year begins on the Sunday nearest to February 1 and has twelve periods of 4, 5 and 4 weeks,
quarter by quarter. About every sixth year has a 53rd week, which belongs to the last period.
"""

from datetime import date, timedelta
from typing import NamedTuple

from trinetra.retail_calendar.days import DAYS_OF_WEEK, Dates

_PERIOD_WEEKS = (4, 5, 4) * 4
_WEEKS = 52
_SUNDAY = 6


class FiscalDay(NamedTuple):
    """Place of a day in the fiscal calendar, all counted from 1; day 1 is a Sunday."""

    year: int
    quarter: int
    period: int
    week: int
    day: int


def year_start(year: int) -> date:
    """Return the first day of a fiscal year: the Sunday nearest to February 1."""
    middle = date(year, 2, 1)
    after_sunday = (middle.weekday() - _SUNDAY) % DAYS_OF_WEEK
    back = after_sunday if after_sunday <= DAYS_OF_WEEK // 2 else after_sunday - DAYS_OF_WEEK
    return middle - timedelta(days=back)


def weeks_in(year: int) -> int:
    """Return the number of weeks of a fiscal year, 52 or 53."""
    return (year_start(year + 1) - year_start(year)).days // DAYS_OF_WEEK


def fiscal_day(day: date) -> FiscalDay:
    """Return the place of a day in the fiscal calendar."""
    year = day.year if day >= year_start(day.year) else day.year - 1
    gone = (day - year_start(year)).days
    week = gone // DAYS_OF_WEEK
    period, begun = 0, 0
    while period < len(_PERIOD_WEEKS) - 1 and week >= begun + _PERIOD_WEEKS[period]:
        begun += _PERIOD_WEEKS[period]
        period += 1
    return FiscalDay(year, period // 3 + 1, period + 1, week + 1, gone % DAYS_OF_WEEK + 1)


def week_dates(year: int, week: int) -> Dates:
    """Return the days of a fiscal week. Raises ValueError if the year has no such week."""
    if not 1 <= week <= weeks_in(year):
        raise ValueError(f"fiscal year {year} has the weeks 1 to {weeks_in(year)}, not {week}")
    first = year_start(year) + timedelta(weeks=week - 1)
    return Dates(first, first + timedelta(days=DAYS_OF_WEEK - 1))


def period_dates(year: int, period: int) -> Dates:
    """Return the days of a fiscal period. Raises ValueError for a period that is not 1 to 12."""
    if not 1 <= period <= len(_PERIOD_WEEKS):
        raise ValueError(f"a fiscal year has the periods 1 to 12, not {period}")
    first = year_start(year) + timedelta(weeks=sum(_PERIOD_WEEKS[: period - 1]))
    if period == len(_PERIOD_WEEKS):
        return Dates(first, year_start(year + 1) - timedelta(days=1))
    return Dates(first, first + timedelta(weeks=_PERIOD_WEEKS[period - 1]) - timedelta(days=1))


def year_dates(year: int) -> Dates:
    """Return the days of a fiscal year."""
    return Dates(year_start(year), year_start(year + 1) - timedelta(days=1))


def same_day_last_year(day: date) -> date | None:
    """Return the day of the same number in the fiscal year before; None in a 53rd week."""
    here = fiscal_day(day)
    if here.week > weeks_in(here.year - 1):
        return None
    gone = (here.week - 1) * DAYS_OF_WEEK + here.day - 1
    return year_start(here.year - 1) + timedelta(days=gone)
