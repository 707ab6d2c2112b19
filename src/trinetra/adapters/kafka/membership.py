"""Membership in a Kafka consumer group, under a name that stays the same over restarts (KIP-345).

aiokafka joins, sends heartbeats and fetches. What it does not do for a static member stands here:
leaving at once, and noticing that another process has joined under the same name.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import errors as kafka

from trinetra.adapters.kafka.client import GROUP, KafkaClient, stop
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.protocol import (
    FENCED_INSTANCE_ID,
    StaticHeartbeatRequest,
    StaticLeaveRequest,
)
from trinetra.errors import ConfigurationError, EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import TopicPartition

_SESSION_TIMEOUT_S = 6.0
_HEARTBEAT_S = 2.0
_REBALANCE_TIMEOUT_S = 8.0
_REQUEST_TIMEOUT_S = 12.0  # joining waits for the others, up to the rebalance timeout
_UNPOLLED_S = 120.0
_FETCH_WAIT_S = 0.1  # what one partition waits for, others on its connection wait for too
_JOIN_TIMEOUT_S = 30.0
_STANDING_TIMEOUT_S = 2.0
_LEAVE_TIMEOUT_S = 2.0
_SILENCE_S = 5.0

_NOBODY = (-1, "")
_NOT_IN_GOOD_ORDER = frozenset(
    {
        FENCED_INSTANCE_ID,
        kafka.UnknownMemberIdError.errno,
        kafka.IllegalGenerationError.errno,
        kafka.RebalanceInProgressError.errno,
    }
)


@dataclass(frozen=True, slots=True)
class Membership:
    """What a member joins, and as whom; ``prefix`` stands before topic names on the cluster."""

    topics: tuple[Topic, ...]
    prefix: str
    group: str
    instance: str


class Member(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is not typed
    """A static member; ``deal`` is called with its partitions, or [], whenever they change.

    New partitions are paused: nothing of them is delivered before they are resumed.
    """

    def __init__(
        self,
        brokers: KafkaClient,
        connection: KafkaConnection,
        membership: Membership,
        deal: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.membership = membership
        self.assigned = False
        self.news: asyncio.Future[None] = loop.create_future()
        self._brokers = brokers
        self._deal = deal
        self._replaced = False
        self._identity = _NOBODY
        self._heard = 0
        self._heard_at_s = loop.time()
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=connection.servers,
            client_id="trinetra",
            group_id=membership.group,
            group_instance_id=membership.instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=_ms(_SESSION_TIMEOUT_S),
            heartbeat_interval_ms=_ms(_HEARTBEAT_S),
            rebalance_timeout_ms=_ms(_REBALANCE_TIMEOUT_S),
            request_timeout_ms=_ms(_REQUEST_TIMEOUT_S),
            max_poll_interval_ms=_ms(_UNPOLLED_S),
            fetch_max_wait_ms=_ms(_FETCH_WAIT_S),
            **connection.login(),
        )

    async def join(self) -> None:
        """Return when the group has given this member its first partitions, or none.

        Raises EventLogUnavailable.
        """
        group = self.membership.group
        async with self._brokers.within(_JOIN_TIMEOUT_S, f"joining {group}"):
            await self.consumer.start()
            prefix = self.membership.prefix
            names = [prefix + topic.name for topic in self.membership.topics]
            self.consumer.subscribe(names, listener=self)
            await self.consumer.getmany(timeout_ms=0)  # raises what the group has against us
            while not self.assigned:
                self.refuse_if_replaced()
                await self.news

    async def leave(self) -> None:
        """Leave the group, so that its other members need not wait for the session to end."""
        try:
            if self._identity != _NOBODY and not self._replaced:
                # A cluster that is away will miss our heartbeats.
                with contextlib.suppress(EventLogUnavailable):
                    await self._say_goodbye()
        finally:
            await stop(self.consumer)

    def refuse_if_replaced(self) -> None:
        """Return if nobody else is in the group by our name. Raises ConfigurationError."""
        if self._replaced:
            raise ConfigurationError(
                f"another process has joined {self.membership.group} as "
                f"{self.membership.instance}: give each process a TRINETRA_INSTANCE of its own"
            )

    async def in_good_order(self) -> bool:
        """Return whether the group still counts on us, and is not about to deal out anew.

        Raises EventLogUnavailable.
        """
        return await self._standing() == 0

    async def listen_for_life(self) -> None:
        """Return if a broker has answered lately, or does now. Raises EventLogUnavailable."""
        registry_events = self._last_heard()
        now_s = asyncio.get_running_loop().time()
        if registry_events == self._heard and now_s - self._heard_at_s < _SILENCE_S:
            return
        if registry_events == self._heard:
            await self._brokers.ping()
        self._heard, self._heard_at_s = registry_events, now_s

    async def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:  # noqa: ARG002
        """Give everything up: the group is about to deal its partitions out anew."""
        self.assigned = False
        self._deal([])
        if self._identity != _NOBODY and await self._is_replaced():
            self._replaced = True
            self._tell()
            # Ends aiokafka's membership task here: it would join again, and so throw out the
            # process that has our name now, which would do the same to us, for ever.
            raise asyncio.CancelledError

    async def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        """Take note of what is ours, and hold its records back."""
        places = list(assigned)
        self.consumer.pause(*places)
        self._deal([(place.topic, place.partition) for place in places])
        coordinator = self.consumer._coordinator  # noqa: SLF001 - no other way to learn who we are
        self._identity = (coordinator.generation, coordinator.member_id)
        self.assigned = True
        self._tell()

    def _tell(self) -> None:
        if not self.news.done():
            self.news.set_result(None)
        self.news = asyncio.get_running_loop().create_future()

    def _last_heard(self) -> int:
        """Return when a broker last answered a fetch, in ms on its own scale; 0 for never."""
        if not self.assigned:
            return 0
        stamps = map(self.consumer.last_poll_timestamp, self.consumer.assignment())
        return max((stamp or 0 for stamp in stamps), default=0)

    async def _is_replaced(self) -> bool:
        """Return whether another process joined under the name of this one."""
        try:
            return await self._standing() == FENCED_INSTANCE_ID
        except EventLogUnavailable:
            return False  # nobody can have joined either; asked again at the next rebalance

    async def _standing(self) -> int:
        """Return the code with which the group answers this member; 0 for a member in good order.

        Raises EventLogUnavailable.
        """
        group, instance = self.membership.group, self.membership.instance

        async def attempt() -> int:
            generation, member_id = self._identity
            request = StaticHeartbeatRequest(group, generation, member_id, instance)
            answer = await self._brokers.ask_coordinator(GROUP, group, request)
            code: int = answer.error_code
            if code not in _NOT_IN_GOOD_ORDER:
                self._brokers.check(code, f"membership of {group}")
            return code

        async with self._brokers.within(_STANDING_TIMEOUT_S, f"asking {group}"):
            return await self._brokers.until_done(attempt)

    async def _say_goodbye(self) -> None:
        group, instance = self.membership.group, self.membership.instance
        request = StaticLeaveRequest(group, self._identity[1], instance)

        async def attempt() -> None:
            answer = await self._brokers.ask_coordinator(GROUP, group, request)
            self._brokers.check(answer.error_code, f"leaving {group}")

        async with self._brokers.within(_LEAVE_TIMEOUT_S, f"leaving {group}"):
            await self._brokers.until_done(attempt)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
