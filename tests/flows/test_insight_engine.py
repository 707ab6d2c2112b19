"""The insight engine on the event log: what it reads, keeps, tells on and survives."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from tests.unit.insights.walks import CAMERA, SITE, frame, identity

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory import MemoryEventLog
from trinetra.errors import StorageFull
from trinetra.events import topics
from trinetra.events.codec import decode, encode
from trinetra.events.schema import (
    AnyEvent,
    DeadLetter,
    InsightEvent,
    LineCrossing,
    Occupancy,
    Visit,
    ZoneStay,
)
from trinetra.events.topics import DEAD_LETTERS, IDENTITIES, INSIGHTS, Topic
from trinetra.insights.plan import CameraInsights, Line, Zone
from trinetra.insights.service import InsightEngine
from trinetra.ports import Delivery, Progress, Record, Subscription, TopicPartition
from trinetra.values import CameraId, CustomerId, Instant

TILL = CameraId("till")
PLAN = CameraInsights(
    zones=(Zone("table", ((0.4, 0.6), (0.6, 0.6), (0.6, 1.0), (0.4, 1.0)), min_dwell_s=1.0),),
    lines=(Line("entry", (0.0, 0.5), (1.0, 0.5)),),
)


@dataclass
class DictStore:
    """An insight store in a dict, which may be full."""

    rows: dict[str, InsightEvent] = field(default_factory=dict)
    is_full: bool = False
    has_rows: asyncio.Event = field(default_factory=asyncio.Event)

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        if self.is_full:
            raise StorageFull("no space left under the data folder")
        self.rows.update({insight.event_id: insight for insight in insights})
        self.has_rows.set()

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        found = [i for i in self.rows.values() if i.__struct_config__.tag == kind]
        return sorted((i for i in found if start <= i.captured_at < end), key=_captured)

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        mine = [v for v in self.of(Visit) if v.customer_id == customer_id]
        return max(mine, key=_captured, default=None)

    def of(self, kind: type) -> list:
        return [insight for insight in self.rows.values() if isinstance(insight, kind)]


def _captured(insight: InsightEvent) -> Instant:
    return insight.captured_at


@pytest.fixture
def store() -> DictStore:
    return DictStore()


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(SystemClock())


def guest(track: str, customer: str, start: float, camera: CameraId = CAMERA) -> list[AnyEvent]:
    """Someone comes in over the line, stands at the table for 4 s and is recognised."""
    path = [(0.5, 0.3), (0.5, 0.4), *[(0.5, 0.8)] * 20]
    walk = [frame(start + i * 0.2, {track: foot}, camera=camera) for i, foot in enumerate(path)]
    return [*walk, identity(start + 4.4, track, customer, started=start, camera=camera)]


def records(events: Sequence[AnyEvent]) -> list[Record]:
    return [Record(IDENTITIES, event.camera_id, encode(event)) for event in events]


def engine(log: object, store: DictStore) -> InsightEngine:
    plans = {CAMERA: PLAN, TILL: PLAN}
    return InsightEngine(SITE, log, store, plans, clock=SystemClock(), max_records=40, wait_s=0.01)


async def drain(log: object, store: DictStore) -> InsightEngine:
    """Run an engine until the log has no more."""
    stopping = asyncio.Event()
    stopping.set()
    service = engine(log, store)
    await service.run(stopping)
    return service


async def published(log: MemoryEventLog, topic: Topic) -> list[Delivery]:
    reader = await log.subscribe([topic], f"reader of {topic.name}")
    got, batch = [], await reader.poll(max_records=1000, wait_s=0)
    while batch:
        got += batch
        batch = await reader.poll(max_records=1000, wait_s=0)
    await reader.close()
    return got


async def test_from_positions_to_insights_in_the_store_and_on_the_log(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records(guest("t1", "ann", 0)))
    service = await drain(log, store)
    (crossed,), (stay,), (visit,) = store.of(LineCrossing), store.of(ZoneStay), store.of(Visit)
    assert (crossed.direction, crossed.customer_id) == ("in", "ann")
    assert (stay.dwell_s, stay.customer_id) == (3.8, "ann")
    assert (visit.customer_id, visit.visit_number) == ("ann", 1)
    assert [o.persons for o in store.of(Occupancy) if o.zone_id == "table"] == [0, 1]
    told = [decode(d.value) for d in await published(log, INSIGHTS)]
    assert {event.event_id: event for event in told} == store.rows
    status = service.status()
    assert (status.crossings_in, status.stays, status.visits, status.events) == (1, 1, 1, 23)


async def test_a_malformed_record_goes_to_the_dead_letters_and_costs_nothing_else(
    log: MemoryEventLog, store: DictStore
) -> None:
    good = records(guest("t1", "ann", 0))
    foreign = encode(frame(0.1, {"x": (0.5, 0.3)}))
    bad = [
        Record(IDENTITIES, CAMERA, b"{not json"),
        Record(IDENTITIES, CAMERA, foreign.replace(b'"site_id":"shop"', b'"site_id":"mall"')),
        Record(IDENTITIES, CAMERA, foreign.replace(b'"frame_width":800', b'"frame_width":0')),
        Record(IDENTITIES, CAMERA, encode(_some_insight())),
    ]
    await log.append([bad[0], *good[:5], *bad[1:], *good[5:]])
    service = await drain(log, store)
    assert len(store.of(ZoneStay)) == len(store.of(LineCrossing)) == 1
    assert service.status().rejected == 4
    letters = [_dead_letter(d.value) for d in await published(log, DEAD_LETTERS)]
    assert [letter.payload for letter in letters] == [record.value for record in bad]
    assert all(letter.topic == IDENTITIES.name and letter.reason for letter in letters)


def _some_insight() -> Occupancy:
    seen = frame(0)
    return Occupancy(
        event_id=seen.event_id,
        site_id=SITE,
        camera_id=CAMERA,
        captured_at=seen.captured_at,
        zone_id=None,
        persons=1,
    )


def _dead_letter(payload: bytes) -> DeadLetter:
    return msgspec.json.decode(payload, type=DeadLetter)


async def test_the_same_input_again_changes_nothing(log: MemoryEventLog, store: DictStore) -> None:
    events = records([*guest("t1", "ann", 0), *guest("t2", "bob", 60)])
    await log.append(events)
    await drain(log, store)
    before = dict(store.rows)
    await log.append(events)
    await drain(log, store)
    assert store.rows == before


async def test_frames_that_come_twice_in_one_run_are_counted_and_ignored(
    log: MemoryEventLog, store: DictStore
) -> None:
    events = records(guest("t1", "ann", 0))
    await log.append([*events, *events])
    service = await drain(log, store)
    assert len(store.of(ZoneStay)) == 1
    assert service.status().repeated == 22


async def test_a_customer_who_comes_back_after_a_restart_makes_the_second_visit(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records(guest("t1", "ann", 0)))
    await drain(log, store)
    await log.append(records([*guest("t2", "ann", 60), *guest("t3", "ann", 9000)]))
    await drain(log, store)
    visits = sorted(store.of(Visit), key=_captured)
    assert [v.visit_number for v in visits] == [1, 2]
    assert (visits[0].captured_at - visits[0].started_at).total_seconds() == pytest.approx(64.4)


async def test_a_day_in_one_batch_keeps_visits_apart_and_numbered(
    log: MemoryEventLog, store: DictStore
) -> None:
    events = [e for n in range(8) for e in guest(f"t{n}", "ann", n * 3600)]
    await log.append(records(events))
    await drain(log, store)
    assert sorted(v.visit_number for v in store.of(Visit)) == list(range(1, 9))


async def test_a_visit_spans_cameras(log: MemoryEventLog, store: DictStore) -> None:
    await log.append(records([*guest("t1", "ann", 0), *guest("u1", "ann", 30, TILL)]))
    await drain(log, store)
    (visit,) = store.of(Visit)
    assert (visit.cameras, visit.camera_id) == ((CAMERA, TILL), CAMERA)


async def test_a_full_disk_stops_the_engine_and_loses_nothing(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records(guest("t1", "ann", 0)))
    store.is_full = True
    with pytest.raises(StorageFull):
        await drain(log, store)
    assert await published(log, INSIGHTS) == []
    store.is_full = False
    await drain(log, store)
    assert len(store.of(ZoneStay)) == len(store.of(LineCrossing)) == len(store.of(Visit)) == 1


async def test_the_engine_is_ready_while_it_reads_and_stops_when_told(
    log: MemoryEventLog, store: DictStore
) -> None:
    service, stopping = engine(log, store), asyncio.Event()
    assert not service.ready()
    running = asyncio.create_task(service.run(stopping))
    await log.append(records(guest("t1", "ann", 0)))
    await store.has_rows.wait()
    assert service.ready()
    stopping.set()
    await running
    assert not service.ready()
    assert len(store.of(ZoneStay)) == 1


@dataclass
class Rival:
    """A log in which another member joins the group before this member's first commit."""

    inner: MemoryEventLog
    rival: Subscription | None = None

    async def append(self, records: Sequence[Record]) -> None:
        await self.inner.append(records)

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        return await self.inner.latest(topic, partition)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        return RivalledSubscription(await self.inner.subscribe(topics, group), self, topics, group)


@dataclass
class RivalledSubscription:
    inner: Subscription
    log: Rival
    topics: Sequence[Topic]
    group: str

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        return await self.inner.poll(max_records=max_records, wait_s=wait_s)

    def assignment(self) -> Mapping[TopicPartition, int]:
        return self.inner.assignment()

    async def commit(self, progress: Sequence[Progress]) -> None:
        if self.log.rival is None:
            self.log.rival = await self.log.inner.subscribe(self.topics, self.group)
        await self.inner.commit(progress)

    async def lag(self) -> int:
        return await self.inner.lag()

    async def close(self) -> None:
        await self.inner.close()


async def test_a_lost_partition_does_not_cost_the_insights_of_the_others(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records([*guest("u1", "bob", 0, TILL)[:10], *guest("t1", "ann", 0)[:10]]))
    places = {d.key: d.partition for d in await published(log, topics.IDENTITIES)}
    assert {places[CAMERA] % 2, places[TILL] % 2} == {0, 1}, "each camera must go to one member"
    rivalled = Rival(log)
    await drain(rivalled, store)
    told = [decode(d.value) for d in await published(log, INSIGHTS)]
    (kept,) = {e.camera_id for e in told if isinstance(e, LineCrossing)}
    assert rivalled.rival
    await rivalled.rival.close()
    await drain(log, store)
    told = [decode(d.value) for d in await published(log, INSIGHTS)]
    assert {e.camera_id for e in told if isinstance(e, LineCrossing)} == {TILL, CAMERA}
    assert len([e for e in told if isinstance(e, LineCrossing) and e.camera_id == kept]) == 1
