"""Today: traffic, visitors, occupancy, conversion and queues, beside the same day a week ago."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from trinetra.client.models import FigureAnswer, FigureValue, MetricInfo
from trinetra.retail_calendar.days import Dates, local_day, span_of
from trinetra.web.pages.page import Page, page

router = APIRouter()
_WEEK = timedelta(days=7)
TILES = (
    "footfall_in",
    "recognized_visits",
    "occupancy_mean",
    "conversion",
    "queue_wait_median",
    "dwell_median",
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the day so far, by the hour, and that of the same hours a week ago."""

    metric: MetricInfo
    now: FigureValue
    before: FigureValue
    hours: Sequence[float | None]

    @property
    def change(self) -> float | None:
        """Relative change against a week ago; None if either is unknown or there was nothing."""
        if self.now.value is None or not self.before.value:
            return None
        return self.now.value / self.before.value - 1


@router.get("/")
async def today(page: Annotated[Page, page]) -> Response:
    """Return the page of the day."""
    return page.render("today.html", **await _context(page))


@router.get("/today/tiles")
async def tiles(page: Annotated[Page, page]) -> Response:
    """Return the tiles alone, which the page fetches again while it is open."""
    return page.render("today_tiles.html", **await _context(page))


async def _context(page: Page) -> dict[str, Any]:
    site = await page.client.site()
    zone = ZoneInfo(site.timezone)
    begin, now = day_so_far(site.now, zone)
    metrics = {metric.name: metric for metric in (await page.client.metrics()).items}
    names = [name for name in TILES if name in metrics]
    so_far = await page.client.figures(names, begin, now, granularity="range")
    before = await page.client.figures(names, begin - _WEEK, now - _WEEK, granularity="range")
    hours = await page.client.figures(names, begin, now, granularity="hour")
    return {
        "site": site,
        "tiles": [_tile(metrics[name], so_far, before, hours) for name in names],
        "marks": so_far.marks,
    }


def day_so_far(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the span from midnight by the shop's clock to the last whole minute."""
    day: date = local_day(now, zone)
    begin = span_of(Dates(day, day), zone)[0]
    until = now.replace(second=0, microsecond=0)
    return begin, max(until, begin + timedelta(minutes=1))


def _tile(
    metric: MetricInfo, so_far: FigureAnswer, before: FigureAnswer, hours: FigureAnswer
) -> Tile:
    [now], [then] = so_far.of(metric.name), before.of(metric.name)
    return Tile(metric, now, then, [figure.value for figure in hours.of(metric.name)])
