"""``/v1/metrics`` and ``/v1/figures``: definitions, and figures with completeness and interval."""

from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request, Response

from trinetra.client.models import FigureAnswer, Granularity, MetricInfo, Page
from trinetra.events.derivation import Span
from trinetra.retail_calendar.days import Dates, span_of
from trinetra.values import Instant
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.backend import FigureQuestion
from trinetra.web.etags import answered
from trinetra.web.problems import Invalid
from trinetra.web.state import Backend, backend

router = APIRouter(tags=["figures"])
When = Annotated[
    str, Query(max_length=40, description="Date by the shop's clock, or instant with an offset.")
]


@router.get("/metrics")
async def list_metrics(
    _caller: Annotated[Principal, requires(Permission.READ_FIGURES)],
    platform: Annotated[Backend, backend],
) -> Page[MetricInfo]:
    """Return what each metric counts and leaves out."""
    return Page[MetricInfo](items=tuple(platform.figures.metrics()))


@router.get(
    "/figures", response_model=FigureAnswer, responses={304: {"description": "Not changed."}}
)
async def read_figures(
    _caller: Annotated[Principal, requires(Permission.READ_FIGURES)],
    platform: Annotated[Backend, backend],
    request: Request,
    start: When,
    end: When,
    metric: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006  FastAPI copies it
    granularity: Granularity = "day",
    place: Annotated[list[str], Query(max_length=200)] = [],  # noqa: B006
    *,
    by_place: bool = False,
    impute: bool = False,
) -> Response:
    """Return figures of the whole site, or of each line and zone.

    All metrics without ``metric``. A value is null if it is unknown. ``impute`` extrapolates over
    time not watched, and marks such figures.
    """
    span = span_between(start, end, ZoneInfo(platform.site().timezone))
    table = await platform.figures.read(
        FigureQuestion(span, metric, granularity, by_place or bool(place), place or None, impute)
    )
    # A year by the hour has 100,000 figures: written at once, not turned into models first.
    return answered(request, msgspec.json.encode(table))


def span_between(start: str, end: str, zone: ZoneInfo) -> Span:
    """Return a half-open span of dates (by the shop's clock) or instants. Raises Invalid."""
    span = Span(_instant("start", start, zone), _instant("end", end, zone))
    if span.end <= span.start:
        raise Invalid(f"end {end} is not after start {start}; the end is exclusive")
    return span


def _instant(name: str, text: str, zone: ZoneInfo) -> Instant:
    try:
        if len(text) == len("2026-11-30"):
            day = date.fromisoformat(text)
            return span_of(Dates(day, day), zone)[0]
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as cause:
        raise Invalid(
            f"{name}={text!r} is neither a date like 2026-11-30 nor an instant like "
            "2026-11-30T09:00:00+01:00 (encode + as %2B)"
        ) from cause
    if instant.utcoffset() is None:
        raise Invalid(f"{name}={text!r} has no offset from UTC, as in 2026-11-30T09:00:00+01:00")
    return instant
