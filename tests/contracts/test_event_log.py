"""Contract of every event log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.servers.kafka_logs import kafka_log

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import PartitionsLost
from trinetra.events.topics import DETECTIONS, IDENTITIES, Topic
from trinetra.ports import Delivery, EventLog, Progress, Record, Subscription, TopicReader

SOURCE = Topic("test.source", 8)
SINK = Topic("test.sink", 3)
STATE = Topic("test.state", 8, compacted=True)
TOPICS = (SOURCE, SINK, STATE, DETECTIONS, IDENTITIES)
QUIET_S = 0.3  # long enough for an unexpected record to arrive on loopback


@pytest.fixture(params=["memory", "journal", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    if request.param == "memory":
        yield MemoryEventLog(SystemClock())
        return
    if request.param == "journal":
        kept_s = dict.fromkeys((SOURCE, SINK, DETECTIONS, IDENTITIES), 3600.0)
        memory, limit = MemoryEventLog(SystemClock()), 1 << 20
        async with JournalingEventLog.open(
            memory, tmp_path / "journal", max_bytes=limit, retention_s=kept_s, linger_s=0.01
        ) as log:
            yield log
        return
    servers = request.getfixturevalue("kafka_servers")
    async with kafka_log(servers, TOPICS, namespace=uuid4().hex) as log:
        yield log


def records(topic: Topic, *pairs: tuple[str, int]) -> list[Record]:
    return [Record(topic, key, str(value).encode()) for key, value in pairs]


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    """Poll until ``count`` records arrived; the test runner's timeout ends a hang."""
    got: list[Delivery] = []
    while len(got) < count:
        got += await subscription.poll(max_records=100, wait_s=1)
    return got


async def next_batch(subscription: Subscription, max_records: int) -> list[Delivery]:
    """Poll until records arrive or all records are committed."""
    got = await subscription.poll(max_records=max_records, wait_s=0)
    while not got and await subscription.lag():
        got = await subscription.poll(max_records=max_records, wait_s=0.1)
    return got


def after(deliveries: list[Delivery], outputs: Sequence[Record] = ()) -> list[Progress]:
    """Return progress past the deliveries; the first partition carries the outputs."""
    ends = {(d.topic, d.partition): d.offset + 1 for d in deliveries}
    given = chain([outputs], repeat(()))
    return [
        Progress(where, end, out) for (where, end), out in zip(ends.items(), given, strict=False)
    ]


@pytest.fixture(params=["memory", "journal"])
async def small_log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    memory = MemoryEventLog(SystemClock(), keep_records=10, max_records=100)
    if request.param == "memory":
        yield memory
        return
    opening = JournalingEventLog.open(
        memory, tmp_path / "journal", max_bytes=1 << 20, retention_s={SOURCE: 3600.0}
    )
    async with opening as log:
        yield log


async def test_commits_wait_for_a_group_that_is_far_behind_and_lose_nothing(
    small_log: EventLog,
) -> None:
    first, second = await small_log.subscribe([SOURCE], "a"), await small_log.subscribe([SINK], "b")

    async def copy() -> None:
        for n in range(1000):
            await small_log.append(records(SOURCE, ("cam", n)))
            got = await take(first, 1)
            await first.commit(after(got, records(SINK, ("cam", n))))

    copying = asyncio.create_task(copy())
    values: list[int] = []
    while len(values) < 1000:
        got = await take(second, 1)
        assert await second.lag() <= 100
        values += [int(d.value) for d in got]
        await second.commit(after(got))
    await copying
    assert values == list(range(1000))


async def test_records_of_one_key_keep_their_order_in_one_partition(log: EventLog) -> None:
    await log.append(records(SOURCE, *[(f"cam{n % 5}", n) for n in range(100)]))
    got = await take(await log.subscribe([SOURCE], "g"), 100)
    for camera in range(5):
        mine = [d for d in got if d.key == f"cam{camera}"]
        assert [int(d.value) for d in mine] == list(range(camera, 100, 5))
        assert len({d.partition for d in mine}) == 1


async def test_a_group_starts_where_it_last_committed(log: EventLog) -> None:
    await log.append(records(SOURCE, ("a", 1), ("a", 2), ("a", 3)))
    first = await log.subscribe([SOURCE], "g")
    await first.commit(after((await take(first, 3))[:2]))
    await first.close()
    again = await take(await log.subscribe([SOURCE], "g"), 1)
    assert [d.value for d in again] == [b"3"]


async def test_uncommitted_records_are_delivered_again(log: EventLog) -> None:
    await log.append(records(SOURCE, ("a", 1)))
    first = await log.subscribe([SOURCE], "g")
    await take(first, 1)
    await first.close()
    assert [d.value for d in await take(await log.subscribe([SOURCE], "g"), 1)] == [b"1"]


async def test_groups_do_not_disturb_each_other(log: EventLog) -> None:
    await log.append(records(SOURCE, ("a", 1)))
    one, two = await log.subscribe([SOURCE], "one"), await log.subscribe([SOURCE], "two")
    await one.commit(after(await take(one, 1)))
    assert [d.value for d in await take(two, 1)] == [b"1"]


async def test_members_of_a_group_share_the_partitions(log: EventLog) -> None:
    one, two = await log.subscribe([SOURCE], "g"), await log.subscribe([SOURCE], "g")
    await log.append(records(SOURCE, *[(f"cam{n}", n) for n in range(64)]))
    got_one, got_two = [], []
    while len(got_one) + len(got_two) < 64:
        got_one += await one.poll(max_records=100, wait_s=0.1)
        got_two += await two.poll(max_records=100, wait_s=0.1)
    assert got_one
    assert got_two
    assert {d.partition for d in got_one}.isdisjoint({d.partition for d in got_two})
    assert sorted(int(d.value) for d in got_one + got_two) == list(range(64))


async def test_outputs_and_offsets_are_committed_together(log: EventLog) -> None:
    await log.append(records(SOURCE, ("a", 1)))
    reader = await log.subscribe([SOURCE], "g")
    got = await take(reader, 1)
    await reader.commit(after(got, records(SINK, ("a", 10))))
    assert await reader.lag() == 0
    assert [d.value for d in await take(await log.subscribe([SINK], "s"), 1)] == [b"10"]


async def test_lost_partitions_are_not_committed_and_all_others_are(log: EventLog) -> None:
    await log.append(records(SOURCE, *[(f"cam{n}", n) for n in range(64)]))
    zombie = await log.subscribe([SOURCE], "g")
    got = await take(zombie, 64)
    all_of_them, heir = len(zombie.assignment()), await log.subscribe([SOURCE], "g")
    while len(zombie.assignment()) == all_of_them:
        await zombie.poll(max_records=1, wait_s=0.1)
        await heir.poll(max_records=1, wait_s=0.1)
    read = [
        Progress(p.where, p.next_offset, [Record(SINK, "a", str(p.where[1]).encode())])
        for p in after(got)
    ]
    with pytest.raises(PartitionsLost) as lost:
        await zombie.commit(read)
    kept = {p.where for p in read} - lost.value.partitions
    sink = await log.subscribe([SINK], "s")
    seen = await take(sink, len(kept))
    seen += await sink.poll(max_records=10, wait_s=QUIET_S)
    assert sorted(int(d.value) for d in seen) == sorted(partition for _, partition in kept)


async def test_every_change_of_owner_raises_the_number_of_the_assignment(log: EventLog) -> None:
    await log.append(records(SOURCE, *[(f"cam{n}", n) for n in range(64)]))
    one = await log.subscribe([SOURCE], "g")
    await one.poll(max_records=1, wait_s=1)
    before = dict(one.assignment())
    two = await log.subscribe([SOURCE], "g")
    while len(one.assignment()) == len(before):
        await one.poll(max_records=100, wait_s=0.1)
        await two.poll(max_records=100, wait_s=0.1)
    moved = set(before) - set(one.assignment())
    await two.close()
    while len(one.assignment()) < len(before):
        await one.poll(max_records=100, wait_s=0.1)
    assert moved
    assert all(one.assignment()[where] > before[where] for where in moved)


async def test_state_goes_where_its_input_came_from_and_keeps_the_last_value(log: EventLog) -> None:
    state = [
        Record(STATE, "a", b"1", partition=5),
        Record(STATE, "b", b"2", partition=5),
        Record(STATE, "b", b"3", partition=5),
        Record(STATE, "a", None, partition=5),
        Record(STATE, "c", b"4", partition=6),
    ]
    await log.append(records(SOURCE, ("a", 1)))
    reader = await log.subscribe([SOURCE], "g")
    await reader.commit(after(await take(reader, 1), state))
    assert await log.latest(STATE, 5) == {"b": b"3"}
    assert await log.latest(STATE, 6) == {"c": b"4"}
    assert await log.latest(STATE, 7) == {}


async def test_outputs_without_an_input_record_do_not_move_the_offset(
    log: EventLog,
) -> None:
    await log.append(records(SOURCE, ("a", 1)))
    first = await log.subscribe([SOURCE], "g")
    where = after(await take(first, 1))[0].where
    await first.commit([Progress(where, None, [Record(STATE, "a", b"1", where[1])])])
    assert await log.latest(STATE, where[1]) == {"a": b"1"}
    assert await first.lag() == 1
    await first.close()
    assert len(await take(await log.subscribe([SOURCE], "g"), 1)) == 1


async def test_one_subscription_may_read_several_topics(log: EventLog) -> None:
    both = await log.subscribe([DETECTIONS, IDENTITIES], "g")
    await log.append(records(DETECTIONS, ("a", 1)) + records(IDENTITIES, ("a", 2)))
    assert {d.topic for d in await take(both, 2)} == {DETECTIONS.name, IDENTITIES.name}


async def test_lag_counts_what_is_not_committed(log: EventLog) -> None:
    reader = await log.subscribe([SOURCE], "g")
    await log.append(records(SOURCE, ("a", 1), ("b", 2)))
    got = await take(reader, 2)
    assert await reader.lag() == 2
    await reader.commit(after(got))
    assert await reader.lag() == 0


async def caught_up(reader: TopicReader) -> list[Delivery]:
    """Poll until all committed records are read."""
    got = []
    while await reader.lag():
        got += await reader.poll(max_records=50, wait_s=0.1)
    return got


async def test_a_follower_reads_every_partition_in_order_and_then_what_comes(log: EventLog) -> None:
    before = SystemClock().now()
    await log.append(records(SOURCE, *[(f"cam{n % 16}", n) for n in range(200)]))
    reader = await log.open_reader([SOURCE], since=before)
    past = await caught_up(reader)
    await log.append(records(SOURCE, *[(f"cam{n % 16}", n) for n in range(200, 220)]))
    got = past + await caught_up(reader)
    assert len(past) == 200
    for camera in range(16):
        mine = [int(d.value) for d in got if d.key == f"cam{camera}"]
        assert mine == list(range(camera, 220, 16))
    await reader.close()
    await reader.close()


async def test_a_follower_begins_with_the_first_record_appended_since(log: EventLog) -> None:
    await log.append(records(SOURCE, *[(f"cam{n}", 1) for n in range(32)]))
    await asyncio.sleep(0.002)  # Kafka's timestamps are whole milliseconds
    since = SystemClock().now()
    await asyncio.sleep(0.002)
    await log.append(records(SOURCE, ("cam1", 2)))
    reader = await log.open_reader([SOURCE], since=since)
    await log.append(records(SOURCE, ("cam2", 3)))
    assert sorted(d.value for d in await caught_up(reader)) == [b"2", b"3"]


async def test_a_follower_takes_nothing_from_the_groups_and_they_nothing_from_it(
    log: EventLog,
) -> None:
    before = SystemClock().now()
    reader = await log.subscribe([SOURCE], "g")
    one, two = [await log.open_reader([SOURCE, SINK], since=before) for _ in range(2)]
    await log.append(records(SOURCE, ("a", 1)))
    await reader.commit(after(await take(reader, 1), records(SINK, ("a", 10))))
    for reader in (one, two):
        got = {(d.topic, d.value) for d in await caught_up(reader)}
        assert got == {(SOURCE.name, b"1"), (SINK.name, b"10")}


async def test_a_follower_waits_for_the_first_record(log: EventLog) -> None:
    reader = await log.open_reader([SOURCE], since=SystemClock().now())
    polling = asyncio.ensure_future(reader.poll(max_records=10, wait_s=30))
    await asyncio.sleep(0)
    await log.append(records(SOURCE, ("a", 1)))
    assert [d.value for d in await polling] == [b"1"]


async def test_in_memory_a_slow_reader_does_not_block_writers() -> None:
    log = MemoryEventLog(SystemClock(), keep_records=2, max_records=4)
    reader = await log.open_reader([SOURCE], since=SystemClock().now())
    await log.append(records(SOURCE, *[("a", n) for n in range(10)]))
    assert [int(d.value) for d in await caught_up(reader)] == [6, 7, 8, 9]


async def test_no_partition_starves_behind_a_busy_one(log: EventLog) -> None:
    await log.append(records(SOURCE, *[("busy", n) for n in range(500)]))
    await log.append(records(SOURCE, *[(f"cam{n}", n) for n in range(32)]))
    got = await next_batch(await log.subscribe([SOURCE], "g"), 80)
    assert {d.key for d in got} - {"busy"}


async def test_a_full_log_holds_writers_back_until_readers_caught_up() -> None:
    log = MemoryEventLog(SystemClock(), keep_records=2, max_records=4)
    reader = await log.subscribe([SOURCE], "g")
    await log.append(records(SOURCE, *[("a", n) for n in range(4)]))
    writing = asyncio.ensure_future(log.append(records(SOURCE, ("a", 4))))
    await asyncio.sleep(0)
    assert not writing.done()
    await reader.commit(after(await take(reader, 4)))
    await writing
    assert [d.value for d in await take(reader, 1)] == [b"4"]


async def test_records_that_all_groups_finished_with_are_freed() -> None:
    log = MemoryEventLog(SystemClock(), keep_records=3, max_records=1000)
    reader = await log.subscribe([SOURCE], "g")
    await log.append(records(SOURCE, *[("a", n) for n in range(50)]))
    await reader.commit(after(await take(reader, 50)))
    late = await log.subscribe([SOURCE], "late")
    assert [int(d.value) for d in await take(late, 3)] == [47, 48, 49]


VALUES = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 999)), max_size=40)
CRASHES = st.lists(st.integers(1, 9), max_size=8)


@given(values=VALUES, crashes=CRASHES)
@settings(max_examples=60, deadline=None)
async def test_reading_with_crashes_loses_and_doubles_no_output(
    values: list[tuple[str, int]], crashes: list[int]
) -> None:
    await read_with_crashes(MemoryEventLog(SystemClock()), values, crashes)


@pytest.mark.kafka
@given(values=VALUES, crashes=CRASHES)
@settings(max_examples=6, deadline=None)
async def test_reading_kafka_with_crashes_loses_and_doubles_no_output(
    kafka_servers: str, values: list[tuple[str, int]], crashes: list[int]
) -> None:
    async with kafka_log(kafka_servers, (SOURCE, SINK), namespace=uuid4().hex) as log:
        await read_with_crashes(log, values, crashes)


async def read_with_crashes(
    log: EventLog, values: list[tuple[str, int]], crashes: list[int]
) -> None:
    await log.append(records(SOURCE, *values))
    for batch in [*crashes, 1000]:
        reader = await log.subscribe([SOURCE], "g")
        got = await next_batch(reader, batch)
        if batch % 2 == 0:  # this one crashes before it commits
            await reader.close()
            reader = await log.subscribe([SOURCE], "g")
            await next_batch(reader, batch)
            got = []
        await reader.commit(after_each(got))
        await reader.close()
    final = await log.subscribe([SOURCE], "g")
    while got := await next_batch(final, 100):
        await final.commit(after_each(got))
    sink = await log.subscribe([SINK], "check")
    out = await take(sink, len(values))
    out += await sink.poll(max_records=100, wait_s=0)
    for key in "abcdef":
        assert [int(d.value) for d in out if d.key == key] == [v for k, v in values if k == key]


def after_each(deliveries: list[Delivery]) -> list[Progress]:
    """Return progress past the deliveries; each partition carries its own copies."""
    return [
        Progress(
            step.where,
            step.next_offset,
            [
                Record(SINK, d.key, d.value)
                for d in deliveries
                if (d.topic, d.partition) == step.where
            ],
        )
        for step in after(deliveries)
    ]
