"""What goes to Kafka: to which partition, in which batches."""

import pytest
from aiokafka.partitioner import murmur2
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.event_log import KafkaConnection
from trinetra.adapters.kafka.producer import Producer, partition_of_key
from trinetra.events.topics import Topic
from trinetra.ports import Record

TOPIC = Topic("test.topic", 8)
LARGE = 300_000


@pytest.mark.parametrize(
    ("key", "java"),  # of UtilsTest.testMurmur2 in Apache Kafka
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_keys_go_where_java_clients_send_them(key: str, java: int) -> None:
    assert murmur2(key.encode()) == java % (1 << 32)
    assert partition_of_key(key, 8) == (java & 0x7FFFFFFF) % 8


async def producer() -> Producer:
    return Producer(KafkaClient(KafkaConnection("127.0.0.1:1"), SystemClock()), "north.")


async def test_a_partition_that_is_given_wins_over_the_key() -> None:
    made = await producer()
    assert made.place(Record(TOPIC, "abc", b"", partition=5)) == ("north.test.topic", 5)
    assert made.place(Record(TOPIC, "abc", b"")) == ("north.test.topic", 479470107 % 8)


VALUES = st.lists(st.one_of(st.none(), st.binary(max_size=50), st.just(bytes(LARGE))), max_size=12)


@given(runs=st.lists(VALUES.filter(bool), min_size=1, max_size=3))
async def test_batches_hold_every_record_in_order_and_number_them_on(
    runs: list[list[bytes | None]],
) -> None:
    made, where = await producer(), ("north.test.topic", 0)
    unpacked, expected_sequence = [], 0
    for values in runs:
        records = [Record(TOPIC, f"key{n}", value) for n, value in enumerate(values)]
        sealed = made._seal(where, records)
        for data in sealed:
            batches = MemoryRecords(data)
            while batches.has_next():
                batch = batches.next_batch()
                assert batch.validate_crc()
                assert batch.base_sequence == expected_sequence
                rows = [(row.key.decode(), row.value) for row in batch]
                expected_sequence += len(rows)
                unpacked += rows
    assert unpacked == [(f"key{n}", value) for values in runs for n, value in enumerate(values)]


async def test_no_batch_is_larger_than_a_broker_takes_by_default() -> None:
    records = [Record(TOPIC, "key", bytes(LARGE)) for _ in range(10)]
    assert len((await producer())._seal(("t", 0), records)) == 10
