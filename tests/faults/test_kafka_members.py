"""Members of a consumer group on a real Kafka that come, go, stand still and die."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from tests.faults.kafka_copier import (
    GROUP,
    SOURCE,
    TOPICS,
    copies,
    copy_some,
    numbered,
    sunk,
)
from tests.servers.kafka_logs import kafka_log

from trinetra.errors import ConfigurationError, PartitionsLost
from trinetra.events.topics import Topic
from trinetra.ports import Subscription

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
ROOT = Path(__file__).parents[2]


class Member:
    """A member in a process of its own, that does as it is told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    async def told(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.to_thread(self.process.stdout.readline)).strip()

    async def does(self, what: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return await self.told()


@contextmanager
def member(servers: str, namespace: str, instance: str) -> Iterator[Member]:
    command = [sys.executable, "-m", "tests.faults.kafka_copier", servers, namespace, instance]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Member(process)
    finally:
        process.kill()
        process.communicate()


async def test_what_a_stopped_member_held_is_taken_over_and_its_late_commit_refused(
    kafka_servers: str,
) -> None:
    namespace = uuid4().hex
    async with kafka_log(kafka_servers, TOPICS, namespace=namespace) as log:
        await log.append(numbered(40))
        with member(kafka_servers, namespace, "zombie") as zombie:
            assert await zombie.told() == "joined"
            assert await zombie.does("poll") == "polled 40"
            zombie.process.send_signal(signal.SIGSTOP)
            heir = await log.subscribe([SOURCE], GROUP)
            copied = 0
            while copied < 40:
                copied += await copy_some(heir)
            zombie.process.send_signal(signal.SIGCONT)
            assert (await zombie.does("commit")).startswith("PartitionsLost")
        seen = await sunk(log, 40)
    assert set(seen.values()) == {1}
    assert len(seen) == 40


async def test_a_killed_member_is_given_back_its_partitions_without_a_rebalance(
    kafka_servers: str,
) -> None:
    namespace = uuid4().hex
    async with kafka_log(kafka_servers, TOPICS, namespace=namespace, instance="other") as log:
        await log.append(numbered(4_000))
        with member(kafka_servers, namespace, "phoenix") as first:
            assert await first.told() == "joined"
            other = await log.subscribe([SOURCE], GROUP)
            while len(other.assignment()) != SOURCE.partitions // 2:
                await first.does("poll")  # partitions are given up while polling
                await other.poll(max_records=1, wait_s=0.2)
            before = dict(other.assignment())
            assert (await first.does("poll")).startswith("polled")
        with member(kafka_servers, namespace, "phoenix") as again:
            assert await again.told() == "joined"
            assert (await again.does("poll")).startswith("polled")
            await other.poll(max_records=1, wait_s=0.2)
            assert other.assignment() == before


async def poll_for_ever(reader: Subscription) -> None:
    while True:
        await reader.poll(max_records=50, wait_s=0.2)


async def test_of_two_processes_with_one_name_the_first_is_told_and_the_second_works(
    kafka_servers: str,
) -> None:
    namespace = uuid4().hex
    async with kafka_log(kafka_servers, TOPICS, namespace=namespace, instance="twin") as log:
        await log.append(numbered(40))
        mine = await log.subscribe([SOURCE], GROUP)
        got = []
        while len(got) < 40:
            got += await mine.poll(max_records=50, wait_s=1)
        with member(kafka_servers, namespace, "twin") as other:
            assert await other.told() == "joined"
            assert await other.does("poll") == "polled 40"
            with pytest.raises(PartitionsLost):
                await mine.commit(copies(got))
            with pytest.raises(ConfigurationError, match="TRINETRA_INSTANCE"):
                await poll_for_ever(mine)
            assert await other.does("commit") == "committed"


async def test_a_member_that_has_nothing_to_read_stays_in_the_group_and_takes_over(
    kafka_servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trinetra.adapters.kafka.member.UNPOLLED_S", 6.0)
    single = Topic("test.single", 1)
    async with kafka_log(kafka_servers, (single,), namespace=uuid4().hex) as log:
        pair = [await log.subscribe([single], "g") for _ in range(2)]
        for _ in range(35):  # longer than librdkafka waits for one that is silent
            await asyncio.gather(*(one.poll(max_records=1, wait_s=0.2) for one in pair))
        owner, heir = sorted(pair, key=lambda one: -len(one.assignment()))
        assert [len(owner.assignment()), len(heir.assignment())] == [1, 0]
        await owner.close()
        async with asyncio.timeout(8):
            while not heir.assignment():
                await heir.poll(max_records=1, wait_s=0.2)


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_record_counts_once_while_members_come_and_go(
    kafka_servers: str, seed: int
) -> None:
    rng = random.Random(seed)
    namespace, total = uuid4().hex, 3_000
    async with kafka_log(kafka_servers, TOPICS, namespace=namespace, instance="writer") as log:
        done = asyncio.Event()

        async def write() -> None:
            for start in range(0, total, 50):
                await log.append(numbered(50, start))

        async def come_and_go(instance: str) -> None:
            while not done.is_set():
                async with kafka_log(
                    kafka_servers, TOPICS, namespace=namespace, instance=instance
                ) as mine:
                    reader = await mine.subscribe([SOURCE], GROUP)
                    for _ in range(rng.randint(5, 60)):
                        await copy_some(reader, rng.randint(10, 200))

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            for instance in ("a", "b", "c"):
                group.create_task(come_and_go(instance))
            seen = await sunk(log, total)
            done.set()
    assert set(seen.values()) == {1}
    assert len(seen) == total
