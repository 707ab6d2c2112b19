"""People are erased while no events arrive, from snapshots too, before it is acknowledged.

A shop requests it after hours, when no camera sends anything.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.flows.shop import Person, record, visit
from tests.flows.test_known_people import ANNA, Shop
from tests.unit.insights.walks import CAMERA, SITE, frame, position

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.sql.customer_log import SqlCustomerLog
from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.customers.customer_feed import StoreCustomerSync
from trinetra.customers.erasure_participant import ErasureParticipant
from trinetra.events.codec import encode
from trinetra.events.erasure import ErasureStatus, erased_change
from trinetra.events.schema import TracksEvent
from trinetra.events.topics import IDENTITIES, INSIGHT_STATE, RESOLVER_STATE, VISIT_STATE, Topic
from trinetra.identities.customer_sync import CustomerSync
from trinetra.identities.erasure_handler import ErasureHandler
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.processor import identity_resolver
from trinetra.insights.config import CameraInsights
from trinetra.insights.processors import CustomerUpkeep, SiteInsights, insight_engine
from trinetra.ports import ErasureStore, EventLog, Record
from trinetra.streaming.background import BackgroundTask
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.values import IdentityKind

GOES_ON = ResolverPolicy(ends_tracks_at_stop=False, poll_wait_s=0.05)


async def written(log: EventLog, *topics: Topic) -> bytes:
    """Return all state on the log, keys and values."""
    places = [(topic, partition) for topic in topics for partition in range(topic.partitions)]
    values = [await log.latest(*place) for place in places]
    return b"".join(key.encode() + value for found in values for key, value in found.items())


async def until(log: EventLog, topic: Topic, holds: Callable[[bytes], bool]) -> bytes:
    """Return the state on the log once the condition holds."""
    while True:
        if holds(state := await written(log, topic)):
            return state
        await asyncio.sleep(0.02)


def names_anna(state: bytes) -> bool:
    return ANNA.encode() in state


@asynccontextmanager
async def running(service: StreamRunner) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(service.run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def confirmed(erasure_store: ErasureStore, member: str) -> ErasureStatus:
    """Return the status of the erasure once a process has acknowledged it."""
    while True:
        status = await erasure_store.find(ANNA, SystemClock().now())
        if status and member in {share.member for share in status.shares}:
            return status
        await asyncio.sleep(0.02)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/insights.db"


async def test_a_resolver_that_took_over_a_silent_camera_forgets_before_it_confirms(
    url: str,
) -> None:
    shop, anna = Shop(), Person(5)
    await shop.know(ANNA, anna, IdentityKind.VIP)

    def resolver(*background_tasks: BackgroundTask) -> StreamRunner:
        directory = CustomerSync(shop.context, shop.customer_log, shop.log, every_s=0.0)
        return identity_resolver(shop.log, shop.context, GOES_ON, [directory, *background_tasks])

    async with running(resolver()):
        await shop.log.append([record(e) for e in list(visit("door", 0, [anna], seconds=3))[:12]])
        await until(shop.log, RESOLVER_STATE, names_anna)
    shop.start()
    async with SqlErasureStore.open(url) as erasure_store:
        participant = ErasureParticipant(erasure_store, shop.clock, member="resolver", every_s=0.05)
        async with running(resolver(ErasureHandler(shop.context, shop.gallery, participant))):
            await shop.customer_log.erase(ANNA, erased_change(ANNA, shop.clock.now()))
            await erasure_store.request([ANNA], shop.clock.now())
            status = await confirmed(erasure_store, "resolver")
            left = await written(shop.log, RESOLVER_STATE)
    assert status.removed()["open_tracks"] == 1
    assert ANNA.encode() not in left
    assert len(left) < 2 * 512, "there is no embedding in it: 512 float16 values"


async def test_the_tracks_of_a_camera_that_fell_silent_end_and_their_faces_go() -> None:
    shop = Shop()
    quiet = replace(GOES_ON, silent_after_s=0.3)
    async with running(identity_resolver(shop.log, shop.context, quiet)):
        in_view = list(visit("door", 0, [Person(5)], seconds=3))[:12]
        await shop.log.append([record(event) for event in in_view])
        await until(shop.log, RESOLVER_STATE, lambda state: b"track/" in state)
        await until(shop.log, RESOLVER_STATE, lambda state: b"track/" not in state)
        told = await shop.told()
    assert [len(e.ended) for e in told if isinstance(e, TracksEvent)][-1] == 1


async def test_an_engine_forgets_in_its_state_before_it_confirms(url: str) -> None:
    clock = SystemClock()
    log = MemoryEventLog(clock)
    seen = [
        frame(n, [position("t", (0.5, 0.5), customer=ANNA, kind=IdentityKind.VIP)])
        for n in range(9)
    ]
    async with (
        SqlInsightStore.open(url) as store,
        SqlCustomerLog.open(url) as customer_log,
        SqlErasureStore.open(url) as erasure_store,
    ):
        upkeep = CustomerUpkeep(
            StoreCustomerSync(customer_log, store, clock, service="engine"),
            ErasureParticipant(erasure_store, clock, member="engine", every_s=0.05),
        )
        site = SiteInsights(SITE, {CAMERA: CameraInsights()})
        policy = RunnerPolicy(poll_wait_s=0.05, drains_at_stop=False)
        engine = insight_engine(log, store, clock, site, upkeep, policy)
        async with running(engine):
            await log.append([Record(IDENTITIES, CAMERA, encode(event)) for event in seen])
            await until(log, VISIT_STATE, names_anna)
            await erasure_store.request([ANNA], clock.now())
            status = await confirmed(erasure_store, "engine")
            left = await written(log, INSIGHT_STATE, VISIT_STATE)
    assert status.removed()["open_visits"] == 1
    assert ANNA.encode() not in left
