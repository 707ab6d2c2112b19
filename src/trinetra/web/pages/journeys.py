"""Journeys: the ways of customers through the zones of the shop."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from trinetra.client.models import JourneyStep
from trinetra.retail_calendar.days import Dates, local_day, span_of
from trinetra.web.access import Permission, requires
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page

router = APIRouter(dependencies=[requires(Permission.READ_FIGURES)])
_SPANS = {1: message("One day"), 7: message("7 days"), 28: message("28 days")}
Days = Annotated[int, Query(ge=1, le=31)]


class _Days(NamedTuple):
    """Days that end on ``last``, by the shop's clock."""

    last: date
    start: datetime
    end: datetime


@router.get("/journeys")
async def journeys(
    page: Annotated[Page, page],
    days: Days = 7,
    last: Annotated[date | None, Query()] = None,
) -> Response:
    """Return the page of the journeys of some days."""
    site = await page.client.site()
    span = days_until(site.now, ZoneInfo(site.timezone), days, last)
    found = await page.client.journeys(span.start, span.end)
    return page.render(
        "journeys.html",
        found=found,
        days=days,
        last=span.last,
        spans=_SPANS,
        sankey=json.dumps(sankey(found.steps, page.words.text(message("Enters")))),
    )


def days_until(now: datetime, zone: ZoneInfo, days: int, last: date | None) -> _Days:
    """Return the span of some days, the last of which is not after today."""
    today = local_day(now, zone)
    end = min(last or today, today)
    start = end - timedelta(days=days - 1)
    return _Days(end, *span_of(Dates(start, end), zone))


def sankey(steps: Sequence[JourneyStep], entrance: str) -> dict[str, Any]:
    """Return nodes and links by layers; where journeys end is not drawn, a node just gets less."""
    links = [step for step in steps if step.end]
    names = {(step.step, step.start) for step in links} | {(s.step + 1, s.end) for s in links}
    return {
        "nodes": [
            {"name": f"{layer}:{zone}", "label": zone or entrance, "layer": layer}
            for layer, zone in sorted(names)
        ],
        "links": [
            {
                "source": f"{step.step}:{step.start}",
                "target": f"{step.step + 1}:{step.end}",
                "value": step.times,
            }
            for step in links
        ],
    }
