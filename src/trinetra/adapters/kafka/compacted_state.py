"""Reading what a compacted topic says last about every key."""

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from trinetra.adapters.kafka.client import (
    EARLIEST,
    LATEST,
    READ_COMMITTED,
    READ_UNCOMMITTED,
    KafkaClient,
    RetriableError,
    stop,
)
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.ports import TopicPartition

_FETCH_WAIT_MS = 500


async def read_latest(
    brokers: KafkaClient, connection: KafkaConnection, where: TopicPartition
) -> dict[str, bytes]:
    """Return the last value of every key; deleted keys not.

    Sees every commit that returned before. Only a deadline around it bounds the time it takes.
    """
    start = (await brokers.offsets([where], EARLIEST))[where]
    end = await _settled_end(brokers, where)
    if start >= end:
        return {}
    reader = AIOKafkaConsumer(
        bootstrap_servers=connection.servers,
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        **connection.login(),
    )
    try:
        await reader.start()
        return await _fold(reader, KafkaPartition(*where), start, end)
    finally:
        await stop(reader)


async def _settled_end(brokers: KafkaClient, where: TopicPartition) -> int:
    """Return the end of the partition once every transaction up to it is committed or aborted.

    A commit returns when it is decided; that it is visible to readers, a moment later.
    """
    end = (await brokers.offsets([where], LATEST, READ_UNCOMMITTED))[where]

    async def attempt() -> int:
        stable = (await brokers.offsets([where], LATEST, READ_COMMITTED))[where]
        if stable < end:
            raise RetriableError(f"{where[0]}[{where[1]}] has an unfinished transaction")
        return end

    return await brokers.until_done(attempt)


async def _fold(
    reader: AIOKafkaConsumer, partition: KafkaPartition, start: int, end: int
) -> dict[str, bytes]:
    reader.assign([partition])
    reader.seek(partition, start)
    values: dict[str, bytes] = {}
    # The position also passes markers and aborted records, of which nothing is delivered.
    while await reader.position(partition) < end:
        batches = await reader.getmany(partition, timeout_ms=_FETCH_WAIT_MS)
        for record in batches.get(partition, ()):
            key = (record.key or b"").decode(errors="replace")
            if record.value is None:
                values.pop(key, None)
            else:
                values[key] = record.value
    return values
