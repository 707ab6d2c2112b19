"""Bare Redis and Kafka clients, as the baseline for our adapters."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

_GROUP = "bare"
_CONSUMER = "bench"


class BareRedis:
    """XADD with a bound, XREADGROUP over all streams, XACK."""

    def __init__(
        self, redis: Redis, streams: Sequence[str], payloads: Sequence[bytes], batch: int
    ) -> None:
        self._redis = redis
        self._streams = streams
        self._payloads = payloads
        self._batch = batch

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, streams: Sequence[str], payloads: Sequence[bytes], batch: int
    ) -> AsyncIterator[Self]:
        """Connect and create a group on every stream; the streams are deleted at the end."""
        async with Redis.from_url(url, protocol=2) as redis:
            for stream in streams:
                await redis.xgroup_create(stream, _GROUP, id="0", mkstream=True)
            try:
                yield cls(redis, streams, payloads, batch)
            finally:
                await redis.delete(*streams)

    async def write(self) -> None:
        """Add every payload, one after the other, to the streams in turn."""
        for number, payload in enumerate(self._payloads):
            stream = self._streams[number % len(self._streams)]
            await self._redis.xadd(stream, {"frame": payload}, maxlen=100, approximate=True)

    async def read(self) -> None:
        """Read and acknowledge as many."""
        new: dict[Any, Any] = dict.fromkeys(self._streams, ">")
        share = max(1, self._batch // len(self._streams))
        left = len(self._payloads)
        while left > 0:
            reply: Any = await self._redis.xreadgroup(
                _GROUP, _CONSUMER, new, count=share, block=1000
            )
            for stream, entries in reply:
                await self._redis.xack(stream, _GROUP, *(entry_id for entry_id, _ in entries))
                left -= len(entries)


class BareKafka:
    """An idempotent producer with LZ4, and a consumer with automatic commits."""

    def __init__(
        self,
        producer: Producer,
        consumer: Consumer,
        topic: str,
        events: Sequence[tuple[bytes, bytes]],
        batch: int,
    ) -> None:
        self._producer = producer
        self._consumer = consumer
        self._topic = topic
        self._events = events
        self.batch = batch

    @classmethod
    @asynccontextmanager
    async def open(
        cls, servers: str, topic: str, events: Sequence[tuple[bytes, bytes]], batch: int
    ) -> AsyncIterator[Self]:
        """Connect; ``events`` are keys and values."""
        producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "compression.type": "lz4",
            }
        )
        consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": f"{topic}-{_GROUP}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        consumer.subscribe([topic])
        try:
            yield cls(producer, consumer, topic, events, batch)
        finally:
            await asyncio.to_thread(consumer.close)

    async def write(self) -> None:
        """Send every event, a batch at a time, and wait until each batch is acknowledged."""
        await asyncio.to_thread(self._write)

    async def read(self) -> None:
        """Receive and commit as many."""
        await asyncio.to_thread(self._read)

    def _write(self) -> None:
        for first in range(0, len(self._events), self.batch):
            for key, value in self._events[first : first + self.batch]:
                self._producer.produce(self._topic, value, key)
            self._producer.flush()

    def _read(self) -> None:
        left = len(self._events)
        while left > 0:
            record = self._consumer.poll(1)
            if record is not None:
                left -= 1 + len(self._consumer.consume(499, 0))
                self._consumer.commit(asynchronous=False)


async def delete_topics(servers: str, topics: Sequence[str]) -> None:
    """Delete the topics of a measurement."""
    admin = AdminClient({"bootstrap.servers": servers})
    for deleted in admin.delete_topics(list(topics)).values():
        await asyncio.wrap_future(deleted)
