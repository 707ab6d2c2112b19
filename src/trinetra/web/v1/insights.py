"""``/v1/insights``, ``/v1/why``, ``/v1/vehicles`` and ``/v1/context``: what figures are made of."""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query

from trinetra.client.models import (
    ContextEntry,
    FigureExplanation,
    Insight,
    InsightType,
    Page,
    RegularVehicle,
    VehicleVisit,
)
from trinetra.events.derivation import Span
from trinetra.web.access import NotPermitted, Permission, Principal, requires
from trinetra.web.backend import InsightSearch
from trinetra.web.problems import Invalid, NotFound
from trinetra.web.state import Backend, backend, needed
from trinetra.web.v1.figures import When, span_between

router = APIRouter(tags=["insights"])
Reader = Annotated[Principal, requires(Permission.READ_FIGURES)]
Platform = Annotated[Backend, backend]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=200)]
Id = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


@router.get("/insights")
async def list_types(_caller: Reader, platform: Platform) -> Page[InsightType]:
    """Return the types of insights."""
    return Page[InsightType](items=tuple(needed(platform.insights, "insights").types()))


@router.get("/insights/{kind}")
async def list_insights(
    caller: Reader,
    platform: Platform,
    kind: Annotated[str, Path(pattern=r"^[a-z_]{1,40}$")],
    start: When,
    end: When,
    camera: Id = None,
    customer: Id = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Page[Insight]:
    """Return insights of a type in the order of capture, as they count now.

    The filter by customer, and the ids of people in the answer, need the permission to read
    customers.
    """
    insights = needed(platform.insights, "insights")
    types = {one.kind: one for one in insights.types()}
    if kind not in types:
        raise NotFound(f"no insight is of type {kind}; there are: {', '.join(sorted(types))}")
    if customer is not None and not types[kind].names_customers:
        raise Invalid(f"customer: insights of type {kind} name no customer")
    span = _span(platform, start, end)
    knows_people = caller.may(Permission.READ_CUSTOMERS)
    if customer is not None and not knows_people:
        raise _not_for(caller)
    wanted = InsightSearch(kind, span, limit, cursor, camera, customer)
    return await insights.page(caller.name if knows_people else None, wanted)


@router.get("/why")
async def why(
    caller: Reader,
    platform: Platform,
    metric: Annotated[str, Query(max_length=100)],
    start: When,
    end: When,
    place: Annotated[str, Query(max_length=200, description="Like door/main; empty: all.")] = "",
) -> FigureExplanation:
    """Return what a figure counts and leaves out, and when nothing was watched."""
    insights = needed(platform.insights, "insights")
    span = _span(platform, start, end)
    names_people = caller.may(Permission.READ_CUSTOMERS)
    return await insights.explain_figure(metric, span, place, names_people=names_people)


@router.get("/vehicles")
async def list_vehicles(
    caller: Reader,
    platform: Platform,
    start: When,
    end: When,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Page[VehicleVisit]:
    """Return visits of vehicles in the order of arrival.

    Pseudonyms of plates, and plates where the site stores them, need the permission to read
    customers.
    """
    insights = needed(platform.insights, "insights")
    wanted = InsightSearch("vehicle_visit", _span(platform, start, end), limit, cursor)
    reader = caller.name if caller.may(Permission.READ_CUSTOMERS) else None
    return await insights.vehicles(reader, wanted)


@router.get("/vehicles/regulars")
async def list_regulars(
    caller: Annotated[Principal, requires(Permission.READ_CUSTOMERS)],
    platform: Platform,
    start: When,
    end: When,
    least_days: Annotated[int, Query(ge=1, le=366)] = 3,
) -> Page[RegularVehicle]:
    """Return the vehicles that came on at least so many days, by pseudonyms of their plates."""
    insights = needed(platform.insights, "insights")
    found = await insights.regulars(caller.name, _span(platform, start, end), least_days)
    return Page[RegularVehicle](items=tuple(found))


@router.get("/context")
async def list_context(
    _caller: Reader, platform: Platform, start: When, end: When
) -> Page[ContextEntry]:
    """Return weather, staff hours, promotions, notes and targets of a span."""
    context = needed(platform.context, "context")
    found = await context.between(_span(platform, start, end))
    return Page[ContextEntry](items=tuple(found))


def _span(platform: Backend, start: str, end: str) -> Span:
    return span_between(start, end, ZoneInfo(platform.site().timezone))


def _not_for(caller: Principal) -> NotPermitted:
    return NotPermitted(
        f"the filter by customer needs the permission {Permission.READ_CUSTOMERS.value}, which "
        f"{caller.name} ({caller.role.value}) does not have; ask an administrator"
    )
