"""From detection events to identities and alerts, through the real service and event log."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from tests.flows.shop import NOON, SITE, Person, detection, record, visit

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.errors import GalleryUnavailable
from trinetra.events.codec import decode, encode, pack_embedding
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    DeadLetter,
    DetectionEvent,
    IdentityEvent,
    ObjectBox,
    TrackPosition,
    TracksEvent,
)
from trinetra.events.topics import ALERTS, DEAD_LETTERS, DETECTIONS, IDENTITIES
from trinetra.identities.context import ResolverContext
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.registry_events import registry_events
from trinetra.identities.gate.topology import build_graph
from trinetra.identities.processor import identity_resolver
from trinetra.identities.registry_replica import RegistryReplica
from trinetra.ports import Gallery, Record, read_up_to
from trinetra.telemetry import FACES_IGNORED
from trinetra.values import (
    CameraId,
    CustomerId,
    Embedding,
    EventId,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    Instant,
    SiteId,
    TrackId,
)

DOOR, TILL = CameraId("door"), CameraId("till")
ANNA, BEN, CLEO = Person(1), Person(2), Person(3)


@dataclass
class Shop:
    """A resolver with its log and gallery."""

    distance_m: float = 40.0
    gallery: Gallery = field(default_factory=lambda: MemoryGallery(512))

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.log = MemoryEventLog(clock)
        self.context = ResolverContext(
            site_id=SITE,
            gallery=self.gallery,
            registry=ActiveRegistry(),
            graph=build_graph([DOOR, TILL], [(DOOR, TILL, self.distance_m)]),
            clock=clock,
            model="test@1",
            dimension=512,
        )

    async def resolve(self, events: Iterable[DetectionEvent]) -> list[AnyEvent]:
        """Feed events in the order of capture and return everything the resolver wrote."""
        ordered = sorted(events, key=lambda e: e.captured_at)
        return await self.resolve_records([record(event) for event in ordered])

    async def resolve_records(self, records: Sequence[Record]) -> list[AnyEvent]:
        await self.log.append(records)
        stopping = asyncio.Event()
        stopping.set()  # drain what is there, then end
        await identity_resolver(self.log, self.context).run(stopping)
        return await self.read()

    async def read(self) -> list[AnyEvent]:
        subscription = await self.log.subscribe([IDENTITIES, ALERTS], "test")
        out: list[AnyEvent] = []
        while got := await subscription.poll(max_records=1000, wait_s=0):
            out += [decode(d.value) for d in got]
        await subscription.close()
        return out

    async def dead_letters(self) -> list[DeadLetter]:
        subscription = await self.log.subscribe([DEAD_LETTERS], "test-dead")
        got = await subscription.poll(max_records=1000, wait_s=0)
        return [msgspec.json.decode(d.value, type=DeadLetter) for d in got]


def identities(events: Iterable[AnyEvent], camera: CameraId | None = None) -> list[IdentityEvent]:
    return [e for e in events if isinstance(e, IdentityEvent) and camera in {None, e.camera_id}]


def customers(events: Iterable[AnyEvent], camera: CameraId | None = None) -> set[str]:
    return {e.customer_id for e in identities(events, camera) if e.customer_id}


def alerts(events: Iterable[AnyEvent]) -> list[AlertEvent]:
    return [e for e in events if isinstance(e, AlertEvent)]


def instants(start_s: int, end_s: int) -> list[Instant]:
    return [NOON + timedelta(seconds=n / 5) for n in range(start_s * 5, end_s * 5)]


async def test_three_people_become_three_new_customers() -> None:
    out = await Shop().resolve(visit("door", 0, [ANNA, BEN, CLEO]))
    assert [e.status for e in identities(out)] == ["unknown"] * 3 + ["new"] * 3
    assert len(customers(out)) == 3
    assert alerts(out) == []


async def test_people_are_known_again_at_a_camera_they_could_walk_to() -> None:
    shop = Shop(distance_m=40)
    out = await shop.resolve(
        [*visit("door", 0, [ANNA, BEN, CLEO]), *visit("till", 60, [CLEO, ANNA, BEN])]
    )
    assert customers(out, TILL) == customers(out, DOOR)
    assert {e.status for e in identities(out, TILL) if e.customer_id} == {"known"}
    known = next(e for e in identities(out, TILL) if e.status == "known")
    assert known.evidence.gate[0].verdict == "plausible"
    assert known.evidence.candidates[0].customer_id == known.customer_id
    assert known.evidence.margin is not None
    assert alerts(out) == []


async def test_others_hear_that_somebody_is_here_since_the_face_was_seen_not_the_body() -> None:
    shop = Shop()
    turned_away = list(visit("door", 0, [ANNA], seconds=2, face_px=20))[:10]
    out = await shop.resolve([*turned_away, *list(visit("door", 0, [ANNA], seconds=4))[10:]])
    (named,) = (e for e in identities(out) if e.customer_id)
    assert named.track_started_at == NOON
    (told,) = registry_events(encode(named), shop.context.graph)
    known = shop.context.registry.get(told.customer_id)
    assert known is not None
    assert told.sighting.first_at == known.sightings[DOOR].first_at == NOON + timedelta(seconds=2)


async def test_a_transition_nobody_could_walk_is_an_alert_and_no_identity() -> None:
    out = await Shop(distance_m=400).resolve(
        [*visit("door", 0, [ANNA, BEN]), *visit("till", 2, [ANNA, BEN])]
    )
    assert customers(out, TILL) == set()
    raised = alerts(out)
    assert {a.rule for a in raised} == {"impossible_transition"}
    assert len(raised) == 2
    assert {a.customer_id for a in raised} == customers(out, DOOR)
    assert all(a.detail["distance_m"] == 400 for a in raised)


async def test_a_track_that_stood_there_faceless_for_long_contradicts_nobody() -> None:
    """A track can switch from a standing person to a passing one; only the faces reveal it."""
    standing = [detection("till", at, [(BEN, 100.0)]) for at in instants(0, 60)]
    faceless = [msgspec.structs.replace(event, faces=()) for event in standing]
    shown = [detection("till", at, [(ANNA, 100.0)]) for at in instants(60, 63)]
    out = await Shop(distance_m=40).resolve([*visit("door", 0, [ANNA]), *faceless, *shown])
    assert customers(out, TILL) == customers(out, DOOR)
    assert alerts(out) == []


async def test_faces_too_small_to_know_leave_people_unknown_and_say_so() -> None:
    out = await Shop().resolve(visit("door", 0, [ANNA, BEN], face_px=20))
    said = identities(out)
    assert len(said) == 2
    assert all((e.status, e.reasons) == ("unknown", ("face_too_small",)) for e in said)
    assert all(e.evidence.best_face_px == 20 for e in said)


async def test_a_replay_yields_the_same_events_to_the_byte() -> None:
    def day() -> list[DetectionEvent]:
        people = [Person(1), Person(2)]
        return [*visit("door", 0, people), *visit("till", 60, people)]

    first, again = await Shop().resolve(day()), await Shop().resolve(day())
    assert first == again


async def test_events_that_arrive_shuffled_give_the_same_identities_as_in_order() -> None:
    def frames() -> list[DetectionEvent]:
        return list(visit("door", 0, [Person(1), Person(2)]))

    straight = await Shop().resolve(frames())
    shuffled = frames()
    for at in range(1, len(shuffled) - 4, 4):
        shuffled[at : at + 4] = reversed(shuffled[at : at + 4])
    out = await Shop().resolve_records([record(event) for event in shuffled])
    assert out == straight


async def test_an_event_delivered_twice_counts_once() -> None:
    frames = list(visit("door", 0, [Person(1)]))
    doubled = [record(e) for e in frames for _ in range(2)]
    out = await Shop().resolve_records(doubled)
    assert len([e for e in out if isinstance(e, TracksEvent)]) == len(frames)


async def test_what_is_no_event_goes_to_the_dead_letters_and_stops_nothing() -> None:
    shop = Shop()
    junk = [Record(DETECTIONS, "door", b"\x00not json"), Record(DETECTIONS, "door", b'{"type":1}')]
    good = [record(e) for e in visit("door", 0, [ANNA])]
    out = await shop.resolve_records([junk[0], *good, junk[1]])
    assert len(customers(out)) == 1
    letters = await shop.dead_letters()
    assert {letter.payload for letter in letters} == {record.value for record in junk}
    assert all(letter.reason and letter.topic == DETECTIONS.name for letter in letters)


async def test_a_face_of_another_models_size_is_ignored_and_its_person_still_tracked() -> None:
    short = pack_embedding(np.eye(1, 128, dtype=np.float32)[0])
    frames = []
    for event in visit("door", 0, [ANNA]):
        faces = tuple(msgspec.structs.replace(f, embedding=short) for f in event.faces)
        frames.append(msgspec.structs.replace(event, faces=faces))
    out = await Shop().resolve(frames)
    assert customers(out) == set()
    assert any(e.tracks for e in out if isinstance(e, TracksEvent))


async def test_faces_of_another_model_are_not_compared_and_their_people_still_tracked() -> None:
    foreign = {"face_embed": "other@2"}
    frames = [msgspec.structs.replace(e, models=foreign) for e in visit("door", 0, [ANNA, BEN])]
    faces = sum(len(e.faces) for e in frames)
    counter = FACES_IGNORED.labels("door", "other_model")
    before = counter._value.get()
    shop = Shop()
    out = await shop.resolve(frames)
    assert {e.reasons for e in identities(out)} == {("face_other_model",)}
    assert await shop.gallery.count() == 0
    assert counter._value.get() == before + faces


async def test_an_event_of_another_shop_goes_to_the_dead_letters() -> None:
    shop = Shop()
    [first, *rest] = visit("door", 0, [ANNA])
    stray = msgspec.structs.replace(first, site_id=SiteId("elsewhere"))
    out = await shop.resolve([stray, *rest])
    assert all(e.site_id == SITE for e in out)
    (letter,) = await shop.dead_letters()
    assert "to site elsewhere, not shop" in letter.reason


@pytest.mark.parametrize("far", [1e7, -1e300, 1e300])
async def test_a_box_that_lies_in_no_picture_is_a_dead_letter(far: float) -> None:
    shop = Shop()
    [first, *rest] = visit("door", 0, [ANNA])
    strange = ObjectBox("person", 0.9, (0.0, 0.0, far, 10.0))
    await shop.resolve([msgspec.structs.replace(first, objects=(strange,)), *rest])
    (letter,) = await shop.dead_letters()
    assert "lies outside any image" in letter.reason


class FlakyGallery:
    """A real gallery behind a switch; the fault is injected at the port."""

    def __init__(self) -> None:
        self.inner = MemoryGallery(512)
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise GalleryUnavailable("the gallery was switched off by the test")

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        self._check()
        return await self.inner.search(embeddings, k)

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        self._check()
        await self.inner.upsert(entries)

    async def delete(self, customer_id: CustomerId) -> int:
        self._check()
        return await self.inner.delete(customer_id)

    async def delete_expired(self, now: Instant) -> int:
        self._check()
        return await self.inner.delete_expired(now)

    async def count(self) -> int:
        self._check()
        return await self.inner.count()


async def test_without_a_gallery_people_go_out_as_unknown_with_one_alert() -> None:
    gallery = FlakyGallery()
    gallery.broken = True
    out = await Shop(gallery=gallery).resolve(visit("door", 0, [ANNA, BEN]))
    assert {e.reasons for e in identities(out)} == {("gallery_unavailable",)}
    assert [a.rule for a in alerts(out)] == ["gallery_unavailable"]


async def test_an_open_track_is_resolved_as_soon_as_the_gallery_is_back() -> None:
    gallery = FlakyGallery()
    gallery.broken = True
    shop = Shop(gallery=gallery)
    clock = ManualClock()
    shop.context = replace(shop.context, clock=clock)
    resolver = identity_resolver(shop.log, shop.context)
    stopping = asyncio.Event()
    running = asyncio.create_task(resolver.run(stopping))
    frames = list(visit("door", 0, [ANNA], seconds=6))
    await shop.log.append([record(e) for e in frames[:10]])
    out: list[AnyEvent] = []
    while not identities(out):
        await asyncio.sleep(0)
        out = await shop.read()
    assert identities(out)[-1].reasons == ("gallery_unavailable",)
    gallery.broken = False
    clock.advance(5)
    await shop.log.append([record(e) for e in frames[10:]])
    stopping.set()
    await running
    assert identities(await shop.read())[-1].status == "new"


async def test_a_camera_whose_clock_is_far_ahead_takes_no_face_from_the_gallery() -> None:
    gallery = MemoryGallery(512)
    shop = Shop(gallery=gallery)
    await shop.resolve(visit("door", 0, [ANNA], seconds=6))
    known = await gallery.count()
    await shop.resolve([detection("till", NOON + timedelta(days=40), [])])
    assert await gallery.count() == known > 0


async def test_two_tracks_in_one_frame_are_never_one_person() -> None:
    frames = []
    for number in range(20):
        at = NOON.replace(second=number // 5, microsecond=number % 5 * 200_000)
        x = 6.0 * number
        frames.append(detection("door", at, [(ANNA, 100.0 + x), (ANNA, 600.0 + x)]))
    out = await Shop().resolve(frames)
    for event in out:
        if isinstance(event, TracksEvent):
            named = [t.customer_id for t in event.tracks if t.customer_id]
            assert len(named) == len(set(named))
    last = {event.track_id: event for event in identities(out)}
    assert sorted(event.status for event in last.values()) == ["new", "unknown"]


async def test_after_its_clock_was_set_back_a_camera_contradicts_nobody() -> None:
    """The clock shows the time at which Anna was at the door again: now she is at the till."""

    def in_session(number: int, *seen: Iterable[DetectionEvent]) -> list[Record]:
        events = sorted((e for each in seen for e in each), key=lambda e: e.captured_at)
        return [record(msgspec.structs.replace(event, session=number)) for event in events]

    shop, stopping = Shop(distance_m=400.0), asyncio.Event()
    subscription = await shop.log.subscribe([IDENTITIES], "watcher")
    async with asyncio.TaskGroup() as group:
        group.create_task(identity_resolver(shop.log, shop.context).run(stopping))
        for records in (
            in_session(2, visit(DOOR, 100, [ANNA]), visit(TILL, 100, [])),
            in_session(1, visit(DOOR, 40, []), visit(TILL, 40, [])),
            in_session(1, visit(TILL, 101, [ANNA])),
        ):
            await shop.log.append(records)
            tracked: set[tuple[str, int]] = set()
            while len(tracked) < len(records):
                got = await subscription.poll(max_records=100, wait_s=3600.0)
                await subscription.commit(read_up_to(got))
                told = [decode(delivery.value) for delivery in got]
                frames = [event for event in told if isinstance(event, TracksEvent)]
                tracked |= {(event.camera_id, event.frame_seq) for event in frames}
        stopping.set()
    said = await shop.read()
    assert alerts(said) == []
    assert customers(said, TILL) == customers(said, DOOR) != set()


async def test_a_registry_replica_drops_what_a_camera_saw_after_its_next_session_began() -> None:
    def tracks(number: int, at_s: float, *people: TrackPosition) -> Record:
        event = TracksEvent(
            event_id=EventId(f"trs_{number}_{at_s}"),
            site_id=SITE,
            camera_id=DOOR,
            captured_at=NOON + timedelta(seconds=at_s),
            frame_seq=round(at_s * 5),
            frame_width=1280,
            frame_height=720,
            tracks=people,
            session=number,
        )
        return Record(IDENTITIES, DOOR, encode(event))

    anna = TrackPosition(
        TrackId("t"), "person", (0, 0, 100, 300), CustomerId("anna"), IdentityKind.ANONYMOUS
    )
    shop = Shop()
    replica = RegistryReplica(shop.context, shop.log)
    await shop.log.append([tracks(2, 20, anna), tracks(2, 100, anna)])
    await replica.tend()
    (seen,) = shop.context.registry.elsewhere(CustomerId("anna"), TILL)
    assert seen.last_at == NOON + timedelta(seconds=100)
    await shop.log.append([tracks(1, 40)])
    await replica.tend()
    await replica.close()
    assert list(shop.context.registry.elsewhere(CustomerId("anna"), TILL)) == []
