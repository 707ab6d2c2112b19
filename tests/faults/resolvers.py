"""Several resolvers over one log and one gallery, killed and replaced as a test likes.

Nothing here knows real time: members take turns in one event loop, so a seed always gives the same
interleaving.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from random import Random

from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.errors import GalleryUnavailable
from trinetra.events.codec import decode
from trinetra.events.schema import AnyEvent, DetectionEvent
from trinetra.events.topics import ALERTS, DETECTIONS, IDENTITIES, Topic
from trinetra.identities.context import ResolverContext
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.processor import identity_resolver
from trinetra.identities.registry_replica import RegistryReplica
from trinetra.identities.tracking.reorder_buffer import ReorderWindow, Slot
from trinetra.ports import (
    Clock,
    Delivery,
    EventLog,
    Progress,
    ReadableGallery,
    Record,
    Subscription,
    TopicPartition,
    TopicReader,
)
from trinetra.streaming.runner import StreamRunner
from trinetra.twin.emission import Arrival
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario, Sensing
from trinetra.twin.shop import built_in_shop
from trinetra.values import (
    EPOCH,
    CameraId,
    CustomerId,
    Embedding,
    GalleryEntry,
    GalleryMatch,
    Instant,
    SiteId,
)

MODEL, DIMENSION = "twin@1", 512
POLICY = ResolverPolicy(ends_tracks_at_stop=False)
_TICK_US = 100_000
_MOST_TURNS = 20_000
"""Far more than a tick ever takes: a frame that is not resolved by then is lost."""


class TurnClock:
    """Time that never passes: to sleep is to let everybody else have a turn."""

    def now(self) -> Instant:
        return EPOCH

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)


@dataclass
class InterruptibleGallery:
    """A real gallery; a member may be killed before and after everything it does there."""

    inner: ReadableGallery
    broken: bool = False

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise GalleryUnavailable("the gallery was switched off by the test")

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        await self._turn()
        found = await self.inner.search(embeddings, k)
        await asyncio.sleep(0)
        return found

    async def get(self, entry_ids: Sequence[str]) -> list[GalleryEntry]:
        await self._turn()
        return await self.inner.get(entry_ids)

    async def entries(self, batch_size: int) -> AsyncIterator[list[GalleryEntry]]:
        await self._turn()
        async for batch in self.inner.entries(batch_size):
            yield batch

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        await self._turn()
        await self.inner.upsert(entries)
        await asyncio.sleep(0)

    async def delete(self, customer_id: CustomerId) -> int:
        await self._turn()
        return await self.inner.delete(customer_id)

    async def delete_expired(self, now: Instant) -> int:
        await self._turn()
        return await self.inner.delete_expired(now)

    async def count(self) -> int:
        await self._turn()
        return await self.inner.count()


@dataclass
class InterruptibleLog:
    """A real log; a member may be killed before and after every commit and restoration."""

    inner: EventLog

    async def append(self, records: Sequence[Record]) -> None:
        await self.inner.append(records)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a group; who is killed meanwhile has joined, and leaves again."""
        joining = asyncio.ensure_future(self.inner.subscribe(topics, group))
        try:
            return InterruptibleSubscription(await asyncio.shield(joining))
        except asyncio.CancelledError:
            await (await joining).close()
            raise

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        await asyncio.sleep(0)
        values = await self.inner.latest(topic, partition)
        await asyncio.sleep(0)
        return values

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        await asyncio.sleep(0)
        return await self.inner.open_reader(topics, since=since)


@dataclass
class InterruptibleSubscription:
    inner: Subscription

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        return await self.inner.poll(max_records=max_records, wait_s=wait_s)

    def assignment(self) -> Mapping[TopicPartition, int]:
        return self.inner.assignment()

    async def commit(self, progress: Sequence[Progress]) -> None:
        await asyncio.sleep(0)
        await self.inner.commit(progress)
        await asyncio.sleep(0)

    async def lag(self) -> int:
        return await self.inner.lag()

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class Fleet:
    """The members of a resolver group, with what they share.

    They share a registry too, as if each had mirrored the others' sightings at once; if they are
    ``mirrored``, each has its own and mirrors. ``doors`` are the members' own ways to the log,
    where they need one each.
    """

    site_id: SiteId
    log: EventLog = field(default_factory=lambda: memory_log(TurnClock()))
    gallery: InterruptibleGallery = field(
        default_factory=lambda: InterruptibleGallery(MemoryGallery(DIMENSION))
    )
    graph: SiteGraph = field(default_factory=SiteGraph)
    clock: Clock = field(default_factory=TurnClock)
    registry: ActiveRegistry = field(default_factory=ActiveRegistry)
    policy: ResolverPolicy = POLICY
    model: str = MODEL
    doors: Sequence[EventLog] = ()
    mirrored: bool = False
    registries: list[ActiveRegistry] = field(default_factory=list)
    members: list[asyncio.Task[None]] = field(default_factory=list)
    killed: int = 0
    _used: dict[asyncio.Task[None], EventLog] = field(default_factory=dict)

    def resolver(self, log: EventLog | None = None) -> StreamRunner:
        door = InterruptibleLog(log or self.log)
        registry = ActiveRegistry() if self.mirrored else self.registry
        self.registries.append(registry)
        context = ResolverContext(
            site_id=self.site_id,
            gallery=self.gallery,
            registry=registry,
            graph=self.graph,
            clock=self.clock,
            model=self.model,
            dimension=DIMENSION,
        )
        background_tasks = [RegistryReplica(context, door)] if self.mirrored else []
        return identity_resolver(door, context, self.policy, background_tasks)

    def join(self) -> None:
        taken = list(self._used.values())
        door = next((door for door in self.doors if door not in taken), self.log)
        member = asyncio.create_task(self.resolver(door).run(asyncio.Event()))
        self._used[member] = door
        self.members.append(member)

    async def kill(self, index: int) -> None:
        """End a member where it stands: what it has not committed was never done."""
        member = self.members.pop(index)
        self.registries.pop(index)
        member.cancel()
        await asyncio.gather(member, return_exceptions=True)
        del self._used[member]
        self.killed += 1

    async def kill_all(self) -> None:
        while self.members:
            await self.kill(0)

    def check(self) -> None:
        """Raise what a member has died of by itself."""
        for member in self.members:
            if member.done():
                member.result()


async def eventually(met: Callable[[], bool]) -> None:
    """Let everybody have turns until a condition holds."""
    for _ in range(_MOST_TURNS):
        if met():
            return
        await asyncio.sleep(0)
    raise AssertionError("what was waited for did not happen")


def memory_log(clock: Clock) -> MemoryEventLog:
    return MemoryEventLog(clock, keep_records=10**6, max_records=10**6)


@dataclass
class Reader:
    """Everything the resolvers have said so far, by camera, in order, as bytes."""

    subscription: Subscription
    said: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    tracks: int = 0

    @classmethod
    async def on(cls, log: EventLog, group: str = "test") -> "Reader":
        return cls(await log.subscribe([IDENTITIES, ALERTS], group))

    async def until(self, met: Callable[["Reader"], bool]) -> None:
        """Read until something was said."""
        for _ in range(_MOST_TURNS):
            await self.read()
            if met(self):
                return
            await asyncio.sleep(0)
        raise AssertionError(f"of what was waited for nothing was said in {self.tracks} frames")

    async def read(self, wait_s: float = 0) -> None:
        got = await self.subscription.poll(max_records=10_000, wait_s=wait_s)
        for delivery in got:
            self.said[f"{delivery.topic}/{delivery.key}"].append(delivery.value)
            self.tracks += b'"type":"tracks"' in delivery.value

    def events(self) -> list[AnyEvent]:
        return [decode(value) for values in self.said.values() for value in values]


def twin_stream(seed: int, *, shoppers_per_hour: float, hours: float) -> list[Arrival]:
    """Return what a twin's cameras tell, shuffled by up to the span that resolvers wait."""
    sensing = Sensing(late_share=0.05, late_mean_s=0.2, max_delay_s=0.8)
    scenario = Scenario(seed, shoppers_per_hour, hours, sensing=sensing)
    return list(Twin(built_in_shop(), scenario).arrivals())


def ticks(arrivals: Iterable[Arrival], tick_us: int = _TICK_US) -> Iterator[list[Arrival]]:
    """Yield events in twinklings of the stream's time."""
    for _, group in itertools.groupby(arrivals, key=lambda a: a.at_us // tick_us):
        yield list(group)


@dataclass
class Expectation:
    """How many frames must be resolved by now: those that do not wait for one before them."""

    windows: dict[CameraId, ReorderWindow[None]] = field(default_factory=dict)
    released: int = 0

    def add(self, arrivals: Iterable[Arrival]) -> int:
        for arrival in arrivals:
            event = decode(arrival.payload)
            assert isinstance(event, DetectionEvent)
            window = self.windows.setdefault(event.camera_id, ReorderWindow(*POLICY.window))
            window.admit(Slot(event.frame_seq, event.captured_at, None))
        for window in self.windows.values():
            self.released += len(list(window.release()))
        return self.released


async def play(
    fleet: Fleet,
    arrivals: Iterable[Arrival],
    random: Random | None = None,
    *,
    kill_share: float = 0.1,
    most_kills: int = 5,
    tick_us: int = _TICK_US,
    wait_s: float = 0.0,
    at_the_end: Callable[[Reader], Awaitable[None]] | None = None,
) -> Reader:
    """Feed the fleet tick by tick until each is resolved; ``random`` says who is killed when.

    A tick is fed when the one before is done, so that cameras keep in step as they do in life. It
    takes ``most_kills`` at most: who is killed too often gets nowhere.
    """
    reader, expected = await Reader.on(fleet.log), Expectation()
    fleet.join()
    for tick in ticks(arrivals, tick_us):
        await fleet.log.append([Record(DETECTIONS, a.camera_id, a.payload) for a in tick])
        due = expected.add(tick)
        turns = shakes = 0
        while reader.tracks < due:
            await asyncio.sleep(0)
            turns += 1
            assert turns < _MOST_TURNS, f"of {due} frames only {reader.tracks} were resolved"
            fleet.check()
            if random is not None and shakes < most_kills and random.random() < kill_share:
                shakes += 1
                await _shake(fleet, random)
            await reader.read(wait_s)
    if at_the_end is not None:
        await at_the_end(reader)
    await fleet.kill_all()
    await reader.read(wait_s)
    return reader


async def _shake(fleet: Fleet, random: Random) -> None:
    """Kill a member, replace one, or let one more join; there is always one, at most three."""
    if random.random() < 0.6 or len(fleet.members) == 3:
        await fleet.kill(random.randrange(len(fleet.members)))
    if not fleet.members or random.random() < 0.6:
        fleet.join()
