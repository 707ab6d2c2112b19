"""Sightings that the registry takes from resolver events."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.schema import TrackPosition, TracksEvent
from trinetra.geometry import fit
from trinetra.identities.gate.registry_events import (
    RegistryEvent,
    registry_events,
    session_frame,
)
from trinetra.identities.gate.topology import Sighting, SiteGraph, build_graph
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


def test_a_sighting_that_follows_from_a_body_is_not_heard() -> None:
    linked = track(ANNA)
    frame = msgspec.structs.replace(
        tracks(), tracks=(msgspec.structs.replace(linked, linked=True),)
    )
    assert list(registry_events(encode(frame), SiteGraph())) == []


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.name)
def test_every_event_of_a_resolver_that_was_ever_written_can_be_heard(path: Path) -> None:
    event = msgspec.json.decode(path.read_bytes())
    if event["type"] not in {"tracks", "identity"}:
        return
    by_face = [t for t in event.get("tracks", [event]) if not t.get("linked")]
    named = {t.get("customer_id") for t in by_face} - {None}
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
    with pytest.raises(MalformedEvent, match=r"not an event of a resolver|UTC offset"):
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


def test_a_position_tells_where_on_the_floor_the_customer_stood() -> None:
    floor = fit([((0, 0), (0, 20)), ((1, 0), (20, 20)), ((1, 1), (20, 0)), ((0, 1), (0, 0))])
    graph = replace(build_graph([DOOR], []), floors={DOOR: floor})
    box = (620.0, 180.0, 660.0, 360.0)
    body = msgspec.structs.replace(track(ANNA), box=box)
    event = msgspec.structs.replace(tracks(), tracks=(body,))
    [told] = registry_events(encode(event), graph)
    assert told.sighting.place == graph.place(DOOR, box, (1280, 720)) is not None


def test_a_position_that_states_no_kind_is_no_sighting() -> None:
    nameless = msgspec.structs.replace(track(ANNA), kind=None)
    event = msgspec.structs.replace(tracks(), tracks=(nameless,))
    assert list(registry_events(encode(event), SiteGraph())) == []


def test_a_decision_tells_who_was_seen_where() -> None:
    event = msgspec.json.decode((GOLDEN / "identity.v1.json").read_bytes())
    event |= {"customer_id": ANNA, "kind": "vip", "camera_id": "till"}
    (told,) = registry_events(msgspec.json.encode(event), SiteGraph())
    assert (told.customer_id, told.sighting.camera_id) == (ANNA, "till")
    without = event | {"kind": None}
    assert list(registry_events(msgspec.json.encode(without), SiteGraph())) == []


def test_an_event_of_another_capture_session_is_told_and_one_of_the_present_is_not() -> None:
    payload = encode(msgspec.structs.replace(tracks(), session=7))
    for current in (None, 6):
        frame = session_frame(payload, current)
        assert frame is not None
        assert (frame.session, frame.captured_at) == (7, NOON)
    assert session_frame(payload, 7) is None
    assert session_frame(payload.replace(b'"session":7}', b'"session":7 }'), 7) is None
    assert session_frame(encode(tracks()), None) is None
    broken = payload.replace(b"12:00:00Z", b"12:00:00")
    with pytest.raises(MalformedEvent, match="UTC offset"):
        session_frame(broken, 6)
