"""Reading whole topics of a Kafka cluster outside of any group, from an instant on."""

from collections.abc import Callable, Sequence
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import errors as kafka

from trinetra.adapters.kafka.client import LATEST, KafkaClient, stop, translated
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.events.topics import Topic
from trinetra.ports import Delivery, TopicPartition
from trinetra.values import EPOCH, Instant, seconds_between

_ANSWER_TIMEOUT_S = 15.0
_FETCH_WAIT_MS = 500


class KafkaTopicReader:
    """A Follower with a consumer of its own, which gives every partition to itself.

    While brokers are away a poll has nothing and the next one after has the rest; ``behind`` is
    what tells of an outage. Records that Kafka deletes by age before they were read are skipped.
    """

    def __init__(
        self,
        brokers: KafkaClient,
        consumer: AIOKafkaConsumer,
        places: Sequence[TopicPartition],
        prefix: str,
        on_close: Callable[["KafkaTopicReader"], None],
    ) -> None:
        self._brokers = brokers
        self._consumer = consumer
        self._places = places
        self._prefix = prefix
        self._on_close = on_close
        self._closed = False

    @classmethod
    async def open(
        cls,
        brokers: KafkaClient,
        connection: KafkaConnection,
        topics: Sequence[Topic],
        *,
        prefix: str,
        since: Instant,
        on_close: Callable[["KafkaTopicReader"], None],
    ) -> Self:
        """Find where to begin, and begin. Raises EventLogUnavailable, ConfigurationError."""
        places = [(prefix + topic.name, p) for topic in topics for p in range(topic.partitions)]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=connection.servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            **connection.login(),
        )
        reader = cls(brokers, consumer, places, prefix, on_close)
        try:
            async with brokers.within(_ANSWER_TIMEOUT_S, "beginning to follow topics"):
                await consumer.start()
                begin = await _first_since(brokers, places, since)
                consumer.assign([KafkaPartition(*where) for where in places])
                for where, offset in begin.items():
                    consumer.seek(KafkaPartition(*where), offset)
        except BaseException:
            await stop(consumer)
            raise
        return reader

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next committed records, each partition in order; waits for the first only.

        Raises EventLogUnavailable, ConfigurationError.
        """
        try:
            batches = await self._consumer.getmany(
                timeout_ms=int(wait_s * 1000), max_records=max_records
            )
        except kafka.KafkaError as cause:
            raise translated(cause, "following topics", self._brokers.servers) from cause
        return [self._delivery(record) for found in batches.values() for record in found]

    async def lag(self) -> int:
        """Return how many committed offsets are still to be passed.

        Raises EventLogUnavailable, ConfigurationError.
        """
        async with self._brokers.within(_ANSWER_TIMEOUT_S, "asking how far topics go"):
            ends = await self._brokers.offsets(self._places, LATEST)
            return sum([max(0, end - await self._position(w)) for w, end in ends.items()])

    async def close(self) -> None:
        """Stop reading; may be called more than once."""
        if not self._closed:
            self._closed = True
            try:
                await stop(self._consumer)
            finally:
                self._on_close(self)

    async def _position(self, where: TopicPartition) -> int:
        # Past markers and what was rolled back, too, as soon as those were fetched.
        position: int = await self._consumer.position(KafkaPartition(*where))
        return position

    def _delivery(self, record: ConsumerRecord) -> Delivery:
        return Delivery(
            record.topic[len(self._prefix) :],
            record.partition,
            record.offset,
            record.key.decode(errors="replace") if record.key else "",
            record.value or b"",
        )


async def _first_since(
    brokers: KafkaClient, places: Sequence[TopicPartition], since: Instant
) -> dict[TopicPartition, int]:
    """Return the offset of each partition's first record appended at or after an instant.

    Where there is none yet, it is what was the end before we asked: nothing falls in between.
    """
    ends = await brokers.offsets(places, LATEST)
    at_ms = max(0, int(seconds_between(EPOCH, since) * 1000))
    found = await brokers.offsets(places, at_ms)
    return {where: found[where] if found[where] >= 0 else end for where, end in ends.items()}
