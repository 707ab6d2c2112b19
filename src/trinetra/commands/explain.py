"""``trinetra explain``: explains an event, a track or a customer in plain words."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from trinetra.adapters.clock import SystemClock
from trinetra.commands.audit_trail import record_deed
from trinetra.commands.console import output, print_json
from trinetra.commands.timestamps import instant_of
from trinetra.errors import ConfigurationError
from trinetra.events.customers import CustomerDirectory
from trinetra.events.topics import ALERTS, CUSTOMERS, DETECTIONS, IDENTITIES, INSIGHTS, Topic
from trinetra.explanation import Explanation, Gathering, Naming, explain_events, subjects_of
from trinetra.replay.event_history import EventHistory
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import EPOCH, CustomerId, Instant
from trinetra.wiring.event_history import history_of, read_people

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
_TOPICS = (IDENTITIES, ALERTS, CUSTOMERS, INSIGHTS)
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
    name = _named(asyncio.run(read_people(settings))) if names else str
    if names:
        record_deed(settings, "list", None, "explain")
    account = asyncio.run(find(subject, past, since=begin, name=name))
    if as_json:
        print_json(account.as_json())
    else:
        _show(account, output())


def _named(people: CustomerDirectory) -> Naming:
    def name(customer_id: CustomerId) -> str:
        known = people.customers.get(people.canonical(customer_id))
        return f"{known.name} ({customer_id})" if known and known.name else customer_id

    return name


async def find(
    subject: str, past: EventHistory, *, since: Instant, name: Naming = str
) -> Explanation:
    """Return the explanation of an id. Raises ConfigurationError if the history has no such id."""
    topics = (*_TOPICS, DETECTIONS) if subject.startswith("det_") else _TOPICS
    mentions = await _gather(frozenset({subject}), past, topics, since)
    wider = subjects_of(subject, mentions.found)
    if wider != mentions.ids:
        mentions = await _gather(wider, past, topics, since)
    account = explain_events(subject, mentions.found, name)
    if account is None:
        raise ConfigurationError(_unknown(subject, past, mentions))
    return account


async def _gather(
    ids: frozenset[str], past: EventHistory, topics: tuple[Topic, ...], since: Instant
) -> Gathering:
    gathering = Gathering(ids)
    console = Console(stderr=True)
    with console.status("reading") as status:
        async for batch in past.read(topics, since=since):
            for payload in batch:
                gathering.add(payload)
            status.update(f"reading {past}: {gathering.read:,} events")
    return gathering


def _unknown(subject: str, past: EventHistory, read: Gathering) -> str:
    if read.oldest is None:
        return f"{past} holds no event: there is nothing to explain {subject} by"
    return (
        f"no event, track or customer {subject} in {past}, which goes back to "
        f"{read.oldest:%Y-%m-%d %H:%M:%S} UTC ({read.read:,} events): check the id, or give the "
        "file it is from with --file"
    )


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
