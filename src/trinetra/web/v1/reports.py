"""``/v1/report``, ``/v1/exports`` and ``/v1/figures/changes``: figures of periods, and as files."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from trinetra.client.models import (
    Comparison,
    ExportName,
    FigureChanges,
    Granularity,
    PeriodKind,
    Report,
)
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.backend import ChangeGranularity, ReportQuestion
from trinetra.web.etags import answered
from trinetra.web.state import Backend, backend, needed

router = APIRouter(tags=["reports"])
Reader = Annotated[Principal, requires(Permission.READ_FIGURES)]
Platform = Annotated[Backend, backend]
Metrics = Annotated[list[str], Query(max_length=100)]
Day = Annotated[date | None, Query()]
Compared = Annotated[list[Comparison], Query(max_length=3)]
MEDIA_TYPES: Mapping[ExportName, str] = {
    "figures.csv": "text/csv; charset=utf-8",
    "figures.json": "application/json",
    "figures.parquet": "application/vnd.apache.parquet",
    "report.html": "text/html; charset=utf-8",
    "report.pdf": "application/pdf",
    "report.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_NO_FILE = {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The file."}


@router.get("/report", response_model=Report, responses={304: {"description": "Not changed."}})
async def read_report(
    _caller: Reader,
    platform: Platform,
    request: Request,
    period: PeriodKind = "day",
    first: Day = None,
    last: Day = None,
    granularity: Granularity | None = None,
    metric: Metrics = [],  # noqa: B006  FastAPI copies it
    compare: Compared = [],  # noqa: B006
    rows_of: Metrics = [],  # noqa: B006
    *,
    impute: bool = False,
) -> Response:
    """Return the figures of a day, week, month or range, compared with other periods.

    ``first`` is a day of the period, by default of the last one that is over; a range goes from
    ``first`` to ``last``, both included. ``rows_of`` are the metrics that are wanted by time, too;
    by default all.
    """
    wanted = ReportQuestion(period, first, last, granularity, metric, compare, impute, rows_of)
    report = await needed(platform.reports, "reports").report(wanted)
    return answered(request, report.model_dump_json().encode())


@router.get(
    "/exports/{name}",
    response_class=Response,
    responses={200: _NO_FILE, 304: {"description": "Not changed."}},
)
async def export(
    _caller: Reader,
    platform: Platform,
    request: Request,
    name: ExportName,
    period: PeriodKind = "day",
    first: Day = None,
    last: Day = None,
    granularity: Granularity | None = None,
    metric: Metrics = [],  # noqa: B006
    compare: Compared = [],  # noqa: B006
    *,
    impute: bool = False,
) -> Response:
    """Return a report as a file: flat records, or a document to read."""
    wanted = ReportQuestion(period, first, last, granularity, metric, compare, impute)
    made = await needed(platform.reports, "reports").export(name, wanted)
    return answered(
        request,
        made.content,
        tag=made.tag,
        media_type=MEDIA_TYPES[name],
        file_name=made.file_name,
    )


@router.get("/figures/changes")
async def list_changes(
    _caller: Reader,
    platform: Platform,
    since: Annotated[int, Query(ge=0, le=2**53)] = 0,
    granularity: ChangeGranularity = "hour",
    metric: Metrics = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> FigureChanges:
    """Return figures that changed after a cursor; ask again with the next one until none is left.

    A record replaces the one of the same metric, place, granularity and start. About ``limit``
    changed sums are taken into account.
    """
    reports = needed(platform.reports, "reports")
    return await reports.changes(granularity, since, metric, limit)
