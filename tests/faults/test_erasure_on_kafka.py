"""What Kafka's files hold after a tombstone: nothing, once a segment was closed and cleaned."""

import asyncio
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from trinetra.adapters.kafka.topics import _COMPACTED
from trinetra.devservers.kafka import KafkaBroker, KafkaProgram

SECRET = b"face-of-somebody-" + bytes(range(97, 123)) * 20
PATIENCE_S = 120
SOON = {"segment.ms": "1000", "max.compaction.lag.ms": "1000", "delete.retention.ms": "100"}


def holding(folder: Path) -> list[str]:
    return [str(p) for p in folder.rglob("*.log") if SECRET in p.read_bytes()]


@pytest.mark.faults
async def test_a_tombstone_removes_a_value_from_the_files_once_something_else_is_written(
    kafka_program: KafkaProgram, tmp_path: Path
) -> None:
    quick = {"log.cleaner.backoff.ms": "500", "log.segment.delete.delay.ms": "500"}
    with KafkaBroker(tmp_path / "kafka", kafka_program, settings=quick) as broker:
        servers = f"127.0.0.1:{broker.port}"
        admin = AdminClient({"bootstrap.servers": servers})
        settings = {**_COMPACTED, **SOON}
        for made in admin.create_topics([NewTopic("state", 1, 1, config=settings)]).values():
            await asyncio.wrap_future(made)
        producer = Producer({"bootstrap.servers": servers})

        def write(key: bytes, value: bytes | None) -> None:
            producer.produce("state", value, key)
            assert producer.flush(10) == 0

        write(b"track/1", SECRET)
        write(b"track/1", None)
        assert holding(tmp_path)
        # Time alone closes no segment: only what is written next does.
        await asyncio.sleep(5)
        assert holding(tmp_path)
        async with asyncio.timeout(PATIENCE_S):
            while holding(tmp_path):
                write(b"track/2", b"x")
                await asyncio.sleep(1)
