"""``trinetra explain``: explains an event, a track or a customer in plain words."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import output, print_json
from trinetra.commands.timestamps import instant_of
from trinetra.errors import ConfigurationError
from trinetra.explanation import Explanation
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import EPOCH
from trinetra.wiring.audit_trail import record_deed
from trinetra.wiring.event_history import history_of, read_people
from trinetra.wiring.explaining import explanation_of, names_in

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of an event, a track or a customer.")]
_File = Annotated[
    Path | None,
    typer.Option("--file", help="File that --events wrote; default: the log's history."),
]
_SiteFile = Annotated[
    Path | None,
    typer.Option("--site", metavar="SITE", help="On a cluster: the site file; site.yaml if here."),
]
_Since = Annotated[
    str | None, typer.Option("--since", help="Search no further back, like 2h; faster.")
]
_Names = Annotated[bool, typer.Option("--names", help="Show the names of enrolled people.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_STORY = 40
"""Moments that are shown; a member of staff has thousands."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("explain")(explain)


def explain(
    subject: _Id,
    *,
    file: _File = None,
    site: _SiteFile = None,
    since: _Since = None,
    names: _Names = False,
    as_json: _Json = False,
) -> None:
    """Explain a decision: scores, margin, gate, thresholds, and what would have changed it."""
    if not subject.strip():
        raise ConfigurationError("the id is empty: give that of an event, a track or a customer")
    configure_logging(as_json=False, level="ERROR")
    now = SystemClock().now()
    begin = instant_of("--since", since, now) if since else EPOCH
    settings = load_settings()
    past = history_of(settings, file=file, site=site)
    name = names_in(asyncio.run(read_people(settings))) if names else str
    if names:
        record_deed(settings, "list", None, "explain")
    with Console(stderr=True).status("reading") as status:

        def watch(read: int) -> None:
            status.update(f"reading {past}: {read:,} events")

        account = asyncio.run(explanation_of(subject, past, since=begin, name=name, watch=watch))
    if as_json:
        print_json(account.as_json())
    else:
        _show(account, output())


def _show(account: Explanation, console: Console) -> None:
    if event := account.event:
        when = f"{event.captured_at:%Y-%m-%d %H:%M:%S} UTC"
        console.print(Text(f"{event.event_id}, {event.camera_id or 'no camera'}, {when}", "dim"))
    console.print(Text(account.headline, "bold"), soft_wrap=True)
    _list(console, "Why", account.because)
    _list(console, "What would have changed it", account.otherwise)
    shown = account.story[-_STORY:]
    told = tuple(f"{m.at:%H:%M:%S}  {m.camera:<12}  {m.told}  [{m.event_id}]" for m in shown)
    title = "Other events about it"
    if len(shown) < len(account.story):
        title += f" (the last {len(shown)} of {len(account.story)})"
    _list(console, title, told)


def _list(console: Console, title: str, sentences: tuple[str, ...]) -> None:
    if sentences:
        console.print()
        console.print(Text(title))
        for sentence in sentences:
            console.print(Text(f"  - {sentence}"), soft_wrap=True)
