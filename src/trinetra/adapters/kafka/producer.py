"""Writing to Kafka: records by themselves, or with the offsets of their input in a transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from trinetra.adapters.kafka.client import KafkaClient
from trinetra.ports import Record, TopicPartition

APPEND_TIMEOUT_S = 8.0
INIT_TIMEOUT_S = 10.0
COMMIT_TIMEOUT_S = 8.0
_TRANSACTION_TIMEOUT_S = 10.0  # longer than a commit may take
_BATCH_BYTES = 512 * 1024  # before compression: half of what a broker takes by default
_ANY_PARTITION = -1
_SETTINGS: dict[str, Any] = {
    "compression_type": "lz4",
    "batch_size": _BATCH_BYTES,
    "message_timeout_ms": int(APPEND_TIMEOUT_S * 1000),
    # The broker decides, on the compressed record; and flushing bounds what is in the queue.
    "message_max_bytes": 64 << 20,
    "queue_buffering_max_messages": 0,
    "linger_ms": 5,  # flushing does not wait for it
    "delivery_report_only_error": True,
    # As Java clients choose it.
    "partitioner": "murmur2_random",
}


class Producer:
    """Appends records; what it sends arrives once and in order. Every method blocks."""

    def __init__(self, client: KafkaClient, prefix: str, **settings: Any) -> None:
        self._client = client
        self._prefix = prefix
        self._kafka = client.producer(**_SETTINGS | settings)
        self._refused: list[tuple[KafkaError, Message]] = []

    def append(self, records: Iterable[Record]) -> None:
        """Return when all in-sync replicas have the records.

        Raises EventLogUnavailable, after which they may have arrived; ConfigurationError.
        """
        self._refused.clear()
        with self._client.translating("appending"):
            self.send(records)
            left = self._kafka.flush(APPEND_TIMEOUT_S + 1)
        self._raise_refused()
        if left:
            self._kafka.purge()
            raise self._client.late("appending", APPEND_TIMEOUT_S)

    def send(self, records: Iterable[Record]) -> None:
        """Begin to send records, each to its partition."""
        for record in records:
            self._kafka.produce(
                self._prefix + record.topic.name,
                record.value,
                record.key.encode(),
                _ANY_PARTITION if record.partition is None else record.partition,
                self._note,
            )

    def close(self) -> None:
        """Give up what is not sent yet."""
        self._kafka.purge()

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused.append((error, message))

    def _raise_refused(self) -> None:
        if self._refused:
            error, record = self._refused[0]
            place = f"{record.topic()}[{record.partition()}]"
            raise self._client.translated(error, f"append of {len(record)} bytes to {place}")


class Transactor(Producer):
    """Commits outputs together with the offsets of what they came of.

    Whoever starts one under the same name ends what this one left open, and fences it. After any
    failure it has to be made anew, because it is not known what was done.
    """

    def __init__(self, client: KafkaClient, prefix: str, name: str) -> None:
        super().__init__(
            client,
            prefix,
            transactional_id=name,
            transaction_timeout_ms=int(_TRANSACTION_TIMEOUT_S * 1000),
        )
        with client.translating(f"taking over the transactions of {name}"):
            # A producer that is not connected yet would try again only after half a second.
            self._kafka.cluster_id(INIT_TIMEOUT_S)
            self._kafka.init_transactions(INIT_TIMEOUT_S)

    def commit(
        self, outputs: Sequence[Record], offsets: Mapping[TopicPartition, int], member: object
    ) -> None:
        """Append the outputs and move the group on, both or neither.

        ``member`` is the consumer's group metadata: a broker refuses that of a member which the
        group has given up (KIP-447). Raises EventLogUnavailable, ConfigurationError.
        """
        self._refused.clear()
        places = [KafkaPartition(*where, offset) for where, offset in offsets.items()]
        with self._client.translating(f"committing {len(places)} partitions"):
            self._kafka.begin_transaction()
            try:
                self.send(outputs)
                self._kafka.send_offsets_to_transaction(places, member, COMMIT_TIMEOUT_S)
                self._kafka.commit_transaction(COMMIT_TIMEOUT_S)
            except KafkaException:
                # The reason why a record was refused says more than that of the transaction.
                self._kafka.poll(0)
                self._raise_refused()
                raise
