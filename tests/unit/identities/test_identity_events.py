"""Events about tracks and identities: their content, and ids that are the same on every replay."""

from datetime import UTC, datetime

import msgspec
import pytest
from tests.unit.events.samples import detection

from trinetra.events.schema import Evidence, IdentityEvent, Thresholds
from trinetra.identities.decision.events import (
    identity_event,
    lifecycle_events,
    track_ended,
    tracks_event,
)
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import (
    FrameHeader,
    FrameOutcome,
    TrackIdentity,
    TrackObservation,
)
from trinetra.values import CameraId, CustomerId, IdentityKind, SiteId, TrackId, after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHOP, DOOR = SiteId("shop"), CameraId("door")
ANN = CustomerId("ann")
EVIDENCE = Evidence(3, 3, 80.0, 0.8, "m", Thresholds(0.72, 0.03, 0.3, 32))
KNOWN = Decision("known", ("similar", "gate_unknown"), ANN, IdentityKind.VIP)
NEW = Decision("new", ("no_match",), ANN, IdentityKind.ANONYMOUS)
UNKNOWN = Decision("unknown", ("no_face",))


def track(name: str, decision: Decision | None = None, **more: object) -> TrackIdentity:
    return TrackIdentity(
        TrackId(name), "person", NOON, decision=decision, explained=EVIDENCE, **more
    )


def decided(identity: TrackIdentity, seconds: float = 5.0) -> IdentityEvent:
    return identity_event(identity, SHOP, DOOR, after(NOON, seconds))


def test_a_decision_is_told_with_its_reasons_and_evidence() -> None:
    event = decided(track("t", KNOWN))
    assert (event.site_id, event.camera_id, event.captured_at) == (SHOP, DOOR, after(NOON, 5))
    assert (event.track_id, event.track_started_at) == ("t", NOON)
    assert (event.status, event.reasons, event.evidence) == ("known", KNOWN.reasons, EVIDENCE)
    assert (event.customer_id, event.kind, event.since) == (ANN, IdentityKind.VIP, msgspec.UNSET)
    assert decided(track("t", KNOWN, since=after(NOON, 2))).since == after(NOON, 2)


def test_the_same_decision_has_the_same_id_and_every_other_one_its_own() -> None:
    ann, ben = (
        Decision("known", ("similar",), ANN),
        Decision("known", ("similar",), CustomerId("b")),
    )
    events = [
        decided(track("t", ann)),
        decided(track("t", ann)),
        decided(track("u", ann)),
        decided(track("t", ann), 6.0),
        decided(track("t", ben)),
        decided(track("t", Decision("known", ("merged",), ANN))),
        decided(track("t", Decision("new", ("similar",), ANN))),
    ]
    assert events[0].event_id == events[1].event_id
    assert len({event.event_id for event in events}) == len(events) - 1


def test_without_a_decision_or_its_evidence_there_is_nothing_to_tell() -> None:
    with pytest.raises(ValueError, match="track t has no decision"):
        decided(track("t"))
    unexplained = track("t", KNOWN)
    unexplained.explained = None
    with pytest.raises(ValueError, match="track t has no decision"):
        decided(unexplained)


def test_a_frame_tells_where_its_tracks_are_and_which_have_ended() -> None:
    frame = detection()
    seen = [
        TrackObservation(identity, identity.evidence, (n, 0, n + 9, 9), NOON)
        for n, identity in enumerate([track("t", KNOWN), track("u")])
    ]
    event = tracks_event(frame, FrameOutcome(tuple(seen), (track("v"),), ()))
    assert (event.site_id, event.camera_id) == (frame.site_id, frame.camera_id)
    assert (event.captured_at, event.frame_seq) == (frame.captured_at, frame.frame_seq)
    assert (event.frame_width, event.frame_height) == (1280, 720)
    in_session = msgspec.structs.replace(frame, session=7)
    assert tracks_event(in_session, FrameOutcome((), (), ())).session == 7
    assert [(t.track_id, t.label, t.box) for t in event.tracks] == [
        ("t", "person", (0, 0, 9, 9)),
        ("u", "person", (1, 0, 10, 9)),
    ]
    assert [(t.customer_id, t.kind) for t in event.tracks] == [
        (ANN, IdentityKind.VIP),
        (None, None),
    ]
    assert event.ended == ("v",)
    again = tracks_event(frame, FrameOutcome((), (), ()))
    other = msgspec.structs.replace(frame, event_id="det_2")
    assert again.event_id == event.event_id
    assert tracks_event(other, FrameOutcome((), (), ())).event_id != event.event_id


def test_tracks_that_end_with_their_camera_are_told_as_of_its_last_frame() -> None:
    last = FrameHeader.of(detection())
    event = track_ended(last, [track("t"), track("u")])
    assert (event.ended, event.tracks, event.silent) == (("t", "u"), (), True)
    assert (event.site_id, event.camera_id) == (last.site_id, last.camera_id)
    assert (event.captured_at, event.frame_seq) == (last.captured_at, last.frame_seq)
    assert (event.frame_width, event.frame_height) == (last.frame_width, last.frame_height)
    silent = track_ended(last, [])
    ids = {event.event_id, silent.event_id, track_ended(last, [track("t")]).event_id}
    assert len(ids) == 3
    assert track_ended(last, [track("t"), track("u")]).event_id == event.event_id


def test_an_identity_is_created_by_the_track_that_is_new_and_seen_once_per_track() -> None:
    tracks = [track("t", NEW), track("u", KNOWN), track("v", UNKNOWN), track("w")]
    events = list(lifecycle_events(SHOP, DOOR, NOON, tracks, tracks))
    assert [(e.change, e.track_id) for e in events] == [
        ("created", "t"),
        ("seen", "t"),
        ("seen", "u"),
    ]
    assert {(e.site_id, e.camera_id, e.captured_at) for e in events} == {(SHOP, DOOR, NOON)}
    assert [(e.customer_id, e.kind) for e in events[1:]] == [
        (ANN, IdentityKind.ANONYMOUS),
        (ANN, IdentityKind.VIP),
    ]
    assert len({e.event_id for e in events}) == 3
    [seen_again] = lifecycle_events(SHOP, DOOR, after(NOON, 9), [], tracks[:1])
    assert seen_again.event_id == events[1].event_id


def test_the_prefix_of_an_id_tells_what_it_names() -> None:
    last = FrameHeader.of(detection())
    events = [
        decided(track("t", NEW)),
        tracks_event(detection(), FrameOutcome((), (), ())),
        track_ended(last, [track("t")]),
        *lifecycle_events(SHOP, DOOR, NOON, [track("t", NEW)], []),
    ]
    assert [event.event_id.split("_")[0] for event in events] == ["idn", "trs", "trs", "lif"]
