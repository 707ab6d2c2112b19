"""Floor: the plan with the people on it now, where people were, and how they went."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from trinetra.client import ApiProblem
from trinetra.client.models import FloorPlan, HeatmapAnswer, HeatmapCell, Journeys, SiteInfo
from trinetra.retail_calendar.days import local_day
from trinetra.web.access import Permission, requires
from trinetra.web.pages.page import Page, page

router = APIRouter(dependencies=[requires(Permission.READ_FIGURES, Permission.READ_LIVE)])
FLOOR = "floor"
_DAY_H = 24
_MOST_CELLS = 20
_UNPROCESSABLE = 422


@router.get("/floor")
async def floor(
    page: Annotated[Page, page],
    day: Annotated[date | None, Query()] = None,
    start: Annotated[int, Query(ge=0, lt=_DAY_H)] = 0,
    end: Annotated[int, Query(gt=0, le=_DAY_H)] = _DAY_H,
    place: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Return the plan, with the heatmap of some hours of a day."""
    site = await page.client.site()
    zone = ZoneInfo(site.timezone)
    of = min(day or local_day(site.now, zone), local_day(site.now, zone))
    hours = hours_of(of, start, end, zone)
    where = place or _best_place(site)
    plan = await page.client.floor() if page.caller.may(Permission.READ_LIVE) else None
    heat = await _heat(page, where, hours)
    walked = await page.client.journeys(*hours)
    return page.render(
        "floor.html",
        site=site,
        day=of,
        start=start,
        end=end if end > start else _DAY_H,
        place=where,
        plan=plan,
        heat=heat,
        has_picture=await _has_picture(page, heat, where),
        drawing=_drawing(plan, heat, walked),
        journeys=walked,
        busiest=_busiest(heat),
    )


def hours_of(day: date, start: int, end: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return a span of whole hours of the shop's clock; until midnight if it were empty."""
    last = end if end > start else _DAY_H
    begin = datetime(day.year, day.month, day.day, start, tzinfo=zone)
    following = day + timedelta(days=last // _DAY_H)
    until = datetime(following.year, following.month, following.day, last % _DAY_H, tzinfo=zone)
    return begin, until


def _best_place(site: SiteInfo) -> str:
    if any(camera.has_floor for camera in site.cameras):
        return FLOOR
    return next((camera.id for camera in site.cameras), FLOOR)


async def _heat(page: Page, place: str, hours: tuple[datetime, datetime]) -> HeatmapAnswer | None:
    """Return the heatmap; None of a floor that no camera is calibrated for."""
    try:
        return await page.client.heatmap(place, *hours)
    except ApiProblem as problem:
        if problem.status == _UNPROCESSABLE:
            return None
        raise


async def _has_picture(page: Page, heat: HeatmapAnswer | None, place: str) -> bool:
    """Return whether the heatmap lies on the picture of a camera that the caller may see."""
    if heat is None or heat.grid != "picture" or not page.caller.may(Permission.READ_LIVE):
        return False
    return any(c.has_pictures and c.id == place for c in (await page.client.cameras()).items)


def _busiest(heat: HeatmapAnswer | None) -> list[HeatmapCell]:
    cells = heat.cells if heat else ()
    return sorted(cells, key=lambda cell: -cell.hours)[:_MOST_CELLS]


def _drawing(
    plan: FloorPlan | None, heat: HeatmapAnswer | None, journeys: Journeys
) -> dict[str, Any]:
    """Return what floor.js draws."""
    return {
        "plan": plan.model_dump(mode="json") if plan else None,
        "heat": heat.model_dump(mode="json") if heat else None,
        "flows": [flow.model_dump() for flow in journeys.flows if flow.start and flow.end],
    }
