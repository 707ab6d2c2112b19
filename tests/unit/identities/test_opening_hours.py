"""Opening hours: in local time, past midnight and across daylight saving changes."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from trinetra.opening_hours import OpeningHours, OpenSpan

BERLIN = ZoneInfo("Europe/Berlin")
WEEKDAYS = OpeningHours(tuple(OpenSpan(day, 9 * 60, 20 * 60) for day in range(6)), "Europe/Berlin")
BAR = OpeningHours((OpenSpan(5, 20 * 60, 26 * 60), OpenSpan(6, 2 * 60, 4 * 60)), "Europe/Berlin")
ALWAYS = OpeningHours(tuple(OpenSpan(day, 0, 24 * 60) for day in range(7)), "Europe/Berlin")


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    """Return an instant of 2026; the 23rd of November is a Monday."""
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "start", "end", "closed"),
    [
        (WEEKDAYS, at(23, 9), at(23, 19, 59), False),
        (WEEKDAYS, at(23, 8, 59), at(23, 10), True),
        (WEEKDAYS, at(23, 19), at(24, 10), True),
        (WEEKDAYS, at(22, 12), at(22, 12), True),
        (BAR, at(28, 23), at(29, 1), False),
        (BAR, at(28, 23), at(29, 3), False),
        (BAR, at(29, 3), at(29, 5), True),
        (BAR, at(29, 1), at(29, 1, 30), False),
        (BAR, at(28, 19, 59), at(28, 21), True),
        (WEEKDAYS, at(23, 19), at(23, 20), False),
        (WEEKDAYS, at(23, 19), at(23, 20, 1), True),
        (ALWAYS, at(1, 0), at(20, 0), False),
        (WEEKDAYS, at(26, 9, month=10), at(26, 10, month=10), False),
    ],
)
def test_a_stretch_is_closed_if_any_moment_of_it_is(
    hours: OpeningHours, start: datetime, end: datetime, *, closed: bool
) -> None:
    assert hours.closed_between(start, end) is closed
