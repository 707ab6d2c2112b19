"""The spool before a real Kafka whose broker is killed and comes back."""

import asyncio
from base64 import b64encode
from collections import defaultdict
from pathlib import Path
from uuid import uuid4

import pytest
from tests.flows.shop import NOON, Person, detection
from tests.servers.kafka_logs import kafka_log

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.spool import SpoolingEventLog
from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.customers.spool_erasure import SpoolErasures, SpoolParticipant
from trinetra.devservers.kafka import KafkaBroker
from trinetra.events.codec import encode
from trinetra.events.topics import DETECTIONS, ERASURES
from trinetra.ports import EventLog, Record
from trinetra.values import CustomerId

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
CAMERAS = [f"camera-{n}" for n in range(12)]


async def arrived(log: EventLog, total: int) -> dict[str, list[int]]:
    """Return the numbers of each camera in the order of their first arrival."""
    numbers: dict[str, list[int]] = defaultdict(list)
    reader = await log.subscribe([DETECTIONS], "reader")
    while sum(map(len, numbers.values())) < total:
        for delivery in await reader.poll(max_records=500, wait_s=1):
            number = int(delivery.value)
            if number not in numbers[delivery.key]:
                numbers[delivery.key].append(number)
    return numbers


async def test_a_killed_broker_costs_no_event_and_no_order(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    """Appends go on all the time; none fails, and all arrive in the order of their camera."""
    clock = SystemClock()
    number = 0
    async with (
        kafka_log(kafka_broker.address, [DETECTIONS], namespace=uuid4().hex) as log,
        SpoolingEventLog.open(log, tmp_path / "spool", max_bytes=1 << 24, clock=clock) as spool,
    ):

        async def frames(count: int) -> None:
            nonlocal number
            for _ in range(count):
                records = [Record(DETECTIONS, camera, b"%d" % number) for camera in CAMERAS]
                await spool.append(records)
                number += 1

        await frames(20)
        kafka_broker.kill()
        await frames(50)
        assert spool.status().records == 50 * len(CAMERAS)
        restarting = asyncio.create_task(asyncio.to_thread(kafka_broker.restart))
        while spool.status().records:
            await frames(1)
            await clock.sleep(0.05)  # as fast as frames come
        await restarting
        await frames(20)
        assert spool.status().records == 0
        numbers = await arrived(log, number * len(CAMERAS))
    assert numbers == {camera: list(range(number)) for camera in CAMERAS}


async def test_an_erasure_waits_for_a_spool_until_the_broker_is_back_and_no_face_is_on_the_disk(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    clock = SystemClock()
    ann, worker, topics = CustomerId("cus_ann"), "inference-worker@test", [DETECTIONS, ERASURES]
    seen = detection("door", NOON, [(Person(1), 100.0)])
    face = b64encode(seen.faces[0].embedding or b"")
    spool_folder = tmp_path / "spool"

    def faces_on_disk() -> list[Path]:
        return [path for path in spool_folder.iterdir() if face in path.read_bytes()]

    async with (
        kafka_log(kafka_broker.address, topics, namespace=uuid4().hex) as log,
        SqlErasureStore.open(f"sqlite:///{tmp_path}/shared.db") as store,
        SpoolingEventLog.open(
            *(log, spool_folder),
            max_bytes=1 << 24,
            clock=clock,
            participant=SpoolParticipant(log, clock, member=worker),
        ) as spool,
    ):
        exchange = SpoolErasures(log, store, clock, every_s=0.1)

        async def awaited() -> tuple[str, ...]:
            await exchange.tend()
            status = await store.find(ann, clock.now())
            assert status is not None
            return status.awaited

        while f"spool/{worker}" not in await log.latest(ERASURES, 0):
            await clock.sleep(0.05)
        kafka_broker.kill()
        await spool.append([Record(DETECTIONS, "door", encode(seen))])
        await store.request([ann], clock.now(), ["inference-worker"])
        assert await awaited() == ("inference-worker",)
        assert faces_on_disk()
        await asyncio.to_thread(kafka_broker.restart)
        while await awaited():
            await clock.sleep(0.05)
        assert not faces_on_disk()
        status = await store.find(ann, clock.now())
        assert status is not None
        assert worker in {share.member for share in status.shares}
        await exchange.close()
