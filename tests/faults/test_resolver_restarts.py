"""The state that the next owner of a partition restores, and behavior during outages."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from tests.faults.resolvers import (
    Fleet,
    InterruptibleGallery,
    Reader,
    TurnClock,
    eventually,
    memory_log,
)
from tests.flows.shop import SITE, Person, record, visit

from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.errors import EventLogUnavailable
from trinetra.events.schema import DetectionEvent, IdentityEvent, TracksEvent
from trinetra.events.topics import RESOLVER_STATE, Topic
from trinetra.ports import Delivery, EventLog, Progress, Record, Subscription, TopicPartition
from trinetra.telemetry import EVENTS_LATE, STATE_REJECTED
from trinetra.values import GalleryEntry

ANNA, BEN = Person(1), Person(2)


def fleet(**what: object) -> Fleet:
    return Fleet(SITE, model="test@1", **what)


def frames(**what: object) -> list[DetectionEvent]:
    return list(visit("door", 0, [Person(1), Person(2)], **what))


async def tell(shop: Fleet, events: Iterable[DetectionEvent]) -> None:
    await shop.log.append([record(event) for event in events])


def identities(reader: Reader) -> list[IdentityEvent]:
    return [e for e in reader.events() if isinstance(e, IdentityEvent)]


def tracks(reader: Reader) -> set[str]:
    return {t.track_id for e in reader.events() if isinstance(e, TracksEvent) for t in e.tracks}


async def state_of(shop: Fleet) -> dict[str, bytes]:
    """Return the complete stored state."""
    values: dict[str, bytes] = {}
    for partition in range(RESOLVER_STATE.partitions):
        values |= await shop.log.latest(RESOLVER_STATE, partition)
    return values


async def test_an_open_track_goes_on_with_its_identity_after_its_owner_was_killed() -> None:
    shop, walk = fleet(), frames(seconds=6.0)
    reader = await Reader.on(shop.log)
    shop.join()
    await tell(shop, walk[:12])
    await reader.until(lambda r: r.tracks == 12)
    await shop.kill_all()
    shop.join()
    await tell(shop, walk[12:])
    await reader.until(lambda r: r.tracks == len(walk))
    assert len(tracks(reader)) == 2
    assert [e.status for e in identities(reader)] == ["unknown", "unknown", "new", "new"]


async def test_when_all_tracks_have_ended_only_the_camera_is_remembered() -> None:
    shop, walk = fleet(), frames()
    reader = await Reader.on(shop.log)
    shop.join()
    await tell(shop, walk)
    await reader.until(lambda r: r.tracks == len(walk))
    await until_only_the_camera(shop)
    assert len(tracks(reader)) == 2


async def until_in_gallery(shop: Fleet, entries: int) -> None:
    while await shop.gallery.count() < entries:
        shop.check()


async def until_only_the_camera(shop: Fleet) -> None:
    while set(await state_of(shop)) != {"camera/door"}:
        await asyncio.sleep(0)
        shop.check()


async def test_what_a_worker_sends_twice_is_a_duplicate_also_after_a_restart() -> None:
    shop, walk = fleet(), frames()
    late = EVENTS_LATE.labels("door", "duplicate"), EVENTS_LATE.labels("door", "late")
    before = sum(counter._value.get() for counter in late)
    reader = await Reader.on(shop.log)
    shop.join()
    await tell(shop, walk[:9])
    await reader.until(lambda r: r.tracks == 9)
    await shop.kill_all()
    shop.join()
    await tell(shop, walk[4:])
    await reader.until(lambda r: r.tracks == len(walk))
    assert sum(counter._value.get() for counter in late) == before + 5
    seqs = [e.frame_seq for e in reader.events() if isinstance(e, TracksEvent)]
    assert seqs == sorted(set(seqs))


async def test_a_track_that_the_gallery_missed_is_asked_about_again_after_a_restart() -> None:
    shop, walk = fleet(), frames(seconds=6.0)
    shop.gallery.broken = True
    reader = await Reader.on(shop.log)
    shop.join()
    await tell(shop, walk[:15])
    await reader.until(lambda r: r.tracks == 15)
    assert {e.reasons for e in identities(reader)} == {("gallery_unavailable",)}
    await shop.kill_all()
    shop.gallery.broken = False
    shop.join()
    await tell(shop, walk[15:17])
    await reader.until(lambda r: r.tracks == 17)
    assert [e.status for e in identities(reader)[-2:]] == ["new", "new"]


@dataclass
class DeafGallery(InterruptibleGallery):
    """A gallery in which every entry gets stuck while ``stuck`` is set."""

    stuck: bool = True

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        await super().upsert(entries)


async def test_whoever_was_announced_gets_into_the_gallery_though_its_resolver_was_killed() -> None:
    gallery = DeafGallery(MemoryGallery(512))
    shop, walk = fleet(gallery=gallery), frames(seconds=6.0)
    reader = await Reader.on(shop.log)
    shop.join()
    await tell(shop, walk[:15])
    await reader.until(lambda r: r.tracks == 15)
    assert {e.status for e in identities(reader)} == {"unknown", "new"}
    assert await gallery.count() == 0
    await shop.kill_all()
    gallery.stuck = False
    shop.join()
    await until_in_gallery(shop, 6)
    await tell(shop, walk[15:])
    await reader.until(lambda r: r.tracks == len(walk))
    assert len({e.customer_id for e in identities(reader) if e.customer_id}) == 2


async def test_state_of_another_version_is_counted_and_begun_anew() -> None:
    shop, walk = fleet(), frames(seconds=6.0)
    reader = await Reader.on(shop.log)
    shop.join()
    await tell(shop, walk[:10])
    await reader.until(lambda r: r.tracks == 10)
    await until_in_gallery(shop, 6)
    await shop.kill_all()
    spoilt = 0
    for partition in range(RESOLVER_STATE.partitions):
        values = await shop.log.latest(RESOLVER_STATE, partition)
        records = [Record(RESOLVER_STATE, key, b"\xff", partition) for key in values]
        await shop.log.append(records)
        spoilt += len(records)
    before = STATE_REJECTED.labels(RESOLVER_STATE.name)._value.get()
    shop.join()
    await tell(shop, walk[10:])
    await reader.until(lambda r: r.tracks == len(walk))
    assert STATE_REJECTED.labels(RESOLVER_STATE.name)._value.get() == before + spoilt > before
    assert len(tracks(reader)) == 4
    assert {e.status for e in identities(reader)[-2:]} == {"known"}


async def test_a_stop_is_quick_however_much_is_left_to_read_and_ends_no_track() -> None:
    shop, walk = fleet(), frames(seconds=200.0)
    resolver, stopping = fleet(log=shop.log).resolver(), asyncio.Event()
    reader = await Reader.on(shop.log)
    await tell(shop, walk)
    running = asyncio.create_task(resolver.run(stopping))
    await reader.until(lambda r: r.tracks > 0)
    stopping.set()
    await running
    await reader.read()
    assert 0 < reader.tracks < len(walk)
    assert not any(e.ended for e in reader.events() if isinstance(e, TracksEvent))
    shop.join()
    await reader.until(lambda r: r.tracks == len(walk))
    assert len(tracks(reader)) == 2


# --- the log is down --------------------------------------------------------------------------


@dataclass
class Switch:
    """Selects the calls of the event log that fail."""

    off: frozenset[str] = frozenset()
    refused: list[str] = field(default_factory=list)

    def check(self, call: str) -> None:
        if call in self.off:
            self.refused.append(call)
            raise EventLogUnavailable(f"the log was switched off by the test ({call})")


@dataclass
class SwitchedLog:
    inner: EventLog
    switch: Switch

    async def append(self, records: Sequence[Record]) -> None:
        await self.inner.append(records)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        self.switch.check("subscribe")
        return SwitchedSubscription(await self.inner.subscribe(topics, group), self.switch)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        self.switch.check("latest")
        return await self.inner.latest(topic, partition)


@dataclass
class SwitchedSubscription:
    inner: Subscription
    switch: Switch

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        self.switch.check("poll")
        return await self.inner.poll(max_records=max_records, wait_s=wait_s)

    def assignment(self) -> Mapping[TopicPartition, int]:
        return self.inner.assignment()

    async def commit(self, progress: Sequence[Progress]) -> None:
        await self.inner.commit(progress)

    async def lag(self) -> int:
        self.switch.check("lag")
        return await self.inner.lag()

    async def close(self) -> None:
        await self.inner.close()


@pytest.mark.parametrize("call", ["subscribe", "latest", "poll", "lag"])
async def test_a_log_that_does_not_answer_is_waited_for_and_nothing_is_lost(call: str) -> None:
    inner, switch, walk = memory_log(TurnClock()), Switch(frozenset({call})), frames()
    shop = fleet(log=inner)
    reader = await Reader.on(inner)
    await tell(shop, walk)
    resolver, stopping = fleet(log=SwitchedLog(inner, switch)).resolver(), asyncio.Event()
    running = asyncio.create_task(resolver.run(stopping))
    await eventually(lambda: len(switch.refused) >= 3)
    assert not resolver.ready()
    assert "switched off" in str(resolver.status())
    switch.off = frozenset()
    await reader.until(lambda r: r.tracks == len(walk))
    assert resolver.ready()
    stopping.set()
    await running


@pytest.mark.parametrize("call", ["subscribe", "latest", "poll", "lag"])
async def test_a_resolver_stops_though_the_log_does_not_answer(call: str) -> None:
    inner, switch = memory_log(TurnClock()), Switch(frozenset({call}))
    await tell(fleet(log=inner), frames())
    shop = fleet(log=SwitchedLog(inner, switch))
    stopping = asyncio.Event()
    running = asyncio.create_task(shop.resolver().run(stopping))
    await eventually(lambda: bool(switch.refused))
    stopping.set()
    await running


async def test_who_loses_a_partition_forgets_it_and_the_new_owner_doubles_nothing() -> None:
    shop, walk = fleet(), frames(seconds=10.0)
    many = [
        msgspec.structs.replace(event, camera_id=camera, event_id=f"{event.event_id}{camera}")
        for event in walk
        for camera in ("a", "b", "c", "d", "e", "f")
    ]
    reader = await Reader.on(shop.log)
    shop.join()
    for at in range(0, len(many), 60):
        await tell(shop, many[at : at + 60])
        if len(shop.members) < 3:
            shop.join()
        await reader.read()
    await reader.until(lambda r: r.tracks == len(many))
    seen = [(e.camera_id, e.frame_seq) for e in reader.events() if isinstance(e, TracksEvent)]
    assert len(seen) == len(set(seen)) == len(many)
    assert len(tracks(reader)) == 12


async def test_an_embedded_resolver_writes_no_state_and_ends_its_tracks() -> None:
    policy = replace(fleet().policy, ends_tracks_at_stop=True)
    shop, walk, stopping = fleet(policy=policy), frames()[:10], asyncio.Event()
    await tell(shop, walk)
    stopping.set()
    await shop.resolver().run(stopping)
    reader = await Reader.on(shop.log)
    await reader.read()
    assert await state_of(shop) == {}
    ended = {t for e in reader.events() if isinstance(e, TracksEvent) for t in e.ended}
    assert ended == tracks(reader)
    assert len(ended) == 2
