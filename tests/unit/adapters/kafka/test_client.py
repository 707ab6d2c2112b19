"""Asking until a deadline, and what is told when it has passed."""

import asyncio

import pytest
from aiokafka import errors as kafka

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.client import KafkaClient, RetriableError
from trinetra.adapters.kafka.event_log import KafkaConnection
from trinetra.adapters.kafka.producer import Producer
from trinetra.errors import ConfigurationError, EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import Record, TopicPartition


class Broker(KafkaClient):
    """A cluster of one broker, that takes no record."""

    def __init__(self) -> None:
        super().__init__(KafkaConnection("127.0.0.1:1"), SystemClock())

    def leader(self, where: TopicPartition) -> int:
        return 0

    async def ask(self, node: int, request: object, lane: int = 0) -> object:
        return type("Answer", (), {"topics": [("t", [(3, kafka.MessageSizeTooLargeError.errno)])]})


async def time_out(brokers: KafkaClient) -> str:
    with pytest.raises(EventLogUnavailable) as raised:
        async with brokers.within(0.01, "waiting"):
            await asyncio.Event().wait()
    return str(raised.value)


async def test_a_time_out_tells_the_fault_that_lasts_and_none_that_is_over() -> None:
    brokers = Broker()
    faults = [RetriableError("no leader")]

    async def attempt() -> None:
        if faults:
            raise faults[0]

    with pytest.raises(EventLogUnavailable, match="no leader"):
        async with brokers.within(0.01, "asking"):
            await brokers.until_done(attempt)
    faults.clear()
    await brokers.until_done(attempt)
    assert "no leader" not in await time_out(brokers)


async def test_a_record_that_is_too_large_is_refused_with_its_topic_and_size() -> None:
    brokers = Broker()
    record = Record(Topic("t", 8), "key", b"value", partition=3)
    with pytest.raises(ConfigurationError, match=r"append of \d+ bytes to t\[3\]"):
        async with brokers.within(1, "appending"):
            await Producer(brokers, "").send([record])
