"""``/v1/queues``, ``/v1/journeys`` and ``/v1/heatmaps``; ``/v1/health``: the platform itself."""

from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path

from trinetra.client.models import HealthReport, HeatmapAnswer, Journeys, QueuesNow
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.problems import Invalid, NotFound
from trinetra.web.state import Backend, backend
from trinetra.web.v1.cameras import live_of
from trinetra.web.v1.figures import When, span_between

router = APIRouter(tags=["figures"])
LONGEST = timedelta(days=31, hours=1)  # and an hour more in autumn
_ABSENT = "this process has no insights of that kind"


@router.get("/queues")
async def read_queues(
    _caller: Annotated[Principal, requires(Permission.READ_FIGURES)],
    platform: Annotated[Backend, backend],
) -> QueuesNow:
    """Return the queues and tills now, with forecasts of the wait and their ranges."""
    return await live_of(platform).queues()


@router.get("/journeys")
async def read_journeys(
    _caller: Annotated[Principal, requires(Permission.READ_FIGURES)],
    platform: Annotated[Backend, backend],
    start: When,
    end: When,
) -> Journeys:
    """Return how people walk through the shop, of at most 31 days.

    What fewer people did than the site's ``least_people`` is left out.
    """
    if platform.journeys is None:
        raise NotFound(_ABSENT)
    span = span_between(start, end, ZoneInfo(platform.site().timezone))
    if span.end - span.start > LONGEST:
        raise Invalid("journeys are read for at most 31 days: choose a shorter span")
    return await platform.journeys(span)


@router.get("/heatmaps/{place}")
async def read_heatmap(
    _caller: Annotated[Principal, requires(Permission.READ_FIGURES)],
    platform: Annotated[Backend, backend],
    place: Annotated[str, Path(max_length=64, description="floor, or the id of a camera.")],
    start: When,
    end: When,
) -> HeatmapAnswer:
    """Return where people were in a span of whole hours, on the floor or as one camera sees it."""
    if platform.heatmap is None:
        raise NotFound(_ABSENT)
    known = {camera.id for camera in platform.site().cameras}
    if place != "floor" and place not in known:
        raise NotFound(f"the site has no camera {place}")
    span = span_between(start, end, ZoneInfo(platform.site().timezone))
    return await platform.heatmap(None if place == "floor" else place, span)


@router.get("/health", tags=["health"])
async def read_health(
    _caller: Annotated[Principal, requires(Permission.READ_HEALTH)],
    platform: Annotated[Backend, backend],
) -> HealthReport:
    """Return the stages of the platform, their lag and latency, and the networks in use."""
    return await live_of(platform).health()
