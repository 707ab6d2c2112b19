"""Hours and quiet hours of recipients, also on the days on which the clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.alerts.schedule import Schedule, start_of_day
from trinetra.opening_hours import OpeningHours, OpenSpan

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
CHANGES = [  # summer time begins or ends somewhere
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
]
MINUTES = st.integers(0, 24 * 60 - 1)


@st.composite
def hours(draw: st.DrawFn, zone: str) -> OpeningHours | None:
    span = st.tuples(st.integers(0, 6), MINUTES, st.integers(1, 24 * 60))
    spans = draw(st.lists(span, max_size=6))
    found = tuple(OpenSpan(day, opens, opens + length) for day, opens, length in spans)
    return OpeningHours(found, zone) if found else None


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    zone = draw(st.sampled_from(ZONES))
    return Schedule(draw(hours(zone)), draw(hours(zone)))


INSTANTS = st.builds(
    lambda change, minutes: change + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-36 * 60, 36 * 60),
)


@given(schedules(), INSTANTS)
def test_a_message_goes_out_at_the_first_moment_that_is_allowed(
    schedule: Schedule, at: datetime
) -> None:
    found = schedule.next_allowed(at)
    if found is None:
        assert not any(schedule.allows(at + timedelta(hours=n)) for n in range(24 * 7))
        return
    assert found >= at
    assert schedule.allows(found)
    assert schedule.next_allowed(found) == found
    step = max(timedelta(minutes=7), (found - at) / 50)
    probe = at
    while probe < found:
        assert not schedule.allows(probe)
        probe += step


@given(schedules(), INSTANTS)
def test_an_allowed_moment_is_not_put_off(schedule: Schedule, at: datetime) -> None:
    assert (schedule.next_allowed(at) == at) == schedule.allows(at)


def test_a_night_that_is_an_hour_longer_is_quiet_to_its_end() -> None:
    night = OpeningHours((OpenSpan(5, 22 * 60, 31 * 60),), "Europe/Berlin")
    schedule = Schedule(quiet=night)
    begun = datetime(2026, 10, 24, 20, tzinfo=UTC)  # Saturday, 22:00 of summer time
    assert schedule.next_allowed(begun) == datetime(2026, 10, 25, 6, tzinfo=UTC)  # 07:00 of winter


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_begins_at_midnight_of_the_shop(zone: str) -> None:
    for change in CHANGES:
        begun = start_of_day(change, zone).astimezone(ZoneInfo(zone))
        assert (begun.hour, begun.minute) == (0, 0)
        assert timedelta() <= change - begun.astimezone(UTC) < timedelta(hours=25)
