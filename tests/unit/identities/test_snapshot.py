"""Resolver snapshots: a round trip loses nothing, and decisions continue as if uninterrupted."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trinetra.events.codec import encode, pack_embedding
from trinetra.events.schema import Box, DetectionEvent, FaceBox, FaceQuality, ObjectBox
from trinetra.identities.decision.events import tracks_event
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import Arrival, CameraState, advance
from trinetra.identities.state.partition import PartitionState
from trinetra.identities.state.snapshot import (
    VERSION,
    encode_camera,
    encode_entry,
    encode_track,
    restore,
)
from trinetra.identities.tracking.life_signs import LifeSigns
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.identities.tracking.reorder_buffer import ReorderWindow, Slot
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    GalleryEntry,
    IdentityKind,
    SiteId,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "internal" / "resolver_state.v2.json"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SITE, DOOR = SiteId("shop"), CameraId("door")
WINDOW = (16, 1.0)
MODEL, DIMENSION = "test@1", 32

corners = st.floats(0, 1000, width=32)
objects = st.lists(
    st.tuples(st.sampled_from(["person", "car"]), st.floats(0.3, 1), corners, corners), max_size=4
)
faces = st.lists(
    st.tuples(corners, corners, st.floats(0, 1), st.integers(0, 2**32 - 1), st.booleans()),
    max_size=3,
)
frames = st.lists(st.tuples(objects, faces), max_size=12)


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def face(x: float, y: float, quality: float, seed: int, *, usable: bool) -> FaceBox:
    return FaceBox(
        score=0.9,
        box=(x, y, x + 40, y + 40),
        landmarks=((1.0, 1.0),) * 5,
        quality=FaceQuality(quality, 40.0, 0.5, 0.5, 0.5),
        embedding=pack_embedding(unit(seed)) if usable else None,
        unusable=None if usable else "blurred",
    )


def box(x: float, y: float) -> Box:
    return x, y, x + 80.0, y + 220.0


def event(number: int, things: list, shown: list, interval_s: float = 0.2) -> DetectionEvent:
    return DetectionEvent(
        event_id=EventId(f"det_{number}"),
        site_id=SITE,
        camera_id=DOOR,
        captured_at=NOON + timedelta(seconds=number * interval_s),
        frame_seq=number,
        frame_width=1280,
        frame_height=720,
        objects=tuple(ObjectBox(label, score, box(x, y)) for label, score, x, y in things),
        faces=tuple(face(x, y, q, seed, usable=usable) for x, y, q, seed, usable in shown),
    )


def feed(camera: CameraState, seen: DetectionEvent) -> list[bytes]:
    """Resolve one event as far as possible without a gallery; return the outcome as bytes."""
    camera.window.admit(Slot(seen.frame_seq, seen.captured_at, Arrival(seen, seen.frame_seq)))
    said = []
    for slot in camera.window.release():
        frame = slot.item.event
        outcome = advance(camera, frame, site_id=SITE, dimension=DIMENSION, policy=TrackerPolicy())
        said.append(encode(tracks_event(frame, outcome)))
        said += [repr((v.evidence, v.is_due)).encode() for v in outcome.visible]
    return said


def camera() -> CameraState:
    return CameraState(DOOR, ReorderWindow(*WINDOW))


def rebuilt(state: CameraState) -> CameraState:
    values = {"camera": encode_camera(state)}
    values |= {t: encode_track(i, MODEL) for t, i in state.identities.items()}
    found = restore(values, model=MODEL, dimension=DIMENSION, window=WINDOW)
    assert found.faults == []
    return found.cameras[DOOR]


@given(stream=frames, stop=st.integers(0, 12), interval_s=st.sampled_from([0.2, 2.5, 4.0]))
@settings(max_examples=60)
def test_whoever_goes_on_from_a_snapshot_says_the_same_to_the_byte(
    stream: list, stop: int, interval_s: float
) -> None:
    one = other = camera()
    events = [event(number, *seen, interval_s) for number, seen in enumerate(stream)]
    for seen in events[:stop]:
        feed(one, seen)
    other = rebuilt(one)
    assert [feed(other, seen) for seen in events[stop:]] == [feed(one, s) for s in events[stop:]]


@given(stream=frames)
@settings(max_examples=30)
def test_encoding_what_was_decoded_gives_the_same_bytes(stream: list) -> None:
    state = camera()
    for number, seen in enumerate(stream):
        feed(state, event(number, *seen))
    again = rebuilt(state)
    assert encode_camera(again) == encode_camera(state)
    for track_id, identity in state.identities.items():
        assert encode_track(again.identities[track_id], MODEL) == encode_track(identity, MODEL)


def walked() -> CameraState:
    """Return a camera that saw a person with a good face."""
    state = camera()
    for number in range(4):
        here = ("person", 0.9, 100.0, 100.0)
        feed(state, event(number, [here], [(110.0, 110.0, 0.8, 1, True)]))
    [identity] = state.identities.values()
    identity.decision = Decision("known", ("similar",), CustomerId("anna"), IdentityKind.STAFF)
    identity.asked_at, identity.gallery_missed, identity.alerted = 3, True, {CustomerId("ben")}
    identity.segment, identity.since = 2, NOON
    return state


def test_decisions_alerts_and_what_the_gallery_missed_are_remembered() -> None:
    [before] = walked().identities.values()
    [after] = rebuilt(walked()).identities.values()
    assert after.decision == before.decision
    assert (after.asked_at, after.gallery_missed, after.alerted) == (3, True, {"ben"})
    assert (after.segment, after.since) == (2, NOON)


def entry() -> GalleryEntry:
    return GalleryEntry(
        "emb_1",
        CustomerId("anna"),
        IdentityKind.STAFF,
        unit(1),
        0.7,
        NOON,
        NOON,
        None,
        consent=True,
    )


def test_state_that_was_written_without_the_newer_fields_is_restored() -> None:
    written = json.loads(GOLDEN.read_text(encoding="utf-8"))
    values = {key: bytes.fromhex(value) for key, value in written.items()}
    found = restore(values, model=MODEL, dimension=DIMENSION, window=WINDOW)
    assert found.faults == []
    assert found.entries.keys() == {"emb_1"}
    [before], [after] = walked().identities.values(), found.cameras[DOOR].identities.values()
    assert after.evidence.usable == before.evidence.usable == 4
    assert (after.decision, after.since) == (before.decision, before.since)
    assert (after.life, after.enrolled) == (LifeSigns(has_body=True, has_moved=True), None)
    state = walked().tracker
    assert found.cameras[DOOR].tracker == replace(state, interval_s=None)


def test_an_entry_that_waits_for_the_gallery_is_kept_to_the_bit() -> None:
    values = {"entry": encode_entry(entry(), MODEL)}
    found = restore(values, model=MODEL, dimension=DIMENSION, window=WINDOW)
    [kept] = found.entries.values()
    assert kept.embedding.tobytes() == entry().embedding.tobytes()
    assert encode_entry(kept, MODEL) == values["entry"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: b"",
        lambda value: b"\x63" + value[1:],
        lambda value: value[:-3],
        lambda value: value[:1] + b"\xc1",
        lambda value: value[:1] + msgspec.msgpack.encode(["_Camera", 7]),
    ],
)
def test_state_that_cannot_be_read_is_named_and_the_rest_is_kept(spoil) -> None:
    state = walked()
    [track_id] = state.identities
    values = {
        "camera": encode_camera(state),
        track_id: spoil(encode_track(state.identities[track_id], MODEL)),
    }
    found = restore(values, model=MODEL, dimension=DIMENSION, window=WINDOW)
    assert len(found.faults) == 1
    assert found.faults[0].startswith(track_id)
    [identity] = found.cameras[DOOR].identities.values()
    assert (identity.decision, identity.evidence.usable) == (None, 0)


def test_faces_of_another_model_are_dropped_but_the_track_goes_on() -> None:
    state = walked()
    values = {"camera": encode_camera(state), "entry": encode_entry(entry(), MODEL)}
    values |= {t: encode_track(i, MODEL) for t, i in state.identities.items()}
    found = restore(values, model="other@1", dimension=DIMENSION, window=WINDOW)
    assert len(found.faults) == 2
    assert found.entries == {}
    assert found.cameras[DOOR].tracker == state.tracker
    assert found.cameras[DOOR].window.last_seq == 3


# --- which pieces are written -----------------------------------------------------------------


def partition() -> tuple[PartitionState, CameraState]:
    held = PartitionState(1)
    return held, held.camera(DOOR, WINDOW)


def stand(held: PartitionState, state: CameraState, number: int, quality: float = 0.8) -> None:
    here = ("person", 0.9, 100.0, 100.0)
    feed(state, event(number, [here], [(110.0, 110.0, quality, 1, True)]))
    held.changed.add(DOOR)


def test_a_tracks_faces_are_written_only_when_a_better_one_was_seen() -> None:
    held, state = partition()
    for number in range(9):
        stand(held, state, number)
    assert len(held.take_changes(MODEL)) == 2
    stand(held, state, 9, quality=0.1)
    assert list(held.take_changes(MODEL)) == ["camera/door"]
    stand(held, state, 10, quality=0.9)
    assert len(held.take_changes(MODEL)) == 2
    assert held.take_changes(MODEL) == {}


def test_a_track_that_ended_is_deleted_from_the_state() -> None:
    held, state = partition()
    for number in range(3):
        stand(held, state, number)
    (key,) = held.take_changes(MODEL).keys() - {"camera/door"}
    for number in range(3, 30):
        feed(state, event(number, [], []))
    held.changed.add(DOOR)
    assert held.take_changes(MODEL)[key] is None


def test_an_entry_is_written_until_the_gallery_has_it_and_then_deleted() -> None:
    held, _ = partition()
    held.outbox["emb_1"] = entry()
    assert held.take_changes(MODEL) == {"entry/emb_1": encode_entry(entry(), MODEL)}
    assert held.take_changes(MODEL) == {}
    held.outbox.clear()
    assert held.take_changes(MODEL) == {"entry/emb_1": None}


def test_what_could_not_be_read_is_deleted_from_the_state() -> None:
    values = {"track/trk_x": b"?", "entry/emb_x": b"?"}
    found = restore(values, model=MODEL, dimension=DIMENSION, window=WINDOW)
    held = PartitionState.restored(2, values, found)
    assert held.take_changes(MODEL) == dict.fromkeys(values)


def test_a_restored_partition_writes_nothing_that_is_written_already() -> None:
    held, state = partition()
    for number in range(3):
        stand(held, state, number)
    values = {k: v for k, v in held.take_changes(MODEL).items() if v is not None}
    found = restore(values, model=MODEL, dimension=DIMENSION, window=WINDOW)
    again = PartitionState.restored(2, values, found)
    again.changed.add(DOOR)
    assert list(again.take_changes(MODEL)) == ["camera/door"]


def test_sessions_are_remembered() -> None:
    state = walked()
    state.window.begin(7)
    state.window.last_seq = 12
    state.window.begin(5)
    window = rebuilt(state).window
    assert (window.session, window.last_seq, window.earlier) == (5, None, {0: 3, 7: 12})


def test_a_snapshot_from_before_there_were_sessions_is_read() -> None:
    state = walked()
    kind, *values = msgspec.msgpack.decode(encode_camera(state)[1:])
    header = values[2][:-1]
    old = [kind, *values[:2], header, *values[3:-2]]
    payload = bytes([VERSION]) + msgspec.msgpack.encode(old)
    found = restore({"camera": payload}, model=MODEL, dimension=DIMENSION, window=WINDOW)
    assert found.faults == []
    window = found.cameras[DOOR].window
    assert (window.session, window.last_seq, window.earlier) == (0, 3, {})
    assert found.cameras[DOOR].last == state.last
