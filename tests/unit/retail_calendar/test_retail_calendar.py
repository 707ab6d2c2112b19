"""Days, weeks, fiscal periods, comparisons and holidays."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.errors import ConfigurationError
from trinetra.retail_calendar.comparisons import Store, comparable_stores, compared
from trinetra.retail_calendar.days import (
    Dates,
    FirstDay,
    local_day,
    month_of,
    span_of,
    span_until,
    week_of,
)
from trinetra.retail_calendar.fiscal import (
    fiscal_day,
    period_dates,
    same_day_last_year,
    week_dates,
    weeks_in,
    year_dates,
    year_start,
)
from trinetra.retail_calendar.public_holidays import public_holidays
from trinetra.values import SiteId

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
ZONES = st.sampled_from(
    ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo"]
).map(ZoneInfo)


def hours(day: date, zone: ZoneInfo = BERLIN) -> float:
    start, end = span_of(Dates(day, day), zone)
    return (end - start).total_seconds() / 3600


def test_a_day_has_23_or_25_hours_when_the_clock_is_changed() -> None:
    assert hours(date(2026, 3, 29)) == 23
    assert hours(date(2026, 10, 25)) == 25
    assert hours(date(2026, 7, 1)) == 24


def test_a_day_whose_midnight_is_skipped_begins_when_the_clock_is_set() -> None:
    sao_paulo = ZoneInfo("America/Sao_Paulo")
    start, _ = span_of(Dates(date(2018, 11, 4), date(2018, 11, 4)), sao_paulo)
    assert start == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert start.astimezone(sao_paulo).time() == time(1)
    assert hours(date(2018, 11, 4), sao_paulo) == 23


@given(day=DAYS, zone=ZONES)
def test_days_follow_each_other_without_a_gap(day: date, zone: ZoneInfo) -> None:
    start, end = span_of(Dates(day, day), zone)
    following = day + timedelta(days=1)
    assert end == span_of(Dates(following, following), zone)[0]
    assert local_day(start, zone) == day
    assert local_day(end - timedelta(microseconds=1), zone) == day


def test_a_day_that_goes_on_is_compared_up_to_the_same_time_of_the_clock() -> None:
    start, end = span_until(date(2026, 3, 29), time(12), BERLIN)
    assert (end - start) == timedelta(hours=11)
    before = span_until(date(2026, 3, 22), time(12), BERLIN)
    assert before[1] - before[0] == timedelta(hours=12)


@given(day=DAYS, first=st.sampled_from(FirstDay))
def test_a_week_has_seven_days_and_begins_on_the_chosen_one(day: date, first: FirstDay) -> None:
    week = week_of(day, first)
    assert week.first.weekday() == first
    assert week.number == 7
    assert day in list(week)


@given(day=DAYS)
def test_a_month_ends_the_day_before_the_next_one_begins(day: date) -> None:
    month = month_of(day)
    assert month.first.day == 1
    assert (month.last + timedelta(days=1)).day == 1
    assert month.first <= day <= month.last


@pytest.mark.parametrize(
    ("year", "first", "weeks"),
    [
        # The calendars that the National Retail Federation published.
        (2012, date(2012, 1, 29), 53),
        (2013, date(2013, 2, 3), 52),
        (2017, date(2017, 1, 29), 53),
        (2018, date(2018, 2, 4), 52),
        (2022, date(2022, 1, 30), 52),
        (2023, date(2023, 1, 29), 53),
        (2024, date(2024, 2, 4), 52),
        (2025, date(2025, 2, 2), 52),
    ],
)
def test_fiscal_years_begin_as_published(year: int, first: date, weeks: int) -> None:
    assert (year_start(year), weeks_in(year)) == (first, weeks)


@given(day=DAYS)
def test_every_day_is_in_one_fiscal_week_and_period(day: date) -> None:
    place = fiscal_day(day)
    for dates in (
        week_dates(place.year, place.week),
        period_dates(place.year, place.period),
        year_dates(place.year),
    ):
        assert dates.first <= day <= dates.last
    assert week_dates(place.year, place.week).first + timedelta(days=place.day - 1) == day
    assert place.quarter == (place.period + 2) // 3


@given(year=st.integers(1990, 2090))
def test_periods_fill_a_fiscal_year_with_4_5_and_4_weeks(year: int) -> None:
    periods = [period_dates(year, number) for number in range(1, 13)]
    weeks = [period.number // 7 for period in periods]
    assert weeks[:11] == [4, 5, 4, 4, 5, 4, 4, 5, 4, 4, 5]
    assert weeks[11] == 4 + (weeks_in(year) - 52)
    assert weeks_in(year) in {52, 53}
    assert periods[0].first == year_start(year)
    assert periods[0].first.weekday() == FirstDay.SUNDAY
    for one, following in itertools.pairwise(periods):
        assert following.first == one.last + timedelta(days=1)


@given(year=st.integers(1990, 2080))
def test_a_53rd_week_comes_every_five_or_six_years(year: int) -> None:
    long_years = [y for y in range(year, year + 12) if weeks_in(y) == 53]
    assert {b - a for a, b in itertools.pairwise(long_years)} <= {5, 6, 7}


def test_a_53rd_week_has_no_day_of_the_same_number_in_the_year_before() -> None:
    assert same_day_last_year(date(2024, 1, 30)) is None
    assert same_day_last_year(date(2024, 2, 4)) == date(2023, 1, 29)
    assert same_day_last_year(date(2025, 2, 2)) == date(2024, 2, 4)


@given(day=DAYS)
def test_the_fiscal_comparison_keeps_week_and_weekday(day: date) -> None:
    before = same_day_last_year(day)
    if before is not None:
        here, there = fiscal_day(day), fiscal_day(before)
        assert (there.year, there.week, there.day) == (here.year - 1, here.week, here.day)


@given(day=DAYS, number=st.integers(1, 40))
def test_comparisons_keep_the_length_and_do_not_overlap(day: date, number: int) -> None:
    days = Dates(day, day + timedelta(days=number - 1))
    for against in ("day_before", "week_before", "year_before"):
        before = compared(days, against)
        assert before is not None
        assert before.number == number
        assert before.last < days.first
        if against != "day_before":
            assert before.first.weekday() == days.first.weekday()


def test_a_day_is_compared_with_yesterday_last_week_and_last_year() -> None:
    sunday = Dates(date(2026, 11, 29), date(2026, 11, 29))
    assert compared(sunday, "day_before") == Dates(date(2026, 11, 28), date(2026, 11, 28))
    assert compared(sunday, "week_before") == Dates(date(2026, 11, 22), date(2026, 11, 22))
    assert compared(sunday, "year_before") == Dates(date(2025, 11, 30), date(2025, 11, 30))
    assert compared(sunday, "fiscal_year_before") == Dates(date(2025, 11, 30), date(2025, 11, 30))


def test_after_a_53_week_year_the_two_comparisons_with_last_year_differ() -> None:
    day = Dates(date(2024, 11, 29), date(2024, 11, 29))
    assert compared(day, "year_before") == Dates(date(2023, 12, 1), date(2023, 12, 1))
    assert compared(day, "fiscal_year_before") == Dates(date(2023, 11, 24), date(2023, 11, 24))


def test_stores_are_comparable_if_they_were_open_on_all_days_of_both_ranges() -> None:
    week, before = (Dates(date(y, 6, 1), date(y, 6, 7)) for y in (2026, 2025))
    rebuilt = (Dates(date(2025, 6, 7), date(2025, 6, 30)),)
    stores = [
        Store(SiteId("old"), date(2019, 1, 1)),
        Store(SiteId("new"), date(2025, 6, 2)),
        Store(SiteId("closed"), date(2019, 1, 1), closed_on=date(2026, 6, 7)),
        Store(SiteId("rebuilt"), date(2019, 1, 1), closures=rebuilt),
    ]
    assert comparable_stores(stores, week, before) == ["old"]


def test_holidays_follow_country_and_subdivision() -> None:
    bavaria = public_holidays("DE", "BY", [2026])
    assert date(2026, 1, 6) in bavaria
    assert date(2026, 1, 6) not in public_holidays("DE", "HH", [2026])
    assert bavaria[date(2026, 10, 3)] == "Tag der Deutschen Einheit"


@pytest.mark.parametrize(("country", "subdivision"), [("XX", None), ("DE", "ZZ")])
def test_an_unknown_country_or_subdivision_is_refused(country: str, subdivision: str) -> None:
    with pytest.raises(ConfigurationError, match="calendar"):
        public_holidays(country, subdivision, [2026])
