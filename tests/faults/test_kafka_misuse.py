"""Clusters that are not as they should be: topics, sites, foreign records."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from tests.faults.kafka_copier import SINK, SOURCE, numbered
from tests.faults.product import site_file, trinetra
from tests.servers.kafka_logs import SITE_ID, kafka_log

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics, find_faults, longest_stays_s
from trinetra.errors import ConfigurationError
from trinetra.events.topics import ALL, SITE, Topic
from trinetra.ports import Record

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
CLOCK = SystemClock()
STATE = Topic("test.state", 2, compacted=True)


@asynccontextmanager
async def opened(servers: str, layout: Layout) -> AsyncIterator[KafkaEventLog]:
    async with KafkaEventLog.open(
        KafkaConnection(servers),
        instance="one",
        site_id=layout.site_id,
        clock=CLOCK,
        namespace=layout.namespace,
        topics=layout.topics,
    ) as log:
        yield log


async def fault(servers: str, layout: Layout) -> str:
    """Return the one thing that is wrong, as both the check and the opening tell it."""
    (told,) = await find_faults(KafkaConnection(servers), layout, CLOCK)
    with pytest.raises(ConfigurationError) as refused:
        async with opened(servers, layout):
            pass
    assert told in str(refused.value)
    return told


async def make(servers: str, namespace: str, topic: Topic) -> None:
    await create_topics(KafkaConnection(servers), Layout(SITE_ID, namespace, (topic,)), CLOCK)


async def test_a_missing_topic_is_named_and_how_to_make_it(kafka_servers: str) -> None:
    namespace = uuid4().hex
    told = await fault(kafka_servers, Layout(SITE_ID, namespace, (SOURCE,)))
    assert f"{namespace}.{SOURCE.name} is missing: run trinetra topics create" in told


async def test_a_topic_with_the_wrong_number_of_partitions_is_refused(kafka_servers: str) -> None:
    namespace = uuid4().hex
    await make(kafka_servers, namespace, replace(SOURCE, partitions=3))
    layout = Layout(SITE_ID, namespace, (SOURCE,))
    assert await create_topics(KafkaConnection(kafka_servers), layout, CLOCK) == []
    assert "has 3 partitions and needs 8" in await fault(kafka_servers, layout)


async def test_a_topic_that_forgets_what_it_should_keep_is_refused(kafka_servers: str) -> None:
    namespace = uuid4().hex
    await make(kafka_servers, namespace, replace(STATE, compacted=False))
    told = await fault(kafka_servers, Layout(SITE_ID, namespace, (STATE,)))
    assert "cleanup.policy=delete and needs compact" in told
    assert "kafka-configs.sh --alter" in told


async def test_a_second_site_on_the_same_topics_is_told_of_the_first_and_of_the_namespace(
    kafka_servers: str,
) -> None:
    connection, namespace = KafkaConnection(kafka_servers), uuid4().hex
    await create_topics(connection, Layout("north", namespace, (SITE,)), CLOCK)
    south = Layout("south", namespace, (SITE,))
    told = await fault(kafka_servers, south)
    assert "'north'" in told
    assert "'south'" in told
    assert "TRINETRA_NAMESPACE" in told
    with pytest.raises(ConfigurationError, match="'north'"):
        await create_topics(connection, south, CLOCK)
    assert await find_faults(connection, Layout("north", namespace, (SITE,)), CLOCK) == []


async def test_how_long_records_are_kept_is_told_and_set_and_nothing_else_of_a_topic(
    kafka_servers: str,
) -> None:
    connection, namespace, day_s = KafkaConnection(kafka_servers), uuid4().hex, 86_400.0
    week, day = (
        Layout(SITE_ID, namespace, (STATE, replace(SOURCE, retention_s=days * day_s)))
        for days in (7, 1)
    )
    await create_topics(connection, week, CLOCK)
    (told,) = await find_faults(connection, day, CLOCK)
    assert "retention.ms=604800000 and the site file says 86400000" in told
    async with opened(kafka_servers, day) as log:  # nobody stops for that
        await log.append(numbered(1))
    assert await create_topics(connection, day, CLOCK) == []
    assert await find_faults(connection, day, CLOCK) == []


async def test_two_namespaces_on_one_cluster_never_meet(kafka_servers: str) -> None:
    one, two = uuid4().hex, uuid4().hex
    async with (
        kafka_log(kafka_servers, (SOURCE,), namespace=one) as north,
        kafka_log(kafka_servers, (SOURCE,), namespace=two) as south,
    ):
        await north.append(numbered(3))
        reader = await south.subscribe([SOURCE], "g")
        await south.append(numbered(1, 7))
        got = []
        while not got:
            got = await reader.poll(max_records=10, wait_s=1)
        assert [d.value for d in got] == [b"7"]
        assert len(reader.assignment()) == SOURCE.partitions


async def test_records_without_key_or_value_from_elsewhere_are_delivered_as_empty(
    kafka_servers: str,
) -> None:
    namespace = uuid4().hex
    async with kafka_log(kafka_servers, (SINK,), namespace=namespace) as log:
        foreign = Producer({"bootstrap.servers": kafka_servers})
        topic = f"{namespace}.{SINK.name}"
        foreign.produce(topic, key=None, value=b"\xff not json", partition=0)
        foreign.produce(topic, key=b"\xff", value=None, partition=0)
        assert foreign.flush(10) == 0
        reader = await log.subscribe([SINK], "g")
        got = []
        while len(got) < 2:
            got += await reader.poll(max_records=10, wait_s=1)
    assert [(d.key, d.value) for d in got] == [("", b"\xff not json"), ("\ufffd", b"")]


@pytest.mark.parametrize(
    ("key", "java"),  # of UtilsTest.testMurmur2 in Apache Kafka
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("abc", 479470107),
    ],
)
async def test_keys_go_where_java_clients_send_them(
    kafka_servers: str, key: str, java: int
) -> None:
    async with kafka_log(kafka_servers, (SOURCE,), namespace=uuid4().hex) as log:
        await log.append([Record(SOURCE, key, b"")])
        reader = await log.subscribe([SOURCE], "g")
        got = []
        while not got:
            got = await reader.poll(max_records=1, wait_s=1)
    assert got[0].partition == (java & 0x7FFFFFFF) % SOURCE.partitions


async def test_a_record_that_the_cluster_finds_too_large_is_told_by_topic_and_size(
    kafka_servers: str,
) -> None:
    namespace = uuid4().hex
    async with kafka_log(kafka_servers, (SINK,), namespace=namespace) as log:
        noise = random.Random(7).randbytes(2 << 20)
        large = Record(SINK, "key", noise, partition=1)
        told = rf"append of 2\d{{6}} bytes to {namespace}\.{SINK.name}\[1\]"
        with pytest.raises(ConfigurationError, match=told):
            await log.append([large])
        await log.append([replace(large, value=b"small")])  # the log goes on


def test_the_command_line_makes_topics_once_and_checks_them(
    kafka_servers: str, tmp_path: Path
) -> None:
    site = site_file(tmp_path, "id: door, role: entrance, source: {file: clip.mp4}")
    environment = {
        "TRINETRA_KAFKA_SERVERS": kafka_servers,
        "TRINETRA_NAMESPACE": uuid4().hex[:8],
    }
    before = trinetra("topics", "check", "--site", site, folder=tmp_path, **environment)
    assert before.returncode == 1
    assert before.stdout.count("is missing: run trinetra topics create") == len(ALL)
    made = trinetra("topics", "create", "--site", site, folder=tmp_path, **environment)
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("made ") == len(ALL)
    again = trinetra("topics", "create", "--site", site, "--json", folder=tmp_path, **environment)
    assert json.loads(again.stdout)["created"] == []
    assert (
        trinetra("topics", "check", "--site", site, folder=tmp_path, **environment).returncode == 0
    )


async def test_the_longest_stay_of_a_record_follows_the_settings_of_its_topic(
    kafka_servers: str,
) -> None:
    connection, namespace = KafkaConnection(kafka_servers), uuid4().hex
    day, ages = replace(SOURCE, retention_s=86_400.0), replace(SINK, retention_s=86_400e5)
    layout = Layout(SITE_ID, namespace, (day, ages, STATE))
    await create_topics(connection, layout, CLOCK)
    # a day, a segment of 6 hours, a timestamp of an hour ahead, a minute and five of delays
    assert await longest_stays_s(connection, layout, CLOCK) == {
        f"{namespace}.{SOURCE.name}": 86_400.0 + 6 * 3600 + 3600 + 60 + 300,
        f"{namespace}.{SINK.name}": inf,
    }
