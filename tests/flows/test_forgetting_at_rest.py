"""People are forgotten while nothing happens: in what is written down, too, before it is confirmed.

A shop asks for it after hours, when no camera sends anything.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.flows.shop import Person, record, visit
from tests.flows.test_known_people import ANNA, Shop
from tests.unit.insights.walks import CAMERA, SITE, frame, position

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory import MemoryEventLog
from trinetra.adapters.sql import SqlInsightStore
from trinetra.adapters.sql_book import SqlCustomerBook
from trinetra.adapters.sql_erasure import SqlErasureDesk
from trinetra.erasing import ErasureDuty
from trinetra.events.codec import encode
from trinetra.events.erasure import ErasureStatus, erased_change
from trinetra.events.topics import IDENTITIES, INSIGHT_STATE, RESOLVER_STATE, VISIT_STATE, Topic
from trinetra.following import StoreAcquaintance
from trinetra.identities.directory import Directory
from trinetra.identities.oblivion import Oblivion
from trinetra.identities.service import Companion, IdentityResolver, ResolverPolicy
from trinetra.insights.plan import CameraInsights, InsightPolicy
from trinetra.insights.service import InsightEngine
from trinetra.ports import ErasureDesk, EventLog, Record
from trinetra.values import IdentityKind

GOES_ON = ResolverPolicy(ends_tracks_at_stop=False, poll_wait_s=0.05)


async def written(log: EventLog, *topics: Topic) -> bytes:
    """Return all state on the log, keys and values."""
    places = [(topic, partition) for topic in topics for partition in range(topic.partitions)]
    values = [await log.latest(*place) for place in places]
    return b"".join(key.encode() + value for found in values for key, value in found.items())


async def known_in(log: EventLog, topic: Topic) -> None:
    """Return once Anna is in the state on the log."""
    while True:
        if ANNA.encode() in await written(log, topic):
            return
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(service: IdentityResolver | InsightEngine) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(service.run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def confirmed(desk: ErasureDesk, member: str) -> ErasureStatus:
    """Return how the erasure stands once a process has confirmed it."""
    while True:
        status = await desk.find(ANNA, SystemClock().now())
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

    def resolver(*companions: Companion) -> IdentityResolver:
        directory = Directory(shop.recogniser, shop.book, shop.log, every_s=0.0)
        return IdentityResolver(shop.log, shop.recogniser, GOES_ON, [directory, *companions])

    async with running(resolver()):
        await shop.log.append([record(e) for e in list(visit("door", 0, [anna], seconds=3))[:12]])
        await known_in(shop.log, RESOLVER_STATE)
    shop.start()
    async with SqlErasureDesk.open(url) as desk:
        duty = ErasureDuty(desk, shop.clock, member="resolver", every_s=0.05)
        async with running(resolver(Oblivion(shop.recogniser, shop.gallery, duty))):
            await shop.book.erase(ANNA, erased_change(ANNA, shop.clock.now()))
            await desk.ask([ANNA], shop.clock.now())
            status = await confirmed(desk, "resolver")
            left = await written(shop.log, RESOLVER_STATE)
    assert status.removed()["open_tracks"] == 1
    assert ANNA.encode() not in left
    assert len(left) < 512, "there is no embedding in it"


async def test_an_engine_forgets_in_its_state_before_it_confirms(url: str) -> None:
    clock = SystemClock()
    log = MemoryEventLog(clock)
    seen = [
        frame(n, [position("t", (0.5, 0.5), customer=ANNA, kind=IdentityKind.VIP)])
        for n in range(9)
    ]
    async with (
        SqlInsightStore.open(url) as store,
        SqlCustomerBook.open(url) as book,
        SqlErasureDesk.open(url) as desk,
    ):
        engine = InsightEngine(
            SITE,
            log,
            store,
            {CAMERA: CameraInsights()},
            InsightPolicy(),
            acquaintance=StoreAcquaintance(book, store, clock, service="engine"),
            erasures=ErasureDuty(desk, clock, member="engine", every_s=0.05),
            clock=clock,
            concludes_at_stop=False,
            wait_s=0.05,
        )
        async with running(engine):
            await log.append([Record(IDENTITIES, CAMERA, encode(event)) for event in seen])
            await known_in(log, VISIT_STATE)
            await desk.ask([ANNA], clock.now())
            status = await confirmed(desk, "engine")
            left = await written(log, INSIGHT_STATE, VISIT_STATE)
    assert status.removed()["open_visits"] == 1
    assert ANNA.encode() not in left
