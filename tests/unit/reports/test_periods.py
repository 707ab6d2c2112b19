"""Periods of reports by the shop's calendar."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.reports.periods import (
    Period,
    compared_with,
    day_of,
    last_complete,
    month_of,
    range_of,
    week_of,
)

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = st.dates(date(2021, 1, 1), date(2035, 12, 31))


def names(period: Period) -> dict[str, tuple[date, date]]:
    return {each.name: (each.period.first, each.period.last) for each in compared_with(period)}


def test_a_day_on_which_the_clocks_change_has_23_or_25_hours() -> None:
    lengths = [
        (period.end - period.start) / timedelta(hours=1)
        for period in (day_of(date(2026, 3, 29), BERLIN), day_of(date(2026, 10, 25), BERLIN))
    ]
    assert lengths == [23, 25]
    assert day_of(date(2026, 7, 1), BERLIN).start == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_a_day_is_compared_with_the_same_weekday() -> None:
    assert names(day_of(date(2026, 11, 23), BERLIN)) == {
        "previous": (date(2026, 11, 22),) * 2,
        "last-week": (date(2026, 11, 16),) * 2,
        "last-year": (date(2025, 11, 24),) * 2,
    }


def test_a_week_is_compared_with_the_week_before_once() -> None:
    assert names(week_of(date(2026, 11, 29), BERLIN)) == {
        "previous": (date(2026, 11, 16), date(2026, 11, 22)),
        "last-year": (date(2025, 11, 24), date(2025, 11, 30)),
    }


def test_a_month_is_compared_with_months_of_any_length() -> None:
    assert names(month_of(date(2028, 2, 29), BERLIN)) == {
        "previous": (date(2028, 1, 1), date(2028, 1, 31)),
        "last-year": (date(2027, 2, 1), date(2027, 2, 28)),
    }
    assert names(month_of(date(2026, 1, 15), BERLIN))["previous"][0] == date(2025, 12, 1)


@given(DAYS)
def test_compared_days_and_weeks_have_the_weekdays_of_the_period(day: date) -> None:
    for period in (day_of(day, BERLIN), week_of(day, BERLIN)):
        for each in compared_with(period):
            assert each.period.days == period.days
            assert each.period.last < period.first
            if each.name != "previous":
                assert each.period.first.weekday() == period.first.weekday()


@given(DAYS, st.sampled_from(["day", "week", "month"]))
def test_the_last_complete_period_ends_before_today(today: date, kind: str) -> None:
    period = last_complete(kind, today, BERLIN)
    assert period.last < today
    assert (today - period.last).days <= {"day": 1, "week": 7, "month": 31}[kind]


def test_a_range_in_reverse_is_refused() -> None:
    with pytest.raises(ValueError, match="ends on 2026-11-01, before it begins on 2026-11-02"):
        range_of(date(2026, 11, 2), date(2026, 11, 1), BERLIN)


@pytest.mark.parametrize(
    ("first", "last", "granularity", "dates"),
    [
        (date(2026, 11, 2), date(2026, 11, 3), "hour", "2 – 3 November 2026"),
        (date(2026, 10, 2), date(2026, 11, 3), "day", "2 October – 3 November 2026"),
        (date(2025, 11, 2), date(2026, 11, 3), "week", "2 November 2025 – 3 November 2026"),
        (date(2020, 11, 2), date(2026, 11, 3), "month", "2 November 2020 – 3 November 2026"),
    ],
)
def test_rows_become_longer_with_the_range(
    first: date, last: date, granularity: str, dates: str
) -> None:
    period = range_of(first, last, BERLIN)
    assert (period.granularity, period.dates) == (granularity, dates)
