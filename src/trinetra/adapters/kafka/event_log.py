"""The event log on a Kafka cluster."""

import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Self

from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.member import Membership
from trinetra.adapters.kafka.producer import APPEND_TIMEOUT_S, Producer
from trinetra.adapters.kafka.subscription import KafkaSubscription
from trinetra.adapters.kafka.topic_reader import KafkaTopicReader, StateReader
from trinetra.adapters.kafka.topics import Layout, require_topics
from trinetra.adapters.kafka.worker import Worker
from trinetra.errors import ConfigurationError
from trinetra.events.topics import ALL, Topic
from trinetra.ports import Clock, Record
from trinetra.values import Instant

__all__ = ["KafkaConnection", "KafkaEventLog"]

_APPEND_WAIT_S = 2 * APPEND_TIMEOUT_S  # also for who appends at the same time
_STATE_TIMEOUT_S = 15.0
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


class KafkaEventLog:
    """An EventLog on Kafka.

    One idempotent producer for appending, one consumer and one transactional producer per
    subscription, one consumer for reading state. Keys are spread over partitions by murmur2, as
    Java clients do; another client built on librdkafka has to set
    ``partitioner=murmur2_random`` to agree.
    """

    name = "event log"

    def __init__(self, client: KafkaClient, layout: Layout, instance: str) -> None:
        self._client = client
        self._layout = layout
        self._instance = instance
        self._producer = Producer(client, layout.prefix)
        self._appending = Worker("append")
        self._state = StateReader(client)
        self._reading = Worker("state")
        self._subscriptions: list[KafkaSubscription] = []
        self._readers: list[KafkaTopicReader] = []

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
        async with KafkaClient.open(connection, clock) as client:
            await require_topics(client, layout)
            log = cls(client, layout, instance)
            try:
                yield log
            finally:
                for subscription in list(log._subscriptions):
                    await subscription.close()
                for reader in list(log._readers):
                    await reader.close()
                log._appending.stop()
                log._reading.stop()

    async def check(self) -> str:
        """Return what answers. Raises EventLogUnavailable."""
        return f"Kafka at {self._client.servers}, brokers known: {await self._client.ping()}"

    async def append(self, records: Sequence[Record]) -> None:
        """Append records; on return all in-sync replicas have them.

        Raises EventLogUnavailable after a bounded time; the records may have arrived all the same.
        """
        if not records:
            return
        try:
            await self._appending.run(partial(self._producer.append, records), _APPEND_WAIT_S)
        except TimeoutError:
            raise self._client.late("appending", _APPEND_WAIT_S) from None

    async def subscribe(self, topics: Sequence[Topic], group: str) -> KafkaSubscription:
        """Join a consumer group. Raises EventLogUnavailable when it cannot be joined for long."""
        membership = Membership(
            topics=tuple(topics),
            prefix=self._layout.prefix,
            group=self._layout.prefix + group,
            instance=self._free_instance(group),
        )
        subscription = KafkaSubscription(self._client, membership, self._subscriptions.remove)
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
        read = partial(self._state.latest, where, _STATE_TIMEOUT_S)
        waiting_s = _STATE_TIMEOUT_S * topic.partitions  # one is read after the other
        try:
            return await self._reading.run(read, waiting_s)
        except TimeoutError:
            raise self._client.late(f"reading {where[0]}[{partition}]", waiting_s) from None

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> KafkaTopicReader:
        """Read all partitions of topics, outside of any group, from an instant on.

        Raises EventLogUnavailable, ConfigurationError.
        """
        reader = await KafkaTopicReader.open(
            self._client,
            topics,
            prefix=self._layout.prefix,
            since=since,
            on_close=self._readers.remove,
        )
        self._readers.append(reader)
        return reader

    def _free_instance(self, group: str) -> str:
        """Return a name for one more member of this process; given back, it is used again."""
        taken = {subscription.instance for subscription in self._subscriptions}
        name = f"{self._instance}-{group}"
        number = 1
        while (chosen := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        return chosen
