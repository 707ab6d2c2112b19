"""Reports: figures of a period, compared with others, as charts, tables and files; and why."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from trinetra.client.models import Comparison, MetricInfo, PeriodKind, Report, ReportLine, ReportRow
from trinetra.web.access import Permission, requires
from trinetra.web.charts import Chart, Series
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page

router = APIRouter(dependencies=[requires(Permission.READ_FIGURES)])
PERIODS: dict[PeriodKind, str] = {
    "day": message("Day"),
    "week": message("Week"),
    "month": message("Month"),
    "range": message("From … to"),
}
COMPARISONS: dict[Comparison, str] = {
    "previous": message("The period before"),
    "last-week": message("The same day last week"),
    "last-year": message("Last year"),
}
FILES = (
    ("report.pdf", message("PDF")),
    ("report.xlsx", message("Excel")),
    ("report.html", message("Web page")),
    ("figures.csv", message("CSV")),
    ("figures.json", message("JSON")),
    ("figures.parquet", message("Parquet")),
)
REASONS = {
    "gap": message("pictures are missing"),
    "silent": message("no pictures came"),
    "session": message("its clock began anew"),
    "unknown": message("it was not running"),
}
_FIRST_METRIC = "traffic_in"


@router.get("/reports")
async def reports(
    page: Annotated[Page, page],
    period: PeriodKind = "day",
    first: Annotated[str, Query(max_length=10)] = "",
    last: Annotated[str, Query(max_length=10)] = "",
    compare: Annotated[list[Comparison], Query(max_length=3)] = [],  # noqa: B006  copied
    metric: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Return the report of a period, by default of the last day that is over."""
    asked: dict[str, Any] = {
        "period": period,
        "first": _date(first),
        "last": _date(last) if period == "range" else None,
        "compare": compare or (["last-week"] if period == "day" else ["previous"]),
    }
    known = {each.name for each in (await page.client.metrics()).items}
    wanted = metric if metric in known else _FIRST_METRIC
    report = await page.client.report(**asked, rows_of=[wanted])
    shown = next((m for m in report.metrics if m.name == wanted), None) or _first(report)
    if shown and shown.name != wanted:
        report = await page.client.report(**asked, rows_of=[shown.name])
    return page.render(
        "reports.html",
        site=await page.client.site(),
        report=report,
        asked=asked,
        shown=shown,
        chart_of=_chart(page, report, shown) if shown else None,
        lines=_by_metric(report),
        periods={kind: page.words.text(label) for kind, label in PERIODS.items()},
        comparisons={name: page.words.text(label) for name, label in COMPARISONS.items()},
        files=[(name, page.words.text(label), _address(name, asked)) for name, label in FILES],
        why_of=lambda line: _why(line, report),
    )


@router.get("/reports/why")
async def why(
    page: Annotated[Page, page],
    metric: Annotated[str, Query(max_length=100)],
    start: Annotated[datetime, Query()],
    end: Annotated[datetime, Query()],
    place: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Return what a figure counts and leaves out, and when nothing was watched."""
    found = await page.client.why(metric, start, end, place)
    reasons = {reason: page.words.text(told) for reason, told in REASONS.items()}
    site = await page.client.site()
    return page.render("reports_why.html", site=site, found=found, reasons=reasons)


def _date(text: str) -> date | None:
    """Return a date of the form; None for an empty field, or what is no date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _first(report: Report) -> MetricInfo | None:
    named = {metric.name: metric for metric in report.metrics}
    return named.get(_FIRST_METRIC) or next(iter(report.metrics), None)


def _by_metric(report: Report) -> list[tuple[MetricInfo, Sequence[ReportLine]]]:
    return [(m, [line for line in report.lines if line.metric == m.name]) for m in report.metrics]


def _chart(page: Page, report: Report, metric: MetricInfo) -> Chart:
    text = page.words.text
    rows = [row for row in report.rows if row.metric == metric.name]
    labels = {row.label: _label(page, report, row) for row in rows}
    marked = [
        labels[row.label]
        for row in rows
        if any(row.figure.start <= mark.at < row.figure.end for mark in report.marks)
    ]
    own = Series(text(message("This period")), [row.figure.value for row in rows])
    others = [
        Series(page.told(period.title), [row.compared[number] for row in rows], "line", quiet=True)
        for number, period in enumerate(report.compared)
    ]
    return Chart(
        title=page.told(metric.title),
        of=text(message("Time")),
        unit=metric.unit,
        categories=[labels[row.label] for row in rows],
        series=[own, *others],
        marked=marked,
        watched=[row.figure.completeness for row in rows],
    )


def _label(page: Page, report: Report, row: ReportRow) -> str:
    """Return the name of a row: the time of an hour, or the date of a day, week or month."""
    start, zone = row.figure.start, ZoneInfo(report.timezone)
    if report.granularity in ("minute", "hour"):
        time = page.words.time(start, report.timezone)
        is_again = start.astimezone(zone).fold  # the second of two equal hours
        return f"{time} *" if is_again else time
    first = start.astimezone(zone).date()
    if report.granularity == "month":
        return page.words.month(first)
    if report.granularity == "day":
        return page.words.short_day(first)
    last = (row.figure.end - timedelta(seconds=1)).astimezone(zone).date()
    return f"{page.words.short_day(first)} – {page.words.short_day(last)}"


def _address(name: str, asked: dict[str, Any]) -> str:
    given = {key: value for key, value in asked.items() if value}
    return f"/v1/exports/{name}?{urlencode(given, doseq=True)}"


def _why(line: ReportLine, report: Report) -> str:
    period = report.period
    asked = {
        "metric": line.metric,
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "place": line.place,
    }
    return f"/reports/why?{urlencode(asked)}"
