"""Insight engines that join, leave and die at any moment produce the output of a stable one.

Members take turns in one event loop without real time, so a seed always gives the same
interleaving. They are killed between any two external effects, and replaced half of the time.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest
from tests.faults.resolvers import InterruptibleLog, TurnClock
from tests.unit.insights.strolls import CAMERAS, LEAST_PAUSE_S, PLAN, stroll
from tests.unit.insights.walks import SITE, at

from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.errors import StoreUnavailable
from trinetra.events import topics
from trinetra.events.codec import decode, encode
from trinetra.events.customers import CustomerDirectory
from trinetra.events.schema import AnyEvent, InsightEvent, Visit
from trinetra.events.sightings import Sighting, encode_sighting
from trinetra.events.topics import IDENTITIES, INSIGHTS
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.ports import Record
from trinetra.streaming.runner import RunnerPolicy
from trinetra.values import CustomerId, IdentityKind, Instant, seconds_between

GROUP = "insight-engine-group"


class KilledError(Exception):
    """Raised by the store to kill a member right after it wrote."""


@dataclass
class Shelf:
    """Insights in a dictionary; a member may be killed before and after every call."""

    rows: dict[str, InsightEvent] = field(default_factory=dict)
    outage: int = 0
    is_deadly: bool = False

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.outage:
            self.outage -= 1
            raise StoreUnavailable("the store was switched off by the test")

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        await self._turn()
        self.rows.update({insight.event_id: insight for insight in insights})
        await asyncio.sleep(0)
        if self.is_deadly:
            raise KilledError

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        raise NotImplementedError

    async def know(
        self, people: CustomerDirectory, changed: Collection[CustomerId] | None = None
    ) -> None:
        raise NotImplementedError

    async def visits(self, start: Instant, end: Instant, gap_s: float) -> list[Visit]:
        raise NotImplementedError

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        await self._turn()
        mine = (v for v in self.rows.values() if isinstance(v, Visit))
        return max(
            (v for v in mine if v.customer_id == customer_id),
            key=lambda v: v.captured_at,
            default=None,
        )


@dataclass
class Crew:
    """The members of a group of engines, and their shared log and store."""

    log: MemoryEventLog = field(
        default_factory=lambda: MemoryEventLog(TurnClock(), keep_records=10**6)
    )
    store: Shelf = field(default_factory=Shelf)
    members: list[tuple[asyncio.Task[None], asyncio.Event]] = field(default_factory=list)

    def hire(self, max_records: int) -> None:
        engine = insight_engine(
            InterruptibleLog(self.log),
            self.store,
            TurnClock(),
            SiteInsights(SITE, dict.fromkeys(CAMERAS, PLAN)),
            policy=RunnerPolicy(max_records=max_records, poll_wait_s=0.01, drains_at_stop=False),
        )
        stopping = asyncio.Event()
        self.members.append((asyncio.create_task(engine.run(stopping)), stopping))

    async def kill(self, number: int) -> None:
        task, _ = self.members.pop(number)
        task.cancel()
        await asyncio.wait({task})

    async def send_home(self, number: int) -> None:
        task, stopping = self.members.pop(number)
        stopping.set()
        await task

    async def everyone_leaves(self) -> None:
        while self.members:
            await self.send_home(0)

    def unread(self) -> int:
        committed = self.log._groups[GROUP].committed if GROUP in self.log._groups else {}
        places = [(t.name, p) for t in (IDENTITIES, topics.SIGHTINGS) for p in range(t.partitions)]
        return sum(self.log.partition(place).end - committed.get(place, 0) for place in places)

    def check(self) -> None:
        for task, _ in self.members:
            if task.done():
                task.result()

    async def told(self) -> list[bytes]:
        reader = await self.log.subscribe([INSIGHTS], "reader")
        got = []
        while batch := await reader.poll(max_records=10_000, wait_s=0):
            got += batch
        await reader.close()
        return [delivery.value for delivery in got]


def records(events: Sequence[AnyEvent]) -> list[Record]:
    return [Record(IDENTITIES, event.camera_id, encode(event)) for event in events]


def pieces(events: Sequence[AnyEvent]) -> list[list[AnyEvent]]:
    """Return the events burst by burst, so that no camera gets a visit's gap ahead of another."""
    breaks = [
        number
        for number, (one, next_one) in enumerate(itertools.pairwise(events), start=1)
        if seconds_between(one.captured_at, next_one.captured_at) > LEAST_PAUSE_S
    ]
    return [list(events[a:b]) for a, b in itertools.pairwise([0, *breaks, len(events)])]


async def caught_up(crew: Crew) -> None:
    """Give all members turns until nothing is left to read."""
    while crew.unread():
        crew.check()
        await asyncio.sleep(0)


async def undisturbed(events: Sequence[AnyEvent]) -> Crew:
    crew = Crew()
    crew.hire(max_records=100)
    for piece in pieces(events):
        await crew.log.append(records(piece))
        await caught_up(crew)
    await crew.everyone_leaves()
    return crew


async def disturbed(events: Sequence[AnyEvent], random: Random) -> Crew:
    crew = Crew()
    for piece in pieces(events):
        await crew.log.append(records(piece))
        while crew.unread():
            crew.check()
            deed = random.random()
            if len(crew.members) < 3 and deed < 0.3:
                crew.hire(max_records=random.choice([3, 20, 200]))
            elif crew.members and deed < 0.45:
                await crew.kill(random.randrange(len(crew.members)))
            elif crew.members and deed < 0.5:
                await crew.send_home(random.randrange(len(crew.members)))
            elif deed < 0.55:
                crew.store.outage += random.randrange(4)
            for _ in range(random.randrange(1, 60)):
                await asyncio.sleep(0)
    crew.store.outage = 0
    await crew.everyone_leaves()
    return crew


def of_cameras(told: Sequence[bytes]) -> Counter[bytes]:
    return Counter(value for value in told if not isinstance(decode(value), Visit))


def of_visits(told: Sequence[bytes]) -> Counter[bytes]:
    return Counter(value for value in told if isinstance(decode(value), Visit))


def last_of_each(told: Sequence[bytes]) -> dict[str, AnyEvent]:
    return {event.event_id: event for event in map(decode, told)}


def final(events: Mapping[str, AnyEvent]) -> dict[str, AnyEvent]:
    """Return the events without what depends on the states that a visit went through.

    That is the number of these states, and what a visit was before it was withdrawn.
    """
    return {
        event_id: msgspec.structs.replace(event, revision=msgspec.UNSET)
        if isinstance(event, Visit)
        else event
        for event_id, event in events.items()
        if not (isinstance(event, Visit) and event.withdrawn)
    }


@pytest.mark.parametrize("seed", range(6))
async def test_members_that_come_go_and_die_lose_nothing_and_double_nothing(seed: int) -> None:
    events = stroll(Random(seed))
    calm = await undisturbed(events)
    crew = await disturbed(events, Random(1000 + seed))
    expected, told = await calm.told(), await crew.told()
    assert of_cameras(told) == of_cameras(expected)
    # The order of sightings from several cameras is random, and with it the intermediate states of
    # a visit; the final state is not.
    assert final(last_of_each(told)) == final(last_of_each(expected))
    assert last_of_each(told).keys() == last_of_each(expected).keys()
    assert max(of_visits(told).values()) == 1
    assert crew.store.rows == last_of_each(told)
    assert final(crew.store.rows) == final(calm.store.rows)
    assert sum(isinstance(event, Visit) for event in last_of_each(told).values()) > 10


async def test_a_member_killed_after_every_step_in_turn_still_gets_there() -> None:
    """Kill at the n-th turn of the event loop, for every n until the work is done before that."""
    events = stroll(Random(7), bursts=1)
    calm = await undisturbed(events)
    expected = await calm.told()
    turns = 0
    while True:
        turns += 1
        crew = Crew()
        await crew.log.append(records(events))
        crew.hire(max_records=60)
        for _ in range(turns):
            await asyncio.sleep(0)
        is_done = crew.unread() == 0
        await crew.kill(0)
        crew.hire(max_records=90)
        await caught_up(crew)
        await crew.everyone_leaves()
        told = await crew.told()
        assert of_cameras(told) == of_cameras(expected)
        assert max(of_visits(told).values()) == 1
        assert last_of_each(told) == crew.store.rows
        assert final(crew.store.rows) == final(last_of_each(expected))
        if is_done:
            return


def sighting(customer: str, seconds: float) -> Record:
    seen = Sighting(
        site_id=SITE,
        camera_id=CAMERAS[0],
        customer_id=CustomerId(customer),
        kind=IdentityKind.ENROLLED,
        since=at(seconds),
        until=at(seconds),
        left=True,
    )
    return Record(topics.SIGHTINGS, customer, encode_sighting(seen), partition=0)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_visits_that_a_dead_member_had_stored_are_told_by_the_next_in_pieces_of_any_size(
    size: int,
) -> None:
    crew = Crew()
    await crew.log.append([sighting("bob", 0)])
    crew.hire(max_records=10)
    await caught_up(crew)
    await crew.everyone_leaves()
    # By then Bob's visit is over: a new lookup would find his next one, which is stored already.
    await crew.log.append([sighting("cat", 5000), sighting("cat", 5001), sighting("bob", 5002)])
    crew.store.is_deadly = True
    crew.hire(max_records=10)
    ((dying, _),) = crew.members
    with pytest.raises(KilledError):
        await dying
    crew.members.clear()
    crew.store.is_deadly = False
    crew.hire(max_records=size)
    await caught_up(crew)
    await crew.everyone_leaves()
    visits = [event for value in await crew.told() if isinstance(event := decode(value), Visit)]
    assert sorted((v.customer_id, v.visit_number, v.captured_at) for v in visits) == [
        ("bob", 1, at(0)),
        ("bob", 2, at(5002)),
        ("cat", 1, at(5000)),
        ("cat", 1, at(5001)),
    ]
    assert crew.store.rows == {visit.event_id: visit for visit in visits}
