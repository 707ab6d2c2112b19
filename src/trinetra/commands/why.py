"""``trinetra why``: lists what makes a figure, down to the track, and what is missing in it."""

import asyncio
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import print_json
from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Span
from trinetra.events.figures import Figure
from trinetra.events.subjects import track_of
from trinetra.explanation.render import told
from trinetra.insights.metrics.buckets import midnight
from trinetra.insights.metrics.definition import Metric
from trinetra.insights.why import Contribution, Explanation, explain_figure, why_left_out
from trinetra.settings import load_settings
from trinetra.site import Site, load_site
from trinetra.telemetry import configure_logging
from trinetra.values import Instant
from trinetra.wiring.figures import figure_reader
from trinetra.wiring.stores import open_written_store

_Metric = Annotated[str, typer.Argument(metavar="METRIC", help="Name; see `trinetra metrics`.")]
_SiteFile = Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")]
_Day = Annotated[
    str | None, typer.Option("--day", metavar="DATE", help="Like 2026-11-28; default: today.")
]
_From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="By the shop's clock, like 14:00.")
]
_To = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="Like 15:00; 24:00 is midnight.")
]
_Place = Annotated[
    str, typer.Option("--place", metavar="PLACE", help="Like door/main; default: the site.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_SHOWN = 200


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("why")(why)


def why(
    metric: _Metric,
    *,
    site: _SiteFile = Path("site.yaml"),
    day: _Day = None,
    start: _From = None,
    end: _To = None,
    place: _Place = "",
    as_json: _Json = False,
) -> None:
    """Explain a figure: what it counts, what it leaves out, and when nothing was watched."""
    configure_logging(as_json=False, level="ERROR")
    loaded = load_site(site, os.environ)
    zone = ZoneInfo(loaded.timezone)
    span = span_of(day, start, end, zone, SystemClock().now())
    found = asyncio.run(_explain(loaded, metric, span, place))
    if as_json:
        print_json(_as_json(found))
    else:
        _show(found, zone, Console(highlight=False, soft_wrap=True))


def span_of(
    day: str | None, start: str | None, end: str | None, zone: ZoneInfo, now: Instant
) -> Span:
    """Return the span that the options name. Raises ConfigurationError."""
    try:
        of = date.fromisoformat(day) if day else now.astimezone(zone).date()
    except ValueError as cause:
        raise ConfigurationError(f"--day {day}: write a date, like 2026-11-28") from cause
    begin, over = _time("--from", start or "00:00"), _time("--to", end or "24:00")
    return Span(_clock(of, begin, zone), _clock(of, over, zone))


def _time(option: str, text: str) -> int:
    """Return a time of day in minutes after midnight."""
    hours, _, minutes = text.partition(":")
    if hours.isdigit() and minutes.isdigit() and int(minutes) < 60 and int(hours) * 60 <= 24 * 60:  # noqa: PLR2004 -- an hour
        return min(int(hours) * 60 + int(minutes), 24 * 60)
    raise ConfigurationError(f"{option} {text}: write a time of day, like 14:00")


def _clock(day: date, minutes: int, zone: ZoneInfo) -> Instant:
    if minutes == 24 * 60:
        return midnight(day + timedelta(days=1), zone)
    at = midnight(day, zone).astimezone(zone)
    return at.replace(hour=minutes // 60, minute=minutes % 60)


async def _explain(site: Site, metric: str, span: Span, place: str) -> Explanation:
    async with open_written_store(load_settings()) as store:
        reader = figure_reader(site, store, SystemClock())
        return await explain_figure(reader, store, metric, span, place)


def _show(found: Explanation, zone: ZoneInfo, console: Console) -> None:
    figure = found.figure
    where = figure.place or "the whole site"
    span = f"{_local(figure.start, zone)} to {_local(figure.end, zone)}"
    console.print(
        f"[bold]{found.metric.title}[/] of {where}, {span}: [bold]{shown(found.metric, figure)}[/]"
    )
    console.print(
        f"Counts: {found.metric.counts}\nLeaves out: {found.metric.leaves_out}\n", markup=False
    )
    console.print(f"[bold]Counted: {len(found.counted)}[/]")
    for contribution in found.counted[:_SHOWN]:
        console.print(f"  {_line(contribution, zone)}", markup=False)
    if len(found.counted) > _SHOWN:
        console.print(f"  ... and {len(found.counted) - _SHOWN} more: --json lists all")
    if found.left_out:
        console.print(f"[bold]Left out: {len(found.left_out)}[/]")
    for insight in found.left_out[:_SHOWN]:
        console.print(
            f"  {_local(insight.captured_at, zone)}  {told(insight)} ({why_left_out(insight)})",
            markup=False,
        )
    _show_gaps(found, zone, console)
    check = "equals" if found.is_exact else "DIFFERS FROM"
    console.print(f"The sum of what is listed {check} the sum on record.")


def _show_gaps(found: Explanation, zone: ZoneInfo, console: Console) -> None:
    if found.figure.completeness is None:
        console.print("The shop was closed: no camera had to be watched.")
    elif not found.gaps:
        console.print("All cameras that it depends on were watched all the time.")
    for gap in found.gaps:
        start, end = (_local(edge, zone) for edge in gap.span)
        console.print(
            f"  not watched: {gap.camera_id}, {start} to {end} ({gap.reason})", markup=False
        )


def shown(metric: Metric, figure: Figure) -> str:
    """Return the value of a figure for people."""
    if figure.value is None:
        return "unknown"
    part = figure.completeness
    known = "" if part is None or part >= 1 else f" ({part:.0%} of the time watched)"
    value = (
        f"{figure.value:.0%}"
        if metric.unit == "share"
        else f"{figure.value:,.1f}".removesuffix(".0")
    )
    return f"{value}{' s' if metric.unit == 's' else ''}{known}"


def _line(contribution: Contribution, zone: ZoneInfo) -> str:
    insight = contribution.insight
    track = track_of(insight)
    of_track = f", track {track}" if track else ""
    return f"{_local(insight.captured_at, zone)}  {told(insight)} [{insight.event_id}{of_track}]"


def _local(at: Instant, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _as_json(found: Explanation) -> dict[str, object]:
    figure = found.figure
    return {
        "metric": found.metric.name,
        "version": found.metric.version,
        "place": figure.place,
        "start": figure.start.isoformat(),
        "end": figure.end.isoformat(),
        "value": figure.value,
        "completeness": figure.completeness,
        "is_exact": found.is_exact,
        "counted": [
            {
                "event_id": insight.event_id,
                "at": insight.captured_at.isoformat(),
                "track_id": track_of(insight),
                "adds": [[c.series, c.place, c.bin, c.value] for c in cells],
            }
            for insight, cells in found.counted
        ],
        "left_out": [
            {"event_id": i.event_id, "at": i.captured_at.isoformat(), "why": why_left_out(i)}
            for i in found.left_out
        ],
        "gaps": [
            {
                "camera_id": gap.camera_id,
                "start": gap.span.start.isoformat(),
                "end": gap.span.end.isoformat(),
                "reason": gap.reason,
            }
            for gap in found.gaps
        ],
    }
