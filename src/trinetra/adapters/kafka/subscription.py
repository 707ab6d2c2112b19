"""A member of a consumer group that commits outputs, state and offsets in one transaction.

librdkafka keeps the membership and fetches. Whether a partition may be worked on is decided here:
one that is new, or whose last commit failed, is first taken over, which ends what this process may
have left open and waits for what an earlier owner did; then it is read from its committed offset
(docs/adr/0015).
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import OffsetSpec

from trinetra.adapters.kafka.client import FENCED, KafkaClient
from trinetra.adapters.kafka.producer import COMMIT_TIMEOUT_S, INIT_TIMEOUT_S, Transactor
from trinetra.adapters.kafka.records import ConsumerFenced, Records, delivery
from trinetra.adapters.kafka.worker import Worker
from trinetra.errors import ConfigurationError, EventLogUnavailable, PartitionsLost
from trinetra.events.topics import Topic
from trinetra.ports import Delivery, Progress, Record, TopicPartition
from trinetra.telemetry import get_logger

_SESSION_TIMEOUT_S = 6.0
_HEARTBEAT_S = 0.5  # a cooperative rebalance takes two rounds, each heard of with a heartbeat
_UNPOLLED_S = 60.0  # librdkafka also waits as long for a member to give partitions up
_FETCH_WAIT_S = 0.1
_JOIN_TIMEOUT_S = 30.0
_COMMITTED_TIMEOUT_S = 10.0
_TURN_S = 0.1
_TURN_TIMEOUT_S = INIT_TIMEOUT_S + _COMMITTED_TIMEOUT_S
_LEAVE_TIMEOUT_S = 2.0
_SILENCE_S = 5.0
_BUFFERED = 2_000

T = TypeVar("T")
_log = get_logger("event-log")


@dataclass(frozen=True, slots=True)
class Membership:
    """What a member joins, and as whom; ``prefix`` stands before topic names on the cluster."""

    topics: tuple[Topic, ...]
    prefix: str
    group: str
    instance: str


@dataclass(slots=True)
class _Owned:
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


class KafkaSubscription:
    """A Subscription as a static member of a Kafka consumer group (KIP-345).

    Consumer and transactions belong to one thread: whatever changes what is owned happens there,
    one thing after the other, and never between the beginning and the end of a commit.
    """

    def __init__(
        self,
        client: KafkaClient,
        membership: Membership,
        on_close: Callable[["KafkaSubscription"], None],
    ) -> None:
        self._client = client
        self._membership = membership
        self._on_close = on_close
        self._worker = Worker(membership.instance)
        self._records = Records(client, self._consumer())
        self._transactor: Transactor | None = None
        self._numbers = itertools.count(1)
        self._joined = False
        self._owned: dict[TopicPartition, _Owned] = {}
        self._polled: dict[TopicPartition, int] = {}
        self._turn = 0
        self._heard_s = 0.0
        self._counted = 0
        self._resume_at_s = 0.0
        self._closed = False

    @property
    def instance(self) -> str:
        """The name by which the group knows this member, over restarts."""
        return self._membership.instance

    async def join(self) -> None:
        """Return when the group has given this member its first partitions, or none.

        Raises EventLogUnavailable, ConfigurationError.
        """
        group = self._membership.group
        await self._run(self._join, _JOIN_TIMEOUT_S + 1, f"joining {group}")
        self._heard_s = asyncio.get_running_loop().time()

    # --- the port ---------------------------------------------------------------------------

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records of the owned partitions, in turn over partitions.

        Raises EventLogUnavailable when the brokers do not answer, ConfigurationError when another
        process has taken this one's name.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + wait_s
        while True:
            turn_s = min(_TURN_S, max(0.0, give_up_s - loop.time()))
            receive = self._counting(partial(self._receive, turn_s))
            await self._run(receive, _TURN_TIMEOUT_S, "polling")
            self._polled = {w: o.number for w, o in self._owned.items() if o.ready}
            if got := self._take(max_records):
                self._heard_s = loop.time()
                return got
            if loop.time() >= give_up_s:
                await self._listen_for_life()
                return []

    def assignment(self) -> Mapping[TopicPartition, int]:
        """Return the partitions owned since the last poll, with the numbers of assignment."""
        strip = len(self._membership.prefix)
        return {(topic[strip:], p): n for (topic, p), n in self._polled.items()}

    async def commit(self, progress: Sequence[Progress]) -> None:
        """Append the outputs and move the group on, in one transaction for all partitions.

        Raises PartitionsLost with those that another member owns by now; with all of them if the
        transaction did not come through. Raises ConfigurationError.
        """
        prefix = self._membership.prefix
        parts = {(prefix + p.where[0], p.where[1]): p for p in progress}
        polled = dict(self._polled)
        try:
            kept = await self._run(
                self._counting(partial(self._commit, parts, polled)),
                2 * COMMIT_TIMEOUT_S,
                "committing",
            )
        except EventLogUnavailable as failure:
            kept, why = frozenset[TopicPartition](), str(failure)
        else:
            why = "others own them by now"
        for where in kept:
            # Only here: of a commit that this did not wait for, nobody knows the end.
            self._owned[where].ready = True
        if lost := {part.where for where, part in parts.items() if where not in kept}:
            self._polled = {w: n for w, n in self._polled.items() if w in kept or w not in parts}
            topic, partition = min(lost)
            raise PartitionsLost(
                f"{len(lost)} partitions of {self._membership.group} were not committed, among "
                f"them {topic}[{partition}] ({why}): poll on to learn whose they are",
                frozenset(lost),
            )

    async def lag(self) -> int:
        """Return how many records of the owned partitions are not yet committed.

        As of the last poll or commit: the thread may be waiting for a broker that is away.
        """
        return self._counted

    async def close(self) -> None:
        """Leave the group at once, so that its other members need not wait for the session."""
        if self._closed:
            return
        self._closed = True
        self._polled = {}
        try:
            await self._run(self._leave, _LEAVE_TIMEOUT_S, "leaving")
        except EventLogUnavailable as failure:
            # A cluster that is away will miss our heartbeats.
            _log.debug("left without a word", group=self._membership.group, why=str(failure))
        finally:
            self._worker.stop()
            self._on_close(self)

    async def _run(self, call: Callable[[], T], timeout_s: float, doing: str) -> T:
        try:
            return await self._worker.run(call, timeout_s)
        except TimeoutError:
            raise self._client.late(doing, timeout_s) from None

    async def _listen_for_life(self) -> None:
        """Return if a broker has answered lately, or does now. Raises EventLogUnavailable."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._heard_s >= _SILENCE_S:
            await self._client.ping()
            self._heard_s = now_s

    # --- delivering -------------------------------------------------------------------------

    def _take(self, max_records: int) -> list[Delivery]:
        """Return what is here: first a fair share of every partition, then the rest."""
        ready = [where for where in self._polled if self._owned[where].buffered]
        if not ready:
            return []
        self._turn = (self._turn + 1) % len(ready)
        share = max(1, max_records // len(ready))
        taken: list[Delivery] = []
        for most in (share, max_records):
            for where in ready[self._turn :] + ready[: self._turn]:
                taken += self._pop(self._owned[where], min(most, max_records - len(taken)))
        return taken

    def _pop(self, owned: _Owned, most: int) -> list[Delivery]:
        count = min(most, len(owned.buffered))
        messages = [owned.buffered.popleft() for _ in range(count)]
        owned.undone.extend(message.offset() or 0 for message in messages)
        return [delivery(message, self._membership.prefix) for message in messages]

    # --- on the thread: membership ----------------------------------------------------------

    def _join(self) -> None:
        self._subscribe()

        def joined() -> bool | None:
            self._records.read(_TURN_S, 1)
            return self._joined or None

        self._client.until_done(joined, _JOIN_TIMEOUT_S, f"joining {self._membership.group}")

    def _subscribe(self) -> None:
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
            max_poll_interval_ms=_ms(_UNPOLLED_S),
            fetch_wait_max_ms=_ms(_FETCH_WAIT_S),
        )

    def _replace_consumer(self, why: ConsumerFenced) -> None:
        """Join again with a new consumer, unless another process has our name.

        A broker that was away for longer than a session makes librdkafka forget its member id. If
        it then sends a heartbeat before we have polled, the broker takes it for somebody else's.
        """
        if self._records.consumer.memberid():
            raise ConfigurationError(
                f"another process has joined {self._membership.group} as "
                f"{self._membership.instance}: give each process a TRINETRA_INSTANCE of its own"
            ) from why
        _log.warning("joining again", group=self._membership.group, why=str(why))
        self._records.close()
        self._owned.clear()
        self._records = Records(self._client, self._consumer())
        self._subscribe()

    def _assign(self, consumer: Consumer, places: list[KafkaPartition]) -> None:
        """Take note of what is ours. It is read once it was taken over, not before."""
        self._owned |= {(place.topic, place.partition): _Owned() for place in places}
        self._joined = True
        consumer.incremental_assign([])

    def _revoke(self, _: Consumer, places: list[KafkaPartition]) -> None:
        gone = [(place.topic, place.partition) for place in places]
        for where in gone:
            self._owned.pop(where, None)
        self._records.stop(gone)

    def _leave(self) -> None:
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
        give_up_s = self._client.clock.monotonic() + _LEAVE_TIMEOUT_S
        while consumer.memberid() and self._client.clock.monotonic() < give_up_s:
            consumer.poll(_TURN_S / 5)

    # --- on the thread: taking over, fetching -----------------------------------------------

    def _receive(self, wait_s: float) -> None:
        """Take over what is new, serve the group, and fetch ahead."""
        self._prepare()
        held = sum(len(owned.buffered) for owned in self._owned.values())
        try:
            messages = self._records.read(0 if held else wait_s, max(1, _BUFFERED - held))
        except ConsumerFenced as fenced:
            self._replace_consumer(fenced)
            return
        for message in messages:
            owned = self._owned.get((message.topic() or "", message.partition() or 0))
            if owned is not None and owned.ready:
                owned.buffered.append(message)

    def _prepare(self) -> None:
        """Take over what is new or failed to commit, and read it from its committed offset."""
        fresh = {where: owned for where, owned in self._owned.items() if not owned.ready}
        if not fresh or self._client.clock.monotonic() < self._resume_at_s:
            return
        group = self._membership.group
        if self._transactor is None:
            name = f"{group}-{self._membership.instance}"
            self._transactor = Transactor(self._client, self._membership.prefix, name)
        with self._client.translating(f"asking for the offsets of {group}"):
            # Waits for transactions that are not yet committed or rolled back.
            answer = self._records.consumer.committed(
                [KafkaPartition(*where) for where in fresh], _COMMITTED_TIMEOUT_S
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

    def _counting(self, call: Callable[[], T]) -> Callable[[], T]:
        """Return the call with a count of the lag at its end, on the thread that owns all of it."""

        def counted() -> T:
            try:
                return call()
            finally:
                self._counted = self._lag()

        return counted

    def _lag(self) -> int:
        return sum(self._lag_of(where, owned) for where, owned in self._owned.items())

    def _lag_of(self, where: TopicPartition, owned: _Owned) -> int:
        """Return the lag; of a partition that is not ready, only what is to be read again."""
        held = len(owned.undone) + len(owned.buffered)
        if not owned.ready:
            return held
        end = max(owned.end, self._records.end(where))
        return held + max(0, end - self._records.position(where))

    # --- on the thread: committing ----------------------------------------------------------

    def _commit(
        self, parts: Mapping[TopicPartition, Progress], polled: Mapping[TopicPartition, int]
    ) -> frozenset[TopicPartition]:
        """Commit what is still owned as it was polled, and return it."""
        mine = {where: part for where, part in parts.items() if self._holds(where, polled)}
        if not mine:
            return frozenset()
        # What came of no record moves to where it is: without any offset in it, a transaction
        # would not be held against the group's generation.
        offsets = {
            where: self._owned[where].committed if part.next_offset is None else part.next_offset
            for where, part in mine.items()
        }
        outputs = [record for part in mine.values() for record in part.outputs]
        for where in mine:
            self._owned[where].ready = False  # unless it is known to have come through
        if outputs:
            self._commit_outputs(outputs, offsets)
        else:
            self._commit_offsets(offsets)
        for where, offset in offsets.items():
            self._owned[where].note_committed(offset)
        return frozenset(mine)

    def _holds(self, where: TopicPartition, polled: Mapping[TopicPartition, int]) -> bool:
        owned = self._owned.get(where)
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
