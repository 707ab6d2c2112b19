"""Writing to Kafka: idempotently, or in the transaction of one input partition.

The sequence of requests is that of Kafka's exactly-once design (KIP-98): batches carry a producer
id, its epoch and a sequence number per partition, by which a broker knows a repetition from a new
batch and a live writer from one that was replaced.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from aiokafka import errors as kafka
from aiokafka.partitioner import murmur2
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from trinetra.adapters.kafka.client import GROUP, TRANSACTION, KafkaClient, by_topic
from trinetra.ports import Record, TopicPartition
from trinetra.streaming.concurrency import gather_or_cancel

_BATCH_BYTES = 512 * 1024  # before compression: half of what a broker takes by default
_ACKS_ALL = -1
_BROKER_TIMEOUT_MS = 5_000
_TRANSACTION_TIMEOUT_MS = 30_000  # longer than any commit of ours may take
_SEQUENCES = 1 << 31
_MAGIC = 2
_DUPLICATE = kafka.DuplicateSequenceNumber.errno


@lru_cache(maxsize=65_536)
def partition_of_key(key: str, partitions: int) -> int:
    """Return the partition of a key, as Kafka's Java clients choose it.

    librdkafka and what is built on it choose the same with ``partitioner=murmur2_random``; their
    default is another.
    """
    chosen: int = (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
    return chosen


class Producer:
    """One producer id: what it sends arrives once and in order, however often it has to ask.

    After any failure it has to be started anew, for nobody knows what arrived.
    """

    def __init__(
        self, brokers: KafkaClient, prefix: str, transactional_id: str | None = None, lane: int = 0
    ) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._lane = lane
        self._sequences: dict[TopicPartition, int] = {}
        self.transactional_id = transactional_id
        self.id, self.epoch = -1, -1

    async def start(self) -> None:
        """Get a producer id; of a transactional one, end what an earlier owner left open."""
        request = InitProducerIdRequest(self.transactional_id, _TRANSACTION_TIMEOUT_MS)
        name = self.transactional_id

        async def attempt() -> tuple[int, int]:
            if name is None:
                answer = await self._brokers.ask_any(request)
            else:
                answer = await self._brokers.ask_coordinator(TRANSACTION, name, request, self._lane)
            self._brokers.check(answer.error_code, f"producer id for {name or 'appending'}")
            return answer.producer_id, answer.producer_epoch

        self.id, self.epoch = await self._brokers.until_done(attempt)
        self._sequences.clear()

    def place(self, record: Record) -> TopicPartition:
        """Return where on the cluster a record goes."""
        partition = record.partition
        if partition is None:
            partition = partition_of_key(record.key, record.topic.partitions)
        return self._prefix + record.topic.name, partition

    async def send(self, records: Iterable[Record]) -> None:
        """Return when all in-sync replicas have the records, in order per partition."""
        shares: dict[TopicPartition, list[Record]] = {}
        for record in records:
            shares.setdefault(self.place(record), []).append(record)
        queues = {where: self._seal(where, share) for where, share in shares.items()}
        while queues:
            await self._deliver({where: queue[0] for where, queue in queues.items()})
            for queue in queues.values():
                queue.popleft()
            queues = {where: queue for where, queue in queues.items() if queue}

    def _seal(self, where: TopicPartition, records: Sequence[Record]) -> deque[bytes]:
        batches: deque[bytes] = deque()
        builder, count = self._builder(where), 0
        for record in records:
            key = record.key.encode()
            if builder.append(count, None, key, record.value, []) is None:
                batches.append(self._close(where, builder, count))
                builder, count = self._builder(where), 0
                builder.append(count, None, key, record.value, [])
            count += 1
        batches.append(self._close(where, builder, count))
        return batches

    def _builder(self, where: TopicPartition) -> DefaultRecordBatchBuilder:
        return DefaultRecordBatchBuilder(
            _MAGIC,
            DefaultRecordBatch.CODEC_LZ4,
            is_transactional=self.transactional_id is not None,
            producer_id=self.id,
            producer_epoch=self.epoch,
            base_sequence=self._sequences.setdefault(where, 0),
            batch_size=_BATCH_BYTES,
        )

    def _close(
        self, where: TopicPartition, builder: DefaultRecordBatchBuilder, count: int
    ) -> bytes:
        self._sequences[where] = (self._sequences[where] + count) % _SEQUENCES
        return bytes(builder.build())

    async def _deliver(self, batches: Mapping[TopicPartition, bytes]) -> None:
        """Have one batch per partition acknowledged; what is not is sent again, unchanged."""
        waiting = dict(batches)

        async def attempt() -> None:
            shares = self._brokers.by_leader(list(waiting))
            told = await gather_or_cancel(
                self._produce(node, {where: waiting[where] for where in mine})
                for node, mine in shares.items()
            )
            for where, code in chain.from_iterable(outcome.items() for outcome in told):
                if code != _DUPLICATE:  # acknowledged before, and the answer was lost
                    about = f"append of {len(waiting[where])} bytes to {where[0]}[{where[1]}]"
                    self._brokers.check(code, about)
                del waiting[where]

        await self._brokers.until_done(attempt)

    async def _produce(
        self, node: int, batches: Mapping[TopicPartition, bytes]
    ) -> dict[TopicPartition, int]:
        topics = [
            (topic, [(p, batches[topic, p]) for p in partitions])
            for topic, partitions in by_topic(list(batches)).items()
        ]
        request = ProduceRequest(self.transactional_id, _ACKS_ALL, _BROKER_TIMEOUT_MS, topics)
        answer = await self._brokers.ask(node, request, self._lane)
        return {(topic, row[0]): row[1] for topic, rows in answer.topics for row in rows}


class Transactor:
    """Commits what came of one input partition, as long as nobody else was started for it."""

    def __init__(
        self, brokers: KafkaClient, prefix: str, group: str, where: TopicPartition, lane: int
    ) -> None:
        self._brokers = brokers
        self._name = f"{group}-{where[0]}-{where[1]}"
        self._group = group
        self._where = where
        self._lane = lane
        self._producer = Producer(brokers, prefix, self._name, lane)

    async def take_over(self) -> None:
        """Fence every earlier owner; what one left open is rolled back, or done, on return."""
        await self._producer.start()

    async def commit(self, outputs: Sequence[Record], next_offset: int | None) -> None:
        """Append the outputs and, unless it is None, move the group on, both or neither.

        Raises KafkaError; ``take_over`` then tells which of the two it was.
        """
        places = list(dict.fromkeys(self._producer.place(record) for record in outputs))
        await self._begin(places, moves_on=next_offset is not None)
        moving = [] if next_offset is None else [self._commit_offset(next_offset)]
        await gather_or_cancel([self._producer.send(outputs), *moving])
        await self._end()

    async def _begin(self, places: Sequence[TopicPartition], *, moves_on: bool) -> None:
        """Tell the coordinator what the transaction writes to, so that it can end it alone."""
        topics = list(by_topic(places).items())

        async def attempt() -> None:
            answer = await self._ask_transaction(AddPartitionsToTxnRequest, topics)
            for topic, rows in answer.errors:
                for partition, code in rows:
                    if code == kafka.OperationNotAttempted.errno:
                        continue  # another partition's code says why
                    self._brokers.check(code, f"transaction on {topic}[{partition}]")
            if moves_on:
                answer = await self._ask_transaction(AddOffsetsToTxnRequest, self._group)
                self._brokers.check(answer.error_code, f"transaction on offsets of {self._group}")

        await self._brokers.until_done(attempt)

    async def _commit_offset(self, next_offset: int) -> None:
        topic, partition = self._where
        request = TxnOffsetCommitRequest(
            self._name,
            self._group,
            self._producer.id,
            self._producer.epoch,
            [(topic, [(partition, next_offset, "")])],
        )

        async def attempt() -> None:
            answer = await self._brokers.ask_coordinator(GROUP, self._group, request, self._lane)
            for _, rows in answer.errors:
                for _, code in rows:
                    self._brokers.check(code, f"offset of {self._group} in {topic}[{partition}]")

        await self._brokers.until_done(attempt)

    async def _end(self) -> None:
        commit = True

        async def attempt() -> None:
            answer = await self._ask_transaction(EndTxnRequest, commit)
            self._brokers.check(answer.error_code, "end of the transaction")

        await self._brokers.until_done(attempt)

    async def _ask_transaction(self, kind: Any, about: object) -> Any:
        request = kind(self._name, self._producer.id, self._producer.epoch, about)
        return await self._brokers.ask_coordinator(TRANSACTION, self._name, request, self._lane)
