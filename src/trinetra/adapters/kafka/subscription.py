"""A subscription that commits every partition in a transaction of its own.

aiokafka's consumer fetches. Whether a partition may be worked on is decided here: after every
rebalance it is first taken over, which fences its earlier owner, then set to the offset that is
committed by then, and only then delivered (docs/adr/0007).
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import errors as kafka

from trinetra.adapters.kafka.client import EARLIEST, LATEST, KafkaClient, translated
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.membership import Member, Membership
from trinetra.adapters.kafka.producer import Transactor
from trinetra.errors import EventLogUnavailable, PartitionsLost
from trinetra.ports import Delivery, Progress, TopicPartition
from trinetra.streaming.concurrency import gather_or_cancel
from trinetra.telemetry import get_logger

_PREPARE_TIMEOUT_S = 15.0
_COMMIT_TIMEOUT_S = 10.0

_log = get_logger("event-log")
_lanes = itertools.count(1)


@dataclass(slots=True)
class _Owned:
    """A partition that the group gave to this member; ready once it was taken over."""

    transactor: Transactor
    ready: bool = False
    number: int = 0
    end: int = 0
    undone: deque[int] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is to be committed of a partition, and the assignment under which it was worked on."""

    where: TopicPartition
    owned: _Owned
    progress: Progress


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records of one partition, and the number its assignment had when they came."""

    where: TopicPartition
    number: int
    records: Sequence[ConsumerRecord]


class KafkaSubscription:
    """A Subscription as a static member of a Kafka consumer group."""

    def __init__(
        self,
        brokers: KafkaClient,
        connection: KafkaConnection,
        membership: Membership,
        on_close: Callable[["KafkaSubscription"], None],
    ) -> None:
        self._brokers = brokers
        self._member = Member(brokers, connection, membership, self._deal)
        self._consumer = self._member.consumer
        self._group = membership.group
        self._prefix = membership.prefix
        self._on_close = on_close
        self._numbers = itertools.count(1)
        self._transactors: dict[TopicPartition, Transactor] = {}
        self._owned: dict[TopicPartition, _Owned] = {}
        self._polled: dict[TopicPartition, int] = {}
        self._turn = 0
        self._closed = False
        self._fetching: asyncio.Task[list[_Batch]] | None = None

    @property
    def instance(self) -> str:
        """The name by which the group knows this member, over restarts."""
        return self._member.membership.instance

    async def join(self) -> None:
        """Return when the group has given this member its first partitions, or none.

        Raises EventLogUnavailable, ConfigurationError.
        """
        await self._member.join()

    # --- the port ---------------------------------------------------------------------------

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records of the owned partitions, in turn over partitions.

        Raises EventLogUnavailable when the brokers do not answer, ConfigurationError when another
        process has taken this one's name.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + wait_s
        try:
            while True:
                self._member.refuse_if_replaced()
                await self._prepare()
                self._polled = {w: o.number for w, o in self._owned.items() if o.ready}
                batches = await self._arrived(max_records, give_up_s - loop.time())
                if batches or loop.time() >= give_up_s:
                    break
        except kafka.KafkaError as cause:
            raise translated(cause, "polling", self._brokers.servers) from cause
        if not batches:
            await self._member.listen_for_life()
        return list(itertools.chain.from_iterable(map(self._deliver, batches)))

    def assignment(self) -> Mapping[TopicPartition, int]:
        """Return the partitions owned since the last poll, with the numbers of assignment."""
        strip = len(self._prefix)
        return {(topic[strip:], p): n for (topic, p), n in self._polled.items()}

    async def commit(self, progress: Sequence[Progress]) -> None:
        """Append the outputs and move the group on, partition by partition, all at the same time.

        Raises PartitionsLost with those that another member owns by now, or whose commit did not
        come through; ConfigurationError.
        """
        self._member.refuse_if_replaced()
        prefix = self._prefix
        parts = {(prefix + p.where[0], p.where[1]): p for p in progress}
        # Looked up once, here: a rebalance may come before what is begun below runs, and by then
        # `_owned` is empty, or has an assignment that this progress says nothing about.
        mine = [_Part(w, self._owned[w], p) for w, p in parts.items() if self._holds(w)]
        quiet = [part for part in mine if not part.progress.outputs]
        commits = [self._commit_outputs(part) for part in mine if part.progress.outputs]
        done = await gather_or_cancel([self._commit_offsets(quiet), *commits])
        kept = set(itertools.chain.from_iterable(done))
        if lost := {part.where for where, part in parts.items() if where not in kept}:
            topic, partition = min(lost)
            raise PartitionsLost(
                f"{len(lost)} partitions of {self._group} were not committed, among "
                f"them {topic}[{partition}]: poll on to learn whose they are",
                frozenset(lost),
            )

    async def lag(self) -> int:
        """Return how many records of the owned partitions are not yet committed.

        As known from the last fetch; asks nobody.
        """
        if not self._member.assigned:
            return 0
        return sum([await self._lag(w, o) for w, o in self._owned.items() if o.ready])

    async def close(self) -> None:
        """Leave the group at once, so that its other members need not wait for the session."""
        if self._closed:
            return
        self._closed = True
        self._owned, self._polled = {}, {}
        try:
            if self._fetching is not None:
                self._fetching.cancel()
                await asyncio.gather(self._fetching, return_exceptions=True)
            await self._member.leave()
        finally:
            self._on_close(self)

    # --- what the group deals out -----------------------------------------------------------

    def _deal(self, places: Sequence[TopicPartition]) -> None:
        self._owned = {where: _Owned(self._transactor(where)) for where in places}

    def _transactor(self, where: TopicPartition) -> Transactor:
        if where not in self._transactors:
            self._transactors[where] = Transactor(
                self._brokers, self._prefix, self._group, where, next(_lanes)
            )
        return self._transactors[where]

    # --- taking over, delivering ------------------------------------------------------------

    async def _prepare(self) -> None:
        """Take over what is new or failed to commit, and go to its committed offset."""
        owned_now = self._owned
        fresh = {w: o for w, o in owned_now.items() if not o.ready}
        # One that the group has given up would only fence whoever has its partitions now.
        if not fresh or not await self._member.in_good_order():
            return
        async with self._brokers.within(_PREPARE_TIMEOUT_S, "taking over partitions"):
            await gather_or_cancel(owned.transactor.take_over() for owned in fresh.values())
            places = list(fresh)
            committed = await self._brokers.committed(self._group, places)
            starts = await self._brokers.offsets(places, EARLIEST)
            ends = await self._brokers.offsets(places, LATEST)
        if owned_now is not self._owned:  # dealt out anew in the meantime
            return
        for where, owned in fresh.items():
            owned.end = ends[where]
            owned.undone.clear()
            self._start(where, committed[where], starts[where])
            owned.number, owned.ready = next(self._numbers), True

    def _start(self, where: TopicPartition, committed: int, first: int) -> None:
        if 0 <= committed < first:
            _log.warning(
                "records were deleted by age before they were read",
                topic=where[0],
                partition=where[1],
                lost=first - committed,
            )
        self._consumer.seek(KafkaPartition(*where), max(committed, first))
        self._consumer.resume(KafkaPartition(*where))

    async def _arrived(self, max_records: int, wait_s: float) -> list[_Batch]:
        """Return records that are here, or come while waiting; [] also after a rebalance."""
        if self._fetching is None:
            batches = await self._buffered(max_records)
            if batches or wait_s <= 0:
                return batches
            self._fetching = asyncio.create_task(self._fetch(max_records, wait_s))
        waiting: list[asyncio.Future[Any]] = [self._member.news, self._fetching]
        await asyncio.wait(waiting, timeout=max(0.0, wait_s), return_when=asyncio.FIRST_COMPLETED)
        if not self._fetching.done():
            return []
        self._member.refuse_if_replaced()  # of that, aiokafka only tells that it was cancelled
        done, self._fetching = self._fetching, None  # before it raises, so that it does so once
        batches = [batch for batch in done.result() if self._is_wanted(batch)]
        room = max_records - sum(len(batch.records) for batch in batches)
        return batches + await self._buffered(room)

    async def _buffered(self, max_records: int) -> list[_Batch]:
        """Return what was fetched ahead: first a fair share of every partition, then the rest.

        Nothing in here waits, so no rebalance comes in between.
        """
        if not self._member.assigned:
            return []
        ready = [where for where, number in self._polled.items() if self._number(where) == number]
        if not ready:
            return []
        self._turn = (self._turn + 1) % len(ready)
        share = max(1, max_records // len(ready))
        batches: list[_Batch] = []
        for where in ready[self._turn :] + ready[: self._turn]:
            if room := min(share, max_records - sum(len(b.records) for b in batches)):
                batches += await self._take([where], room, 0)
        if room := max_records - sum(len(batch.records) for batch in batches):
            batches += await self._take(ready, room, 0)
        return batches

    async def _fetch(self, max_records: int, wait_s: float) -> list[_Batch]:
        """Wait for the first records of the partitions that are ready now; if none is, of any.

        For aiokafka wants to hear from us even then: it leaves the group, and does not join again,
        when nobody fetches for `_UNPOLLED_S`. What comes of partitions that are not ready is not
        wanted, and fetched again once they are.

        During a rebalance aiokafka waits on however long it takes: then poll does without, and a
        later one has the result. Cancelling instead would leave aiokafka counting an unfinished
        fetch, and never notice that nobody polls any more.
        """
        share = max(1, max_records // max(1, len(self._polled)))
        return await self._take(list(self._polled), share, wait_s)

    async def _take(
        self, places: Sequence[TopicPartition], max_records: int, wait_s: float
    ) -> list[_Batch]:
        batches = await self._consumer.getmany(
            *(KafkaPartition(*where) for where in places),
            timeout_ms=_ms(wait_s),
            max_records=max_records,
        )
        return [_Batch(where, self._number(where), found) for where, found in batches.items()]

    def _is_wanted(self, batch: _Batch) -> bool:
        """Return whether its partition is still owned, and ready, as it was when it was fetched.

        One whose commit failed has its number until it is prepared anew, and is not polled.
        """
        polled = self._polled.get(batch.where)
        return polled is not None and polled == batch.number == self._number(batch.where)

    def _number(self, where: TopicPartition) -> int:
        owned = self._owned.get(where)
        return owned.number if owned is not None else 0

    def _deliver(self, batch: _Batch) -> list[Delivery]:
        self._owned[batch.where].undone.extend([record.offset for record in batch.records])
        topic, partition = batch.where[0][len(self._prefix) :], batch.where[1]
        return [
            Delivery(
                topic,
                partition,
                record.offset,
                record.key.decode(errors="replace") if record.key else "",
                record.value or b"",
            )
            for record in batch.records
        ]

    async def _lag(self, where: TopicPartition, owned: _Owned) -> int:
        partition = KafkaPartition(*where)
        end = max(owned.end, self._consumer.last_stable_offset(partition) or 0)
        # The position is past markers and what was rolled back, which nobody will commit.
        position: int = await self._consumer.position(partition)
        return len(owned.undone) + max(0, end - position)

    # --- committing -------------------------------------------------------------------------

    def _holds(self, where: TopicPartition) -> bool:
        owned = self._owned.get(where)
        return owned is not None and owned.ready and owned.number == self._polled.get(where)

    async def _commit_outputs(self, part: _Part) -> list[TopicPartition]:
        """Commit a partition with its outputs; return it if that came through."""
        outputs, next_offset = part.progress.outputs, part.progress.next_offset
        return await self._settled([part], part.owned.transactor.commit(outputs, next_offset))

    async def _commit_offsets(self, parts: Sequence[_Part]) -> list[TopicPartition]:
        """Commit partitions that led to nothing, in one request; return them if that came through.

        aiokafka commits one after the other, so that eight requests would take eight times as long.
        """
        if not parts:
            return []
        places = {
            KafkaPartition(*part.where): part.progress.next_offset
            for part in parts
            if part.progress.next_offset is not None
        }
        return await self._settled(parts, self._consumer.commit(places))

    async def _settled(
        self, parts: Sequence[_Part], committing: Coroutine[Any, Any, None]
    ) -> list[TopicPartition]:
        """Return the partitions if they are committed; if not, they are prepared anew."""
        for part in parts:
            part.owned.ready = False  # unless it is known to have come through
        topic, partition = min(part.where for part in parts)
        try:
            async with self._brokers.within(_COMMIT_TIMEOUT_S, f"committing {topic}[{partition}]"):
                await committing
        except EventLogUnavailable as failure:
            _log.warning("commit failed", topic=topic, partition=partition, why=str(failure))
            return []
        for part in parts:
            part.owned.ready = True
            undone, read_to = part.owned.undone, part.progress.next_offset or 0
            while undone and undone[0] < read_to:
                undone.popleft()
        return [part.where for part in parts]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
