"""``trinetra footfall``: the figures of a day, and an audit of the counting lines."""

import asyncio
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note, output, print_json
from trinetra.commands.timestamps import instant_of
from trinetra.errors import ConfigurationError, MalformedEvent
from trinetra.events.codec import decode
from trinetra.events.derivation import Span
from trinetra.events.schema import Group, Passage, TracksEvent
from trinetra.events.topics import IDENTITIES
from trinetra.insights.footfall.groups import counts, is_customer
from trinetra.insights.footfall.line_audit import LineAudit, LineReport
from trinetra.insights.footfall.visitors import ON_FOOTAGE, CountingQuality
from trinetra.insights.metrics.buckets import midnight
from trinetra.insights.metrics.visitors import visitors_in
from trinetra.replay.event_history import EventHistory
from trinetra.replay.recording import Window
from trinetra.settings import Settings, load_settings
from trinetra.site import Site, load_site
from trinetra.telemetry import configure_logging
from trinetra.values import EPOCH, CameraId
from trinetra.wiring.config import insight_plans
from trinetra.wiring.event_history import history_of
from trinetra.wiring.stores import open_store

_SiteFile = Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")]
_File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="File that --events wrote; default: the log's history."),
]
_From = Annotated[
    str | None, typer.Option("--from", help="Start, like 2h ago; default: a day ago.")
]
_To = Annotated[str | None, typer.Option("--to", help="End; default: now.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Day = Annotated[
    str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Default: today, by the shop.")
]
_Counted = Annotated[
    tuple[int, int, int] | None,
    typer.Option(
        "--counted",
        metavar="TRUE FOUND HITS",
        help="A count by hand: people who came in, how many were counted, how many of these right.",
    ),
]
footfall = typer.Typer(no_args_is_help=True, help="Footfall: figures of a day, audit of lines.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(footfall, name="footfall")


@footfall.command("day")
def show_day(
    site: _SiteFile, *, day: _Day = None, counted: _Counted = None, as_json: _Json = False
) -> None:
    """Show who came in and went out on a day: people, groups, and unique visitors."""
    loaded, settings = load_site(site), load_settings()
    configure_logging(as_json=False, level="ERROR")
    span = _span_of(day, loaded)
    quality = ON_FOOTAGE if counted is None else _quality(counted)
    figures = asyncio.run(_figures(settings, span, quality))
    if as_json:
        print_json({"start": span.start.isoformat(), "end": span.end.isoformat(), **figures})
        return
    for name, value in figures.items():
        output().print(f"{name.replace('_', ' ')}: {value}", markup=False)


def _quality(counted: tuple[int, int, int]) -> CountingQuality:
    truths, found, hits = counted
    if not (0 <= hits <= min(truths, found) and truths > 0 and found > 0):
        raise ConfigurationError(
            f"--counted {truths} {found} {hits}: hits cannot exceed the people or the count"
        )
    return CountingQuality(truths, found, hits)


def _span_of(day: str | None, site: Site) -> Span:
    zone = ZoneInfo(site.timezone)
    try:
        local = date.fromisoformat(day) if day else datetime.now(zone).date()
    except ValueError as cause:
        raise ConfigurationError(f"--day {day}: write it as 2026-11-29") from cause
    return Span(midnight(local, zone), midnight(local + timedelta(days=1), zone))


async def _figures(settings: Settings, span: Span, quality: CountingQuality) -> dict[str, object]:
    async with open_store(settings) as store:
        passages = [e for e in await store.fetch("passage", *span) if isinstance(e, Passage)]
        groups = [e for e in await store.fetch("group", *span) if isinstance(e, Group)]
    estimate = visitors_in(passages, counting=quality)
    ways = [p.direction for p in passages if counts(p)]
    passed_by = [p for p in passages if is_customer(p) and p.door_kind == "passby"]
    return {
        "people_in": ways.count("in"),
        "people_out": ways.count("out"),
        "groups_in": sum(group.direction == "in" for group in groups),
        "unique_visitors": None if estimate is None else round(estimate.value, 1),
        "unique_visitors_from": None if estimate is None else round(estimate.low, 1),
        "unique_visitors_to": None if estimate is None else round(estimate.high, 1),
        "passed_by": len(passed_by),
    }


@footfall.command("audit")
def audit_lines(
    site: _SiteFile,
    file: _File = None,
    *,
    begin: _From = None,
    end: _To = None,
    as_json: _Json = False,
) -> None:
    """Audit the counting lines on recorded tracks: what begins or ends at one, or passes beside."""
    configure_logging(as_json=False, level="ERROR")
    now = SystemClock().now()
    if begin is None and file is None:
        begin = "1d"
    window = Window(
        instant_of("--from", begin, now) if begin else None,
        instant_of("--to", end, now) if end else None,
    )
    plans = insight_plans(load_site(site))
    audits = {c: LineAudit(c, plan.lines) for c, plan in plans.items() if plan.lines}
    past = history_of(load_settings(), file=file, site=site)
    asyncio.run(_read(past, window, audits))
    reports = [report for audit in audits.values() for report in audit.reports()]
    if as_json:
        print_json([{**asdict(r), "findings": list(r.findings())} for r in reports])
        return
    _print_reports(reports)


async def _read(past: EventHistory, window: Window, audits: dict[CameraId, LineAudit]) -> None:
    async for batch in past.read([IDENTITIES], since=window.begin or EPOCH):
        for payload in batch:
            if b'"tracks"' not in payload:
                continue
            try:
                event = decode(payload)
            except MalformedEvent as cause:
                raise MalformedEvent(f"{past}: {cause}") from cause
            if not isinstance(event, TracksEvent) or not window.holds(event.captured_at):
                continue
            if audit := audits.get(event.camera_id):
                audit.add(event)


def _print_reports(reports: list[LineReport]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("line", "tracks near", "through", "beside", "begin at it", "end at it"):
        table.add_column(heading)
    for report in reports:
        counts = (report.near, report.through, report.beside, report.born, report.lost)
        table.add_row(Text("/".join(report.ref)), *(Text(str(count)) for count in counts))
    output().print(table)
    for report in reports:
        for finding in report.findings():
            note(f"{'/'.join(report.ref)}: {finding}")
