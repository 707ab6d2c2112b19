"""Event logs on a real Kafka, each with its own topics."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.events.topics import Topic

SITE_ID = "test-shop"


@asynccontextmanager
async def kafka_log(
    servers: str, topics: Sequence[Topic], *, namespace: str, instance: str = "test"
) -> AsyncIterator[KafkaEventLog]:
    """Open a log; create the topics of its namespace if necessary."""
    connection, layout, clock = (
        KafkaConnection(servers),
        Layout(SITE_ID, namespace, topics),
        SystemClock(),
    )
    await create_topics(connection, layout, clock)
    async with KafkaEventLog.open(
        connection,
        instance=instance,
        site_id=SITE_ID,
        clock=clock,
        namespace=namespace,
        topics=topics,
    ) as log:
        yield log
