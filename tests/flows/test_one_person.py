"""Two identities of one person: found, merged, counted once, and split on request."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tests.flows.shop import NOON, SITE, Person, record, visit

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.customers.customer_feed import StoreCustomerSync
from trinetra.errors import StoreUnavailable
from trinetra.events.codec import decode
from trinetra.events.customers import CustomerChange
from trinetra.events.schema import DetectionEvent, IdentityEvent, LifecycleEvent, Visit
from trinetra.events.topics import CUSTOMERS, IDENTITIES, Topic
from trinetra.identities.context import ResolverContext
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.decision.duplicates import MergePolicy
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph, build_graph
from trinetra.identities.merge_job import MergeJob
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.processor import identity_resolver
from trinetra.insights.processors import CustomerUpkeep, SiteInsights, insight_engine
from trinetra.ports import CustomerLog, Template
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.values import CameraId, GalleryEntry

DOOR, AISLE, TILL = CameraId("door"), CameraId("aisle"), CameraId("till")
"""Three cameras of three partitions, so that they can have three resolvers."""
ANNA, BEN = Person(1), Person(2)
ALWAYS = (NOON - timedelta(days=1), NOON + timedelta(days=1))
GAP_S = 1800.0
OVERLAPPING = build_graph(
    [DOOR, AISLE, TILL], [], overlaps=[(DOOR, TILL), (DOOR, AISLE), (AISLE, TILL)]
)


@dataclass
class AbsentBook(MemoryCustomerLog):
    """A customer log that is down for some calls."""

    away: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    async def write(
        self, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()
    ) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("the book was closed by the test")
        await super().write(changes, templates)


class AtOnceGallery(MemoryGallery):
    """A gallery whose first entries arrive from all resolvers at the same time."""

    def __init__(self, dimension: int, resolvers: int) -> None:
        super().__init__(dimension)
        self._barrier = asyncio.Barrier(resolvers)
        self._expected = resolvers

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        if self._expected:
            self._expected -= 1
            await self._barrier.wait()
        await super().upsert(entries)


@dataclass
class Shop:
    """An event log, a gallery, a customer log and a registry that several resolvers share."""

    graph: SiteGraph = OVERLAPPING
    policy: MergePolicy = field(default_factory=MergePolicy)
    customer_log: CustomerLog = field(default_factory=MemoryCustomerLog)
    registry: ActiveRegistry = field(default_factory=ActiveRegistry)

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.log = MemoryEventLog(self.clock)
        self.gallery = MemoryGallery(512)

    def resolver(self) -> StreamRunner:
        """Return a resolver with its own memory."""
        context = ResolverContext(
            site_id=SITE,
            gallery=self.gallery,
            registry=self.registry,
            graph=self.graph,
            clock=self.clock,
            model="test@1",
            dimension=512,
        )
        background_tasks = (
            MergeJob(context, self.customer_log, self.policy),
            CustomerSync(context, self.customer_log, self.log, every_s=0.0),
        )
        policy = ResolverPolicy(poll_wait_s=0.0, poll_records=30)
        return identity_resolver(self.log, context, policy, background_tasks)

    async def resolve(self, *events: DetectionEvent, resolvers: int = 1) -> None:
        """Let resolvers share the cameras and process the events."""
        ordered = sorted(events, key=lambda e: e.captured_at)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(resolvers):
                group.create_task(self.resolver().run(stopping))
            await asyncio.sleep(0)
            await self.log.append([record(event) for event in ordered])
            stopping.set()

    async def said(self, topic: Topic, kind: type) -> list:
        """Return every event of a kind."""
        subscription = await self.log.subscribe([topic], f"test-{topic.name}-{id(kind)}")
        got = await subscription.poll(max_records=10_000, wait_s=0)
        await subscription.close()
        return [e for e in (decode(d.value) for d in got) if isinstance(e, kind)]

    async def lifecycle_events(self, change: str) -> list[LifecycleEvent]:
        return [e for e in await self.said(CUSTOMERS, LifecycleEvent) if e.change == change]

    async def changes(self) -> list[CustomerChange]:
        return [change for _, change in await self.customer_log.changes(0, 1000)]

    async def visits(self, store: SqlInsightStore) -> list[Visit]:
        """Let an insight engine process the identities; return the visits of people."""
        sync = StoreCustomerSync(self.customer_log, store, self.clock, service="test")
        engine = insight_engine(
            self.log,
            store,
            self.clock,
            SiteInsights(SITE),
            CustomerUpkeep(sync),
            RunnerPolicy(poll_wait_s=0.0),
        )
        stopping = asyncio.Event()
        stopping.set()
        await engine.run(stopping)
        return await store.visits(*ALWAYS, GAP_S)


def at_three_doors(person: Person) -> list[DetectionEvent]:
    return [event for camera in (DOOR, AISLE, TILL) for event in visit(camera, 0, [person])]


def undoing(merge: CustomerChange) -> CustomerChange:
    return CustomerChange(
        change_id="op", change="split", customer_id=merge.customer_id, other=merge.other, at=NOON
    )


async def test_who_is_enrolled_by_three_resolvers_at_once_becomes_one_visitor_and_two_again() -> (
    None
):
    shop = Shop()
    shop.gallery = AtOnceGallery(512, resolvers=3)
    await shop.resolve(*at_three_doors(ANNA), resolvers=3)
    created = await shop.lifecycle_events("created")
    merges = [c for c in await shop.changes() if c.change == "merged"]
    assert len({e.customer_id for e in created}) == 3
    assert len(merges) == len({c.customer_id for c in merges}) == 2
    async with SqlInsightStore.open("sqlite://") as store:
        visits = await shop.visits(store)
        assert len(visits) == 1
        assert set(visits[0].cameras) == {DOOR, AISLE, TILL}

        undone = merges[-1]
        back = CustomerChange(
            change_id="op",
            change="split",
            customer_id=undone.customer_id,
            other=undone.other,
            at=NOON,
        )
        await shop.customer_log.write([back])
        assert len(await shop.visits(store)) == 2


async def test_what_was_undone_is_not_done_again() -> None:
    shop = Shop()
    await shop.resolve(*visit(DOOR, 0, [ANNA]), *visit(TILL, 0, [ANNA]), resolvers=2)
    [merge] = await shop.changes()
    await shop.customer_log.write([undoing(merge)])
    await shop.resolve(*visit(AISLE, 300, [ANNA]))
    assert [c.change for c in await shop.changes()] == ["merged", "split"]


async def test_an_open_track_is_announced_anew_when_it_becomes_somebody_else() -> None:
    shop = Shop()
    await shop.resolve(
        *visit(DOOR, 0, [ANNA], seconds=20), *visit(TILL, 0, [ANNA], seconds=20), resolvers=2
    )
    [merge] = await shop.changes()
    told = await shop.said(IDENTITIES, IdentityEvent)
    of_the_gone = [e for e in told if e.customer_id == merge.customer_id]
    renamed = [e for e in told if e.reasons == ("merged",)]
    assert [(e.track_id, e.customer_id) for e in renamed] == [
        (of_the_gone[0].track_id, merge.other)
    ]
    assert [e.customer_id for e in await shop.lifecycle_events("seen")] == [merge.other] * 2


async def test_strangers_are_neither_merged_nor_proposed() -> None:
    shop = Shop()
    await shop.resolve(*visit(DOOR, 0, [ANNA]), *visit(TILL, 0, [BEN]), resolvers=2)
    assert len(await shop.lifecycle_events("created")) == 2
    assert await shop.changes() == []


async def test_who_is_in_two_places_at_once_is_two_people_however_alike() -> None:
    shop = Shop(graph=build_graph([DOOR, TILL], [(DOOR, TILL, 400.0)]))
    await shop.resolve(*visit(DOOR, 0, [ANNA]), *visit(TILL, 0, [ANNA]), resolvers=2)
    assert await shop.changes() == []


async def test_below_certainty_a_person_is_asked_once() -> None:
    shop = Shop(policy=MergePolicy(merge_at=1.01, propose_at=0.76))
    await shop.resolve(*visit(DOOR, 0, [ANNA]), *visit(TILL, 0, [ANNA]), resolvers=2)
    await shop.resolve(*visit(AISLE, 60, [ANNA]))
    assert [c.change for c in await shop.changes()] == ["merge_proposed"]
    assert len(await shop.lifecycle_events("merge_proposed")) == 1


async def test_twins_that_were_not_merged_in_time_are_when_somebody_resembles_both() -> None:
    shop = Shop(customer_log=AbsentBook(away=1))
    await shop.resolve(*visit(DOOR, 0, [ANNA]), *visit(TILL, 0, [ANNA]), resolvers=2)
    assert await shop.changes() == []
    await shop.resolve(*visit(AISLE, 60, [ANNA]))
    assert [c.change for c in await shop.changes()] == ["merged"]
    assert len(await shop.lifecycle_events("created")) == 2
