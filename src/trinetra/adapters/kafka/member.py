"""One membership of a consumer group with its transactions, as one thread uses it.

librdkafka keeps the membership and fetches. Whether a partition may be worked on is decided here:
one that is new, or whose last commit failed, is first taken over, which ends what this process may
have left open and waits for what an earlier owner did; then it is read from its committed offset
(docs/adr/0015).
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import OffsetSpec

from trinetra.adapters.kafka.client import FENCED, KafkaClient
from trinetra.adapters.kafka.producer import Transactor
from trinetra.adapters.kafka.records import ConsumerFenced, Records
from trinetra.errors import ConfigurationError, EventLogUnavailable
from trinetra.events.topics import Topic
from trinetra.ports import Progress, Record, TopicPartition
from trinetra.telemetry import get_logger

JOIN_TIMEOUT_S = 30.0
COMMITTED_TIMEOUT_S = 10.0
LEAVE_TIMEOUT_S = 2.0
UNPOLLED_S = 60.0
"""After so long, the group gives a member up; a member also waits as long to give partitions up."""
_SESSION_TIMEOUT_S = 6.0
_HEARTBEAT_S = 0.5  # a cooperative rebalance takes two rounds, each heard of with a heartbeat
_FETCH_WAIT_S = 0.1
_TURN_S = 0.1
_BUFFERED = 2_000

_log = get_logger("event-log")


@dataclass(frozen=True, slots=True)
class Membership:
    """Topics and group that a member joins, and its name; topics begin with ``prefix`` on Kafka."""

    topics: tuple[Topic, ...]
    prefix: str
    group: str
    instance: str


@dataclass(slots=True)
class Owned:
    """A partition that the group gave to this member; ready once it was taken over."""

    ready: bool = False
    number: int = 0
    end: int = 0
    committed: int = 0
    buffered: deque[Message] = field(default_factory=deque)
    undone: deque[int] = field(default_factory=deque)

    def note_committed(self, next_offset: int) -> None:
        """Take note that what was read up to an offset is done."""
        self.committed = next_offset
        while self.undone and self.undone[0] < next_offset:
            self.undone.popleft()


class GroupMember:
    """Consumer and transactions of one member. Every method blocks, and all belong to one thread.

    So whatever changes what is owned happens one thing after the other, and never between the
    beginning and the end of a commit.
    """

    def __init__(self, client: KafkaClient, membership: Membership, numbers: Iterator[int]) -> None:
        """Start without connection; ``numbers`` has those of the next assignments."""
        self.owned: dict[TopicPartition, Owned] = {}
        self.lag = 0
        self._client = client
        self._membership = membership
        self._numbers = numbers
        self._records = Records(client, self._consumer())
        self._transactor: Transactor | None = None
        self._subscribed = False
        self._joined = False
        self._resume_at_s = 0.0

    def join(self) -> None:
        """Return when the group has given this member its first partitions, or none.

        Raises EventLogUnavailable, ConfigurationError.
        """
        self._subscribe()

        def joined() -> bool | None:
            self._records.read(_TURN_S, 1)
            return self._joined or None

        self._client.until_done(joined, JOIN_TIMEOUT_S, f"joining {self._membership.group}")

    def receive(self, wait_s: float) -> None:
        """Take over what is new, serve the group, and fetch ahead.

        Raises EventLogUnavailable, ConfigurationError.
        """
        try:
            self._receive(wait_s)
        finally:
            self._count()

    def _receive(self, wait_s: float) -> None:
        if not self._subscribed:
            self._subscribe()
        self._prepare()
        held = sum(len(owned.buffered) for owned in self.owned.values())
        try:
            messages = self._records.read(0 if held else wait_s, max(1, _BUFFERED - held))
        except ConsumerFenced as fenced:
            self._replace_consumer(fenced)
            return
        for message in messages:
            owned = self.owned.get((message.topic() or "", message.partition() or 0))
            if owned is not None and owned.ready:
                owned.buffered.append(message)

    def commit(
        self, parts: Mapping[TopicPartition, Progress], polled: Mapping[TopicPartition, int]
    ) -> frozenset[TopicPartition]:
        """Commit what is still owned as it was polled, and return it.

        What is returned is not ready before the caller has marked it: of a commit that was not
        waited for, the end is unknown. Raises EventLogUnavailable, ConfigurationError.
        """
        try:
            return self._commit(parts, polled)
        finally:
            self._count()

    def _commit(
        self, parts: Mapping[TopicPartition, Progress], polled: Mapping[TopicPartition, int]
    ) -> frozenset[TopicPartition]:
        mine = {where: part for where, part in parts.items() if self._holds(where, polled)}
        if not mine:
            return frozenset()
        # What came of no record moves to where it is: without any offset in it, a transaction
        # would not be held against the group's generation.
        offsets = {
            where: self.owned[where].committed if part.next_offset is None else part.next_offset
            for where, part in mine.items()
        }
        outputs = [record for part in mine.values() for record in part.outputs]
        for where in mine:
            self.owned[where].ready = False  # unless it is known to have come through
        if outputs:
            self._commit_outputs(outputs, offsets)
        else:
            self._commit_offsets(offsets)
        for where, offset in offsets.items():
            self.owned[where].note_committed(offset)
        return frozenset(mine)

    def _holds(self, where: TopicPartition, polled: Mapping[TopicPartition, int]) -> bool:
        owned = self.owned.get(where)
        return owned is not None and owned.ready and owned.number == polled.get(where)

    def _commit_outputs(
        self, outputs: Sequence[Record], offsets: Mapping[TopicPartition, int]
    ) -> None:
        transactor, self._transactor = self._transactor, None
        if transactor is None:
            raise EventLogUnavailable("the last commit failed: poll on")
        try:
            transactor.commit(outputs, offsets, self._records.consumer.consumer_group_metadata())
        except BaseException as failure:
            transactor.close()
            if _is_fenced(failure):
                # By our own late transaction, or by another process of our name: then the next
                # heartbeat will say so, and to take over before would only fence that one.
                self._resume_at_s = self._client.clock.monotonic() + 3 * _HEARTBEAT_S
            raise
        self._transactor = transactor

    def _commit_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        places = [KafkaPartition(*where, offset) for where, offset in offsets.items()]
        with self._client.translating(f"committing {len(places)} partitions"):
            for place in self._records.consumer.commit(offsets=places, asynchronous=False):
                if place.error is not None:
                    raise KafkaException(place.error)

    def leave(self) -> None:
        """Say goodbye, which librdkafka does for a static member only when it unsubscribes."""
        try:
            with self._client.translating("leaving"):
                self._unsubscribe()
        finally:
            self._records.close()
        if self._transactor is not None:
            self._transactor.close()
            self._transactor = None

    def _unsubscribe(self) -> None:
        consumer = self._records.consumer
        consumer.unsubscribe()
        give_up_s = self._client.clock.monotonic() + LEAVE_TIMEOUT_S
        while consumer.memberid() and self._client.clock.monotonic() < give_up_s:
            consumer.poll(_TURN_S / 5)

    # --- membership --------------------------------------------------------------------------

    def _subscribe(self) -> None:
        self._subscribed = True
        names = [self._membership.prefix + topic.name for topic in self._membership.topics]
        self._records.consumer.subscribe(
            names, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
        )

    def _consumer(self) -> Consumer:
        return self._client.consumer(
            group_id=self._membership.group,
            group_instance_id=self._membership.instance,
            partition_assignment_strategy="cooperative-sticky",
            session_timeout_ms=_ms(_SESSION_TIMEOUT_S),
            heartbeat_interval_ms=_ms(_HEARTBEAT_S),
            max_poll_interval_ms=_ms(UNPOLLED_S),
            fetch_wait_max_ms=_ms(_FETCH_WAIT_S),
        )

    def _replace_consumer(self, why: ConsumerFenced) -> None:
        """Join again with a new consumer, unless another process has our name.

        A broker that was away for longer than a session makes librdkafka forget its member id. If
        it then sends a heartbeat before we have polled, the broker takes it for that of another.
        """
        if self._records.consumer.memberid():
            raise ConfigurationError(
                f"another process has joined {self._membership.group} as "
                f"{self._membership.instance}: give each process a TRINETRA_INSTANCE of its own"
            ) from why
        _log.warning("joining again", group=self._membership.group, why=str(why))
        self._records.close()
        self.owned.clear()
        self._records = Records(self._client, self._consumer())
        self._subscribe()

    def _assign(self, consumer: Consumer, places: list[KafkaPartition]) -> None:
        """Take note of what is ours. It is read once it was taken over, not before."""
        self.owned |= {(place.topic, place.partition): Owned() for place in places}
        self._joined = True
        consumer.incremental_assign([])

    def _revoke(self, _: Consumer, places: list[KafkaPartition]) -> None:
        gone = [(place.topic, place.partition) for place in places]
        for where in gone:
            self.owned.pop(where, None)
        self._records.stop(gone)

    # --- taking over, and the lag -------------------------------------------------------------

    def _prepare(self) -> None:
        """Take over what is new or failed to commit, and read it from its committed offset."""
        fresh = {where: owned for where, owned in self.owned.items() if not owned.ready}
        if not fresh or self._client.clock.monotonic() < self._resume_at_s:
            return
        group = self._membership.group
        if self._transactor is None:
            name = f"{group}-{self._membership.instance}"
            self._transactor = Transactor(self._client, self._membership.prefix, name)
        with self._client.translating(f"asking for the offsets of {group}"):
            # Waits for transactions that are not yet committed or rolled back.
            answer = self._records.consumer.committed(
                [KafkaPartition(*where) for where in fresh], COMMITTED_TIMEOUT_S
            )
        starts = self._client.offsets(fresh, OffsetSpec.earliest())
        ends = self._client.offsets(fresh, OffsetSpec.latest())
        committed = {(place.topic, place.partition): place.offset for place in answer}
        for where, owned in fresh.items():
            _warn_of_deleted(where, committed[where], starts[where])
            owned.end, owned.committed = ends[where], max(committed[where], starts[where])
            owned.buffered.clear()
            owned.undone.clear()
        self._records.start({where: owned.committed for where, owned in fresh.items()})
        for owned in fresh.values():
            owned.number, owned.ready = next(self._numbers), True

    def _count(self) -> None:
        """Keep the lag for readers on other threads, which must not wait for this one."""
        self.lag = sum(self._lag_of(where, owned) for where, owned in self.owned.items())

    def _lag_of(self, where: TopicPartition, owned: Owned) -> int:
        """Return the lag; of a partition that is not ready, only what is to be read again."""
        held = len(owned.undone) + len(owned.buffered)
        if not owned.ready:
            return held
        end = max(owned.end, self._records.end(where))
        return held + max(0, end - self._records.position(where))


def _is_fenced(failure: BaseException) -> bool:
    cause = failure.__cause__
    return isinstance(cause, KafkaException) and cause.args[0].code() in FENCED


def _warn_of_deleted(where: TopicPartition, committed: int, first: int) -> None:
    if 0 <= committed < first:
        _log.warning(
            "records were deleted by age before they were read",
            topic=where[0],
            partition=where[1],
            lost=first - committed,
        )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
