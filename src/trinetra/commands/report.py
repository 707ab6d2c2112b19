"""``trinetra report``: figures of a period as tables, files and pages."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note, output, print_text
from trinetra.commands.options import grouped_options
from trinetra.commands.report_table import print_report
from trinetra.errors import ConfigurationError
from trinetra.reports.build import build, has_figures
from trinetra.reports.document import ReportInput
from trinetra.reports.files import DocumentFormat, document_bytes, write_data_set, write_file
from trinetra.reports.periods import (
    Period,
    PeriodKind,
    chosen_comparisons,
    period_with,
    range_of,
)
from trinetra.reports.text import csv_text, json_lines
from trinetra.settings import load_settings
from trinetra.site import Site, load_site
from trinetra.telemetry import configure_logging
from trinetra.wiring.event_history import SITE_FILE
from trinetra.wiring.reports import ReportReader, ReportRequest, metric_texts

T = TypeVar("T")


class Format(StrEnum):
    """Formats of a report."""

    TERMINAL = "terminal"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"
    HTML = "html"
    PDF = "pdf"


class Granularity(StrEnum):
    """Lengths of the rows of a report."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Comparison(StrEnum):
    """Periods that a report can be compared with."""

    PREVIOUS = "previous"
    LAST_WEEK = "last-week"
    LAST_YEAR = "last-year"
    NONE = "none"


_BY_SUFFIX = {".csv": Format.CSV, ".xlsx": Format.XLSX, ".html": Format.HTML, ".pdf": Format.PDF}
_DOCUMENTS: dict[Format, DocumentFormat] = {
    Format.XLSX: "xlsx",
    Format.HTML: "html",
    Format.PDF: "pdf",
}
_DATA_SET = Path("trinetra-figures")
_Site = Annotated[
    Path | None, typer.Option("--site", metavar="SITE", help="The site file; site.yaml if here.")
]
_Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="NAME", help="A metric; may be repeated. Default: all."),
]
_Date = Annotated[
    str | None,
    typer.Option(
        "--date",
        metavar="DATE",
        show_default=False,
        help="A day of it: 2026-11-23, today, yesterday. Default: of the last one that is over.",
    ),
]


@dataclass(frozen=True)
class ReportOptions:
    """Options of all reports."""

    site: _Site = None
    format: Annotated[
        Format | None,
        typer.Option(
            "--format", show_default=False, help="Default: by the suffix of --output, or terminal."
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; for parquet the folder of the data set."
        ),
    ] = None
    granularity: Annotated[
        Granularity | None,
        typer.Option(
            "--granularity", show_default=False, help="Length of the rows. Default: what suits."
        ),
    ] = None
    metric: _Metrics = None
    compare: Annotated[
        list[Comparison] | None,
        typer.Option("--compare", show_default=False, help="May be repeated. Default: all."),
    ] = None
    impute: Annotated[
        bool,
        typer.Option("--impute", help="Extrapolate totals over time that was not watched."),
    ] = False


def register(app: typer.Typer) -> None:
    """Add the group of this module to the application."""
    group = typer.Typer(
        no_args_is_help=True, help="Reports: figures of a period as tables, files and pages."
    )
    for command in (daily, weekly, monthly, range_, changed):
        group.command(command.__name__.strip("_"))(grouped_options(command))
    app.add_typer(group, name="report")


def daily(options: ReportOptions, *, date: _Date = None) -> None:
    """Report a day, by the hour."""
    _report(options, lambda today, zone: _period("day", date, today, zone))


def weekly(options: ReportOptions, *, date: _Date = None) -> None:
    """Report a week from Monday to Sunday, by the day."""
    _report(options, lambda today, zone: _period("week", date, today, zone))


def monthly(options: ReportOptions, *, date: _Date = None) -> None:
    """Report a calendar month, by the day."""
    _report(options, lambda today, zone: _period("month", date, today, zone))


def range_(
    options: ReportOptions,
    *,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First day.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day, included.")],
) -> None:
    """Report all days from one to another."""

    def period(today: date, zone: ZoneInfo) -> Period:
        days = _day("--from", first, today), _day("--to", last, today)
        try:
            return range_of(*days, zone)
        except ValueError as cause:
            raise ConfigurationError(f"{cause}: exchange --from and --to") from cause

    _report(options, period)


class ChangeFormat(StrEnum):
    """Formats of changed figures."""

    CSV = "csv"
    JSONL = "jsonl"


class ChangeGrain(StrEnum):
    """Lengths of the spans of changed figures."""

    HOUR = "hour"
    DAY = "day"


def changed(
    *,
    since: Annotated[
        int | None,
        typer.Option("--since", min=0, metavar="CURSOR", help="Cursor of the last call; first 0."),
    ] = None,
    cursor_file: Annotated[
        Path | None,
        typer.Option("--cursor-file", help="Read the cursor from this file, and write the next."),
    ] = None,
    site: _Site = None,
    format: Annotated[ChangeFormat, typer.Option("--format")] = ChangeFormat.CSV,  # noqa: A002
    granularity: Annotated[ChangeGrain, typer.Option("--granularity")] = ChangeGrain.HOUR,
    metric: _Metrics = None,
    most: Annotated[
        int, typer.Option("--most", min=1, help="Stop after about so many changed sums.")
    ] = 10_000,
) -> None:
    """Print the figures that changed since a cursor, and the next cursor.

    Repeat it until nothing is printed. A row replaces the one of the same site, metric, place,
    granularity and start.
    """
    cursor = _cursor(since, cursor_file)
    records, following = _with_reader(
        site, lambda reader: reader.changed(granularity.value, cursor, tuple(metric or ()), most)
    )
    print_text(csv_text(records) if format is ChangeFormat.CSV else json_lines(records))
    if cursor_file:
        write_file(cursor_file, f"{following}\n".encode())
    note(f"next cursor: {following}")


def _cursor(since: int | None, file: Path | None) -> int:
    if since is not None or file is None:
        if since is None:
            raise ConfigurationError("give the cursor by --since (0 at first) or --cursor-file")
        return since
    try:
        return int(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as cause:
        raise ConfigurationError(f"{file} holds no cursor: {cause}") from cause


def _report(options: ReportOptions, period_of: Callable[[date, ZoneInfo], Period]) -> None:
    site, now = _site(options.site), SystemClock().now()
    zone = ZoneInfo(site.timezone)
    period = period_of(now.astimezone(zone).date(), zone)
    if period.start > now:
        raise ConfigurationError(
            f"{period.dates} is in the future: in {site.timezone} it is "
            f"{now.astimezone(zone):%Y-%m-%d %H:%M}"
        )
    metrics = tuple(options.metric or ())
    metric_texts(metrics)  # refuses unknown ones before the database is opened
    request = ReportRequest(
        period=period,
        granularity=options.granularity.value if options.granularity else period.granularity,
        metrics=metrics,
        compared=chosen_comparisons(period, [c.value for c in options.compare or ()]),
        impute=options.impute,
    )
    _write(options, site, request)


def _write(options: ReportOptions, site: Site, request: ReportRequest) -> None:
    form, file = _format(options), options.output
    if form in {Format.CSV, Format.PARQUET}:
        _write_records(form, file, options.site, request)
        return
    report = _with_reader(options.site, lambda reader: _read(reader, request))
    if options.compare:
        _tell_of_missing(report)
    document = build(report)
    if form is Format.TERMINAL:
        print_report(document, output())
        return
    content = document_bytes(document, _DOCUMENTS[form])
    target = file or Path(f"{site.site}-{request.period.file_part}.{form.value}")
    write_file(target, content)
    note(f"wrote {target}")


def _tell_of_missing(report: ReportInput) -> None:
    for each in report.compared:
        if not has_figures(each.figures.total):
            note(f"no figures to compare with: {each.with_.title}, {each.with_.period.dates}")


def _write_records(
    form: Format, file: Path | None, site: Path | None, request: ReportRequest
) -> None:
    records = _with_reader(site, lambda reader: reader.records(request))
    if form is Format.PARQUET:
        own = [record for record in records if record.period == "this"]
        folder = file or _DATA_SET
        written = write_data_set(folder, own, request.period.start, request.period.end)
        note(f"wrote {len(own):,} figures to {len(written)} files in {folder}")
    elif file:
        write_file(file, csv_text(records).encode())
        note(f"wrote {len(records):,} figures to {file}")
    else:
        print_text(csv_text(records))


async def _read(reader: ReportReader, request: ReportRequest) -> ReportInput:
    report = await reader.report(request)
    if not has_figures(report.figures.total):
        note(await _nothing(reader, request.period))
    return report


async def _nothing(reader: ReportReader, period: Period) -> str:
    days = await reader.days_on_record()
    if days is None:
        return (
            "no figures are on record yet: start `trinetra run`, and check with `trinetra events "
            "tail` that the cameras are seen"
        )
    return f"nothing is on record for {period.dates}; there are figures from {days[0]} to {days[1]}"


def _format(options: ReportOptions) -> Format:
    if options.format is Format.TERMINAL and options.output:
        raise ConfigurationError("--format terminal writes no file: leave out --output")
    if options.format or options.output is None:
        return options.format or Format.TERMINAL
    form = _BY_SUFFIX.get(options.output.suffix.lower())
    if form is None:
        names = ", ".join(_BY_SUFFIX)
        raise ConfigurationError(
            f"{options.output} does not tell the format: give --format, or one of {names}"
        )
    return form


def _period(kind: PeriodKind, text: str | None, today: date, zone: ZoneInfo) -> Period:
    if text is None:
        return period_with(kind, None, None, today, zone)
    is_month = kind == "month" and len(text) == len("2026-11")
    return period_with(
        kind, _day("--date", f"{text}-01" if is_month else text, today), None, today, zone
    )


def _day(option: str, text: str, today: date) -> date:
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        return named.get(text) or datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007
    except ValueError as cause:
        raise ConfigurationError(
            f"{option} {text}: write a day like {today}, or today or yesterday"
        ) from cause


def _site(site: Path | None) -> Site:
    if site is None and not SITE_FILE.exists():
        raise ConfigurationError(
            f"name the site file with --site SITE (there is no {SITE_FILE} here)"
        )
    return load_site(site or SITE_FILE)


def _with_reader(site: Path | None, read: Callable[[ReportReader], Coroutine[Any, Any, T]]) -> T:
    """Return what is read from the settings' insight store."""
    configure_logging(as_json=False, level="ERROR")

    async def run() -> T:
        async with ReportReader.open(load_settings(), _site(site)) as reader:
            return await read(reader)

    return asyncio.run(run())
