"""The records that one consumer is given, and how far it has read."""

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as KafkaPartition

from trinetra.adapters.kafka.client import REQUEST_TIMEOUT_S, KafkaClient
from trinetra.ports import Delivery, TopicPartition

_LINGER_S = 0.002  # what one fetch brings is handed over partition by partition
_FATAL = KafkaError._FATAL  # noqa: SLF001
_END = KafkaError._PARTITION_EOF  # noqa: SLF001 - public, as all of librdkafka's own


class ConsumerFenced(Exception):
    """The consumer will never work again: its group has given its name to another one."""


class Records:
    """Reads partitions from where it is told to. Every method blocks, and only for so long."""

    def __init__(self, client: KafkaClient, consumer: Consumer) -> None:
        self.consumer = consumer
        self._client = client
        self._positions: dict[TopicPartition, int] = {}
        self._error: KafkaError | None = None

    def start(self, begin: Mapping[TopicPartition, int]) -> None:
        """Read partitions from these offsets on; nothing of before is delivered any more."""
        if any(where in self._positions for where in begin):
            self.stop(begin)
        for topic in {topic for topic, _ in begin}:
            # An idle consumer would look for leaders only once a second.
            self.consumer.list_topics(topic, timeout=REQUEST_TIMEOUT_S)
        self.consumer.incremental_assign(
            [KafkaPartition(*where, offset) for where, offset in begin.items()]
        )
        self._positions.update(begin)

    def stop(self, places: Iterable[TopicPartition]) -> None:
        """Read partitions no longer, if they were read.

        In a rebalance, this is also the answer to the group, and may be so only once.
        """
        mine = [where for where in places if self._positions.pop(where, None) is not None]
        self.consumer.incremental_unassign([KafkaPartition(*where) for where in mine])

    def close(self) -> None:
        """Disconnect, by letting go of the consumer; that blocks until its threads have ended.

        Its own ``close`` may call back with a rebalance, and wait for ever for the answer to be
        taken, with the interpreter's lock held (seen with confluent-kafka 2.16.1).
        """
        del self.consumer

    def read(self, wait_s: float, most: int) -> list[Message]:
        """Return records, if any are here or one comes while waiting.

        Raises EventLogUnavailable, ConfigurationError, ConsumerFenced.
        """
        first = self.consumer.poll(wait_s)
        if first is None:
            return []
        messages = [first, *self.consumer.consume(most, _LINGER_S if wait_s else 0)]
        records = [message for message in messages if self._is_record(message)]
        if self._error is not None and not records:  # what came with it must not be lost
            if self._error.code() == _FATAL:
                raise ConsumerFenced(self._error.str())
            error, self._error = self._error, None
            raise self._client.translated(error, "reading")
        return records

    def position(self, where: TopicPartition) -> int:
        """Return the offset to be read next; also past markers and what was rolled back."""
        return self._positions[where]

    def end(self, where: TopicPartition) -> int:
        """Return the end of a partition as known from the last fetch."""
        _, end = self.consumer.get_watermark_offsets(KafkaPartition(*where), cached=True)
        return max(end, 0)

    def _is_record(self, message: Message) -> bool:
        where, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        error = message.error()
        if error is None:
            self._positions[where] = offset + 1
            return True
        if error.code() == _END:
            if where in self._positions:
                self._positions[where] = offset
        else:
            self._error = error
        return False


def delivery(message: Message, prefix: str) -> Delivery:
    """Return a record as the port has it; foreign ones may lack a key or a value."""
    key = message.key()
    return Delivery(
        (message.topic() or "")[len(prefix) :],
        message.partition() or 0,
        message.offset() or 0,
        key.decode(errors="replace") if key else "",
        message.value() or b"",
    )
