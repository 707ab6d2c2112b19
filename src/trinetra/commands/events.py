"""``trinetra events tail``: shows the events of a platform, a cluster or a file."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import typer
from rich.text import Text

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note, output, print_text
from trinetra.commands.local_access import bearer_for, own_address, refused, verification
from trinetra.commands.options import grouped_options
from trinetra.commands.timestamps import instant_of
from trinetra.errors import ConfigurationError, EventLogUnavailable, MalformedEvent
from trinetra.events import topics
from trinetra.events.codec import decode, encode, without_embeddings
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    LineCrossing,
    Occupancy,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.events.topics import Topic
from trinetra.explanation.render import told
from trinetra.ports import Delivery, TopicReader
from trinetra.replay.event_history import EventHistory
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import Instant, SiteId
from trinetra.wiring.event_history import history_of, open_cluster, site_id_of

_KINDS = {str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__}
_TOPICS = {
    "detection": topics.DETECTIONS,
    "tracks": topics.IDENTITIES,
    "identity": topics.IDENTITIES,
    "lifecycle": topics.CUSTOMERS,
    "alert": topics.ALERTS,
}
"""Where events of a type are; all others are insights."""
_FIGURES = ("line_crossing", "zone_stay", "occupancy", "visit", "alert")
"""What is shown unless other types are asked for: what a shop counts, and what needs attention."""
_ALL_BY_DEFAULT = 20
_AT_ONCE = 1000
_WAIT_S = 1.0
_MOST = 1000
_REMEMBERED = 2 * _MOST
_STYLES = {"alert": "bold red", "identity": "cyan", "visit": "green", "line_crossing": "green"}

_File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="File that --events wrote; default: live events."),
]
_Url = Annotated[
    str | None, typer.Option("--url", help="URL of a running platform; default: on this machine.")
]
_SiteFile = Annotated[
    Path | None,
    typer.Option("--site", metavar="SITE", help="On a cluster: the site file; site.yaml if here."),
]
_Type = Annotated[
    list[str] | None, typer.Option("--type", help=f"Only these types: {', '.join(sorted(_KINDS))}.")
]
_All = Annotated[
    bool, typer.Option("--all", help="All types, also what each frame shows; many a second.")
]
_Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")]


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Past events to show first."""

    last: Annotated[
        int | None,
        typer.Option(
            "--last",
            min=0,
            max=1000,
            help="Number of past events to search (not on a cluster); 1000, or 20 with --all.",
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option("--since", help="Start this long ago, like 10m, as far as kept."),
    ] = None


events = typer.Typer(no_args_is_help=True, help="Events: show them, and print their schema.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(events, name="events")


@events.command("tail")
@grouped_options
def tail(
    start: StartOptions,
    *,
    file: _File = None,
    url: _Url = None,
    site: _SiteFile = None,
    kinds: _Type = None,
    everything: _All = False,
    as_json: _Json = False,
) -> None:
    """Show figures and alerts, or other events, as they happen, until Ctrl-C."""
    configure_logging(as_json=False, level="ERROR")
    if unknown := set(kinds or ()) - _KINDS.keys():
        raise typer.BadParameter(
            f"no event type {', '.join(sorted(unknown))}; there are {', '.join(sorted(_KINDS))}"
        )
    settings, now = load_settings(), SystemClock().now()
    begin = instant_of("--since", start.since, now) if start.since else None
    wanted = list(kinds or (_KINDS if everything else _FIGURES))
    last = (_ALL_BY_DEFAULT if everything else _MOST) if start.last is None else start.last
    shown = _Shown(tuple(_KINDS[kind] for kind in wanted), as_json=as_json)
    if file:
        for number, line in enumerate(_from_file(file), start=1):
            shown.show(_decoded(line, str(file), number))
    elif url or settings.event_log == "memory":
        if begin:
            past = history_of(settings, file=None, site=None)
            asyncio.run(_show_past(past, _topics(wanted), begin, shown))
        address = url or own_address(settings)
        past_events = _MOST if begin else last
        lines = _from_platform(address, past_events, settings)
        _show_live(address, lines, shown, may_be_away=bool(begin))
    else:
        follow = _follow(settings, site_id_of(site), _topics(wanted), begin or now, shown)
        asyncio.run(follow)


@events.command("schema")
def schema() -> None:
    """Print the JSON Schema of all events, for consumers of the topics."""
    print_text(events_schema_text())


def events_schema_text() -> str:
    """Return the JSON Schema of the union of all events, as indented JSON."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "TRINETRA events",
        **msgspec.json.schema(AnyEvent),
    }
    return json.dumps(document, indent=2) + "\n"


@dataclass(slots=True)
class _Shown:
    """Prints events of the wanted types, without embeddings."""

    wanted: tuple[type, ...]
    as_json: bool
    _last: deque[bytes] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def show(self, event: AnyEvent, *, but_last: bool = False) -> None:
        """Print an event; with ``but_last`` only if it is not among the events printed last."""
        if not isinstance(event, self.wanted):
            return
        line = encode(without_embeddings(event))
        if but_last and line in self._last:
            return
        self._last.append(line)
        if self.as_json:
            sys.stdout.write(line.decode() + "\n")
            sys.stdout.flush()
        else:
            output().print(_line(event), soft_wrap=True)


async def _show_past(
    past: EventHistory, wanted: Sequence[Topic], since: Instant, shown: _Shown
) -> None:
    async for batch in past.read(wanted, since=since):
        for payload in batch:
            shown.show(_decoded(payload, str(past), 0))


def _show_live(url: str, lines: Iterable[bytes], shown: _Shown, *, may_be_away: bool) -> None:
    try:
        for number, line in enumerate(lines, start=1):
            shown.show(_decoded(line, url, number), but_last=True)
    except EventLogUnavailable as cause:
        if not may_be_away:
            raise
        note(f"no more events: {cause}")


async def _follow(
    settings: Settings, site_id: SiteId, wanted: Sequence[Topic], since: Instant, shown: _Shown
) -> None:
    """Show new events on a cluster's topics, through outages, until interrupted."""
    async with open_cluster(settings, site_id) as log:
        reader = await log.open_reader(wanted, since=since)
        try:
            while True:
                for delivery in await _patiently(reader):
                    _show_delivery(delivery, shown)
        finally:
            await reader.close()


def _show_delivery(delivery: Delivery, shown: _Shown) -> None:
    try:
        shown.show(decode(delivery.value))
    except MalformedEvent as fault:
        note(f"{delivery.topic}, partition {delivery.partition}, {delivery.offset}: {fault}")


async def _patiently(reader: TopicReader) -> list[Delivery]:
    """Return the next records; during an outage, says so once and waits."""
    away = False
    while True:
        try:
            if found := await reader.poll(max_records=_AT_ONCE, wait_s=_WAIT_S):
                return found
            await reader.lag()  # only this call raises during an outage
        except EventLogUnavailable as cause:
            if not away:
                note(f"{cause}; waiting for it")
            away = True
            await asyncio.sleep(_WAIT_S)
        else:
            away = False


def _topics(kinds: Iterable[str]) -> list[Topic]:
    return list(dict.fromkeys(_TOPICS.get(kind, topics.INSIGHTS) for kind in kinds))


def _from_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as lines:
            yield from lines
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise ConfigurationError(f"{path} cannot be read: {reason}") from cause


def _from_platform(url: str, last: int, settings: Settings) -> Iterator[bytes]:
    asked: dict[str, Any] = {
        "params": {"last": last},
        "timeout": httpx.Timeout(5.0, read=None),
        "headers": bearer_for(url, settings, SystemClock().now()),
        "verify": verification(url, settings),
    }
    try:
        with httpx.stream("GET", f"{url}/events", **asked) as reply:
            if reply.status_code in {401, 403}:
                raise EventLogUnavailable(refused(url))
            reply.raise_for_status()
            for line in reply.iter_lines():
                yield line.encode()
    except httpx.RemoteProtocolError:
        return  # the platform has stopped
    except (httpx.HTTPError, httpx.InvalidURL) as cause:
        raise EventLogUnavailable(
            f"no running platform answers at {url} ({cause}); start `trinetra run SITE`, "
            "name another with --url, or give a file that --events wrote"
        ) from cause


def _decoded(line: bytes, where: str, number: int) -> AnyEvent:
    try:
        return decode(line)
    except MalformedEvent as cause:
        raise MalformedEvent(f"{where}:{number}: {cause}") from cause


def _line(event: AnyEvent) -> Text:
    kind = str(event.__struct_config__.tag)
    return Text.assemble(
        (f"{event.captured_at:%H:%M:%S.%f}"[:-4] + " ", "dim"),
        (f"{event.camera_id:<12} ", "bold"),
        (f"{kind:<14} ", _STYLES.get(kind, "")),
        _told(event),
    )


def _told(event: AnyEvent) -> str:
    match event:
        case DetectionEvent():
            return (
                f"frame {event.frame_seq}: {len(event.objects)} objects, {len(event.faces)} faces"
            )
        case TracksEvent() if event.silent:
            return f"no frame since {event.frame_seq}: {len(event.ended)} tracks ended"
        case TracksEvent():
            return f"frame {event.frame_seq}: {len(event.tracks)} tracks, {len(event.ended)} ended"
        case IdentityEvent():
            who = event.customer_id or "no known customer"
            return f"{event.track_id} is {event.status}: {who} ({', '.join(event.reasons)})"
        case AlertEvent():
            return f"{event.severity}: {event.message}"
        case _:
            return _insight_told(event)


def _insight_told(event: AnyEvent) -> str:
    match event:
        case LineCrossing():
            return f"{event.label} {event.direction} over {event.line_id}"
        case Occupancy():
            place = event.zone_id or "view"
            return f"{place} not seen" if event.unseen else f"{event.persons} people in {place}"
        case Visit():
            where = "withdrawn" if event.withdrawn else f"at {', '.join(event.cameras)}"
            return f"{event.customer_id}, visit {event.visit_number}, {where}"
        case ZoneStay():
            return f"{event.label} stayed {event.dwell_s:.1f} s in {event.zone_id}"
        case _:
            return told(event)
