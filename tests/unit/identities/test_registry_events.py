"""Sightings that the registry takes from resolver events."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.schema import TrackPosition, TracksEvent
from trinetra.identities.gate.registry_events import RegistryEvent, registry_events
from trinetra.identities.gate.topology import Sighting, SiteGraph
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

GOLDEN = Path(__file__).parents[2] / "golden" / "events"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOOR, ANNA = CameraId("door"), CustomerId("cus_anna")
BOX = (0.0, 0.0, 10.0, 20.0)


def track(customer_id: CustomerId | None) -> TrackPosition:
    kind = IdentityKind.STAFF if customer_id else None
    return TrackPosition(TrackId("t"), "person", BOX, customer_id, kind)


def tracks(*customers: CustomerId | None) -> TracksEvent:
    return TracksEvent(
        event_id=EventId("trs_1"),
        site_id=SiteId("shop"),
        camera_id=DOOR,
        captured_at=NOON,
        frame_seq=1,
        frame_width=1280,
        frame_height=720,
        tracks=tuple(map(track, customers)),
    )


def test_of_a_frame_everybody_with_a_name_was_seen_at_its_instant() -> None:
    told = list(registry_events(encode(tracks(None, ANNA)), SiteGraph()))
    assert told == [RegistryEvent(ANNA, IdentityKind.STAFF, Sighting(DOOR, NOON, NOON))]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.name)
def test_every_event_of_a_resolver_that_was_ever_written_can_be_heard(path: Path) -> None:
    event = msgspec.json.decode(path.read_bytes())
    if event["type"] not in {"tracks", "identity"}:
        return
    named = {t.get("customer_id") for t in event.get("tracks", [event])} - {None}
    assert {told.customer_id for told in registry_events(path.read_bytes(), SiteGraph())} == named


def test_a_decision_tells_of_the_time_since_the_track_is_theirs() -> None:
    event = msgspec.json.decode((GOLDEN / "identity.v1.json").read_bytes())
    begun, since = NOON, NOON + timedelta(seconds=5)
    event |= {"customer_id": ANNA, "kind": "vip", "track_started_at": begun}
    event["captured_at"] = NOON + timedelta(seconds=9)
    (whole,) = registry_events(msgspec.json.encode(event), SiteGraph())
    (partly,) = registry_events(msgspec.json.encode(event | {"since": since}), SiteGraph())
    assert (whole.sighting.first_at, partly.sighting.first_at) == (begun, since)
    assert whole.kind == IdentityKind.VIP


def test_a_decision_tells_of_the_time_since_their_face_was_seen() -> None:
    event = msgspec.json.decode((GOLDEN / "identity.v1.json").read_bytes())
    later = [NOON + timedelta(seconds=s) for s in (4, 6, 9)]
    event |= {"track_started_at": NOON, "since": later[0], "captured_at": later[2]}
    event["evidence"]["known_since"] = later[1]
    (told,) = registry_events(msgspec.json.encode(event), SiteGraph())
    assert (told.sighting.first_at, told.sighting.last_at) == (later[1], later[2])


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"tracks","customer_id":"x"}',
        b'{"type":"lifecycle","customer_id":"x"}',
        b'"customer_id":"x" and no JSON',
        encode(tracks(ANNA)).replace(b"12:00:00Z", b"12:00:00"),
    ],
)
def test_what_is_no_event_of_a_resolver_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedEvent):
        list(registry_events(payload, SiteGraph()))


@pytest.mark.parametrize("field", ["captured_at", "track_started_at", "since"])
def test_a_decision_with_an_instant_of_no_known_offset_is_refused(field: str) -> None:
    event = msgspec.json.decode((GOLDEN / "identity.v1.json").read_bytes())
    event |= {"customer_id": ANNA, "kind": "vip", field: "2026-11-22T12:00:00"}
    with pytest.raises(MalformedEvent, match="UTC offset"):
        list(registry_events(msgspec.json.encode(event), SiteGraph()))


def test_evidence_with_an_instant_of_no_known_offset_is_refused() -> None:
    event = msgspec.json.decode((GOLDEN / "identity.v1.json").read_bytes())
    event["evidence"]["known_since"] = "2026-11-22T12:00:00"
    with pytest.raises(MalformedEvent, match="UTC offset"):
        list(registry_events(msgspec.json.encode(event), SiteGraph()))
