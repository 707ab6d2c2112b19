"""What every part of the Kafka adapter asks a cluster, in calls that block but never for long.

librdkafka keeps the connections, finds leaders and coordinators, and repeats what may succeed the
next time. Every call here has a deadline, and ends in one of the product's errors.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
)
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.errors import ConfigurationError, EventLogUnavailable
from trinetra.ports import Clock, TopicPartition
from trinetra.telemetry import get_logger

T = TypeVar("T")

REQUEST_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 5.0
_TURN_S = 0.05
_log = get_logger("event-log")

_COMMON: dict[str, Any] = {
    "client.id": "trinetra",
    # By default a client sends its own metrics to a broker that subscribes to them (KIP-714).
    "enable.metrics.push": False,
    # A broker that was killed is back within a second or two. By default clients wait up to ten.
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "socket.connection.setup.timeout.ms": int(_CONNECT_TIMEOUT_S * 1000),
    "socket.timeout.ms": 10_000,
    # A transaction that begins right after another is refused until the last one's markers are
    # written. By default clients wait 100 ms then: 120 ms for a transaction instead of 15.
    "retry.backoff.ms": 5,
    "retry.backoff.max.ms": 200,
}
FENCED = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
    }
)
# librdkafka's own errors: the underscore tells them from a broker's, and they are public.
_AUTHENTICATION = KafkaError._AUTHENTICATION  # noqa: SLF001
_TLS = KafkaError._SSL  # noqa: SLF001
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
    }
)
# What a broker says for a moment after topics, leaders or coordinators have changed.
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
    }
)


class _DebugLog:
    """Takes librdkafka's own log, which tells of an outage many times a second."""

    def log(self, _level: int, form: str, *values: object) -> None:
        _log.debug("librdkafka", told=form % values)


class KafkaClient:
    """A Kafka cluster as one process asks it. Every method blocks, but ``open`` and ``ping``.

    Of the administrative calls, none goes to a group's coordinator: when one of those has timed
    out, librdkafka 2.16.0 fails an assertion (``eonce->refcnt > 0``) and ends the process.
    """

    def __init__(self, connection: KafkaConnection, clock: Clock) -> None:
        self.servers = connection.servers
        self.clock = clock
        self._connection = connection
        self._settings = _COMMON | connection.login() | {"logger": _DebugLog()}
        self._faults: list[KafkaError] = []
        self.admin = AdminClient(self._settings | {"error_cb": self._faults.append})

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, connection: KafkaConnection, clock: Clock) -> AsyncIterator[Self]:
        """Connect and log in. Raises EventLogUnavailable or ConfigurationError."""
        client = cls(connection, clock)
        await asyncio.to_thread(client._connect)
        yield client

    def consumer(self, **settings: Any) -> Consumer:
        """Return a consumer of committed records that commits nothing by itself."""
        mine = {name.replace("_", "."): value for name, value in settings.items()}
        return Consumer(
            self._settings
            | {
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                # Otherwise it is not known that the last offsets are markers of transactions.
                "enable.partition.eof": True,
                "fetch.error.backoff.ms": 50,
                "fetch.queue.backoff.ms": 50,
                "queued.max.messages.kbytes": 16_384,
            }
            | mine
        )

    def producer(self, **settings: Any) -> Producer:
        """Return an idempotent producer."""
        mine = {name.replace("_", "."): value for name, value in settings.items()}
        return Producer(self._settings | {"enable.idempotence": True} | mine)

    @contextlib.contextmanager
    def translating(self, doing: str) -> Iterator[None]:
        """Raise the product's errors instead of librdkafka's."""
        try:
            yield
        except KafkaException as cause:
            raise self.translated(cause.args[0], doing) from cause

    def translated(self, error: KafkaError, doing: str) -> ConfigurationError | EventLogUnavailable:
        """Return the product's error for one of librdkafka's."""
        told = f"{doing}: Kafka at {self.servers} answered {error.name()} ({error.str()})"
        if error.code() in _REFUSALS:
            return ConfigurationError(f"{told}: change the cluster's rights or limits, and restart")
        return EventLogUnavailable(told)

    def late(self, doing: str, timeout_s: float) -> EventLogUnavailable:
        """Return the error for what was not done in time."""
        last = f" ({self._faults[-1].str()})" if self._faults else ""
        return EventLogUnavailable(
            f"Kafka at {self.servers} was not done within {timeout_s:g} s with {doing}{last}"
        )

    async def ping(self) -> int:
        """Return how many brokers are there. Raises EventLogUnavailable."""
        return await asyncio.to_thread(self.brokers)

    def brokers(self) -> int:
        """Return how many brokers are there. Raises EventLogUnavailable."""
        with self.translating("asking whether a broker answers"):
            cluster = self.admin.describe_cluster(request_timeout=REQUEST_TIMEOUT_S)
            return len(cluster.result().nodes)

    def offsets(
        self,
        places: Iterable[TopicPartition],
        at: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[TopicPartition, int]:
        """Return an offset of each partition; -1 where no record is so late.

        The latest, with READ_COMMITTED, is that of the oldest unfinished transaction. Raises
        EventLogUnavailable, ConfigurationError.
        """
        wanted = {KafkaPartition(*where): at for where in places}

        def attempt() -> dict[TopicPartition, int]:
            answers = self.admin.list_offsets(
                wanted, isolation_level=isolation, request_timeout=REQUEST_TIMEOUT_S
            )
            return {(w.topic, w.partition): f.result().offset for w, f in answers.items()}

        return self.until_done(attempt, REQUEST_TIMEOUT_S, "asking for offsets")

    def until_done(self, attempt: Callable[[], T | None], timeout_s: float, doing: str) -> T:
        """Repeat what returns None or fails for a moment. Raises EventLogUnavailable."""
        deadline_s = self.clock.monotonic() + timeout_s
        while self.clock.monotonic() < deadline_s:
            try:
                if (done := attempt()) is not None:
                    return done
            except KafkaException as cause:
                error = cause.args[0]
                if error.code() not in _PASSING and not error.retriable():
                    raise self.translated(error, doing) from cause
                # Administrative calls do not look for new leaders by themselves.
                with contextlib.suppress(KafkaException):
                    self.admin.list_topics(timeout=_TURN_S)
            # A pause between questions, on a thread that may block; nothing is awaited by it.
            time.sleep(_TURN_S)
        raise self.late(doing, timeout_s)

    def _connect(self) -> None:
        """Return once a broker has answered, or raise what all of them have against us."""
        asked = self.admin.describe_cluster(request_timeout=_CONNECT_TIMEOUT_S)
        while not asked.done():
            self.admin.poll(_TURN_S)
            for fault in self._faults:
                raise_if_refused(fault, self._connection)
            if any(fault.code() == _ALL_DOWN for fault in self._faults):
                break
        else:
            if asked.exception() is None:
                self._faults.clear()
                return
        for fault in self._faults:  # the last ones may have come with the end of the request
            raise_if_refused(fault, self._connection)
        told = [f.str() for f in self._faults if f.code() != _ALL_DOWN]
        told = told or [f"no answer within {_CONNECT_TIMEOUT_S:g} s"]
        raise EventLogUnavailable(
            f"Kafka at {self.servers} is not reachable: {'; '.join(dict.fromkeys(told))} (see "
            "TRINETRA_KAFKA_SERVERS; if that is Kafka's port and it is up, it does not take "
            f"{self._connection.security}: check TRINETRA_KAFKA_SECURITY)"
        )


def raise_if_refused(fault: KafkaError, connection: KafkaConnection) -> None:
    """Raise ConfigurationError for a fault that no waiting will mend."""
    where, told = f"Kafka at {connection.servers}", fault.str()
    if fault.code() == _AUTHENTICATION:
        if "handshake failed" in told or "not supported" in told.lower():
            raise ConfigurationError(
                f"{where} does not offer a login by {connection.mechanism} ({told}): check "
                "TRINETRA_KAFKA_SASL_MECHANISM and TRINETRA_KAFKA_SECURITY"
            )
        raise ConfigurationError(
            f"{where} refuses user {connection.user!r} by {connection.mechanism}: check "
            "TRINETRA_KAFKA_USER, _PASSWORD and _SASL_MECHANISM"
        )
    if fault.code() == _TLS:
        if "verif" in told:
            raise ConfigurationError(
                f"{where} shows a certificate that is not trusted ({told}): "
                "TRINETRA_KAFKA_CA_FILE must name the authority that signed it, and "
                "TRINETRA_KAFKA_SERVERS the host it was made for"
            )
        raise ConfigurationError(
            f"{where} does not speak TLS ({told}): check TRINETRA_KAFKA_SECURITY and the port"
        )
