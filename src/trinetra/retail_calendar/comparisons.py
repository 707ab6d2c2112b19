"""What a day or a range of days is compared with, and which stores can be compared."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from trinetra.retail_calendar.days import DAYS_OF_WEEK, Dates
from trinetra.retail_calendar.fiscal import same_day_last_year
from trinetra.values import SiteId

Against = Literal["day_before", "week_before", "year_before", "fiscal_year_before"]
_YEAR_OF_WEEKS = 52 * DAYS_OF_WEEK


def compared(days: Dates, against: Against) -> Dates | None:
    """Return the days that are compared with the given ones; None if there are none.

    ``day_before`` is as many days right before. ``week_before`` and ``year_before`` keep the days
    of the week: 7 and 364 days earlier. The latter is the restated comparison after a 53-week
    fiscal year, whose holidays fall into the same week. ``fiscal_year_before`` has the same number
    of the fiscal week instead; a 53rd week is compared with none.
    """
    match against:
        case "day_before":
            return days.shifted(-days.number)
        case "week_before":
            weeks = -(-days.number // DAYS_OF_WEEK)
            return days.shifted(-DAYS_OF_WEEK * weeks)
        case "year_before":
            years = -(-days.number // _YEAR_OF_WEEKS)
            return days.shifted(-_YEAR_OF_WEEKS * years)
        case "fiscal_year_before":
            first, last = same_day_last_year(days.first), same_day_last_year(days.last)
            return None if first is None or last is None else Dates(first, last)


@dataclass(frozen=True, slots=True)
class Store:
    """When a store was open: since when, until when if it was closed, and closures in between."""

    site_id: SiteId
    opened_on: date
    closed_on: date | None = None
    closures: tuple[Dates, ...] = ()

    def was_open(self, days: Dates) -> bool:
        """Return whether no day falls before the opening, after the closing or into a closure."""
        if days.first < self.opened_on or (self.closed_on and days.last >= self.closed_on):
            return False
        return not any(c.first <= days.last and days.first <= c.last for c in self.closures)


def comparable_stores(stores: Iterable[Store], days: Dates, before: Dates) -> list[SiteId]:
    """Return the stores that were open during all days of both ranges."""
    return sorted(s.site_id for s in stores if s.was_open(days) and s.was_open(before))
