"""``/v1/events``: the events of the site as they happen (server-sent events)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Query, Request, Response

from trinetra.events.schema import AnyEvent
from trinetra.streaming.concurrency import run_until
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.live.live import Live
from trinetra.web.live.ring import RecentEvent
from trinetra.web.live.streams import Stream
from trinetra.web.problems import Invalid
from trinetra.web.state import Backend, backend
from trinetra.web.v1.cameras import is_allowed, live_of

router = APIRouter(tags=["events"])
TYPES = frozenset(str(kind.__struct_config__.tag) for kind in AnyEvent.__args__) - {
    "detection",
    "tracks",
}
"""Types of events in the stream: not what each frame shows."""
BY_DEFAULT = frozenset(
    {"alert", "line_crossing", "passage", "queue_visit", "site_occupancy", "visit", "zone_stay"}
)
_AT_ONCE = 200
_BEAT_S = 15.0


@router.get(
    "/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events, one each."}},
)
async def watch_events(
    _caller: Annotated[Principal, requires(Permission.READ_EVENTS)],
    platform: Annotated[Backend, backend],
    request: Request,
    type: Annotated[  # noqa: A002  it is the parameter's name
        list[str], Query(max_length=50, description="Types; default: figures and alerts.")
    ] = [],  # noqa: B006
    camera: Annotated[list[str], Query(max_length=200)] = [],  # noqa: B006
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """Return events as they happen, after Last-Event-ID if it is given.

    If events after that one are no longer kept, an event ``reset`` comes first: read again what
    you have read before.
    """
    if unknown := set(type) - TYPES:
        raise Invalid(
            f"no event type {', '.join(sorted(unknown))} in the stream; "
            f"there are {', '.join(sorted(TYPES))}"
        )
    live = live_of(platform).feed
    return Stream(
        lambda: _events(live, frozenset(type) or BY_DEFAULT, camera, last_event_id),
        media_type="text/event-stream",
        places=live.event_places,
        clock=live.clock,
        is_allowed=lambda: is_allowed(request, Permission.READ_EVENTS),
        headers={"X-Accel-Buffering": "no"},
    )


async def _events(
    live: Live, kinds: Collection[str], cameras: Sequence[str], last_id: str | None
) -> AsyncIterator[bytes]:
    ring = live.ring
    position = ring.end if last_id is None else ring.position(last_id)
    yield b"retry: 3000\n\n"
    if position is None:
        position = ring.end
        yield _reset(ring.id_of(position - 1))
    while True:
        if ring.has_lost(position):
            position = ring.end
            yield _reset(ring.id_of(position - 1))
        changed = ring.changed
        found, position = ring.since(position, kinds, _AT_ONCE)
        lines = [_message(ring.id_of(e.number), e) for e in found if _is_of(e, cameras)]
        if lines:
            yield b"".join(lines)
        elif not found:
            await run_until(changed, live.clock.sleep(_BEAT_S))
            if not changed.is_set():
                yield b": beat\n\n"
        else:
            await asyncio.sleep(0)


def _is_of(event: RecentEvent, cameras: Sequence[str]) -> bool:
    return not cameras or event.camera_id in cameras


def _message(event_id: str, event: RecentEvent) -> bytes:
    head = f"id: {event_id}\nevent: {event.kind}\ndata: "
    return head.encode() + event.payload + b"\n\n"


def _reset(event_id: str) -> bytes:
    reason = msgspec.json.encode({"reason": "events after the given one are no longer kept"})
    return f"id: {event_id}\nevent: reset\ndata: ".encode() + reason + b"\n\n"
