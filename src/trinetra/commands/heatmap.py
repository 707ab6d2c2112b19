"""``trinetra heatmap``: shows where people were on the floor, or in one camera's picture."""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note, print_text
from trinetra.commands.why import span_of
from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Span
from trinetra.insights.camera.grid import COLUMNS, ROWS, GridCell
from trinetra.insights.heatmap import Heatmap, HeatmapQuery, read_heatmap
from trinetra.settings import load_settings
from trinetra.site import Site, load_site
from trinetra.telemetry import configure_logging
from trinetra.wiring.figures import figure_reader
from trinetra.wiring.heatmaps import heatmap_query
from trinetra.wiring.stores import open_store

_SHADES = " ░▒▓█"


class Format(StrEnum):
    """Formats of a heatmap."""

    TERMINAL = "terminal"
    CSV = "csv"


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
_Camera = Annotated[
    str | None,
    typer.Option("--camera", metavar="ID", help="As this camera sees it; default: all."),
]
_Format = Annotated[Format, typer.Option("--format", help="Blocks, or one row for each cell.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("heatmap")(heatmap)


def heatmap(
    *,
    site: _SiteFile = Path("site.yaml"),
    day: _Day = None,
    start: _From = None,
    end: _To = None,
    camera: _Camera = None,
    format: _Format = Format.TERMINAL,  # noqa: A002 -- Typer names the option so
) -> None:
    """Show where people were, in person-hours; cells of few people are left out."""
    configure_logging(as_json=False, level="ERROR")
    loaded = load_site(site, os.environ)
    zone = ZoneInfo(loaded.timezone)
    span = span_of(day, start, end, zone, SystemClock().now())
    found = asyncio.run(_read(loaded, query_of(loaded, span, camera)))
    print_text(csv_of(found) if format is Format.CSV else blocks_of(found))
    for remark in remarks_on(found, loaded.policies.privacy.least_people):
        note(remark)


def query_of(site: Site, span: Span, camera: str | None) -> HeatmapQuery:
    """Return the query of the site's floor, or of one camera. Raises ConfigurationError."""
    if camera is not None and all(one.camera_id != camera for one in site.cameras):
        known = ", ".join(one.camera_id for one in site.cameras)
        raise ConfigurationError(f"--camera {camera}: the site has {known}")
    return heatmap_query(site, span, camera)


def csv_of(found: Heatmap) -> str:
    """Return one row for each cell that may be shown."""
    rows = [f"{found.grid},{c.x},{c.y},{hours:.6f}" for c, hours in found.hours.items()]
    return "\n".join(["grid,x,y,person_hours", *rows, ""])


def blocks_of(found: Heatmap) -> str:
    """Return the cells as blocks, two characters wide, the darkest for the most time."""
    if not found.hours:
        return "No cell has enough people to be shown.\n"
    left, top, right, bottom = _extent(found)
    most = max(found.hours.values())
    lines = [
        "".join(2 * _shade(found.hours.get(GridCell(x, y)), most) for x in range(left, right + 1))
        for y in range(top, bottom + 1)
    ]
    unit = f"cells of {found.cell_m:g} m" if found.cell_m else "parts of the picture"
    scale = f"x {left} to {right}, y {top} to {bottom} (downward), {unit}"
    darkest = f"{_SHADES[-1]} is up to {most:.2f} person-hours; an empty one is not shown or 0"
    return "\n".join([*(line.rstrip() for line in lines), scale, darkest, ""])


def remarks_on(found: Heatmap, least_people: int) -> list[str]:
    """Return what readers must know: cells that are left out, and time that was not watched."""
    cells = f"{found.left_out} cells of fewer than {least_people} people are not shown"
    blind = [
        f"{camera} was watched {share:.0%} of the time"
        for camera, share in found.completeness.items()
        if share is not None and share < 1
    ]
    return [*([cells] if found.left_out else []), *blind]


def _extent(found: Heatmap) -> tuple[int, int, int, int]:
    if found.grid == "picture":
        return 0, 0, COLUMNS - 1, ROWS - 1
    xs, ys = zip(*found.hours, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _shade(hours: float | None, most: float) -> str:
    if not hours:
        return _SHADES[0]
    darkest = len(_SHADES) - 1
    return _SHADES[min(darkest, 1 + int(hours / most * darkest))]


async def _read(site: Site, query: HeatmapQuery) -> Heatmap:
    async with open_store(load_settings()) as store:
        return await read_heatmap(figure_reader(site, store, SystemClock()), store, query)
