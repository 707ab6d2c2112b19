"""``trinetra customers staff-candidates``: lists customers who behave like staff."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from trinetra.commands.console import note, output, print_json
from trinetra.events.schema import Visit, ZoneStay
from trinetra.insights.footfall.staff import (
    StaffCandidate,
    StaffRules,
    staff_candidates,
    without_candidates,
)
from trinetra.settings import Settings, load_settings
from trinetra.site import Site, load_site
from trinetra.telemetry import configure_logging
from trinetra.wiring.site_graph import opening_hours
from trinetra.wiring.stores import open_store

_SiteFile = Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")]
_Days = Annotated[int, typer.Option("--days", min=1, max=365, help="How many days to look at.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_ID_WIDTH = 28


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group ``customers``."""
    group.command("staff-candidates")(list_staff_candidates)


def list_staff_candidates(site: _SiteFile, *, days: _Days = 7, as_json: _Json = False) -> None:
    """List customers who behave like staff, with the reasons; nothing is changed."""
    configure_logging(as_json=False, level="ERROR")
    loaded = load_site(site)
    visits, stays = asyncio.run(_read(load_settings(), loaded, days))
    found = staff_candidates(visits, stays, _rules(loaded))
    if as_json:
        print_json(
            [
                {
                    "customer_id": c.customer_id,
                    "reasons": list(c.reasons),
                    "days": c.days,
                    "visits": c.visits,
                    "present_s": round(c.present_s),
                }
                for c in found
            ]
        )
        return
    if not found:
        output().print("No customer behaves like staff.")
        return
    _print(found)
    rest = without_candidates(visits, found)
    note(
        f"with all of them as staff, {len(visits)} visits become {len(rest)}: trinetra customers "
        "update ID --kind staff"
    )


async def _read(settings: Settings, site: Site, days: int) -> tuple[list[Visit], list[ZoneStay]]:
    end = datetime.now(ZoneInfo(site.timezone))
    start = end - timedelta(days=days)
    async with open_store(settings) as store:
        visits = await store.visits(start, end, site.policies.stays.visit_gap_s)
        stays = await store.fetch("zone_stay", start, end)
    return visits, [stay for stay in stays if isinstance(stay, ZoneStay)]


def _rules(site: Site) -> StaffRules:
    counters = frozenset(
        (camera.camera_id, zone.id)
        for camera in site.cameras
        for zone in camera.zones
        if zone.kind == "counter"
    )
    return StaffRules(ZoneInfo(site.timezone), opening_hours(site), counters)


def _print(found: list[StaffCandidate]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", no_wrap=True, min_width=_ID_WIDTH)
    for heading in ("days", "visits", "hours", "because"):
        table.add_column(heading)
    for each in found:
        hours = f"{each.present_s / 3600:.1f}"
        cells = (str(each.days), str(each.visits), hours, "; ".join(each.reasons))
        table.add_row(each.customer_id, *(Text(cell) for cell in cells))
    output().print(table)
