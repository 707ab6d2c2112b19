"""Vehicles: visits of a day, and vehicles that come often."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from trinetra.client.models import SiteInfo, VehicleVisit
from trinetra.retail_calendar.days import Dates, local_day, span_of
from trinetra.web.access import Permission, requires
from trinetra.web.charts import Chart, Series
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page

router = APIRouter(dependencies=[requires(Permission.READ_FIGURES)])
_REGULAR_DAYS = 30
_SHOWN = 500
LABELS: dict[str, str] = {
    "car": message("Car"),
    "truck": message("Truck"),
    "bus": message("Bus"),
    "motorcycle": message("Motorcycle"),
    "bicycle": message("Bicycle"),
}


@router.get("/vehicles")
async def vehicles(
    page: Annotated[Page, page], day: Annotated[date | None, Query()] = None
) -> Response:
    """Return the vehicles of a day, and the regulars of the weeks before it."""
    site = await page.client.site()
    zone = ZoneInfo(site.timezone)
    today = local_day(site.now, zone)
    shown = min(day or today, today)
    start, end = span_of(Dates(shown, shown), zone)
    visits = await page.client.vehicles(start, end, limit=_SHOWN)
    knows_plates = page.caller.may(Permission.READ_CUSTOMERS)
    return page.render(
        "vehicles.html",
        site=site,
        day=shown,
        previous=shown - timedelta(days=1),
        following=shown + timedelta(days=1) if shown < today else None,
        visits=visits.items,
        is_cut=visits.next_cursor is not None,
        arrivals=_arrivals(page, site, visits.items),
        regulars=await _regulars(page, end) if knows_plates else (),
        knows_plates=knows_plates,
        regular_days=_REGULAR_DAYS,
        label_of=lambda label: page.words.text(LABELS.get(label) or label),
    )


async def _regulars(page: Page, end: datetime) -> Any:
    found = await page.client.regular_vehicles(end - timedelta(days=_REGULAR_DAYS), end)
    return found.items[:_SHOWN]


def _arrivals(page: Page, site: SiteInfo, visits: tuple[VehicleVisit, ...]) -> Chart:
    text, zone = page.words.text, ZoneInfo(site.timezone)
    counts = Counter(visit.arrived_at.astimezone(zone).hour for visit in visits)
    hours = range(24)
    return Chart(
        title=text(message("Vehicles that arrived, by the hour")),
        of=text(message("Hour")),
        unit="count",
        categories=[f"{hour:02d}:00" for hour in hours],
        series=[Series(text(message("Vehicles")), [float(counts[hour]) for hour in hours])],
    )
