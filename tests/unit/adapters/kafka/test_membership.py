"""Leaving a group, without a Kafka."""

import asyncio

import pytest

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka import membership as kafka_member
from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.event_log import KafkaConnection
from trinetra.adapters.kafka.membership import Member, Membership
from trinetra.errors import ConfigurationError, EventLogUnavailable


class Consumer:
    """One of aiokafka's, as far as leaving goes."""

    stopped = False

    def __init__(self, **_: object) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True


class Parting(Member):
    """A member that joined, and cannot say that it leaves."""

    def __init__(self, failure: BaseException) -> None:
        connection = KafkaConnection("127.0.0.1:1")
        brokers = KafkaClient(connection, SystemClock())
        super().__init__(brokers, connection, Membership((), "", "g", "one"), lambda _: None)
        self._identity = (1, "member")
        self._failure = failure

    async def _say_goodbye(self) -> None:
        raise self._failure


@pytest.fixture(autouse=True)
def _without_aiokafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_member, "AIOKafkaConsumer", Consumer)


@pytest.mark.parametrize("failure", [ConfigurationError("refused"), asyncio.CancelledError()])
async def test_the_consumer_is_stopped_however_the_goodbye_fails(failure: BaseException) -> None:
    member = Parting(failure)
    with pytest.raises(type(failure)):
        await member.leave()
    assert member.consumer.stopped


async def test_a_cluster_that_is_away_is_left_without_a_word() -> None:
    member = Parting(EventLogUnavailable("away"))
    await member.leave()
    assert member.consumer.stopped
