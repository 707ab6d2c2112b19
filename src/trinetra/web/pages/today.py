"""Today: traffic, visitors, occupancy, conversion and queues, beside the same day a week ago."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from trinetra.client.models import FigureAnswer, FigureValue, SiteInfo
from trinetra.retail_calendar.days import Dates, local_day, span_of
from trinetra.web.access import Permission, requires
from trinetra.web.charts import Chart, Series
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page
from trinetra.web.pages.shared_parts import render_shared
from trinetra.web.pages.today_now import now_of

router = APIRouter(dependencies=[requires(Permission.READ_FIGURES)])
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_TRAFFIC = "footfall_in"
_NO_CHANGE = 0.005
"""A smaller change is shown as 0 %."""


class TileSpec(NamedTuple):
    """A figure of the page, what it is called there, and whether more of it is welcome."""

    metric: str
    label: str
    more_is_better: bool | None = None


TILES = (
    TileSpec(_TRAFFIC, message("People who came in"), True),
    TileSpec("occupancy_mean", message("People in the shop, on average")),
    TileSpec("conversion", message("Visitors who bought"), True),
    TileSpec("queue_wait_median", message("Typical wait at the tills"), False),
    TileSpec("recognized_visits", message("Recognized visits")),
    TileSpec("returning_share", message("Visits of returning people"), True),
    TileSpec("dwell_median", message("Typical stay at a shelf or table")),
    TileSpec("net_sales", message("Sales"), True),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of a day, by the hour, and that of the same hours a week ago."""

    label: str
    unit: str
    now: FigureValue
    before: FigureValue
    hours: Sequence[float | None]
    more_is_better: bool | None = None

    @property
    def change(self) -> float | None:
        """Relative change against a week ago; None if either is unknown or there was nothing."""
        if self.now.value is None or not self.before.value:
            return None
        return self.now.value / self.before.value - 1

    @property
    def tone(self) -> str:
        """How the change is colored: ``good``, ``bad`` or not at all."""
        change = self.change or 0.0
        if self.more_is_better is None or abs(change) < _NO_CHANGE:
            return ""
        return "good" if (change > 0) == self.more_is_better else "bad"


class DaySoFar(NamedTuple):
    """A day by the shop's clock, as far as it has come; empty if it lies ahead."""

    day: date
    start: datetime
    end: datetime
    is_today: bool


Day = Annotated[date | None, Query()]


@router.get("/")
async def today(page: Annotated[Page, page], day: Day = None) -> Response:
    """Return the page of a day, by default of this one."""
    return page.render("today.html", **await _context(page, day))


@router.get("/today/figures")
async def figures(page: Annotated[Page, page], day: Day = None) -> Response:
    """Return the figures alone, which the page fetches again while it is open."""
    return await render_shared(page, "today_figures.html", lambda: _context(page, day))


async def _context(page: Page, wanted: date | None) -> dict[str, Any]:
    site = await page.client.site()
    zone = ZoneInfo(site.timezone)
    day = day_so_far(site.now, zone, wanted)
    metrics = {metric.name: metric for metric in (await page.client.metrics()).items}
    specs = [spec for spec in TILES if spec.metric in metrics]
    names = [spec.metric for spec in specs]
    client = page.client
    so_far = await client.figures(names, day.start, day.end, granularity="range")
    before = await client.figures(names, day.start - _WEEK, day.end - _WEEK, granularity="range")
    hours = await client.figures(names, day.start, day.end, granularity="hour")
    week_ago = await client.figures(
        _TRAFFIC, day.start - _WEEK, _end_of(day.day - _WEEK, zone), granularity="hour"
    )
    tiles = [
        Tile(
            page.words.text(spec.label),
            metrics[spec.metric].unit,
            so_far.of(spec.metric)[0],
            before.of(spec.metric)[0],
            _from_first([figure.value for figure in hours.of(spec.metric)]),
            spec.more_is_better,
        )
        for spec in specs
    ]
    return {
        "site": site,
        "day": day,
        "present": await now_of(page, day.end) if day.is_today else None,
        "previous": day.day - _DAY,
        "following": None if day.is_today else day.day + _DAY,
        "tiles": tiles,
        "is_empty": all(not tile.now.value for tile in tiles),
        "traffic": _traffic(page, site, hours, week_ago),
        "marks": so_far.marks,
    }


def day_so_far(now: datetime, zone: ZoneInfo, wanted: date | None = None) -> DaySoFar:
    """Return a day from midnight by the shop's clock to its end or the last whole minute."""
    here = local_day(now, zone)
    day = min(wanted or here, here)
    start = span_of(Dates(day, day), zone)[0]
    until = min(_end_of(day, zone), now.replace(second=0, microsecond=0))
    return DaySoFar(day, start, max(until, start + timedelta(minutes=1)), day == here)


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return span_of(Dates(day, day), zone)[1]


def _from_first(values: Sequence[float | None]) -> Sequence[float | None]:
    """Return the values from the first one that is neither unknown nor zero."""
    first = next((number for number, value in enumerate(values) if value), 0)
    return values[first:]


def _traffic(page: Page, site: SiteInfo, hours: FigureAnswer, week_ago: FigureAnswer) -> Chart:
    text, words = page.words.text, page.words
    before = {words.time(f.start, site.timezone): f.value for f in week_ago.of(_TRAFFIC)}
    now = {words.time(f.start, site.timezone): f.value for f in hours.of(_TRAFFIC)}
    known = [hour for hour in before | now if before.get(hour) or now.get(hour)]
    shown = [h for h in before | now if known and known[0] <= h <= max(known)]
    return Chart(
        title=text(message("People who came in, by the hour")),
        of=text(message("Hour")),
        unit="count",
        categories=shown,
        series=[
            Series(text(message("This day")), [now.get(hour) for hour in shown]),
            Series(
                text(message("A week before")), [before.get(hour) for hour in shown], "line", True
            ),
        ],
    )
