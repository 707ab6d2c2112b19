"""Known customers: enrolled in the log, recognized by cameras, handled according to kind."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from tests.flows.shop import NOON, SITE, Person, record, visit

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.codec import decode
from trinetra.events.customers import CustomerChange, NumberedChange
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    LifecycleEvent,
    LineCrossing,
    TracksEvent,
    Visit,
)
from trinetra.events.topics import ALERTS, CUSTOMERS, IDENTITIES
from trinetra.identities.context import ResolverContext
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.decision.duplicates import MergePolicy
from trinetra.identities.decision.enrollment import enrolled, faces_of
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import build_graph
from trinetra.identities.merge_job import MergeJob
from trinetra.identities.processor import identity_resolver
from trinetra.identities.tracking.track_faces import Shot
from trinetra.insights.config import CameraInsights, Line
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.ports import Template
from trinetra.values import CameraId, CustomerId, GalleryEntry, IdentityKind

DOOR, TILL = CameraId("door"), CameraId("till")
ANNA, BEN, CLEO = CustomerId("cus_anna"), CustomerId("cus_ben"), CustomerId("cus_cleo")
ALL_OF_IT = (NOON - timedelta(days=1), NOON + timedelta(days=1))


class Book(MemoryCustomerLog):
    """A customer log that can be down."""

    is_away = False

    async def changes(self, after: int, limit: int) -> list[NumberedChange]:
        if self.is_away:
            raise StoreUnavailable("the store is away")
        return await super().changes(after, limit)


class Shop:
    """A resolver with its event log, gallery and customer log; several runs share a process."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.log = MemoryEventLog(self.clock)
        self.gallery = MemoryGallery(512)
        self.customer_log = Book()
        self.people: dict[CustomerId, Person] = {}
        self.start()

    def start(self) -> None:
        """(Re)start the resolver's process: nothing of the last one is left in memory."""
        self.context = ResolverContext(
            site_id=SITE,
            gallery=self.gallery,
            registry=ActiveRegistry(),
            graph=build_graph([DOOR, TILL], [(DOOR, TILL, 20.0)]),
            clock=self.clock,
            model="test@1",
            dimension=512,
        )

    async def know(
        self, who: CustomerId, person: Person, kind: IdentityKind, *, model: str = "test@1"
    ) -> None:
        shots = [Shot(person.photo(), 0.9, 100.0, NOON) for _ in range(3)]
        change = enrolled(who, f"Name of {who}", kind, NOON, consent=True, purpose="test")
        faces = [Template(model, entry) for entry in faces_of(who, kind, shots)]
        await self.customer_log.write([change], faces)

    async def change(self, what: str, who: CustomerId, **fields: object) -> None:
        change_id = f"{what}-{who}-{len(await self.customer_log.changes(0, 99))}"
        change = CustomerChange(
            change_id=change_id, change=what, customer_id=who, at=NOON, **fields
        )
        await self.customer_log.write([change])

    async def resolve(self, *visits: Iterable[DetectionEvent]) -> list[AnyEvent]:
        """Return all records that the resolver wrote for these detections."""
        known = Counter(event.event_id for event in await self.told())
        ordered = sorted((e for v in visits for e in v), key=lambda e: e.captured_at)
        await self.log.append([record(event) for event in ordered])
        stopping = asyncio.Event()
        stopping.set()  # drain what is there, then end
        consolidator = MergeJob(self.context, self.customer_log, MergePolicy())
        directory = CustomerSync(
            self.context, self.customer_log, self.log, every_s=0.0, silence_s=0.0
        )
        resolver = identity_resolver(self.log, self.context, tasks=[directory, consolidator])
        await resolver.run(stopping)
        events = await self.told()
        known.subtract(event.event_id for event in events)
        return [event for event in events if known[event.event_id] < 0]

    async def told(self) -> list[AnyEvent]:
        reader = await self.log.open_reader(
            [IDENTITIES, ALERTS, CUSTOMERS], since=NOON - timedelta(days=9999)
        )
        got = []
        while batch := await reader.poll(max_records=1000, wait_s=0):
            got += [decode(delivery.value) for delivery in batch]
        await reader.close()
        return got

    async def until(self, found: Callable[[IdentityEvent], bool]) -> None:
        """Let the resolver run until it has written an event of that kind."""
        while not any(found(event) for event in identities(await self.told())):  # noqa: ASYNC110 -- of the log
            await asyncio.sleep(0)

    async def entries(self) -> list[GalleryEntry]:
        return [entry async for batch in self.gallery.entries(1000) for entry in batch]


def identities(events: Sequence[AnyEvent]) -> list[IdentityEvent]:
    return [e for e in events if isinstance(e, IdentityEvent)]


def alerts(events: Sequence[AnyEvent]) -> list[AlertEvent]:
    return [e for e in events if isinstance(e, AlertEvent)]


def lifecycle_events(events: Sequence[AnyEvent]) -> list[LifecycleEvent]:
    return [e for e in events if isinstance(e, LifecycleEvent) and e.by == "operator"]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize("kind", [IdentityKind.ENROLLED, IdentityKind.VIP, IdentityKind.STAFF])
async def test_who_was_enrolled_from_photos_is_known_at_first_sight(
    shop: Shop, kind: IdentityKind
) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, kind)

    told = await shop.resolve(visit("door", 0, [anna, Person(2)]))

    known = [e for e in identities(told) if e.status == "known"]
    assert {(e.customer_id, e.kind) for e in known} == {(ANNA, kind)}
    positions = [t for e in told if isinstance(e, TracksEvent) for t in e.tracks]
    assert (ANNA, kind) in {(t.customer_id, t.kind) for t in positions}


async def test_no_name_ever_leaves_the_book(shop: Shop) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, IdentityKind.VIP)
    await shop.resolve(visit("door", 0, [anna]))

    assert not any(b"Name of" in repr(event).encode() for event in await shop.told())


@pytest.mark.parametrize(
    ("kind", "severity"), [(IdentityKind.VIP, "info"), (IdentityKind.WATCHLIST, "critical")]
)
async def test_somebody_awaited_is_announced_once_in_a_while(
    shop: Shop, kind: IdentityKind, severity: str
) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, kind)

    told = await shop.resolve(
        visit("door", 0, [anna]), visit("till", 60, [anna]), visit("door", 400, [anna])
    )

    raised = alerts(told)
    assert [(a.rule, a.severity, a.customer_id) for a in raised] == [
        (kind.value, severity, ANNA)
    ] * 2
    assert [a.camera_id for a in raised] == [DOOR, DOOR]
    assert len({a.event_id for a in raised}) == 2


async def test_two_resolvers_announce_somebody_under_one_id(shop: Shop) -> None:
    anna, other = Person(1), Shop()
    for each in (shop, other):
        await each.know(ANNA, anna, IdentityKind.WATCHLIST)

    one = alerts(await shop.resolve(visit("door", 0, [anna])))
    two = alerts(await other.resolve(visit("till", 30, [anna])))

    assert [a.event_id for a in one] == [a.event_id for a in two]


async def test_nothing_is_kept_of_who_opted_out(shop: Shop) -> None:
    anna, ben = Person(1), Person(2)
    await shop.know(ANNA, anna, IdentityKind.OPTED_OUT)

    told = await shop.resolve(visit("door", 0, [anna, ben]), visit("door", 60, [anna]))

    assert ANNA not in repr(told)
    of_anna = [e for e in identities(told) if e.reasons == ("opted_out",)]
    assert {(e.status, e.customer_id, e.kind) for e in of_anna} == {("unknown", None, None)}
    assert not any(e.evidence.candidates or e.evidence.gate for e in of_anna)
    kept = [e for e in await shop.entries() if float(e.embedding @ anna.face) > 0.3]
    assert {e.customer_id for e in kept} == {ANNA}
    assert shop.context.registry.get(ANNA) is None


async def test_a_track_that_is_left_out_remembers_no_face(shop: Shop) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, IdentityKind.OPTED_OUT)
    await shop.log.append([record(e) for e in list(visit("door", 0, [anna]))[:14]])
    stopping = asyncio.Event()
    directory = CustomerSync(shop.context, shop.customer_log, shop.log, every_s=0.0)
    resolver = identity_resolver(shop.log, shop.context, tasks=[directory])
    running = asyncio.create_task(resolver.run(stopping))
    await shop.until(lambda event: event.reasons == ("opted_out",))

    [camera] = [
        camera for state in shop.context.partitions.values() for camera in state.cameras.values()
    ]
    assert all(identity.evidence.shots == () for identity in camera.identities.values())
    stopping.set()
    await running


async def test_who_opts_out_later_is_forgotten_by_the_gallery_as_well(shop: Shop) -> None:
    anna = Person(1)
    before = await shop.resolve(visit("door", 0, [anna]))
    [anonymous] = {e.customer_id for e in identities(before) if e.customer_id}
    await shop.know(ANNA, anna, IdentityKind.OPTED_OUT)

    told = await shop.resolve(visit("door", 300, [anna]))

    assert {e.customer_id for e in identities(told)} == {None}
    assert anonymous not in {e.customer_id for e in await shop.entries()}


async def test_of_a_customer_who_opts_out_only_the_photos_are_kept(shop: Shop) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, IdentityKind.ENROLLED)
    await shop.resolve(visit("door", 0, [anna], seconds=6))
    enrolled_only = {e.entry_id for e in await shop.customer_log.templates("test@1")}
    assert {e.entry_id for e in await shop.entries()} > enrolled_only  # and as last seen

    await shop.change("renamed", ANNA, kind=IdentityKind.OPTED_OUT)
    told = await shop.resolve(visit("door", 300, [anna]))

    assert {e.entry_id for e in await shop.entries()} == enrolled_only
    assert {e.customer_id for e in identities(told)} == {None}


@pytest.mark.parametrize(
    ("kind", "then"),
    [
        (IdentityKind.STAFF, ("known", ANNA, IdentityKind.STAFF)),
        (IdentityKind.OPTED_OUT, ("unknown", None, None)),
    ],
)
async def test_a_change_of_kind_holds_for_tracks_that_are_open(
    shop: Shop, kind: IdentityKind, then: tuple[str, str | None, IdentityKind | None]
) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, IdentityKind.ENROLLED)
    first, second = list(visit("door", 0, [anna]))[:7], list(visit("door", 0, [anna]))[7:]
    await shop.log.append([record(event) for event in first])
    stopping = asyncio.Event()
    directory = CustomerSync(shop.context, shop.customer_log, shop.log, every_s=0.0)
    resolver = identity_resolver(shop.log, shop.context, tasks=[directory])
    running = asyncio.create_task(resolver.run(stopping))
    await shop.until(lambda event: event.customer_id is not None)
    await shop.change("renamed", ANNA, kind=kind)
    await shop.log.append([record(event) for event in second])
    stopping.set()
    await running

    decided = [(e.status, e.customer_id, e.kind) for e in identities(await shop.told())]
    assert decided[-2:] == [("known", ANNA, IdentityKind.ENROLLED), then]


async def test_a_visitor_who_enrolls_is_one_person_with_the_past_once_it_is_confirmed(
    shop: Shop,
) -> None:
    anna = Person(1)
    before = await shop.resolve(visit("door", 0, [anna]))
    [anonymous] = {e.customer_id for e in identities(before) if e.customer_id}
    await shop.know(ANNA, anna, IdentityKind.ENROLLED)
    await shop.resolve(visit("door", 300, [Person(9)]))
    proposed = [change for _, change in await shop.customer_log.changes(0, 99)][-1]
    assert (proposed.change, proposed.customer_id) == ("merge_proposed", anonymous)
    in_between = await shop.resolve(visit("door", 450, [anna]))
    assert {e.customer_id for e in identities(in_between) if e.customer_id} == {ANNA}
    await shop.change("merged", CustomerId(anonymous), other=ANNA)

    told = await shop.resolve(visit("door", 600, [anna]))

    assert shop.context.directory.canonical(CustomerId(anonymous)) == ANNA
    assert {e.customer_id for e in identities(told) if e.customer_id} == {ANNA}


async def test_what_the_book_says_is_told_on_once_by_whoever_starts(shop: Shop) -> None:
    await shop.know(ANNA, Person(1), IdentityKind.ENROLLED)
    await shop.know(BEN, Person(2), IdentityKind.OPTED_OUT)
    first = lifecycle_events(await shop.resolve(visit("door", 0, [Person(9)])))
    shop.start()
    await shop.change("merged", CLEO, other=ANNA)
    second = lifecycle_events(await shop.resolve(visit("door", 300, [Person(8)])))

    assert [(e.change, e.customer_id, e.kind) for e in first] == [
        ("created", ANNA, IdentityKind.ENROLLED)
    ]
    assert [(e.change, e.customer_id, e.other) for e in second] == [("merged", CLEO, ANNA)]


async def test_a_new_gallery_learns_enrolled_faces_anew(shop: Shop) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, IdentityKind.ENROLLED)
    await shop.resolve(visit("door", 0, [Person(9)]))
    shop.gallery = MemoryGallery(512)
    shop.start()

    told = await shop.resolve(visit("door", 300, [anna]))

    assert ANNA in {e.customer_id for e in identities(told)}


async def test_faces_of_another_model_are_not_taught(shop: Shop) -> None:
    await shop.know(ANNA, Person(1), IdentityKind.ENROLLED, model="other@1")

    await shop.resolve(visit("door", 0, [Person(9)]))

    assert ANNA not in {e.customer_id for e in await shop.entries()}


async def test_while_the_store_is_away_who_was_known_is_known(shop: Shop) -> None:
    anna = Person(1)
    await shop.know(ANNA, anna, IdentityKind.VIP)
    await shop.resolve(visit("door", 0, [Person(9)]))
    shop.customer_log.is_away = True
    await shop.know(BEN, Person(2), IdentityKind.VIP)

    told = await shop.resolve(visit("door", 300, [anna]))
    assert ANNA in {e.customer_id for e in identities(told)}
    shop.customer_log.is_away = False
    told = await shop.resolve(visit("door", 600, [Person(2)]))
    assert BEN in {e.customer_id for e in identities(told)}


async def test_staff_are_in_no_visit_and_no_footfall_and_customers_are(shop: Shop) -> None:
    anna, ben = Person(1), Person(2)
    await shop.know(ANNA, anna, IdentityKind.STAFF)
    await shop.know(BEN, ben, IdentityKind.VIP)
    await shop.resolve(visit("door", 0, [anna]), visit("door", 60, [ben]))
    stopping = asyncio.Event()
    stopping.set()
    across = CameraInsights(lines=(Line("door", (0.16, 1.0), (0.16, 0.0)),))
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open("sqlite://"))
        engine = insight_engine(shop.log, store, shop.clock, SiteInsights(SITE, {DOOR: across}))
        await engine.run(stopping)
        crossings = await store.fetch("line_crossing", *ALL_OF_IT)
        visits = await store.fetch("visit", *ALL_OF_IT)

    kinds = {c.customer_id: c.kind for c in crossings if isinstance(c, LineCrossing)}
    assert kinds == {ANNA: IdentityKind.STAFF, BEN: IdentityKind.VIP}
    assert {v.customer_id for v in visits if isinstance(v, Visit)} == {BEN}
    status = engine.status()
    assert status["crossings_in"] + status["crossings_out"] == status["visits"] == 1


@pytest.mark.parametrize("what", ["templates", "reached"])
async def test_a_full_disk_of_the_book_ends_no_resolver(
    shop: Shop, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StorageFull("no room")

    await shop.know(ANNA, Person(1), IdentityKind.ENROLLED)
    monkeypatch.setattr(shop.customer_log, what, full)
    assert identities(await shop.resolve(visit("door", 0, [Person(9)])))


async def test_a_book_that_hangs_holds_no_batch_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = asyncio.Event()

    async def hanging(model: str) -> list[GalleryEntry]:
        await answers.wait()
        return await MemoryCustomerLog.templates(shop.customer_log, model)

    await shop.know(ANNA, Person(1), IdentityKind.ENROLLED)
    monkeypatch.setattr(shop.customer_log, "templates", hanging)
    directory = CustomerSync(shop.context, shop.customer_log, shop.log, every_s=0.0)
    await directory.tend()
    await directory.tend()
    answers.set()
    await directory.close()
    assert {e.customer_id for e in await shop.entries()} == {ANNA}


async def test_what_a_long_book_says_last_holds_from_the_first_decision(shop: Shop) -> None:
    anna = Person(1)
    for n in range(3):
        await shop.customer_log.write([_merge(f"a{n}-{m}", f"b{n}-{m}") for m in range(500)])
    await shop.know(ANNA, anna, IdentityKind.OPTED_OUT)
    stopping = asyncio.Event()
    stopping.set()
    await shop.log.append([record(event) for event in visit("door", 0, [anna])])
    directory = CustomerSync(shop.context, shop.customer_log, shop.log, every_s=0.0)
    await identity_resolver(shop.log, shop.context, tasks=[directory]).run(stopping)

    told = identities(await shop.told())
    assert told
    assert {event.customer_id for event in told} == {None}


def _merge(gone: str, into: str) -> CustomerChange:
    who, other = CustomerId(gone), CustomerId(into)
    return CustomerChange(change_id=gone, change="merged", customer_id=who, other=other, at=NOON)


async def test_after_a_split_neither_was_where_the_other_was_seen(shop: Shop) -> None:
    stranger = Person(1)
    await shop.know(ANNA, Person(2), IdentityKind.VIP)
    (x,) = {e.customer_id for e in identities(await shop.resolve(visit("door", 0, [stranger])))} - {
        None
    }
    consolidator = MergeJob(shop.context, shop.customer_log, MergePolicy())
    people = shop.context.directory
    people.merged[x] = ANNA
    people.number += 1
    await consolidator.tend()
    assert shop.context.registry.get(ANNA) is not None
    del people.merged[x]
    people.number += 1
    await consolidator.tend()
    assert shop.context.registry.get(ANNA) is None


async def test_one_companion_that_fails_at_the_end_leaves_none_open(shop: Shop) -> None:
    closed = []

    class Fails(MergeJob):
        async def close(self) -> None:
            closed.append(self)
            raise StoreUnavailable("away")

    background_tasks = [Fails(shop.context, shop.customer_log, MergePolicy()) for _ in range(2)]
    stopping = asyncio.Event()
    stopping.set()
    with pytest.raises(StoreUnavailable):
        await identity_resolver(shop.log, shop.context, tasks=background_tasks).run(stopping)
    assert closed == background_tasks
