"""``trinetra topics``: creates the topics of a site on Kafka and checks them."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.topics import Layout, create_topics, find_faults
from trinetra.commands.console import output, print_json, say
from trinetra.settings import Settings, load_settings
from trinetra.site import load_site
from trinetra.wiring.places import kafka_connection
from trinetra.wiring.topics import site_topics

_SiteFile = Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")]
_Replication = Annotated[
    int | None,
    typer.Option(min=1, help="Copies of every new topic; 3, or one per broker, if not given."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

topics = typer.Typer(no_args_is_help=True, help="Topics on Kafka: create and check them.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(topics, name="topics")


@topics.command()
def create(site: _SiteFile, *, replication: _Replication = None, as_json: _Json = False) -> None:
    """Create missing topics, and set the retention of existing ones."""
    settings = load_settings()
    layout = _layout(site, settings)
    connection, clock = kafka_connection(settings), SystemClock()
    made = asyncio.run(create_topics(connection, layout, clock, replication=replication))
    faults = asyncio.run(find_faults(connection, layout, clock))
    _tell(layout, faults, created=made, as_json=as_json)


@topics.command()
def check(site: _SiteFile, *, as_json: _Json = False) -> None:
    """Check the topics against the site file; exit code 1 if anything is wrong."""
    settings = load_settings()
    layout = _layout(site, settings)
    faults = asyncio.run(find_faults(kafka_connection(settings), layout, SystemClock()))
    _tell(layout, faults, created=[], as_json=as_json)


def _layout(site: Path, settings: Settings) -> Layout:
    loaded = load_site(site, os.environ)
    return Layout(loaded.site_id, settings.namespace, site_topics(loaded))


def _tell(layout: Layout, faults: list[str], *, created: list[str], as_json: bool) -> None:
    if as_json:
        names = layout.names()
        print_json({"ok": not faults, "topics": names, "created": created, "faults": faults})
    else:
        for name in created:
            output().print(f"made {name}", markup=False)
        for fault in faults:
            say(fault)
        if not faults:
            count = len(layout.names())
            output().print(f"{count} topics match site {layout.site_id}", markup=False)
    if faults:
        raise typer.Exit(1)
