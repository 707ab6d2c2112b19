"""What a consumer was given, in librdkafka's messages: records, ends, errors."""

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message
from confluent_kafka import TopicPartition as KafkaPartition

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.records import ConsumerFenced, Records, delivery
from trinetra.errors import ConfigurationError, EventLogUnavailable

ONE, TWO = ("n.t", 1), ("n.t", 2)


class Consumer:
    """Hands out what it was made with, and remembers what it is to read."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.calls: list[tuple[str, list[tuple[str, int, int]]]] = []

    def poll(self, _: float) -> Message | None:
        return self.messages.pop(0) if self.messages else None

    def consume(self, most: int, _: float) -> list[Message]:
        taken, self.messages = self.messages[:most], self.messages[most:]
        return taken

    def list_topics(self, _topic: str, **_: Any) -> None:
        pass

    def incremental_assign(self, places: Sequence[KafkaPartition]) -> None:
        self.calls.append(("assign", [(p.topic, p.partition, p.offset) for p in places]))

    def incremental_unassign(self, places: Sequence[KafkaPartition]) -> None:
        self.calls.append(("unassign", [(p.topic, p.partition, 0) for p in places]))


def record(offset: int, where: tuple[str, int] = ONE, **parts: Any) -> Message:
    return Message(topic=where[0], partition=where[1], offset=offset, **parts)


def failed(code: int, offset: int = 0, where: tuple[str, int] = ONE) -> Message:
    return record(offset, where, error=KafkaError(code))


def reading(*messages: Message) -> tuple[Records, Consumer]:
    consumer = Consumer(*messages)
    client = KafkaClient(KafkaConnection("127.0.0.1:1"), SystemClock())
    records = Records(client, consumer)  # type: ignore[arg-type]
    records.start({ONE: 5})
    return records, consumer


def test_the_position_follows_records_and_the_end_past_markers() -> None:
    records, _ = reading(record(5), record(6), failed(KafkaError._PARTITION_EOF, 9))
    assert [m.offset() for m in records.read(0, 10)] == [5, 6]
    assert records.position(ONE) == 9


def test_records_that_came_with_an_error_are_not_lost_and_the_error_is_told_next() -> None:
    gone = failed(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    end = failed(KafkaError._PARTITION_EOF, 6)
    records, _ = reading(record(5), gone)
    assert len(records.read(0, 10)) == 1
    records.consumer.messages.append(end)  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="rights"):
        records.read(0, 10)
    assert records.read(0, 10) == []


def test_an_error_that_may_pass_is_an_outage() -> None:
    records, _ = reading(failed(KafkaError.COORDINATOR_NOT_AVAILABLE))
    with pytest.raises(EventLogUnavailable):
        records.read(0, 10)


def test_a_fenced_consumer_is_told_apart() -> None:
    records, _ = reading(failed(KafkaError._FATAL))
    with pytest.raises(ConsumerFenced):
        records.read(0, 10)


def test_what_is_read_anew_is_given_up_first() -> None:
    records, consumer = reading()
    records.start({ONE: 2, TWO: 0})
    assert [kind for kind, _ in consumer.calls] == ["assign", "unassign", "assign"]
    assert consumer.calls[1][1] == [(*ONE, 0)]
    assert consumer.calls[2][1] == [(*ONE, 2), (*TWO, 0)]


def test_a_rebalance_is_answered_once_even_if_nothing_of_it_was_read() -> None:
    records, consumer = reading()
    records.stop([TWO])
    assert consumer.calls[1:] == [("unassign", [])]


def test_a_foreign_record_is_delivered_with_what_it_has() -> None:
    got = delivery(record(7, key=b"\xff", value=None), "n.")
    assert (got.topic, got.partition, got.offset, got.key, got.value) == ("t", 1, 7, "\ufffd", b"")
    assert delivery(record(8, key=None, value=b"x"), "n.").key == ""
