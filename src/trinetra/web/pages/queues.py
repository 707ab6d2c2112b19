"""Queues: how many wait now, for how long, and how long the next will wait."""

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from trinetra.client.models import FigureAnswer, SiteInfo
from trinetra.web.access import Permission, requires
from trinetra.web.charts import Chart, Series
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page
from trinetra.web.pages.shared_parts import render_shared
from trinetra.web.pages.today import day_so_far

router = APIRouter(dependencies=[requires(Permission.READ_FIGURES)])
_WAIT = "queue_wait_median"


@router.get("/queues")
async def queues(page: Annotated[Page, page]) -> Response:
    """Return the page of the queues."""
    site = await page.client.site()
    day = day_so_far(site.now, ZoneInfo(site.timezone))
    hours = await page.client.figures(_WAIT, day.start, day.end, granularity="hour")
    return page.render("queues.html", wait=_wait(page, site, hours), **await _now(page))


@router.get("/queues/now")
async def queues_now(page: Annotated[Page, page]) -> Response:
    """Return the present queues alone, which the page fetches again while it is open."""
    return await render_shared(page, "queues_now.html", lambda: _now(page))


async def _now(page: Page) -> dict[str, Any]:
    return {"now": await page.client.queues()}


def _wait(page: Page, site: SiteInfo, hours: FigureAnswer) -> Chart | None:
    found = [figure for figure in hours.of(_WAIT) if figure.value is not None]
    if not found:
        return None
    text, words = page.words.text, page.words
    return Chart(
        title=text(message("Typical wait at the tills, by the hour")),
        of=text(message("Hour")),
        unit="s",
        categories=[words.time(figure.start, site.timezone) for figure in found],
        series=[Series(text(message("Wait")), [figure.value for figure in found])],
    )
