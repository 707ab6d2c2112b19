"""The frame buffer and the event log within one process.

Real adapters, not doubles: frames and events are held as bytes; groups, pending entries, claims,
partitions, offsets and redelivery behave as with Redis Streams and Kafka. Only durability is
missing: what is in memory ends with the process.
"""

import asyncio
import itertools
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from trinetra.errors import EventLogUnavailable, PartitionsLost
from trinetra.events.codec import decode_frame, encode_frame
from trinetra.events.topics import Topic
from trinetra.ports import BufferedFrame, Clock, Delivery, Progress, Record, TopicPartition
from trinetra.values import CameraId, Frame


class _Signal:
    """Wakes those whose condition a change has made true; a wait may be bounded on any clock.

    The conditions are asked at every change, which costs far less than waking a task to ask it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    def notify(self) -> None:
        """Say that something has changed."""
        for woken, ready in self._waiting.items():
            if not woken.done() and ready():
                woken.set_result(None)

    async def wait(self, ready: Callable[[], bool]) -> None:
        """Return when ``ready()`` holds."""
        while not ready():
            await self._woken(ready)

    async def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return when ``ready()`` holds or the time is over."""
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


# --- frames -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Held:
    consumer: str
    since_s: float


@dataclass(slots=True)
class _GroupView:
    """One group's place in one camera's stream."""

    waiting: deque[int] = field(default_factory=deque)
    held: OrderedDict[int, _Held] = field(default_factory=OrderedDict)

    def needs(self, number: int) -> bool:
        return number in self.held or number in self.waiting


@dataclass(slots=True)
class _Stream:
    entries: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    groups: dict[str, _GroupView] = field(default_factory=dict)


class MemoryFrameStreams:
    """The streams that every ``MemoryFrameBuffer`` of a process shares.

    Each camera keeps its newest ``max_frames``; an older frame gives way even while a consumer
    holds it, and is counted as dropped unless every group was done with it.
    """

    def __init__(self, clock: Clock, max_frames: int = 100) -> None:
        self.clock = clock
        self.max_frames = max_frames
        self.arrived = _Signal(clock)
        self._streams: dict[CameraId, _Stream] = {}
        self._groups: set[str] = set()

    def join(self, group: str) -> None:
        """Create a group; it is given every frame from now on and those still buffered."""
        if group not in self._groups:
            self._groups.add(group)
            for stream in self._streams.values():
                stream.groups[group] = _GroupView(deque(stream.entries))

    def stream(self, camera_id: CameraId) -> _Stream:
        """Return a camera's stream, made at its first use."""
        if camera_id not in self._streams:
            groups = {group: _GroupView() for group in self._groups}
            self._streams[camera_id] = _Stream(groups=groups)
        return self._streams[camera_id]

    def views(self, group: str) -> list[tuple[CameraId, _Stream, _GroupView]]:
        """Return the group's place in every stream."""
        return [(camera, s, s.groups[group]) for camera, s in self._streams.items()]

    def append(self, frame: Frame) -> int:
        """Add a frame and return how many unfinished ones had to go."""
        stream = self.stream(frame.camera_id)
        number = next(stream.numbers)
        stream.entries[number] = encode_frame(frame)
        for view in stream.groups.values():
            view.waiting.append(number)
        dropped = 0
        while len(stream.entries) > self.max_frames:
            dropped += _drop_oldest(stream)
        self.arrived.notify()
        return dropped

    def finish(self, group: str, camera_id: CameraId, number: int) -> None:
        """Acknowledge an entry for a group and free it when no group needs it any more."""
        stream = self.stream(camera_id)
        stream.groups[group].held.pop(number, None)
        if not any(view.needs(number) for view in stream.groups.values()):
            stream.entries.pop(number, None)
        self.arrived.notify()


def _drop_oldest(stream: _Stream) -> int:
    number, _ = stream.entries.popitem(last=False)
    unfinished = not stream.groups or any(v.needs(number) for v in stream.groups.values())
    for view in stream.groups.values():
        view.held.pop(number, None)
        if view.waiting and view.waiting[0] == number:
            view.waiting.popleft()
    return int(unfinished)


class MemoryFrameBuffer:
    """One consumer's (or the ingestor's) view of the shared frame streams."""

    def __init__(self, streams: MemoryFrameStreams, group: str, consumer: str) -> None:
        self._streams = streams
        self._group = group
        self._consumer = consumer
        self._turn = 0
        streams.join(group)

    async def append(self, frame: Frame) -> int:
        """Add a frame; return how many old ones were dropped to stay within the bound."""
        return self._streams.append(frame)

    async def read(self, *, max_frames: int, wait_s: float) -> list[BufferedFrame]:
        """Return up to ``max_frames`` new frames, one camera after the other in turn."""
        await self._streams.arrived.wait_until(self._any_waiting, wait_s)
        taken: list[BufferedFrame] = []
        views = self._streams.views(self._group)
        while len(taken) < max_frames and any(view.waiting for _, _, view in views):
            camera, stream, view = views[self._turn % len(views)]
            self._turn += 1
            if view.waiting:
                taken.append(self._hold(camera, stream, view, view.waiting.popleft()))
        return taken

    async def ack(self, frames: Sequence[BufferedFrame]) -> None:
        """Declare frames done."""
        for buffered in frames:
            number = int(buffered.entry_id.rpartition(":")[2])
            self._streams.finish(self._group, buffered.frame.camera_id, number)

    async def claim(self, *, idle_s: float, max_frames: int) -> list[BufferedFrame]:
        """Take over frames that some consumer has held for ``idle_s`` without acknowledging."""
        now_s = self._streams.clock.monotonic()
        claimed: list[BufferedFrame] = []
        for camera, stream, view in self._streams.views(self._group):
            idle = [n for n, held in view.held.items() if now_s - held.since_s >= idle_s]
            room = max_frames - len(claimed)
            claimed += [self._hold(camera, stream, view, number) for number in idle[:room]]
        return claimed

    async def lag(self, camera_id: CameraId) -> int:
        """Return how many frames of a camera wait or are held unacknowledged."""
        view = self._streams.stream(camera_id).groups[self._group]
        return len(view.waiting) + len(view.held)

    def _any_waiting(self) -> bool:
        return any(view.waiting for _, _, view in self._streams.views(self._group))

    def _hold(
        self, camera: CameraId, stream: _Stream, view: _GroupView, number: int
    ) -> BufferedFrame:
        view.held[number] = _Held(self._consumer, self._streams.clock.monotonic())
        return BufferedFrame(f"{camera}:{number}", decode_frame(stream.entries[number]))


# --- events -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Partition:
    """Records from ``base`` on; those before it were finished with and freed."""

    base: int = 0
    records: deque[tuple[str, bytes]] = field(default_factory=deque)
    latest: dict[str, bytes] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.base + len(self.records)

    def slice(self, start: int, count: int) -> list[tuple[int, str, bytes]]:
        first = max(start, self.base)
        window = itertools.islice(self.records, first - self.base, first - self.base + count)
        return [(first + i, key, value) for i, (key, value) in enumerate(window)]

    def free_until(self, offset: int) -> None:
        while self.records and self.base < offset:
            self.records.popleft()
            self.base += 1


@dataclass(slots=True)
class _Group:
    """A consumer group: its members, who owns what, and how far it has committed."""

    topics: tuple[Topic, ...]
    members: list["MemorySubscription"] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    assigned: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def rebalance(self) -> None:
        number = next(self.assigned)
        partitions = [(t.name, p) for t in self.topics for p in range(t.partitions)]
        for index, member in enumerate(self.members):
            mine = [tp for i, tp in enumerate(partitions) if i % len(self.members) == index]
            member.assign({tp: self.committed.get(tp, 0) for tp in mine}, number)


class MemoryEventLog:
    """A partitioned log in memory.

    Every partition keeps what some group has yet to commit, and its last ``keep_records`` for
    groups that join later. When a group falls ``max_records`` behind, ``append`` waits for it:
    backpressure, so that memory is bounded and nothing is lost.
    """

    def __init__(
        self, clock: Clock, *, keep_records: int = 1_000, max_records: int = 20_000
    ) -> None:
        self.clock = clock
        self.changed = _Signal(clock)
        self._keep_records = keep_records
        self._max_records = max_records
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._groups: dict[str, _Group] = {}

    async def append(self, records: Sequence[Record]) -> None:
        """Append records in order; the partition follows from the key."""
        for record in records:
            await self.changed.wait(partial(self._has_room, _partition_of(record)))
        self._append_now(records)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> "MemorySubscription":
        """Join a group; its partitions are shared out anew among its members."""
        membership = self._groups.setdefault(group, _Group(tuple(topics)))
        if membership.topics != tuple(topics):
            names = ", ".join(topic.name for topic in membership.topics)
            raise EventLogUnavailable(f"group {group} already reads {names}; join with the same")
        member = MemorySubscription(self, membership)
        membership.members.append(member)
        membership.rebalance()
        return member

    def partition(self, where: TopicPartition) -> _Partition:
        """Return a partition, made at its first use."""
        return self._partitions.setdefault(where, _Partition())

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the last value of every key of a compacted topic's partition."""
        return dict(self.partition((topic.name, partition)).latest)

    def commit(self, group: _Group, progress: Progress) -> None:
        """Append the outputs and move the group on, both at once: nothing awaits in between."""
        self._append_now(progress.outputs)
        group.committed[progress.where] = progress.next_offset
        self._free(progress.where)
        self.changed.notify()

    def _append_now(self, records: Sequence[Record]) -> None:
        for record in records:
            where = _partition_of(record)
            if record.topic.compacted:
                self._replace(where, record)
            elif record.value is not None:
                self.partition(where).records.append((record.key, record.value))
                self._free(where)
        self.changed.notify()

    def _replace(self, where: TopicPartition, record: Record) -> None:
        """Keep of a compacted topic the values alone: nobody subscribes to it."""
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
            if group.members and any(topic.name == where[0] for topic in group.topics)
        ]
        return min(readers, default=self.partition(where).end)

    def _free(self, where: TopicPartition) -> None:
        partition = self.partition(where)
        partition.free_until(min(self._slowest(where), partition.end - self._keep_records))


def _partition_of(record: Record) -> TopicPartition:
    if record.partition is not None:
        return record.topic.name, record.partition
    return record.topic.name, zlib.crc32(record.key.encode()) % record.topic.partitions


class MemorySubscription:
    """One member of a consumer group of the memory log."""

    def __init__(self, log: MemoryEventLog, group: _Group) -> None:
        self._log = log
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._numbers: dict[TopicPartition, int] = {}
        self._polled: dict[TopicPartition, int] = {}

    def assign(self, positions: dict[TopicPartition, int], number: int) -> None:
        """Own these partitions from these offsets on; called by the group at a rebalance."""
        kept = {tp: self._positions[tp] for tp in positions if tp in self._positions}
        self._positions = {**positions, **kept}
        self._numbers = {tp: self._numbers.get(tp, number) for tp in positions}

    def assignment(self) -> Mapping[TopicPartition, int]:
        """Return the partitions owned since the last poll, with the numbers of assignment."""
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
            deliveries += [Delivery(*where, offset, key, value) for offset, key, value in rows]
            self._positions[where] = rows[-1][0] + 1
        return deliveries

    async def commit(self, progress: Sequence[Progress]) -> None:
        """Append the outputs and move the group on; raises PartitionsLost after a rebalance."""
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
                f"{topic}[{partition}] now belongs to another member", frozenset(lost)
            )

    async def lag(self) -> int:
        """Return how many records of the owned partitions are not yet committed."""
        committed = self._group.committed
        return sum(self._log.partition(tp).end - committed.get(tp, 0) for tp in self._positions)

    async def close(self) -> None:
        """Leave the group; what was not committed goes to another member, from the beginning."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._positions, self._numbers = {}, {}
            self._group.rebalance()
            self._log.changed.notify()

    def _any_waiting(self) -> bool:
        return any(self._waits(where) for where in self._positions)

    def _waits(self, where: TopicPartition) -> bool:
        return self._log.partition(where).end > self._positions[where]
