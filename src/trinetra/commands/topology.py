"""``trinetra topology``: camera topology, as configured and as estimated from walks."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note, output, print_json, print_text
from trinetra.commands.timestamps import instant_of
from trinetra.errors import ConfigurationError, MalformedEvent
from trinetra.events.codec import decode
from trinetra.events.schema import IdentityEvent, TracksEvent
from trinetra.events.topics import IDENTITIES
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.gate.topology_estimation import (
    TopologyEstimate,
    TransitionCollector,
    suggest,
)
from trinetra.replay.event_history import EventHistory
from trinetra.replay.recording import Window
from trinetra.settings import load_settings
from trinetra.site import load_site
from trinetra.telemetry import configure_logging
from trinetra.values import EPOCH, CameraId
from trinetra.wiring.event_history import history_of
from trinetra.wiring.site_graph import site_graph, topology_warnings

_SiteFile = Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")]
_ClusterSite = Annotated[
    Path | None,
    typer.Option("--site", metavar="SITE", help="On a cluster: the site file; site.yaml if here."),
]
_File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="File that --events wrote; default: the log's history."),
]
_From = Annotated[
    str | None, typer.Option("--from", help="Start, like 2h ago; default: a day ago.")
]
_To = Annotated[str | None, typer.Option("--to", help="End; default: now.")]
_Least = Annotated[
    int, typer.Option("--least", min=1, help="Minimum number of walks behind an estimate.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_DAY = "1d"

topology = typer.Typer(no_args_is_help=True, help="Camera topology: distances and overlaps.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(topology, name="topology")


@topology.command("show")
def show(site: _SiteFile, *, as_json: _Json = False) -> None:
    """Show the shortest route between every two cameras, and pairs without one."""
    loaded = load_site(site)
    graph, cameras = site_graph(loaded), [camera.camera_id for camera in loaded.cameras]
    ways = [_way(graph, a, b) for a in cameras for b in cameras if a != b]
    notes = list(topology_warnings(loaded))
    if as_json:
        print_json({"ways": ways, "notes": notes})
        return
    _print_ways(ways)
    for text in notes:
        note(text)


def _way(graph: SiteGraph, a: CameraId, b: CameraId) -> dict[str, object]:
    distance_m = graph.distance(a, b)
    return {
        "from": a,
        "to": b,
        "distance_m": None if distance_m is None else round(distance_m, 2),
        "least_s": None if distance_m is None else round(distance_m / graph.limit_mps, 1),
        "overlap": graph.overlap(a, b),
        "route": list(graph.route(a, b)),
    }


def _print_ways(ways: Sequence[dict[str, object]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("from", "to", "distance (m)", "no sooner than", "route"):
        table.add_column(heading)
    for way in ways:
        known = way["distance_m"] is not None
        route = way["route"] if isinstance(way["route"], list) else []
        through = "views overlap" if way["overlap"] else " > ".join(route[1:-1]) or "direct"
        cells = (
            str(way["from"]),
            str(way["to"]),
            f"{way['distance_m']:.1f}" if known else "-",
            f"{way['least_s']:.1f} s" if known else "-",
            through if known else "no known route",
        )
        table.add_row(*(Text(cell) for cell in cells))
    output().print(table)


@topology.command("estimate")
def estimate_ways(
    file: _File = None,
    *,
    begin: _From = None,
    end: _To = None,
    site: _ClusterSite = None,
    least: _Least = 5,
    as_json: _Json = False,
) -> None:
    """Estimate routes, distances and overlaps from the walks of recognized people."""
    configure_logging(as_json=False, level="ERROR")
    now = SystemClock().now()
    if begin is None and file is None:
        begin = _DAY
    window = Window(
        instant_of("--from", begin, now) if begin else None,
        instant_of("--to", end, now) if end else None,
    )
    past = history_of(load_settings(), file=file, site=site)
    passages = asyncio.run(_read(past, window))
    found = suggest(passages.people(), least=least)
    if as_json:
        rows = [
            {**asdict(s), "overlap": s.overlap, "distance_m": s.distance_m, "sure": s.sure}
            for s in found
        ]
        print_json({"estimates": rows, "recognised_at": sorted(passages.recognized_at)})
        return
    if not found:
        raise ConfigurationError(
            f"nothing to propose: in {past} no {least} walks of recognized people lead from one "
            "camera to another; use a longer period, or a smaller --least"
        )
    _print_estimates(found)
    print_text(as_yaml(found))


async def _read(past: EventHistory, window: Window) -> TransitionCollector:
    passages = TransitionCollector()
    async for batch in past.read([IDENTITIES], since=window.begin or EPOCH):
        for payload in batch:
            if b'"identity"' not in payload and b'"tracks"' not in payload:
                continue
            try:
                event = decode(payload)
            except MalformedEvent as cause:
                raise MalformedEvent(f"{past}: {cause}") from cause
            if not isinstance(event, IdentityEvent | TracksEvent):
                continue
            if window.holds(event.captured_at):
                passages.add(event)
    return passages


def _print_estimates(found: Sequence[TopologyEstimate]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (
        "between",
        "and",
        "distance (m)",
        "walks",
        "back",
        "at once",
        "half in",
        "tenth in",
    ):
        table.add_column(heading)
    for each in found:
        cells = (
            each.a,
            each.b,
            _distance_text(each),
            str(each.there),
            str(each.back),
            str(each.seen_together),
            f"{each.median_s:.1f} s",
            f"{each.quick_s:.1f} s",
        )
        table.add_row(*(Text(cell) for cell in cells))
    output().print(table)


def _distance_text(each: TopologyEstimate) -> str:
    if each.overlap:
        return "overlap"
    return f"{each.distance_m:.1f}" if each.sure else f"< {each.distance_m:.1f}"


def as_yaml(found: Sequence[TopologyEstimate]) -> str:
    """Return the estimates as a section of a site file."""
    edges = [s for s in found if not s.overlap]
    overlaps = [s for s in found if s.overlap]
    lines = ["topology:"] if any(s.sure for s in found) else ["# topology:  (no reliable estimate)"]
    lines += ["  edges:"] * any(s.sure for s in edges) + [_edge_line(s) for s in edges]
    lines += ["  overlaps:"] * bool(overlaps)
    lines += [f"    - [{s.a}, {s.b}]  # {s.seen_together} times at once" for s in overlaps]
    return "\n".join(lines) + "\n"


def _edge_line(each: TopologyEstimate) -> str:
    told = f"{each.there} walks there, {each.back} back, half in {each.median_s:.1f} s"
    if each.one_way:
        told += "; no walks back: one_way?"
    way = f"from: {each.a}, to: {each.b}, distance_m: {each.distance_m}"
    if each.sure:
        return f"    - {{{way}}}  # {told}"
    return f"    # people stop on the way, measure it: {{{way}}} at most; {told}"
