"""Asking brokers: who leads what, how far it goes; again and again until a deadline, never longer.

aiokafka's producer repeats an unacknowledged batch for ever and cannot be told to stop, and a
fenced one takes its errors to the log. What we send goes through this instead: its client keeps the
connections, and every request has one caller who waits for it.
"""

import asyncio
import contextlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from trinetra.adapters.kafka.connection import KafkaConnection, probe
from trinetra.adapters.kafka.protocol import UNSTABLE_OFFSET_COMMIT, StableOffsetFetchRequest
from trinetra.errors import ConfigurationError, EventLogUnavailable
from trinetra.ports import Clock, TopicPartition

T = TypeVar("T")

GROUP = CoordinationType.GROUP
TRANSACTION = CoordinationType.TRANSACTION
EARLIEST, LATEST = -2, -1
READ_UNCOMMITTED, READ_COMMITTED = 0, 1

_REQUEST_TIMEOUT_S = 5.0
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.25
_REFUSALS = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
    kafka.InvalidTransactionTimeout,
    kafka.InvalidSessionTimeoutError,
    kafka.InconsistentGroupProtocolError,
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
)
# Not marked retriable by aiokafka, and gone a moment later all the same.
_PASSING = frozenset({UNSTABLE_OFFSET_COMMIT, kafka.ConcurrentTransactions.errno})
_ELSEWHERE = (
    kafka.NotLeaderForPartitionError,
    kafka.UnknownTopicOrPartitionError,
    kafka.LeaderNotAvailableError,
)
_OTHER_COORDINATOR = (
    kafka.NotCoordinatorForGroupError,
    kafka.GroupCoordinatorNotAvailableError,
    kafka.GroupLoadInProgressError,
)


class RetriableError(Exception):
    """A broker cannot do it now and may be able to soon."""


class KafkaClient:
    """A Kafka cluster as one process asks it; a *lane* is a connection of one's own to a broker."""

    def __init__(self, connection: KafkaConnection, clock: Clock) -> None:
        self.servers = connection.servers
        self._clock = clock
        self._coordinators: dict[tuple[CoordinationType, str], int] = {}
        self._last_fault = ""
        self._client = AIOKafkaClient(
            bootstrap_servers=connection.servers,
            client_id="trinetra",
            request_timeout_ms=int(_REQUEST_TIMEOUT_S * 1000),
            **connection.login(),
        )

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, connection: KafkaConnection, clock: Clock) -> AsyncIterator[Self]:
        """Connect, and learn who leads what. Raises EventLogUnavailable or ConfigurationError."""
        await probe(connection)
        brokers = cls(connection, clock)
        client = brokers._client
        try:
            async with brokers.within(_REQUEST_TIMEOUT_S, "meeting the brokers"):
                await client.bootstrap()
                # Of all topics: by asking for one that is missing, a client may create it.
                await client.force_metadata_update()
            yield brokers
        finally:
            await client.close()

    @contextlib.asynccontextmanager
    async def within(self, timeout_s: float, doing: str) -> AsyncIterator[None]:
        """Bound what is done inside; raises EventLogUnavailable or ConfigurationError for it."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError:
            fault = f" ({self._last_fault})" if self._last_fault else ""
            raise EventLogUnavailable(
                f"Kafka at {self.servers} was not done within {timeout_s:g} s with {doing}{fault}"
            ) from None
        except kafka.KafkaError as cause:
            raise translated(cause, doing, self.servers) from cause

    async def until_done(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat what raises RetriableError, with growing pauses, until a deadline around it."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                done = await attempt()
            except RetriableError as cause:
                self._last_fault = str(cause)
            else:
                self._last_fault = ""  # over: no reason for what times out later
                return done
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def ask(self, node: int, request: object, lane: int = 0) -> Any:
        """Return a broker's answer. Raises RetriableError on a lost connection or a timeout."""
        try:
            return await self._client.send(node, request, group=lane)
        except (kafka.KafkaConnectionError, kafka.NodeNotReadyError) as cause:
            self._coordinators.clear()
            raise RetriableError(str(cause) or "the connection broke") from cause
        except kafka.RequestTimedOutError as cause:
            self._coordinators.clear()
            raise RetriableError(f"no answer within {_REQUEST_TIMEOUT_S:g} s") from cause

    async def ask_any(self, request: object) -> Any:
        """Return the answer of whichever broker."""
        return await self.ask(self._anyone(), request)

    async def ask_coordinator(
        self, kind: CoordinationType, key: str, request: object, lane: int = 0
    ) -> Any:
        """Return the answer of the broker that coordinates a group or a transactional id."""
        return await self.ask(await self._coordinator(kind, key), request, lane)

    async def ping(self) -> None:
        """Return when some broker answers. Raises EventLogUnavailable."""

        async def attempt() -> None:
            nobody: list[str] = []
            request = MetadataRequest(nobody, allow_auto_topic_creation=False)
            await self.ask_any(request)

        async with self.within(_REQUEST_TIMEOUT_S, "asking whether anyone is there"):
            await self.until_done(attempt)

    async def ask_controller(self, request: object) -> Any:
        """Return the answer of the broker that may change the cluster."""
        controller = self._client.cluster.controller
        if controller is None:
            self._client.force_metadata_update()
            raise RetriableError("the cluster has no controller")
        return await self.ask(controller.nodeId, request)

    def nodes(self) -> list[int]:
        """Return the cluster's brokers."""
        return [broker.nodeId for broker in self._client.cluster.brokers()]

    def leader(self, where: TopicPartition) -> int:
        """Return the broker that leads a partition. Raises RetriableError while there is none."""
        node: int | None = self._client.cluster.leader_for_partition(KafkaPartition(*where))
        if node is None or node == -1:
            self._client.force_metadata_update()
            raise RetriableError(f"{where[0]}[{where[1]}] has no leader")
        return node

    def check(self, code: int, about: str = "") -> None:
        """Return if the code is that of success.

        Raises RetriableError where another attempt may succeed, KafkaError where none will.
        """
        if code == 0:
            return
        failure = kafka.for_code(code)
        if issubclass(failure, _ELSEWHERE):
            self._client.force_metadata_update()
        if issubclass(failure, _OTHER_COORDINATOR):
            self._coordinators.clear()
        if failure.retriable or code in _PASSING:
            raise RetriableError(f"{about}: {failure.__name__}")
        raise failure(about) if failure.errno == code else kafka.KafkaError(f"{about}: code {code}")

    async def offsets(
        self, places: Sequence[TopicPartition], at: int, isolation: int = READ_COMMITTED
    ) -> dict[TopicPartition, int]:
        """Return the first offsets (``EARLIEST``) or the next ones to be written (``LATEST``).

        With READ_COMMITTED the next is that of the oldest unfinished transaction, if there is one.
        """

        async def attempt() -> dict[TopicPartition, int]:
            found: dict[TopicPartition, int] = {}
            for node, mine in self.by_leader(places).items():
                wanted = [(t, [(p, at) for p in ps]) for t, ps in by_topic(mine).items()]
                answer = await self.ask(node, OffsetRequest(-1, isolation, wanted))
                for topic, rows in answer.topics:
                    for partition, code, _, offset in rows:
                        self.check(code, f"offsets of {topic}[{partition}]")
                        found[topic, partition] = offset
            return found

        return await self.until_done(attempt)

    async def committed(
        self, group: str, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return the group's committed offsets, -1 where there is none; waits for transactions."""

        async def attempt() -> dict[TopicPartition, int]:
            request = StableOffsetFetchRequest(group, list(by_topic(places).items()))
            answer = await self.ask_coordinator(GROUP, group, request)
            self.check(answer.error_code, f"offsets of {group}")
            found: dict[TopicPartition, int] = {}
            for topic, rows, _ in answer.topics:
                for partition, offset, _, _, code, _ in rows:
                    self.check(code, f"offset of {group} in {topic}[{partition}]")
                    found[topic, partition] = offset
            return found

        return await self.until_done(attempt)

    def by_leader(self, places: Sequence[TopicPartition]) -> dict[int, list[TopicPartition]]:
        """Return the partitions each broker leads; raises RetriableError if one has no leader."""
        shares: dict[int, list[TopicPartition]] = {}
        for where in places:
            shares.setdefault(self.leader(where), []).append(where)
        return shares

    async def _coordinator(self, kind: CoordinationType, key: str) -> int:
        if (kind, key) not in self._coordinators:
            answer = await self.ask_any(FindCoordinatorRequest(key, kind))
            self.check(answer.error_code, f"coordinator of {key}")
            if self._client.cluster.broker_metadata(answer.coordinator_id) is None:
                self._client.force_metadata_update()
                raise RetriableError(f"coordinator of {key} is not up yet")
            self._coordinators[kind, key] = answer.coordinator_id
        return self._coordinators[kind, key]

    def _anyone(self) -> int:
        node: int | None = self._client.get_random_node()
        if node is None:
            self._client.force_metadata_update()
            raise RetriableError("no broker is known")
        return node


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Stop one of aiokafka's consumers, whether brokers answer or not.

    Where they do not, its own way out ends with the cancellation of a fetch, of which our caller
    knows nothing, and leaves connections open.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping})
    if stopping.cancelled():
        await consumer._client.close()  # noqa: SLF001
    else:
        stopping.result()


def by_topic(places: Sequence[TopicPartition]) -> Mapping[str, list[int]]:
    """Return the partition numbers of each topic."""
    topics: dict[str, list[int]] = {}
    for topic, partition in places:
        topics.setdefault(topic, []).append(partition)
    return topics


def translated(
    cause: kafka.KafkaError, doing: str, servers: str
) -> ConfigurationError | EventLogUnavailable:
    """Return the product's error for one of aiokafka's."""
    told = f"{doing}: Kafka at {servers} answered {type(cause).__name__} ({cause})"
    if isinstance(cause, _REFUSALS):
        return ConfigurationError(f"{told}: change the cluster's rights or limits, and restart")
    return EventLogUnavailable(told)
