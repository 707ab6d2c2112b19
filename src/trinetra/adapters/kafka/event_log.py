"""The event log on a Kafka cluster."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from typing import Self

from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.compacted_state import read_latest
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.membership import Membership
from trinetra.adapters.kafka.producer import Producer
from trinetra.adapters.kafka.subscription import KafkaSubscription
from trinetra.adapters.kafka.topic_reader import KafkaTopicReader
from trinetra.adapters.kafka.topics import Layout, require_topics
from trinetra.errors import ConfigurationError
from trinetra.events.topics import ALL, Topic
from trinetra.ports import Clock, Record
from trinetra.values import Instant

__all__ = ["KafkaConnection", "KafkaEventLog"]

_APPEND_TIMEOUT_S = 8.0
_STATE_TIMEOUT_S = 15.0
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


class KafkaEventLog:
    """An EventLog on Kafka: one idempotent producer for appending, one consumer per subscription.

    Keys are spread over partitions by murmur2, as Java clients do; a client built on librdkafka
    has to set ``partitioner=murmur2_random`` to agree.
    """

    name = "event log"

    def __init__(
        self, brokers: KafkaClient, connection: KafkaConnection, layout: Layout, instance: str
    ) -> None:
        self._brokers = brokers
        self._connection = connection
        self._layout = layout
        self._instance = instance
        self._producer = Producer(brokers, layout.prefix)
        self._producer_started = False
        self._appending = asyncio.Lock()
        self._subscriptions: list[KafkaSubscription] = []
        self._followers: list[KafkaTopicReader] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        connection: KafkaConnection,
        *,
        instance: str,
        site_id: str,
        clock: Clock,
        namespace: str = "",
        topics: Sequence[Topic] = ALL,
    ) -> AsyncIterator[Self]:
        """Connect to a cluster whose topics are there and are this site's; creates nothing.

        ``instance`` names this process and stays the same over restarts: by it Kafka gives a
        restarted member its partitions back. Raises EventLogUnavailable, ConfigurationError.
        """
        for what, name in (("INSTANCE", instance), ("NAMESPACE", namespace or "-")):
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"TRINETRA_{what} {name!r}: use up to 100 letters, digits, dots, _ and -"
                )
        layout = Layout(site_id, namespace, topics)
        async with KafkaClient.open(connection, clock) as brokers:
            await require_topics(brokers, connection, layout)
            log = cls(brokers, connection, layout, instance)
            try:
                yield log
            finally:
                for subscription in list(log._subscriptions):
                    await subscription.close()
                for reader in list(log._followers):
                    await reader.close()

    async def check(self) -> str:
        """Return what answers. Raises EventLogUnavailable."""
        await self._brokers.ping()
        return f"Kafka at {self._connection.servers}, brokers known: {len(self._brokers.nodes())}"

    async def append(self, records: Sequence[Record]) -> None:
        """Append records; on return all in-sync replicas have them.

        Raises EventLogUnavailable after a bounded time; the records may have arrived all the same.
        """
        if not records:
            return
        async with self._brokers.within(_APPEND_TIMEOUT_S, "appending"), self._appending:
            if not self._producer_started:
                await self._producer.start()
            self._producer_started = False  # a failure below leaves it unknown what arrived
            await self._producer.send(records)
            self._producer_started = True

    async def subscribe(self, topics: Sequence[Topic], group: str) -> KafkaSubscription:
        """Join a consumer group. Raises EventLogUnavailable when it cannot be joined for long."""
        membership = Membership(
            topics=tuple(topics),
            prefix=self._layout.prefix,
            group=self._layout.prefix + group,
            instance=self._free_instance(group),
        )
        subscription = KafkaSubscription(
            self._brokers, self._connection, membership, self._subscriptions.remove
        )
        self._subscriptions.append(subscription)
        try:
            await subscription.join()
        except BaseException:
            await subscription.close()
            raise
        return subscription

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the last value of every key of a compacted topic's partition; deleted ones not.

        Sees every commit that returned before. Raises EventLogUnavailable.
        """
        where = (self._layout.prefix + topic.name, partition)
        async with self._brokers.within(_STATE_TIMEOUT_S, f"reading {where[0]}[{partition}]"):
            return await read_latest(self._brokers, self._connection, where)

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> KafkaTopicReader:
        """Read all partitions of topics, outside of any group, from an instant on.

        Raises EventLogUnavailable, ConfigurationError.
        """
        reader = await KafkaTopicReader.open(
            self._brokers,
            self._connection,
            topics,
            prefix=self._layout.prefix,
            since=since,
            on_close=self._followers.remove,
        )
        self._followers.append(reader)
        return reader

    def _free_instance(self, group: str) -> str:
        """Return a name for one more member of this process; given back, it is used again."""
        taken = {subscription.instance for subscription in self._subscriptions}
        name = f"{self._instance}-{group}"
        number = 1
        while (chosen := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        return chosen
