"""The event log while its broker dies, stands still and comes back."""

import asyncio
import threading
from typing import Any

import pytest
from tests.faults.kafka_copier import GROUP, SOURCE, TOPICS, copies, copy_some, numbered, sunk
from tests.servers.kafka_logs import kafka_log

from trinetra.adapters.kafka.producer import Transactor
from trinetra.devservers.kafka import KafkaBroker
from trinetra.errors import EventLogUnavailable, PartitionsLost
from trinetra.events.topics import Topic
from trinetra.ports import Subscription

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


async def poll_for_ever(reader: Subscription) -> None:
    while True:
        await reader.poll(max_records=10, wait_s=0.2)


async def test_nothing_is_lost_or_doubled_when_the_broker_is_killed_under_commits(
    kafka_broker: KafkaBroker,
) -> None:
    async with kafka_log(kafka_broker.address, TOPICS, namespace="n") as log:
        await log.append(numbered(1_000))
        reader = await log.subscribe([SOURCE], GROUP)
        copied = 0
        while copied < 200:
            copied += await copy_some(reader, 20)
        killing = asyncio.create_task(asyncio.to_thread(kafka_broker.restart))
        while not killing.done():
            await copy_some(reader, 20)
        await killing
        while (await reader.lag()) or not reader.assignment():
            await copy_some(reader, 100)
        seen = await sunk(log, 1_000)
    assert set(seen.values()) == {1}
    assert len(seen) == 1_000


async def test_who_appends_polls_or_commits_is_told_when_the_broker_is_away(
    kafka_broker: KafkaBroker,
) -> None:
    async with kafka_log(kafka_broker.address, TOPICS, namespace="n") as log:
        await log.append(numbered(20))
        reader = await log.subscribe([SOURCE], GROUP)
        got = await reader.poll(max_records=10, wait_s=5)
        kafka_broker.kill()
        told = await asyncio.gather(
            log.append(numbered(1, 20)),
            log.latest(Topic("test.sink", 3, compacted=True), 0),
            reader.commit(copies(got)),
            return_exceptions=True,
        )
        assert [type(failure) for failure in told] == [
            EventLogUnavailable,
            EventLogUnavailable,
            PartitionsLost,
        ]
        assert str(kafka_broker.port) in str(told[0])
        with pytest.raises(EventLogUnavailable):
            await poll_for_ever(reader)
        kafka_broker.start()
        await log.append(numbered(1, 21))
        values: set[bytes] = set()
        while b"21" not in values:
            try:
                values |= {d.value for d in await reader.poll(max_records=100, wait_s=1)}
            except EventLogUnavailable:
                continue
        assert values >= {str(n).encode() for n in range(20)}


async def test_a_member_whose_commit_never_returns_is_replaced_and_fenced(
    kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As librdkafka does now and then when a broker was away; here for as long as the test wants.
    real_commit, goes_on, ended = Transactor.commit, threading.Event(), threading.Event()

    def stuck(self: Transactor, *commit: Any) -> None:
        monkeypatch.setattr(Transactor, "commit", real_commit)
        goes_on.wait()
        try:
            real_commit(self, *commit)
        finally:
            ended.set()

    monkeypatch.setattr(Transactor, "commit", stuck)
    monkeypatch.setattr("trinetra.adapters.kafka.subscription._COMMIT_WAIT_S", 1.0)
    async with kafka_log(kafka_broker.address, TOPICS, namespace="n") as log:
        await log.append(numbered(100))
        reader = await log.subscribe([SOURCE], GROUP)
        while not (got := await reader.poll(max_records=30, wait_s=5)):
            pass
        with pytest.raises(PartitionsLost, match="not done within 1 s with committing"):
            await reader.commit(copies(got))
        copied = 0
        while copied < 50:
            copied += await copy_some(reader, 10)
        goes_on.set()
        await asyncio.to_thread(ended.wait)
        while await reader.lag():
            await copy_some(reader, 50)
        seen = await sunk(log, 100)
    assert set(seen.values()) == {1}
    assert len(seen) == 100


async def test_a_log_can_be_left_while_its_broker_is_away(kafka_broker: KafkaBroker) -> None:
    async with kafka_log(kafka_broker.address, TOPICS, namespace="n") as log:
        reader = await log.subscribe([SOURCE], GROUP)
        await reader.poll(max_records=10, wait_s=0)
        kafka_broker.kill()


async def test_who_appends_is_told_when_the_broker_stands_still(kafka_broker: KafkaBroker) -> None:
    async with kafka_log(kafka_broker.address, TOPICS, namespace="n") as log:
        await log.append(numbered(5))
        kafka_broker.suspend()
        with pytest.raises(EventLogUnavailable):
            await log.append(numbered(1, 5))
        kafka_broker.resume()
        await log.append(numbered(1, 6))
