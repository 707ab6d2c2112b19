"""Reports of a period."""

from datetime import date, datetime
from typing import Literal

from trinetra.client.models.base import Granularity, Resource
from trinetra.client.models.figures import ChangeMark, FigureValue, MetricInfo

PeriodKind = Literal["day", "week", "month", "range"]
ExportName = Literal[
    "figures.csv",
    "figures.json",
    "figures.parquet",
    "report.html",
    "report.pdf",
    "report.xlsx",
]
Comparison = Literal["previous", "last-week", "last-year"]


class ReportPeriod(Resource):
    """A period of whole days by the shop's clock; ``name`` is ``this`` or a comparison."""

    name: str
    title: str
    first: date
    last: date
    start: datetime
    end: datetime


class ReportLine(Resource):
    """A metric over the whole period: its figure, and those of the periods for comparison.

    ``changes`` are relative, None where the two cannot be compared. ``place`` is "" for the site.
    """

    metric: str
    place: str
    figure: FigureValue | None
    compared: tuple[FigureValue | None, ...] = ()
    changes: tuple[float | None, ...] = ()


class ReportRow(Resource):
    """A metric in one part of the period, and in the same part of those for comparison."""

    metric: str
    label: str
    figure: FigureValue
    compared: tuple[float | None, ...] = ()


class Report(Resource):
    """The figures of a period, compared; ``notes`` say what to know before relying on them."""

    site: str
    timezone: str
    granularity: Granularity
    period: ReportPeriod
    compared: tuple[ReportPeriod, ...]
    metrics: tuple[MetricInfo, ...]
    lines: tuple[ReportLine, ...]
    rows: tuple[ReportRow, ...]
    marks: tuple[ChangeMark, ...] = ()
    notes: tuple[str, ...] = ()
