"""In-process event log.

A real adapter, not a test double: events are stored as bytes; partitions, groups, offsets,
redelivery and transactions behave as in Kafka. Only durability is missing: the contents are lost
when the process ends.
"""

import asyncio
import itertools
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from trinetra.errors import EventLogUnavailable, PartitionsLost
from trinetra.events.topics import Topic
from trinetra.ports import Clock, Delivery, Progress, Record, TopicPartition
from trinetra.telemetry import FOLLOWER_MISSED, get_logger
from trinetra.values import Instant

_logger = get_logger("event-log")


class Signal:
    """Wakes the tasks whose condition has become true; a wait may have a timeout on any clock.

    Conditions are evaluated at every change, which costs far less than waking a task to do it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    def notify(self) -> None:
        """Evaluate the conditions after a change and wake the tasks whose condition holds."""
        for woken, ready in self._waiting.items():
            if not woken.done() and ready():
                woken.set_result(None)

    async def wait(self, ready: Callable[[], bool]) -> None:
        """Return when ``ready()`` holds."""
        while not ready():
            await self._woken(ready)

    async def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return when ``ready()`` holds or after ``timeout_s``."""
        if ready() or timeout_s <= 0:
            return
        timer = asyncio.ensure_future(self._clock.sleep(timeout_s))
        timer.add_done_callback(self._on_time)
        try:
            await self.wait(lambda: timer.done() or ready())
        finally:
            timer.remove_done_callback(self._on_time)
            timer.cancel()

    def _on_time(self, _timer: asyncio.Future[None]) -> None:
        self.notify()

    async def _woken(self, ready: Callable[[], bool]) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._waiting[woken] = ready
        try:
            await woken
        finally:
            del self._waiting[woken]


class Kept(NamedTuple):
    """A stored record with the instant at which it was appended."""

    key: str
    value: bytes
    at: Instant


@dataclass(slots=True)
class _Partition:
    """Records from offset ``base`` on; earlier ones were freed."""

    base: int = 0
    records: deque[Kept] = field(default_factory=deque)
    latest: dict[str, bytes] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.base + len(self.records)

    def slice(self, start: int, count: int) -> list[tuple[int, Kept]]:
        first = max(start, self.base)
        window = itertools.islice(self.records, first - self.base, first - self.base + count)
        return list(enumerate(window, first))

    def first_since(self, since: Instant) -> int:
        """Return the offset of the first record appended at or after ``since``, or the end."""
        found = (offset for offset, kept in enumerate(self.records, self.base) if kept.at >= since)
        return next(found, self.end)

    def free_until(self, offset: int) -> None:
        while self.records and self.base < offset:
            self.records.popleft()
            self.base += 1


@dataclass(slots=True)
class _Group:
    """A consumer group: its topics, members and committed offsets."""

    topics: tuple[Topic, ...]
    _names: frozenset[str] = field(init=False)
    members: list["MemorySubscription"] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    assigned: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._names = frozenset(topic.name for topic in self.topics)

    def reads(self, topic: str) -> bool:
        return bool(self.members) and topic in self._names

    def rebalance(self) -> None:
        number = next(self.assigned)
        partitions = [(t.name, p) for t in self.topics for p in range(t.partitions)]
        for index, member in enumerate(self.members):
            own = [tp for i, tp in enumerate(partitions) if i % len(self.members) == index]
            member.assign({tp: self.committed.get(tp, 0) for tp in own}, number)


class MemoryEventLog:
    """A partitioned log in memory.

    Every partition keeps the records that some group has not committed yet, and its last
    ``keep_records`` for groups that join later. When a group falls ``max_records`` behind, an
    append and a commit with outputs wait for it: this backpressure bounds memory without losing
    records. It reaches the frame buffer, which drops and counts frames per camera. Readers cause
    no backpressure: one that falls as far behind misses the records that are freed meanwhile.
    """

    def __init__(
        self, clock: Clock, *, keep_records: int = 1_000, max_records: int = 20_000
    ) -> None:
        self.clock = clock
        self.changed = Signal(clock)
        self._keep_records = keep_records
        self._max_records = max_records
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._groups: dict[str, _Group] = {}
        self._followers: set[MemoryTopicReader] = set()
        # Time of the latest append; it never decreases, so that a search by time is well defined
        # even if the clock steps back.
        self._appended_at = clock.now()

    async def append(self, records: Sequence[Record]) -> None:
        """Append records in order; the key determines the partition."""
        await self.wait_for_room(records)
        self._append_now(records)

    async def wait_for_room(self, records: Iterable[Record]) -> None:
        """Return when every partition of the records has room; compacted topics always have."""
        for where in dict.fromkeys(_partition_of(r) for r in records if not r.topic.compacted):
            await self.changed.wait(partial(self._has_room, where))

    async def subscribe(self, topics: Sequence[Topic], group: str) -> "MemorySubscription":
        """Join a group; its partitions are reassigned among its members."""
        membership = self._groups.setdefault(group, _Group(tuple(topics)))
        if membership.topics != tuple(topics):
            names = ", ".join(topic.name for topic in membership.topics)
            raise EventLogUnavailable(
                f"group {group} already reads {names}; subscribe to the same topics"
            )
        member = MemorySubscription(self, membership)
        membership.members.append(member)
        membership.rebalance()
        return member

    def partition(self, where: TopicPartition) -> _Partition:
        """Return a partition; create it at its first use."""
        found = self._partitions.get(where)
        return self._partitions.setdefault(where, _Partition()) if found is None else found

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the last value of every key of a compacted topic's partition."""
        return dict(self.partition((topic.name, partition)).latest)

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> "MemoryTopicReader":
        """Open a reader at the first stored record appended at or after ``since``."""
        places = [(topic.name, p) for topic in topics for p in range(topic.partitions)]
        return self.follow_from({tp: self.partition(tp).first_since(since) for tp in places})

    def follow_from(self, positions: Mapping[TopicPartition, int]) -> "MemoryTopicReader":
        """Open a reader of partitions at the given offsets."""
        reader = MemoryTopicReader(self, positions)
        self._followers.add(reader)
        return reader

    def unfollow(self, reader: "MemoryTopicReader") -> None:
        """Stop keeping records for a reader."""
        self._followers.discard(reader)

    def commit(self, group: _Group, progress: Progress) -> None:
        """Append the outputs and commit the offset, atomically: there is no await in between."""
        self._append_now(progress.outputs)
        if progress.next_offset is not None:
            group.committed[progress.where] = progress.next_offset
        self._free(progress.where)
        self.changed.notify()

    def _append_now(self, records: Sequence[Record]) -> None:
        now = self._appended_at = max(self._appended_at, self.clock.now())
        grown = set()
        for record in records:
            where = _partition_of(record)
            if record.topic.compacted:
                self._replace(where, record)
            elif record.value is not None:
                self.partition(where).records.append(Kept(record.key, record.value, now))
                grown.add(where)
        for where in grown:
            self._free(where)
        self.changed.notify()

    def _replace(self, where: TopicPartition, record: Record) -> None:
        """Keep only the last value per key of a compacted topic, which has no subscribers."""
        if record.value is None:
            self.partition(where).latest.pop(record.key, None)
        else:
            self.partition(where).latest[record.key] = record.value

    def _has_room(self, where: TopicPartition) -> bool:
        return self.partition(where).end - self._slowest(where) < self._max_records

    def _slowest(self, where: TopicPartition) -> int:
        readers = [
            group.committed.get(where, 0)
            for group in self._groups.values()
            if group.reads(where[0])
        ]
        return min(readers, default=self.partition(where).end)

    def _free(self, where: TopicPartition) -> None:
        partition = self.partition(where)
        free = min(self._slowest(where), partition.end - self._keep_records)
        for reader in self._followers:
            wanted = reader.positions.get(where, free)
            free = min(free, max(wanted, partition.end - self._max_records))
        partition.free_until(free)


def _partition_of(record: Record) -> TopicPartition:
    if record.partition is not None:
        return record.topic.name, record.partition
    return record.topic.name, zlib.crc32(record.key.encode()) % record.topic.partitions


class MemorySubscription:
    """One member of a consumer group of a MemoryEventLog."""

    def __init__(self, log: MemoryEventLog, group: _Group) -> None:
        self._log = log
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._numbers: dict[TopicPartition, int] = {}
        self._polled: dict[TopicPartition, int] = {}

    def assign(self, positions: dict[TopicPartition, int], number: int) -> None:
        """Take ownership of partitions at the given offsets; the group calls it on a rebalance.

        A partition that this member keeps retains its position and assignment number.
        """
        kept = {tp: self._positions[tp] for tp in positions if tp in self._positions}
        self._positions = {**positions, **kept}
        self._numbers = {tp: self._numbers.get(tp, number) for tp in positions}

    def assignment(self) -> Mapping[TopicPartition, int]:
        """Return the partitions owned since the last poll, with their assignment numbers."""
        return self._polled

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records of the owned partitions, each partition in order."""
        await self._log.changed.wait_until(self._any_waiting, wait_s)
        self._polled = self._numbers
        deliveries: list[Delivery] = []
        waiting = [tp for tp in self._positions if self._waits(tp)]
        share = max(1, max_records // max(1, len(waiting)))
        for where in waiting[:max_records]:
            rows = self._log.partition(where).slice(self._positions[where], share)
            deliveries += [Delivery(*where, offset, kept.key, kept.value) for offset, kept in rows]
            self._positions[where] = rows[-1][0] + 1
        return deliveries

    async def commit(self, progress: Sequence[Progress]) -> None:
        """Append the outputs and commit the offsets. Raises PartitionsLost after a rebalance."""
        # Before the assignment is checked: from then on there is no await.
        await self._log.wait_for_room(record for part in progress for record in part.outputs)
        lost = set()
        for part in progress:
            number = self._polled.get(part.where)
            if number is not None and number == self._numbers.get(part.where):
                self._log.commit(self._group, part)
            else:
                lost.add(part.where)
        if lost:
            topic, partition = min(lost)
            raise PartitionsLost(
                f"{topic}[{partition}] now belongs to another member; poll again", frozenset(lost)
            )

    async def lag(self) -> int:
        """Return how many records of the owned partitions are not yet committed."""
        committed = self._group.committed
        return sum(self._log.partition(tp).end - committed.get(tp, 0) for tp in self._positions)

    async def close(self) -> None:
        """Leave the group; another member receives all uncommitted records again."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._positions, self._numbers = {}, {}
            self._group.rebalance()
            self._log.changed.notify()

    def _any_waiting(self) -> bool:
        return any(self._waits(where) for where in self._positions)

    def _waits(self, where: TopicPartition) -> bool:
        return self._log.partition(where).end > self._positions[where]


class MemoryTopicReader:
    """A reader of a MemoryEventLog outside any consumer group."""

    def __init__(self, log: MemoryEventLog, positions: Mapping[TopicPartition, int]) -> None:
        self._log = log
        self._turn = 0
        self.positions = dict(positions)

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records, in turn over partitions, each partition in order."""
        await self._log.changed.wait_until(self.is_behind, wait_s)
        return [
            Delivery(*where, offset, kept.key, kept.value)
            for where, offset, kept in self.take(max_records)
        ]

    def take(self, max_records: int) -> list[tuple[TopicPartition, int, Kept]]:
        """Return the stored records, with offsets, that ``poll`` would return without waiting."""
        waiting = [where for where in self.positions if self._waits(where)]
        share = max(1, max_records // max(1, len(waiting)))
        self._turn = (self._turn + 1) % max(1, len(waiting))
        taken: list[tuple[TopicPartition, int, Kept]] = []
        for where in (waiting[self._turn :] + waiting[: self._turn])[:max_records]:
            self._count_missed(where)
            rows = self._log.partition(where).slice(self.positions[where], share)
            self.positions[where] = rows[-1][0] + 1
            taken += [(where, offset, kept) for offset, kept in rows]
        return taken

    def is_behind(self) -> bool:
        """Return whether there is anything to read."""
        return any(self._waits(where) for where in self.positions)

    async def lag(self) -> int:
        """Return how many records are still to be read."""
        return sum(
            self._log.partition(where).end - max(position, self._log.partition(where).base)
            for where, position in self.positions.items()
        )

    async def close(self) -> None:
        """Stop reading; idempotent."""
        self.positions.clear()
        self._log.unfollow(self)

    def _count_missed(self, where: TopicPartition) -> None:
        missed = self._log.partition(where).base - self.positions[where]
        if missed > 0:
            FOLLOWER_MISSED.labels(where[0]).inc(missed)
            _logger.warning("slow reader missed records", topic=where[0], missed=missed)

    def _waits(self, where: TopicPartition) -> bool:
        return self._log.partition(where).end > self.positions[where]
