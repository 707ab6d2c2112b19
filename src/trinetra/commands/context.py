"""``trinetra context import``: weather, staff hours, promotions, notes and targets from a table."""

import asyncio
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from trinetra.commands.console import note, say
from trinetra.commands.imports import Source, opened
from trinetra.events.context import ContextEntry
from trinetra.imports.context import CONTEXT_FIELDS, context_entry
from trinetra.imports.fields import FieldFault
from trinetra.settings import Settings, load_settings
from trinetra.site import load_site
from trinetra.telemetry import configure_logging
from trinetra.values import SiteId
from trinetra.wiring.stores import open_context_store

context = typer.Typer(
    no_args_is_help=True, help="Context of figures: weather, staff hours, promotions, targets."
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(context, name="context")


@context.callback()
def _group() -> None:
    """Keep the group a group, although it has a single command."""


@context.command("import")
def import_context(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table: CSV or JSON lines.")],
    *,
    mapping: Annotated[
        Path, typer.Option("--mapping", metavar="MAP", help="Which column has which field.")
    ],
    site: Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file and store nothing.")
    ] = False,
) -> None:
    """Import context into the store; lines that are rejected go to FILE.rejected."""
    configure_logging(as_json=False, level="ERROR")
    settings, shop = load_settings(), load_site(site)
    zone = ZoneInfo(shop.timezone)
    with opened(file, mapping, CONTEXT_FIELDS, zone) as source:
        entries = _read(source, shop.site_id, zone)
        if not dry_run:
            asyncio.run(_store(settings, entries))
        done = "valid" if dry_run else "stored"
        say(f"{file}: {len(entries)} {done}, {len(source.rejected)} rejected")
        if path := source.write_rejected():
            note(f"mend the lines in {path} and import that file with the same mapping")
            raise typer.Exit(1)


def _read(source: Source, site_id: SiteId, zone: ZoneInfo) -> list[ContextEntry]:
    entries = []
    for row in source.table.rows():
        if row.fault is not None:
            source.reject(row, row.fault)
            continue
        try:
            entries.append(context_entry(row.values, source.fields, site_id, zone))
        except FieldFault as fault:
            source.reject(row, str(fault))
    return entries


async def _store(settings: Settings, entries: list[ContextEntry]) -> None:
    async with open_context_store(settings) as store:
        await store.record(entries)
