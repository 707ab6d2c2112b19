"""What a subscription on Kafka does when a rebalance comes at a bad moment, without a Kafka."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import errors as kafka

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka import subscription as kafka_subscription
from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.event_log import KafkaConnection
from trinetra.adapters.kafka.membership import Membership
from trinetra.adapters.kafka.subscription import KafkaSubscription, _Batch, _Owned
from trinetra.errors import EventLogUnavailable, PartitionsLost
from trinetra.events.topics import Topic
from trinetra.ports import Progress, Record, TopicPartition

TOPIC = Topic("t", 8)
ONE, TWO = ("t", 1), ("t", 2)


class Consumer:
    """Commits and fetches nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.committed: list[dict[KafkaPartition, int]] = []
        self.asked: list[tuple[KafkaPartition, ...]] = []

    async def commit(self, places: dict[KafkaPartition, int]) -> None:
        self.committed.append(places)

    async def getmany(self, *places: KafkaPartition, **options: int) -> dict[KafkaPartition, Any]:
        self.asked.append(places)
        if options["timeout_ms"]:
            raise kafka.IllegalStateError
        return {}


class Member:
    """A member that is replaced by nobody, and about to be dealt anew: nothing is prepared."""

    def __init__(self, *_: object) -> None:
        self.consumer = Consumer()
        self.assigned = True
        self.news = asyncio.get_running_loop().create_future()

    def refuse_if_replaced(self) -> None:
        pass

    async def in_good_order(self) -> bool:
        return False

    async def listen_for_life(self) -> None:
        pass


class Transactor:
    """Commits once it is let."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.committed: list[int] = []
        self._meanwhile = meanwhile

    async def commit(self, outputs: Sequence[Record], next_offset: int) -> None:
        self._meanwhile()
        self.committed.append(next_offset)


@pytest.fixture
async def subscription(monkeypatch: pytest.MonkeyPatch) -> KafkaSubscription:
    monkeypatch.setattr(kafka_subscription, "Member", Member)
    connection = KafkaConnection("127.0.0.1:1")
    membership = Membership((TOPIC,), "", "g", "one")
    brokers = KafkaClient(connection, SystemClock())
    return KafkaSubscription(brokers, connection, membership, lambda _: None)


def own(subscription: KafkaSubscription, where: TopicPartition, transactor: Transactor) -> _Owned:
    """Make a partition one that was polled under assignment 5."""
    owned = _Owned(transactor, ready=True, number=5)  # type: ignore[arg-type]
    owned.undone.extend([0, 1, 2])
    subscription._owned[where] = owned
    subscription._polled[where] = 5
    return owned


async def test_a_rebalance_before_a_commit_has_begun_is_no_failure_of_the_service(
    subscription: KafkaSubscription,
) -> None:
    transactor = Transactor()
    own(subscription, ONE, transactor)
    own(subscription, TWO, Transactor())
    outputs = [Record(TOPIC, "key", b"")]
    # Runs before what commit has scheduled, and after it has looked at what it holds.
    asyncio.get_running_loop().call_soon(subscription._deal, [])
    await subscription.commit([Progress(ONE, 2, outputs), Progress(TWO, 3)])
    assert transactor.committed == [2]
    assert subscription._consumer.committed == [{KafkaPartition(*TWO): 3}]


async def test_a_late_commit_leaves_the_next_assignment_to_be_taken_over(
    subscription: KafkaSubscription,
) -> None:
    old = own(subscription, ONE, Transactor(lambda: subscription._deal([ONE])))
    await subscription.commit([Progress(ONE, 2, [Record(TOPIC, "key", b"")])])
    assert list(old.undone) == [2]
    assert subscription._owned[ONE] is not old
    assert not subscription._owned[ONE].ready


async def test_what_is_not_held_any_more_is_reported_and_not_committed(
    subscription: KafkaSubscription,
) -> None:
    transactor = Transactor()
    own(subscription, ONE, transactor).number = 6
    with pytest.raises(PartitionsLost):
        await subscription.commit([Progress(ONE, 2, [Record(TOPIC, "key", b"")])])
    assert transactor.committed == []


async def test_records_of_a_partition_that_is_not_prepared_are_held_back(
    subscription: KafkaSubscription,
) -> None:
    own(subscription, ONE, Transactor()).ready = False  # its commit failed, and its number stayed
    own(subscription, TWO, Transactor())
    subscription._fetching = asyncio.create_task(fetched(ONE, TWO))
    deliveries = await subscription.poll(max_records=9, wait_s=1)
    assert {(d.topic, d.partition) for d in deliveries} == {TWO} == set(subscription.assignment())


@pytest.mark.parametrize("assigned", [True, False])
async def test_aiokafka_hears_of_us_even_with_no_partition_prepared(
    subscription: KafkaSubscription, *, assigned: bool
) -> None:
    own(subscription, ONE, Transactor()).ready = False
    subscription._member.assigned = assigned
    with pytest.raises(EventLogUnavailable):
        await subscription.poll(max_records=9, wait_s=1)
    assert subscription._consumer.asked == [()]


async def test_a_fetch_that_fails_is_told_once(subscription: KafkaSubscription) -> None:
    own(subscription, ONE, Transactor())
    with pytest.raises(EventLogUnavailable):  # as the consumer here does when it is to wait
        await subscription.poll(max_records=9, wait_s=1)
    assert subscription._fetching is None
    assert await subscription.poll(max_records=9, wait_s=0) == []


async def fetched(*places: TopicPartition) -> list[_Batch]:
    record = ConsumerRecord(
        topic="t",
        partition=0,
        offset=7,
        timestamp=0,
        timestamp_type=0,
        key=b"key",
        value=b"value",
        checksum=None,
        serialized_key_size=3,
        serialized_value_size=5,
        headers=(),
    )
    return [_Batch(where, 5, [record]) for where in places]
