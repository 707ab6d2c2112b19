"""``trinetra customers staff-candidates``: lists customers who behave like staff."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from trinetra.commands.console import note, output, print_json
from trinetra.insights.footfall.staff import StaffCandidate
from trinetra.settings import Settings, load_settings
from trinetra.site import Site, load_site
from trinetra.telemetry import configure_logging
from trinetra.wiring.staff import StaffSearch, find_staff
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
    search = asyncio.run(_search(load_settings(), loaded, days))
    found = search.found
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
    note(
        f"with all of them as staff, {search.visits} visits become {search.visits_without}: "
        "trinetra customers update ID --kind staff"
    )


async def _search(settings: Settings, site: Site, days: int) -> StaffSearch:
    async with open_store(settings) as store:
        return await find_staff(store, site, datetime.now(ZoneInfo(site.timezone)), days)


def _print(found: Sequence[StaffCandidate]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", no_wrap=True, min_width=_ID_WIDTH)
    for heading in ("days", "visits", "hours", "because"):
        table.add_column(heading)
    for each in found:
        hours = f"{each.present_s / 3600:.1f}"
        cells = (str(each.days), str(each.visits), hours, "; ".join(each.reasons))
        table.add_row(each.customer_id, *(Text(cell) for cell in cells))
    output().print(table)
