"""Partial decoder of resolver events: only the fields that the registry needs.

Sightings that follow from a body are left out: they are less certain, and must not make a later
face look as if its person could not be there.
Events without a customer id, which are most, are skipped without decoding.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.schema import Box
from trinetra.identities.gate.topology import Sighting, SiteGraph
from trinetra.values import CameraId, CustomerId, IdentityKind, Instant

_NAMED = b'"customer_id":"'
_IN_SESSION = b'"session":'


class RegistryEvent(NamedTuple):
    """One sighting of an identity by a camera."""

    customer_id: CustomerId
    kind: IdentityKind
    sighting: Sighting


class SessionFrame(msgspec.Struct, frozen=True):
    """A frame's capture session and time."""

    captured_at: Instant
    session: int


class _Position(msgspec.Struct, frozen=True):
    box: Box
    customer_id: CustomerId | None = None
    kind: IdentityKind | None = None
    linked: bool = False


class _Tracks(msgspec.Struct, frozen=True, tag_field="type", tag="tracks"):
    camera_id: CameraId
    captured_at: Instant
    frame_width: int
    frame_height: int
    tracks: tuple[_Position, ...] = ()


class _Evidence(msgspec.Struct, frozen=True):
    known_since: Instant | None = None


class _Decision(msgspec.Struct, frozen=True, tag_field="type", tag="identity"):
    camera_id: CameraId
    captured_at: Instant
    track_started_at: Instant
    evidence: _Evidence
    customer_id: CustomerId | None = None
    kind: IdentityKind | None = None
    since: Instant | None = None
    linked: bool = False

    @property
    def certain_from(self) -> list[Instant]:
        """Lower bounds on when the track became this person; the latest applies."""
        known = (self.track_started_at, self.since, self.evidence.known_since)
        return [instant for instant in known if instant]


_decoder = msgspec.json.Decoder(_Tracks | _Decision)
_session_decoder = msgspec.json.Decoder(SessionFrame)


def session_frame(payload: bytes, current: int | None) -> SessionFrame | None:
    """Return the frame of an event if its session is not ``current``; most are not decoded.

    Raises MalformedEvent.
    """
    if current is not None and b"%b%d}" % (_IN_SESSION, current) in payload:
        return None
    if _IN_SESSION not in payload:
        return None
    try:
        frame = _session_decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, ValueError) as cause:
        raise MalformedEvent(f"not an event of a resolver: {cause}") from cause
    if frame.captured_at.tzinfo is None:
        raise MalformedEvent("an event has a timestamp without UTC offset")
    return None if frame.session == current else frame


def registry_events(payload: bytes, graph: SiteGraph) -> Iterator[RegistryEvent]:
    """Yield the sightings in a decision or in the tracks of a frame. Raises MalformedEvent."""
    if _NAMED not in payload:
        return
    try:
        event = _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, ValueError) as cause:
        raise MalformedEvent(f"not an event of a resolver: {cause}") from cause
    if any(instant.tzinfo is None for instant in _instants(event)):
        raise MalformedEvent(f"an event of {event.camera_id} has a timestamp without UTC offset")
    if isinstance(event, _Decision):
        yield from _decided(event)
    else:
        yield from _seen(event, graph)


def _instants(event: _Tracks | _Decision) -> list[Instant]:
    if isinstance(event, _Tracks):
        return [event.captured_at]
    return [event.captured_at, *event.certain_from]


def _decided(event: _Decision) -> Iterator[RegistryEvent]:
    if event.customer_id and event.kind and not event.linked:
        segment = Sighting(event.camera_id, max(event.certain_from), event.captured_at)
        yield RegistryEvent(event.customer_id, event.kind, segment)


def _seen(event: _Tracks, graph: SiteGraph) -> Iterator[RegistryEvent]:
    frame = event.frame_width, event.frame_height
    for track in event.tracks:
        if track.customer_id and track.kind and not track.linked:
            place = graph.place(event.camera_id, track.box, frame)
            at = event.captured_at
            yield RegistryEvent(
                track.customer_id, track.kind, Sighting(event.camera_id, at, at, place)
            )
