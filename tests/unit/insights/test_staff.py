"""Staff appear in events but in no count, also if they are recognized as staff only later."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine, text
from tests.databases import lose_migrations
from tests.unit.insights.walks import at, frame, identity, machine, play

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.schema import LineCrossing, Occupancy, TracksEvent, Visit, ZoneStay
from trinetra.insights.config import CameraInsights, Line, Zone
from trinetra.insights.snapshot import decode_camera, encode_camera
from trinetra.insights.tally import Tally
from trinetra.values import IdentityKind

SHOP = CameraInsights(
    zones=(Zone("floor", ((0, 0), (1, 0), (1, 1), (0, 1))),),
    lines=(Line("door", (0.0, 0.5), (1.0, 0.5)),),
)
ALWAYS = (at(-9), at(99))


def walk(track: str = "t", *, start: float = 0.0) -> list[TracksEvent]:
    """Walk over the line in the middle of the view, within two seconds."""
    return [frame(start + s / 5, {track: (0.5, 0.2 + 0.06 * s)}) for s in range(11)]


def tallied(events: Iterable[object]) -> Tally:
    tally = Tally()
    for event in events:
        tally.count(event)
    return tally


def counts(tally: Tally) -> tuple[int, int, int]:
    return tally.crossings_in, tally.stays, tally.visits


def test_a_clerk_who_is_known_at_once_is_counted_nowhere() -> None:
    told = play(machine(SHOP), [identity(0, "t", "eve", kind=IdentityKind.STAFF), *walk()])

    assert counts(tallied(told)) == (0, 0, 0)
    [crossing] = {e.event_id: e for e in told if isinstance(e, LineCrossing)}.values()
    assert (crossing.customer_id, crossing.kind) == ("eve", IdentityKind.STAFF)
    assert not [e for e in told if isinstance(e, Visit)]
    assert {e.persons for e in told if isinstance(e, Occupancy)} == {0}


def test_a_clerk_who_is_recognised_after_the_crossing_is_taken_back() -> None:
    shop = machine(SHOP)
    before = play(shop, walk())[:-1]
    crossings = [e for e in before if isinstance(e, LineCrossing)]
    after = shop.step(identity(3, "t", "eve", started=0, kind=IdentityKind.STAFF))

    assert counts(tallied(crossings)) == (1, 0, 0)
    assert counts(tallied([*crossings, *after])) == (0, 0, 0)


def test_a_customer_who_is_made_staff_is_told_of_anew_under_the_same_ids() -> None:
    shop = machine(SHOP)
    told = play(shop, [identity(0, "t", "eve"), *walk()])
    again = shop.step(identity(3, "t", "eve", started=0, kind=IdentityKind.STAFF))

    crossings = {e.event_id for e in told if isinstance(e, LineCrossing)}
    assert {e.event_id for e in again if isinstance(e, LineCrossing)} == crossings
    assert all(e.kind is IdentityKind.STAFF for e in again if isinstance(e, LineCrossing))


def test_of_two_in_view_the_one_who_works_here_does_not_occupy_the_shop() -> None:
    both = [frame(s, {"t": (0.3, 0.5), "u": (0.7, 0.5)}) for s in range(4)]
    told = play(machine(SHOP), [identity(0, "t", "eve", kind=IdentityKind.STAFF), *both])

    occupied = {(e.zone_id, e.persons) for e in told if isinstance(e, Occupancy)}
    assert occupied >= {(None, 1), ("floor", 1)}
    assert 2 not in {persons for _, persons in occupied}


@pytest.mark.parametrize("kind", [IdentityKind.VIP, IdentityKind.ENROLLED])
def test_known_customers_count_as_any_other(kind: IdentityKind) -> None:
    told = play(machine(SHOP), [identity(0, "t", "eve", kind=kind), *walk()])

    assert counts(tallied(told)) == (1, 1, 1)


def test_a_next_owner_knows_what_was_told_of_whom() -> None:
    shop = machine(SHOP)
    play(shop, [identity(0, "t", "eve", kind=IdentityKind.STAFF), *walk()])
    [payload] = [p for p in shop.cameras.changes().values() if p]

    memory = decode_camera(payload)

    assert {fact.kind for facts in memory.reported.values() for fact in facts} == {"staff"}
    assert encode_camera(memory) == payload


def test_what_was_remembered_before_kinds_were_told_can_be_read() -> None:
    shop = machine(SHOP)
    play(shop, [identity(0, "t", "eve"), *walk()])
    [payload] = [p for p in shop.cameras.changes().values() if p]
    memory = msgspec.msgpack.decode(payload[1:])
    for facts in memory[7].values():
        facts[:] = [fact[:-1] for fact in facts]

    found = decode_camera(payload[:1] + msgspec.msgpack.encode(memory))

    assert {f.kind for facts in found.reported.values() for f in facts} == {"anonymous"}


async def test_the_store_tells_staff_apart_also_in_tables_of_an_earlier_version(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/insights.db"
    told = play(machine(SHOP), [identity(0, "t", "eve", kind=IdentityKind.STAFF), *walk()])
    kept = [e for e in told if isinstance(e, LineCrossing | ZoneStay)]
    async with SqlInsightStore.open(url):
        pass
    tables = ("line_crossings", "zone_stays")
    lose_migrations(url, *(f"alter table {table} drop column kind" for table in tables))

    async with SqlInsightStore.open(url) as store:
        await store.record(kept)
        [crossing] = await store.fetch("line_crossing", *ALWAYS)

    assert isinstance(crossing, LineCrossing)
    assert crossing.kind is IdentityKind.STAFF
    engine = create_engine(url)
    with engine.begin() as database:
        assert database.execute(text("select kind from zone_stays")).all() == [("staff",)]
    engine.dispose()
