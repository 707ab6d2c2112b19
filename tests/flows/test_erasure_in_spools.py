"""Faces in the spools of workers: an erasure is final once each worker has answered by name."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flows.shop import NOON, Person, detection
from tests.flows.test_erasure_on_a_cluster import ANN, container, running

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.customers.spool_erasure import SpoolErasures
from trinetra.errors import EventLogUnavailable
from trinetra.events.codec import encode
from trinetra.events.erasure import ErasureStatus
from trinetra.events.spool_erasure import read_request, token_of
from trinetra.events.topics import DETECTIONS, ERASURES, Topic
from trinetra.ports import EventLog, Record
from trinetra.settings import Settings
from trinetra.values import CustomerId, derive_id
from trinetra.wiring.connections import spooling
from trinetra.wiring.forgetting import Eraser, receipt_of

SERVICE, WORKER = "inference-worker", "inference-worker@worker"
OTHERS = {"identity-resolver", "insight-engine"}
CLOCK = SystemClock()
SEEN = detection("door", NOON, [(Person(1), 100.0), (Person(2), 500.0)])
FACES = [b64encode(face.embedding) for face in SEEN.faces if face.embedding]


class Wire:
    """A worker's own connection to the log, which can be cut."""

    def __init__(self, log: MemoryEventLog, *, up: bool = True) -> None:
        self._log = log
        self.up = up

    async def append(self, records: Sequence[Record]) -> None:
        self._need()
        await self._log.append(records)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        self._need()
        return await self._log.latest(topic, partition)

    def _need(self) -> None:
        if not self.up:
            raise EventLogUnavailable("the cable is cut")


class Shop:
    """Resolver and engine run; workers come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = MemoryEventLog(CLOCK)
        self.engine = container(folder, "engine")
        self.worker = container(folder, "worker")

    @property
    def spool(self) -> Path:
        return self.worker.data_dir / "spool"

    def faces_on_disk(self) -> int:
        files = [path.read_bytes() for path in self.spool.rglob("*") if path.is_file()]
        return sum(face in content for face in FACES for content in files)

    async def forget(self, timeout_s: float, who: CustomerId = ANN) -> ErasureStatus:
        return await Eraser(self.engine).forget(who, timeout_s)

    async def forget_but_for(self, awaited: set[str]) -> ErasureStatus:
        """Ask for the erasure and return once no other confirmation is missing."""
        while set((status := await self.forget(0.1)).awaited) != awaited:
            pass
        return status

    async def known(self, *members: str) -> None:
        """Return when these workers, and no others, are known to the log."""
        keys = {f"spool/{member}" for member in members}
        while {k for k in await self.log.latest(ERASURES, 0) if k != "request"} != keys:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    made = Shop(tmp_path)
    async with running(container(tmp_path, "resolver"), made.engine, made.log):
        yield made


@asynccontextmanager
async def working(wire: Wire, settings: Settings) -> AsyncIterator[EventLog]:
    async with spooling(wire, settings, CLOCK) as spool:
        yield spool


async def spool_faces(wire: Wire, spool: EventLog) -> None:
    wire.up = False
    await spool.append([Record(DETECTIONS, "door", encode(SEEN))])


async def sent(log: MemoryEventLog) -> Mapping[str, int]:
    """Return how many detections arrived, and how many of the faces in them."""
    reader = await log.open_reader([DETECTIONS], since=NOON - timedelta(days=3650))
    values = [delivery.value for delivery in await reader.poll(max_records=100, wait_s=0)]
    await reader.close()
    return {"events": len(values), "faces": sum(face in v for face in FACES for v in values)}


async def test_a_worker_that_is_cut_off_with_faces_on_its_disk_is_named_until_they_are_gone(
    shop: Shop,
) -> None:
    wire = Wire(shop.log)
    async with working(wire, shop.worker) as spool:
        await shop.known(WORKER)
        await spool_faces(wire, spool)
        assert shop.faces_on_disk() == 2

        status = await shop.forget_but_for({SERVICE, WORKER})
        assert status.settled_at is None
        receipt = receipt_of(shop.engine, status).receipt
        assert receipt["done_at"] is None
        assert receipt["awaited"] == [SERVICE, WORKER]
        assert WORKER not in receipt["confirmed_by"]
        assert shop.faces_on_disk() == 2

        wire.up = True
        status = await shop.forget(60.0)
        assert status.settled_at is not None
        assert shop.faces_on_disk() == 0
        # What other services would make a new identity of did not reach them any more.
        assert await sent(shop.log) == {"events": 1, "faces": 0}
    receipt = receipt_of(shop.engine, status).receipt
    assert receipt["awaited"] == []
    assert WORKER in receipt["confirmed_by"]
    assert receipt["erased"]["spooled_records"] == 1


async def test_a_worker_that_ended_with_faces_on_its_disk_is_named_until_it_ran_again(
    shop: Shop,
) -> None:
    wire = Wire(shop.log)
    async with working(wire, shop.worker) as spool:
        await shop.known(WORKER)
        await spool_faces(wire, spool)
        unreadable = b'{"embedding":"' + FACES[0]  # it may hold anything, and is not sent
        await spool.append([Record(DETECTIONS, "door", unreadable)])
    status = await shop.forget_but_for({SERVICE, WORKER})
    assert shop.faces_on_disk() == 2
    assert status.settled_at is None
    wire.up = True
    async with working(wire, shop.worker):
        status = await shop.forget(60.0)
        assert status.settled_at is not None
        assert shop.faces_on_disk() == 0
    assert status.removed()["spooled_records"] == 2
    assert await sent(shop.log) == {"events": 1, "faces": 0}


async def test_damaged_files_that_were_kept_aside_are_deleted_before_the_answer(shop: Shop) -> None:
    wire = Wire(shop.log)
    async with working(wire, shop.worker) as spool:
        await shop.known(WORKER)
        await spool_faces(wire, spool)
    (segment,) = shop.spool.rglob("*.spool")
    content = bytearray(segment.read_bytes())
    content[-1] ^= 0xFF
    segment.write_bytes(content)
    segment.with_suffix(".aside").write_bytes(content)
    wire.up = True
    async with working(wire, shop.worker):
        status = await shop.forget(60.0)
    assert status.settled_at is not None
    assert status.removed()["damaged_spool_files"] > 0
    assert shop.faces_on_disk() == 0


async def test_no_erasure_waits_for_a_worker_that_ended_with_an_empty_spool(shop: Shop) -> None:
    second = container(shop.folder, "second")
    async with AsyncExitStack() as first:
        await first.enter_async_context(working(Wire(shop.log), shop.worker))
        async with working(Wire(shop.log), second):
            await shop.known(WORKER, "inference-worker@second")
            await shop.forget_but_for(set())
        await shop.known(WORKER)
        bob = CustomerId(derive_id("cus", "bob"))
        status = await shop.forget(60.0, bob)
        assert status.settled_at is not None
        assert set(status.owners) == {*OTHERS, SERVICE, WORKER} | {"identity-resolver@resolver"}


async def test_the_answer_to_an_erasure_of_a_lost_database_does_not_count(shop: Shop) -> None:
    wire = Wire(shop.log)
    async with (
        working(wire, shop.worker) as spool,
        SqlErasureStore.open(f"sqlite:///{shop.folder}/new.db") as new,
    ):
        await shop.known(WORKER)
        assert (await shop.forget(60.0)).erasure.number == 1
        await spool_faces(wire, spool)

        exchange = SpoolErasures(shop.log, new, CLOCK, every_s=0.0)
        status = await new.request([ANN], CLOCK.now(), [WORKER])
        assert status.erasure.number == 1
        while (
            token_of(status.erasure) not in read_request(await shop.log.latest(ERASURES, 0)).tokens
        ):
            await exchange.tend()
        assert (await _found(new)).awaited == (WORKER,)
        wire.up = True
        while (await _found(new)).awaited:
            await exchange.tend()
        assert shop.faces_on_disk() == 0
        await exchange.close()


async def _found(store: SqlErasureStore) -> ErasureStatus:
    status = await store.find(ANN, CLOCK.now())
    assert status is not None
    return status
