"""The insight engine on the event log: inputs, state, outputs and fault tolerance."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from tests.unit.insights.walks import CAMERA, SITE, at, frame, identity

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import EventLogUnavailable, StorageFull, StoreUnavailable
from trinetra.events import topics
from trinetra.events.codec import decode, encode
from trinetra.events.customers import CustomerDirectory
from trinetra.events.schema import (
    AnyEvent,
    DeadLetter,
    InsightEvent,
    LineCrossing,
    Occupancy,
    Visit,
    ZoneStay,
)
from trinetra.events.sightings import Sighting, encode_sighting
from trinetra.events.topics import (
    ALERTS,
    DEAD_LETTERS,
    IDENTITIES,
    INSIGHT_STATE,
    INSIGHTS,
    SIGHTINGS,
    VISIT_STATE,
    Topic,
)
from trinetra.events.visits import unite
from trinetra.insights.config import CameraInsights, Line, StayLimit, Zone
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.ports import Delivery, Progress, Record, Subscription, TopicPartition
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.telemetry import STATE_REJECTED
from trinetra.values import CameraId, CustomerId, IdentityKind, Instant, SiteId

TILL = CameraId("till")
PLAN = CameraInsights(
    zones=(Zone("table", ((0.4, 0.6), (0.6, 0.6), (0.6, 1.0), (0.4, 1.0)), min_dwell_s=1.0),),
    lines=(Line("entry", (0.0, 0.5), (1.0, 0.5)),),
    stay_limits=(StayLimit("table", "long_wait", 3.0),),
)


@dataclass
class DictStore:
    """An insight store in a dict, which may be full, or down for some calls."""

    rows: dict[str, InsightEvent] = field(default_factory=dict)
    is_full: bool = False
    away: int = 0
    has_rows: asyncio.Event = field(default_factory=asyncio.Event)
    people: CustomerDirectory = field(default_factory=CustomerDirectory)

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        self.answer()
        if self.is_full:
            raise StorageFull("no space left under the data folder")
        self.rows.update({insight.event_id: insight for insight in insights})
        self.has_rows.set()

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        found = [i for i in self.rows.values() if i.__struct_config__.tag == kind]
        return sorted((i for i in found if start <= i.captured_at < end), key=_captured)

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        self.answer()
        mine = [v for v in self.of(Visit) if v.customer_id == customer_id]
        return max(mine, key=_captured, default=None)

    async def know(
        self, people: CustomerDirectory, changed: Collection[CustomerId] | None = None
    ) -> None:
        self.answer()
        self.people = people

    async def visits(self, start: Instant, end: Instant, gap_s: float) -> list[Visit]:
        united = unite(self.of(Visit), self.people.canonical, gap_s)
        return [visit for visit in united if start <= visit.captured_at < end]

    def answer(self) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("postgresql://ann:hunter2@db/shop does not answer")

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
    """A person comes in over the line, stands at the table for 4 s and is recognized."""
    path = [(0.5, 0.34), (0.5, 0.58), *[(0.5, 0.8)] * 20]
    walk = [frame(start + i * 0.2, {track: foot}, camera=camera) for i, foot in enumerate(path)]
    return [*walk, identity(start + 4.4, track, customer, started=start, camera=camera)]


def records(events: Sequence[AnyEvent]) -> list[Record]:
    return [Record(IDENTITIES, event.camera_id, encode(event)) for event in events]


def engine(log: object, store: DictStore, *, concludes: bool = True) -> StreamRunner:
    return insight_engine(
        log,
        store,
        SystemClock(),
        SiteInsights(SITE, {CAMERA: PLAN, TILL: PLAN}),
        policy=RunnerPolicy(max_records=40, poll_wait_s=0.01, drains_at_stop=concludes),
    )


async def drain(log: object, store: DictStore) -> StreamRunner:
    """Run an engine to the end of the log."""
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
    counts = [(o.persons, bool(o.unseen)) for o in store.of(Occupancy) if o.zone_id == "table"]
    assert counts == [(0, False), (1, False), (0, True)]
    told = [decode(d.value) for d in await published(log, INSIGHTS)]
    assert {event.event_id: event for event in told} == store.rows
    [wait] = [decode(d.value) for d in await published(log, ALERTS)]
    assert (wait.rule, wait.captured_at < stay.captured_at) == ("long_wait", True)
    status = service.status()
    assert [status[k] for k in ("crossings_in", "stays", "visits", "events")] == [1, 1, 1, 23]


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
    assert service.status()["rejected"] == 4
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
    assert service.status()["repeated"] == 22


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


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_visit_follows_its_track_to_another_customer(
    log: MemoryEventLog, store: DictStore, *, restarts: bool
) -> None:
    corrected = identity(6, "t1", "bob", started=0)
    await log.append(records(guest("t1", "ann", 0)))
    if restarts:
        await worked_off(log, store)
    await log.append(records([frame(6), corrected, frame(20)]))
    await drain(log, store)
    once = {v.customer_id: (bool(v.withdrawn), v.started_at) for v in store.of(Visit)}
    assert once == {"ann": (True, at(0)), "bob": (False, at(0))}
    assert [c.customer_id for c in store.of(LineCrossing)] == ["bob"]
    told = {e.event_id: e for e in (decode(d.value) for d in await published(log, INSIGHTS))}
    assert told == store.rows
    await log.append(records([*guest("t1", "ann", 0), corrected]))
    await drain(log, store)
    assert {v.customer_id: (bool(v.withdrawn), v.started_at) for v in store.of(Visit)} == once


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


async def worked_off(log: MemoryEventLog, store: DictStore) -> StreamRunner:
    """Run an engine to the end of the log, leaving its state to others."""
    service, stopping = engine(log, store, concludes=False), asyncio.Event()
    running = asyncio.create_task(service.run(stopping))
    await until(lambda: unread(log) == 0, running)
    stopping.set()
    await running
    return service


async def until(is_so: Callable[[], bool], running: asyncio.Task[None]) -> None:
    """Run the event loop until the condition holds."""
    while not is_so():
        if running.done():
            running.result()
        await asyncio.sleep(0.001)


def unread(log: MemoryEventLog) -> int:
    group = log._groups.get("insight-engine-group")
    places = [(t.name, p) for t in (IDENTITIES, SIGHTINGS) for p in range(t.partitions)]
    done = group.committed if group else {}
    return sum(log.partition(place).end - done.get(place, 0) for place in places)


async def test_what_goes_on_when_an_engine_stops_is_ended_by_the_next(
    log: MemoryEventLog, store: DictStore
) -> None:
    events = guest("t1", "ann", 0)
    await log.append(records(events[:12]))
    first = await worked_off(log, store)
    assert first.status()["events"] == 12
    assert store.of(ZoneStay) == []
    await log.append(records([*events[12:], frame(9, {}), frame(20, {})]))
    await worked_off(log, store)
    (stay,), (visit,), (crossed,) = store.of(ZoneStay), store.of(Visit), store.of(LineCrossing)
    assert (stay.track_id, stay.dwell_s, stay.customer_id) == ("t1", 3.8, "ann")
    assert (visit.started_at, visit.captured_at) == (at(0), at(4.4))
    assert crossed.customer_id == "ann"


async def test_an_engine_that_leaves_its_state_to_others_stops_at_once_however_much_waits(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records([e for n in range(50) for e in guest(f"t{n}", "ann", n * 60)]))
    service, stopping = engine(log, store, concludes=False), asyncio.Event()
    stopping.set()
    await service.run(stopping)
    assert service.status()["events"] == 0
    assert unread(log) == 50 * 23


async def test_several_engines_share_the_work_and_tell_everything_once(
    log: MemoryEventLog, store: DictStore
) -> None:
    events = [
        event
        for n in range(6)
        for event in (
            *guest(f"t{n}", f"c{n}", n * 60),
            *guest(f"u{n}", f"c{n}", n * 60 + 20, TILL),
            *(frame(n * 60 + 50, {}, camera=camera) for camera in (CAMERA, TILL)),
        )
    ]
    services = [engine(log, store, concludes=False) for _ in range(3)]
    stopping = asyncio.Event()
    running = [asyncio.create_task(service.run(stopping)) for service in services]
    await until(lambda: [len(s.status()["partitions"]) for s in services] == [6, 5, 5], running[0])
    await log.append(records(events))
    await until(lambda: unread(log) == 0, running[0])
    stopping.set()
    await asyncio.gather(*running)
    alone, alone_store = MemoryEventLog(SystemClock()), DictStore()
    await alone.append(records(events))
    await worked_off(alone, alone_store)
    assert sum(service.status()["events"] for service in services) == len(events)
    assert store.rows == alone_store.rows
    assert of_cameras(await published(log, INSIGHTS)) == of_cameras(
        await published(alone, INSIGHTS)
    )


def of_cameras(told: Sequence[Delivery]) -> Counter[bytes]:
    return Counter(d.value for d in told if not isinstance(decode(d.value), Visit))


@dataclass
class FlickeringLog(Rival):
    """A log that is down for the first calls of each kind."""

    away: dict[str, int] = field(default_factory=dict)

    def answer(self, question: str) -> None:
        if self.away.get(question):
            self.away[question] -= 1
            raise EventLogUnavailable(f"no broker answers a {question}")

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        self.answer("latest")
        return await self.inner.latest(topic, partition)

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        self.answer("subscribe")
        member = await self.inner.subscribe(topics, group)
        return FlickeringSubscription(member, self, topics, group)


@dataclass
class FlickeringSubscription(RivalledSubscription):
    log: FlickeringLog

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        self.log.answer("poll")
        return await self.inner.poll(max_records=max_records, wait_s=wait_s)

    async def commit(self, progress: Sequence[Progress]) -> None:
        await self.inner.commit(progress)

    async def lag(self) -> int:
        self.log.answer("lag")
        return await self.inner.lag()


@pytest.mark.parametrize(
    ("question", "times"), [("subscribe", 2), ("poll", 2), ("latest", 20), ("lag", 2)]
)
async def test_an_outage_of_the_log_is_waited_out_and_said(
    log: MemoryEventLog, store: DictStore, question: str, times: int
) -> None:
    await log.append(records(guest("t1", "ann", 0)))
    flickering = FlickeringLog(log, away={question: times})
    service, stopping = engine(flickering, store), asyncio.Event()
    running = asyncio.create_task(service.run(stopping))
    outage = f"no broker answers a {question}"
    await until(lambda: service.status().get("waiting") == outage, running)
    assert not service.ready()
    await until(lambda: unread(log) == 0 and service.ready(), running)
    assert service.status().get("waiting") is None
    stopping.set()
    await running
    assert len(store.of(ZoneStay)) == len(store.of(Visit)) == 1


async def test_an_outage_of_the_store_is_waited_out_and_said_without_its_password(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records(guest("t1", "ann", 0)))
    store.away = 3
    service, stopping = engine(log, store), asyncio.Event()
    running = asyncio.create_task(service.run(stopping))
    outage = "postgresql://***@db/shop does not answer"
    await until(lambda: service.status().get("waiting") == outage, running)
    assert not service.ready()
    stopping.set()
    await running
    told = [decode(d.value) for d in await published(log, INSIGHTS)]
    assert {event.event_id: event for event in told} == store.rows
    assert len(store.of(ZoneStay)) == len(store.of(LineCrossing)) == len(store.of(Visit)) == 1


async def test_told_to_stop_in_an_outage_an_engine_leaves_the_rest_to_the_next(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records(guest("t1", "ann", 0)))
    store.away = 10**6
    service, stopping = engine(log, store, concludes=False), asyncio.Event()
    running = asyncio.create_task(service.run(stopping))
    await until(lambda: service.status().get("waiting") is not None, running)
    stopping.set()
    await running
    assert store.rows == {}
    store.away = 0
    await drain(log, store)
    assert len(store.of(ZoneStay)) == len(store.of(LineCrossing)) == len(store.of(Visit)) == 1


async def test_after_an_outage_nothing_is_stored_of_what_others_took_over_meanwhile(
    log: MemoryEventLog, store: DictStore
) -> None:
    await log.append(records([*guest("u1", "bob", 0, TILL)[:10], *guest("t1", "ann", 0)[:10]]))
    store.away = 1
    service, stopping = engine(log, store, concludes=False), asyncio.Event()
    running = asyncio.create_task(service.run(stopping))
    await until(lambda: service.status().get("waiting") is not None, running)
    rival = await log.subscribe([IDENTITIES, SIGHTINGS], "insight-engine-group")
    await store.has_rows.wait()
    stopping.set()
    await running
    assert len({insight.camera_id for insight in store.rows.values()}) == 1
    await rival.close()


@pytest.mark.parametrize(("topic", "key"), [(INSIGHT_STATE, CAMERA), (VISIT_STATE, "ann")])
async def test_state_that_cannot_be_read_is_counted_and_begun_anew(
    log: MemoryEventLog, store: DictStore, topic: Topic, key: str
) -> None:
    await log.append(records([*guest("t1", "ann", 0), frame(30, {}), frame(35, {})]))
    await worked_off(log, store)
    held = [p for p in range(topic.partitions) if key in await log.latest(topic, p)]
    await log.append([Record(topic, key, b"\xffnewer", partition) for partition in held])
    before = STATE_REJECTED.labels(topic.name)._value.get()
    await log.append(records([*guest("t2", "ann", 60), frame(90, {}), frame(95, {})]))
    await worked_off(log, store)
    assert len(held) == 1
    assert STATE_REJECTED.labels(topic.name)._value.get() == before + 1
    (visit,) = store.of(Visit)
    assert (visit.started_at, visit.captured_at, visit.visit_number) == (at(0), at(64.4), 1)
    assert len(store.of(ZoneStay)) == 2


async def test_without_a_log_to_remember_visits_go_on_from_the_store(store: DictStore) -> None:
    for start in (0, 60, 9000):
        log = MemoryEventLog(SystemClock())
        await log.append(records(guest(f"t{start}", "ann", start)))
        await drain(log, store)
    visits = sorted(store.of(Visit), key=_captured)
    assert [v.visit_number for v in visits] == [1, 2]
    assert (visits[0].captured_at - visits[0].started_at).total_seconds() == pytest.approx(64.4)


async def test_a_visit_that_is_over_leaves_no_state_behind(
    log: MemoryEventLog, store: DictStore
) -> None:
    names = ("ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ida", "jon")
    for number, name in enumerate(names):
        events = guest(f"t{number}", name, number * 7200)
        await log.append(records([*events, frame(number * 7200 + 60, {})]))
        await worked_off(log, store)
    kept = [key for p in range(8) for key in await log.latest(VISIT_STATE, p)]
    partitions = {d.partition for d in await published(log, SIGHTINGS)}
    assert len(store.of(Visit)) == len(names)
    assert len(kept) == len(partitions) < len(names)


async def test_sightings_that_cannot_be_read_go_to_the_dead_letters(
    log: MemoryEventLog, store: DictStore
) -> None:
    foreign = Sighting(
        site_id=SiteId("mall"),
        camera_id=CAMERA,
        customer_id=CustomerId("ann"),
        kind=IdentityKind.ENROLLED,
        since=at(0),
        until=at(1),
    )
    bad = [Record(SIGHTINGS, "ann", b"{gossip"), Record(SIGHTINGS, "ann", encode_sighting(foreign))]
    await log.append([bad[0], *records(guest("t1", "ann", 0)), bad[1]])
    service = await drain(log, store)
    letters = [_dead_letter(d.value) for d in await published(log, DEAD_LETTERS)]
    assert [letter.payload for letter in letters] == [record.value for record in bad]
    assert service.status()["rejected"] == 2
    assert len(store.of(Visit)) == 1
