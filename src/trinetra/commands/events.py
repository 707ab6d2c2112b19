"""``trinetra events tail``: watch what a running platform says, or read a file of events."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer
from rich.text import Text

from trinetra.commands.console import output, print_text
from trinetra.errors import ConfigurationError, EventLogUnavailable, MalformedEvent
from trinetra.events.codec import decode, encode
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
from trinetra.recording import without_embeddings
from trinetra.settings import load_settings

_KINDS = {str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__}
_STYLES = {"alert": "bold red", "identity": "cyan", "visit": "green", "line_crossing": "green"}

_File = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="A file that --events wrote; else live.")
]
_Url = Annotated[
    str | None, typer.Option("--url", help="A running platform; by default the one here.")
]
_Last = Annotated[int, typer.Option("--last", min=0, max=1000, help="Begin with so many.")]
_Type = Annotated[
    list[str] | None, typer.Option("--type", help=f"Only these: {', '.join(sorted(_KINDS))}.")
]
_Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")]

events = typer.Typer(no_args_is_help=True, help="The events: detections, identities, insights.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(events, name="events")


@events.command("tail")
def tail(
    file: _File = None,
    *,
    url: _Url = None,
    last: _Last = 20,
    kinds: _Type = None,
    as_json: _Json = False,
) -> None:
    """Show events as they come, without embeddings; Ctrl-C ends it."""
    if unknown := set(kinds or ()) - _KINDS.keys():
        raise typer.BadParameter(
            f"no event type {', '.join(sorted(unknown))}; there are {', '.join(sorted(_KINDS))}"
        )
    wanted = tuple(_KINDS[kind] for kind in kinds or _KINDS)
    lines = _from_file(file) if file else _from_platform(url or _own_url(), last)
    console = output()
    for number, line in enumerate(lines, start=1):
        event = _decoded(line, file, number)
        if not isinstance(event, wanted):
            continue
        if as_json:
            sys.stdout.write(encode(without_embeddings(event)).decode() + "\n")
        else:
            console.print(_line(event), soft_wrap=True)


@events.command("schema")
def schema() -> None:
    """Print the JSON Schema of every event, for those who read the topics."""
    print_text(events_schema_text())


def events_schema_text() -> str:
    """Return the JSON Schema of the union of all events, as indented JSON."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "TRINETRA events",
        **msgspec.json.schema(AnyEvent),
    }
    return json.dumps(document, indent=2) + "\n"


def _own_url() -> str:
    settings = load_settings()
    return f"http://{settings.host}:{settings.embedded_port}"


def _from_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as lines:
            yield from lines
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise ConfigurationError(f"{path} cannot be read: {reason}") from cause


def _from_platform(url: str, last: int) -> Iterator[bytes]:
    timeout = httpx.Timeout(5.0, read=None)
    try:
        with httpx.stream("GET", f"{url}/events", params={"last": last}, timeout=timeout) as reply:
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


def _decoded(line: bytes, file: Path | None, number: int) -> AnyEvent:
    try:
        return decode(line)
    except MalformedEvent as cause:
        raise MalformedEvent(f"{file or 'the platform'}:{number}: {cause}") from cause


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
        case TracksEvent():
            return f"frame {event.frame_seq}: {len(event.tracks)} tracks, {len(event.ended)} ended"
        case IdentityEvent():
            who = event.customer_id or "nobody known"
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
            return f"{event.persons} people in {event.zone_id or 'view'}"
        case Visit():
            return f"{event.customer_id}, visit {event.visit_number}, at {', '.join(event.cameras)}"
        case ZoneStay():
            return f"{event.label} stayed {event.dwell_s:.1f} s in {event.zone_id}"
        case _:
            return str(event.event_id)
