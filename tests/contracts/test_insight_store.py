"""Contract of the insight store: in memory, on disk and on a PostgreSQL server."""

import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable
from structlog.testing import capture_logs
from tests.databases import lose_migrations

from trinetra.adapters.memory.insight_store import MemoryInsightStore
from trinetra.adapters.sql import database as sql_database
from trinetra.adapters.sql.errors import translated
from trinetra.adapters.sql.insight_rows import replacing
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.adapters.sql.migrate import HEAD
from trinetra.adapters.sql.schema import METADATA
from trinetra.errors import ConfigurationError, StorageFull, StoreUnavailable
from trinetra.events.customers import Customer, CustomerDirectory
from trinetra.events.schema import InsightEvent, LineCrossing, Occupancy, Visit, ZoneStay
from trinetra.ports import ExpiringStore, InsightStore
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALWAYS = (NOON - timedelta(days=9), NOON + timedelta(days=9))

WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_insight_store import crossing
from trinetra.adapters.sql.insight_store import SqlInsightStore

async def main():
    async with SqlInsightStore.open(sys.argv[1]) as store:
        for number in range(100_000):
            await store.record([crossing(number)])
            print(number, flush=True)

asyncio.run(main())
"""


def common(number: int, seconds: float) -> dict:
    return {
        "event_id": EventId(f"id_{number}"),
        "site_id": SiteId("shop"),
        "camera_id": CameraId("door"),
        "captured_at": NOON + timedelta(seconds=seconds),
    }


def crossing(number: int, seconds: float = 0.0, **changes: object) -> LineCrossing:
    fields = {"line_id": "door", "direction": "in", "track_id": TrackId("t1"), "label": "person"}
    return LineCrossing(**{**common(number, seconds), **fields, **changes})


def stay(number: int, seconds: float = 0.0) -> ZoneStay:
    return ZoneStay(
        **common(number, seconds),
        zone_id="table",
        track_id=TrackId("t1"),
        label="person",
        entered_at=NOON,
        dwell_s=12.25,
        customer_id=CustomerId("ann"),
    )


def visit(number: int, seconds: float = 0.0, customer: str = "ann", cameras: int = 1) -> Visit:
    return Visit(
        **common(number, seconds),
        customer_id=CustomerId(customer),
        kind=IdentityKind.ANONYMOUS,
        started_at=NOON,
        cameras=tuple(CameraId(f"cam{i}") for i in range(cameras)),
        visit_number=number,
    )


def occupancy(number: int, zone: str | None) -> Occupancy:
    return Occupancy(**common(number, 0.0), zone_id=zone, persons=3)


@pytest.fixture(params=["memory", "file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/a/insights.db"


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/insights.db"


@pytest.fixture(params=["dictionary", "memory", "file", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ExpiringStore]:
    if request.param == "dictionary":
        yield MemoryInsightStore()
        return
    urls = {"memory": "sqlite://", "file": f"sqlite:///{tmp_path}/a/insights.db"}
    url = urls.get(request.param) or request.getfixturevalue("postgres_url")
    async with SqlInsightStore.open(url) as store:
        yield store


@pytest.mark.parametrize(
    ("kind", "insight"),
    [
        ("line_crossing", crossing(1, customer_id=CustomerId("ann"))),
        ("line_crossing", crossing(1)),
        ("zone_stay", stay(1)),
        ("occupancy", occupancy(1, "table")),
        ("occupancy", occupancy(1, None)),
        ("visit", visit(1, cameras=3)),
    ],
)
async def test_every_kind_of_insight_comes_back_as_it_was(
    store: InsightStore, kind: str, insight: InsightEvent
) -> None:
    await store.record([insight])

    assert await store.fetch(kind, *ALWAYS) == [insight]


async def test_recording_twice_stores_once(store: InsightStore) -> None:
    await store.record([crossing(1), stay(2)])
    await store.record([crossing(1), stay(2)])

    assert await store.fetch("line_crossing", *ALWAYS) == [crossing(1)]
    assert await store.fetch("zone_stay", *ALWAYS) == [stay(2)]


async def test_a_visit_that_grows_replaces_itself(store: InsightStore) -> None:
    grown = visit(1, seconds=60, cameras=3)
    await store.record([visit(1)])
    await store.record([grown])

    assert await store.fetch("visit", *ALWAYS) == [grown]
    assert await store.fetch("visit", NOON, NOON + timedelta(seconds=1)) == []
    assert await store.last_visit(CustomerId("ann")) == grown


async def test_of_one_id_twice_in_one_call_the_last_stays(store: InsightStore) -> None:
    await store.record([visit(1), visit(1, seconds=5)])

    assert await store.fetch("visit", *ALWAYS) == [visit(1, seconds=5)]


async def test_a_range_has_its_start_and_not_its_end_in_order_of_time(
    store: InsightStore,
) -> None:
    await store.record([crossing(n, seconds) for n, seconds in enumerate([3, 2, 1, 0, 2])])

    found = await store.fetch("line_crossing", NOON + timedelta(seconds=1), NOON + timedelta(0, 3))

    assert [insight.event_id for insight in found] == ["id_2", "id_1", "id_4"]


async def test_microseconds_decide_a_range(store: InsightStore) -> None:
    await store.record([crossing(1, 0.000001)])

    assert await store.fetch("line_crossing", NOON, NOON + timedelta(microseconds=1)) == []
    assert len(await store.fetch("line_crossing", NOON, NOON + timedelta(microseconds=2))) == 1


async def test_instants_are_compared_across_time_zones(store: InsightStore) -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    await store.record([crossing(1, captured_at=NOON.astimezone(india))])
    start = NOON.astimezone(timezone(timedelta(hours=-8)))

    [found] = await store.fetch("line_crossing", start, start + timedelta(seconds=1))

    assert found.captured_at == NOON


async def test_kinds_do_not_mix_even_under_one_id(store: InsightStore) -> None:
    await store.record([crossing(1), visit(1), stay(1), occupancy(1, None)])

    for kind in ("line_crossing", "visit", "zone_stay", "occupancy"):
        assert len(await store.fetch(kind, *ALWAYS)) == 1


async def test_all_records_of_given_ids_are_returned_in_order(store: ExpiringStore) -> None:
    named = msgspec.structs.replace(crossing(1, 80), customer_id=CustomerId("bob"))
    await store.record([visit(1, 90), named, stay(3, 70), visit(4, 60, customer="eve")])

    found = await store.records_of([CustomerId("ann"), CustomerId("bob")])
    assert [e.event_id for e in found if e.event_id != stay(3, 70).event_id] == [
        named.event_id,
        visit(1, 90).event_id,
    ]


async def test_the_last_visit_is_the_latest_of_that_customer(store: InsightStore) -> None:
    await store.record([visit(1, 50), visit(2, 90), visit(3, 70), visit(4, 99, customer="bob")])

    assert await store.last_visit(CustomerId("ann")) == visit(2, 90)
    assert await store.last_visit(CustomerId("eve")) is None


GAP_S = 1800.0


def who_is_whom(number: int, **merged: str) -> CustomerDirectory:
    return CustomerDirectory(
        number, merged={CustomerId(c): CustomerId(o) for c, o in merged.items()}
    )


async def test_a_merge_counts_for_all_that_was_recorded_and_undone_leaves_no_trace(
    store: InsightStore,
) -> None:
    recorded = [visit(1, 50), visit(2, 90, customer="bob"), visit(3, 95, customer="eve")]
    await store.record(recorded)
    assert await store.visits(*ALWAYS, GAP_S) == recorded

    await store.know(who_is_whom(1, bob="ann"))
    [of_ann, of_eve] = await store.visits(*ALWAYS, GAP_S)
    assert (of_ann.customer_id, of_ann.captured_at) == ("ann", NOON + timedelta(seconds=90))
    assert of_eve == recorded[2]
    assert await store.fetch("visit", *ALWAYS) == recorded

    await store.know(who_is_whom(2))
    assert await store.visits(*ALWAYS, GAP_S) == recorded


async def test_visits_are_numbered_by_all_of_a_person_not_only_by_what_is_asked_for(
    store: InsightStore,
) -> None:
    def on_day(day: int, customer: str, number: int) -> Visit:
        at = NOON + timedelta(days=day)
        return msgspec.structs.replace(
            visit(day, 86_400.0 * day, customer), started_at=at, visit_number=number
        )

    await store.record([on_day(0, "ann", 1), on_day(1, "bob", 1), on_day(2, "ann", 2)])
    await store.record([on_day(4, "bob", 2), on_day(5, "eve", 1)])
    await store.know(who_is_whom(1, bob="ann"))

    found = await store.visits(NOON + timedelta(days=3), NOON + timedelta(days=9), GAP_S)

    assert [(v.customer_id, v.visit_number) for v in found] == [("ann", 4), ("eve", 1)]


async def test_visits_of_a_person_later_marked_as_staff_are_staff_visits(
    store: InsightStore,
) -> None:
    ann = Customer(CustomerId("ann"), IdentityKind.STAFF, None, True, None, NOON)
    people = who_is_whom(1, bob="ann")
    people.customers[ann.customer_id] = ann
    await store.record([visit(1, 5, "bob"), visit(2, 5, "eve")])
    await store.know(people)
    found = await store.visits(NOON, NOON + timedelta(hours=1), 0)
    assert {v.customer_id: v.kind for v in found} == {
        "ann": IdentityKind.STAFF,
        "eve": IdentityKind.ANONYMOUS,
    }


async def test_of_a_chain_of_merges_the_last_id_is_told(store: InsightStore) -> None:
    await store.record([visit(1, 50, customer="eve")])
    await store.know(who_is_whom(2, eve="bob", bob="ann"))
    assert [v.customer_id for v in await store.visits(*ALWAYS, GAP_S)] == ["ann"]


async def test_only_what_changed_is_compared_and_follows_merges_and_splits(
    store: InsightStore,
) -> None:
    async def person_of_eve(people: CustomerDirectory, *changed: str) -> str:
        await store.know(people, set(map(CustomerId, changed)))
        [of_eve] = await store.visits(*ALWAYS, GAP_S)
        return of_eve.customer_id

    await store.record([visit(1, 50, customer="eve")])
    assert await person_of_eve(who_is_whom(1, eve="bob"), "eve", "bob") == "bob"
    assert await person_of_eve(who_is_whom(2, eve="bob", bob="ann"), "bob", "ann") == "ann"
    assert await person_of_eve(who_is_whom(3, eve="bob"), "bob", "ann") == "bob"
    assert await person_of_eve(who_is_whom(4), "eve", "bob") == "eve"


@dataclass(slots=True)
class CountingDirectory(CustomerDirectory):
    """A directory that counts how many ids it was asked for."""

    asked: int = 0

    def canonical(self, customer_id: CustomerId) -> CustomerId:
        self.asked += 1
        return CustomerDirectory.canonical(self, customer_id)


async def test_one_more_merge_costs_no_more_among_thousands(file_url: str) -> None:
    asked = []
    async with SqlInsightStore.open(file_url) as store:
        for several in (10, 5000):
            merged = {f"twin_{n}": f"ann_{n}" for n in range(several)}
            await store.know(who_is_whom(several, **merged))
            merged = {**who_is_whom(0, **merged, bob="ann").merged}
            people = CountingDirectory(several + 1, merged=merged)
            await store.know(people, {CustomerId("bob"), CustomerId("ann")})
            asked.append(people.asked)
    assert asked[0] == asked[1] > 0


async def test_an_older_directory_is_ignored(store: InsightStore) -> None:
    await store.record([visit(1, 50, customer="bob")])
    await store.know(who_is_whom(2, bob="ann"))
    await store.know(who_is_whom(1))
    assert [v.customer_id for v in await store.visits(*ALWAYS, GAP_S)] == ["ann"]


async def test_thousands_of_merges_are_no_trouble(store: InsightStore) -> None:
    several = {f"twin_{n}": f"ann_{n}" for n in range(2500)}
    await store.record([visit(n, 50, customer=f"twin_{n}") for n in range(0, 2500, 100)])
    await store.know(who_is_whom(1, **several))
    await store.know(who_is_whom(2, **several, bob="ann"))

    found = await store.visits(*ALWAYS, GAP_S)

    assert {v.customer_id for v in found} == {f"ann_{n}" for n in range(0, 2500, 100)}


async def test_aliases_are_persistent(file_url: str) -> None:
    async with SqlInsightStore.open(file_url) as store:
        await store.record([visit(1, 50, customer="bob")])
        await store.know(who_is_whom(2, bob="ann"))
    async with SqlInsightStore.open(file_url) as store:
        assert [v.customer_id for v in await store.visits(*ALWAYS, GAP_S)] == ["ann"]


async def test_an_unknown_kind_is_refused(store: InsightStore) -> None:
    with pytest.raises(ValueError, match="'weather' is no kind of insight"):
        await store.fetch("weather", *ALWAYS)


async def test_a_naive_instant_is_refused_and_nothing_is_stored(store: InsightStore) -> None:
    naive = crossing(2, captured_at=NOON.replace(tzinfo=None))

    with pytest.raises(ValueError, match="no UTC offset"):
        await store.record([crossing(1), naive])
    assert await store.fetch("line_crossing", *ALWAYS) == []


async def test_many_at_once_from_many_tasks_all_arrive(store: InsightStore) -> None:
    await asyncio.gather(
        *(store.record([crossing(n) for n in range(i * 20, i * 20 + 20)]) for i in range(20))
    )

    assert len(await store.fetch("line_crossing", *ALWAYS)) == 400


async def test_nothing_to_record_is_no_error(store: InsightStore) -> None:
    await store.record([])


async def test_insights_are_there_after_opening_again(file_url: str) -> None:
    async with SqlInsightStore.open(file_url) as store:
        await store.record([visit(1)])
    async with SqlInsightStore.open(file_url) as store:
        assert await store.fetch("visit", *ALWAYS) == [visit(1)]


async def test_an_older_state_of_a_visit_does_not_replace_a_newer_one(store: InsightStore) -> None:
    grown = visit(1, seconds=60, cameras=3)
    await store.record([grown])
    await store.record([visit(1, seconds=20), crossing(2)])

    assert await store.fetch("visit", *ALWAYS) == [grown]
    assert await store.fetch("line_crossing", *ALWAYS) == [crossing(2)]


def stayed(seconds: float, **changes: object) -> ZoneStay:
    return msgspec.structs.replace(stay(1, seconds), **changes)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (crossing(1), crossing(1, customer_id=CustomerId("ann"), revision=1)),
        (
            crossing(1, customer_id=CustomerId("ann"), revision=1),
            crossing(1, customer_id=CustomerId("bob"), revision=2),
        ),
        (crossing(1, revision=9), crossing(1, revision=10)),
        (stayed(5, dwell_s=5.0), stayed(60, dwell_s=60.0)),
        (stayed(5, customer_id=None), stayed(5, revision=1)),
        (stayed(5, revision=3), stayed(60)),
        (visit(1, 60), msgspec.structs.replace(visit(1, 20), revision=1)),
        (visit(1, 60), msgspec.structs.replace(visit(1, 60), revision=1, cameras=())),
    ],
)
async def test_an_older_state_of_any_insight_is_ignored_whenever_it_arrives(
    store: InsightStore, older: InsightEvent, newer: InsightEvent
) -> None:
    kind = str(newer.__struct_config__.tag)
    await store.record([older])
    await store.record([newer])
    assert await store.fetch(kind, *ALWAYS) == [newer]

    await store.record([older, occupancy(2, None)])
    assert await store.fetch(kind, *ALWAYS) == [newer]
    assert await store.fetch("occupancy", *ALWAYS) == [occupancy(2, None)]


async def test_a_withdrawn_visit_is_no_visit_and_cannot_come_back_by_an_older_state(
    store: ExpiringStore,
) -> None:
    gone = msgspec.structs.replace(visit(1, 60), revision=1, withdrawn=True)
    await store.record([visit(1, 60), visit(2, 30, "bob")])
    await store.record([gone])
    await store.record([visit(1, 90)])

    assert await store.fetch("visit", *ALWAYS) == [visit(2, 30, "bob")]
    assert await store.visits(*ALWAYS, GAP_S) == [visit(2, 30, "bob")]
    assert await store.last_visit(CustomerId("ann")) == gone
    assert await store.records_of([CustomerId("ann")]) == [gone]

    again = msgspec.structs.replace(visit(1, 20), revision=2)
    await store.record([again])
    assert await store.fetch("visit", *ALWAYS) == [again, visit(2, 30, "bob")]
    assert await store.last_visit(CustomerId("ann")) == again


async def test_a_visit_that_shrinks_may_no_longer_be_the_last(store: InsightStore) -> None:
    await store.record([visit(1, 50), visit(2, 90)])
    await store.record([msgspec.structs.replace(visit(2, 10), revision=1)])
    assert await store.last_visit(CustomerId("ann")) == visit(1, 50)


async def test_rows_of_an_earlier_version_are_replaced(file_url: str) -> None:
    async with SqlInsightStore.open(file_url) as store:
        await store.record([crossing(1), stay(1), visit(1), visit(2, 5, "bob")])
    tables = ("line_crossings", "zone_stays", "visits")
    lose_migrations(
        file_url,
        *(f"alter table {table} drop column revision" for table in tables),
        "alter table visits drop column withdrawn",
    )

    async with SqlInsightStore.open(file_url) as store:
        assert len(await store.fetch("visit", *ALWAYS)) == 2
        revised = [msgspec.structs.replace(e, revision=1) for e in (crossing(1), stay(1))]
        await store.record([*revised, visit(1, 9)])
        assert await store.fetch("line_crossing", *ALWAYS) == [revised[0]]
        assert await store.fetch("zone_stay", *ALWAYS) == [revised[1]]
        assert visit(1, 9) in await store.fetch("visit", *ALWAYS)


@pytest.fixture(params=["file", "postgres"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/insights.db"


async def test_several_engines_open_and_write_one_database_at_once(shared_url: str) -> None:
    async def engine(number: int) -> None:
        async with SqlInsightStore.open(shared_url) as store:
            ids = range(100) if number % 2 else range(99, -1, -1)
            for turn in range(10):
                await store.record([visit(i, seconds=turn) for i in ids])
                await store.record([crossing(1000 * number + turn)])

    await asyncio.gather(*(engine(number) for number in range(4)))

    async with SqlInsightStore.open(shared_url) as store:
        visits = await store.fetch("visit", *ALWAYS)
        assert {v.event_id: v.captured_at for v in visits} == {
            f"id_{i}": NOON + timedelta(seconds=9) for i in range(100)
        }
        assert len(await store.fetch("line_crossing", *ALWAYS)) == 40


async def test_the_health_page_learns_where_the_store_is_and_no_password(
    url: str,
) -> None:
    async with SqlInsightStore.open(url) as store:
        answer = await store.check()

    assert answer.startswith(("sqlite://", "postgresql+psycopg://"))
    password = make_url(url).password
    assert password is None or password not in answer


def test_a_killed_writer_loses_nothing_it_acknowledged(file_url: str) -> None:
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, file_url, here], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        recorded = [int(writer.stdout.readline()) for _ in range(100)]
        writer.send_signal(signal.SIGKILL)
        recorded += [int(line) for line in writer.stdout.read().split()]

    async def fetched() -> set[str]:
        async with SqlInsightStore.open(file_url) as store:
            return {insight.event_id for insight in await store.fetch("line_crossing", *ALWAYS)}

    assert {f"id_{number}" for number in recorded} <= asyncio.run(fetched())


async def test_columns_can_be_queried_by_other_tools(file_url: str, tmp_path: Path) -> None:
    async with SqlInsightStore.open(file_url) as store:
        await store.record([stay(1)])
    with sqlite3.connect(tmp_path / "insights.db") as reader:
        rows = reader.execute("select zone_id, dwell_s, captured_at from zone_stays").fetchall()
        mode = reader.execute("pragma journal_mode").fetchone()
    reader.close()

    assert rows == [("table", 12.25, "2026-03-01 12:00:00.000000")]
    assert mode == ("wal",)


def query_plan(path: Path, query: str) -> str:
    reader = sqlite3.connect(path)
    plan = reader.execute(f"explain query plan {query}").fetchall()
    reader.close()
    return str(plan)


async def test_time_ranges_and_customers_are_found_by_index(file_url: str, tmp_path: Path) -> None:
    async with SqlInsightStore.open(file_url):
        pass
    by_time = query_plan(
        tmp_path / "insights.db",
        "select event from visits where captured_at >= 'a' and captured_at < 'b' "
        "order by captured_at, event_id",
    )
    by_customer = query_plan(
        tmp_path / "insights.db",
        "select event from visits where customer_id = 'a' order by captured_at desc limit 1",
    )

    assert "visits_by_time" in by_time
    assert "visits_by_customer" in by_customer
    assert "TEMP B-TREE" not in by_time + by_customer


async def test_a_newer_schema_is_refused_by_name_and_number(file_url: str, tmp_path: Path) -> None:
    async with SqlInsightStore.open(file_url):
        pass
    with sqlite3.connect(tmp_path / "insights.db") as other:
        other.execute("update trinetra_revision set version_num = '9999'")
    other.close()

    with pytest.raises(ConfigurationError, match=f"schema version 9999, but .* up to {HEAD}"):
        async with SqlInsightStore.open(file_url):
            pass


def fill_with_garbage(path: Path) -> None:
    path.write_bytes(b"\xffgarbage" * 1000)


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [(fill_with_garbage, "corrupt .* move the file away"), (make_folder, "cannot be used")],
)
async def test_a_file_that_is_no_database_is_named(
    file_url: str, tmp_path: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(tmp_path / "insights.db")

    with pytest.raises(ConfigurationError, match=complaint) as caught:
        async with SqlInsightStore.open(file_url):
            pass
    assert "insights.db" in str(caught.value)


async def test_a_locked_database_is_told_from_a_broken_one(
    file_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_database, "BUSY_TIMEOUT_S", 0.05)
    async with SqlInsightStore.open(file_url) as store:
        other = sqlite3.connect(tmp_path / "insights.db")
        other.execute("begin immediate")
        with pytest.raises(StoreUnavailable, match="locked by another program"):
            await store.record([visit(1)])
        other.rollback()
        other.close()
        await store.record([visit(1)])
        assert await store.fetch("visit", *ALWAYS) == [visit(1)]


async def test_a_full_disk_is_storage_full_and_keeps_what_was_there(
    file_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqlInsightStore.open(file_url) as store:
        await store.record([visit(1)])
        # SQLite's page limit causes exactly the same error as a full disk.
        await store._run(lambda c: c.exec_driver_sql("pragma max_page_count = 1"))
        with pytest.raises(StorageFull, match="free some space"):
            await store.record([visit(n) for n in range(2, 2000)])
        assert await store.fetch("visit", *ALWAYS) == [visit(1)]


@pytest.mark.parametrize(
    "url", ["nonsense", "oracle://user:hunter2@host/db", "postgresql+nodriver://u:hunter2@h/d"]
)
async def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with SqlInsightStore.open(url):
            pass
    assert "hunter2" not in str(caught.value)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_a_server_that_is_not_there_is_waited_for_without_telling_the_password() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    url = f"postgresql://ann:hunter2@127.0.0.1:{closed_port()}/shop"
    with pytest.raises(StoreUnavailable, match="does not answer now") as caught:
        async with SqlInsightStore.open(url):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"password": "hunter2"}, {"username": "nobody"}, {"database": "nowhere"}]
)
async def test_a_login_that_is_refused_is_for_the_user_to_mend(
    postgres_url: str, changes: dict[str, str]
) -> None:
    wrong = make_url(postgres_url).set(**changes).render_as_string(hide_password=False)
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        async with SqlInsightStore.open(wrong):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_connection_that_is_cut_is_an_outage_and_the_next_one_works(
    postgres_url: str,
) -> None:
    async with SqlInsightStore.open(postgres_url) as store:

        def end_oneself(connection: Connection) -> None:
            connection.exec_driver_sql("select pg_terminate_backend(pg_backend_pid())")

        with pytest.raises(StoreUnavailable, match="does not answer now"):
            await store._run(end_oneself)
        await store.record([visit(1)])
        assert await store.fetch("visit", *ALWAYS) == [visit(1)]


class Complaint(Exception):
    """A driver's error with a SQLSTATE from PostgreSQL."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"state {sqlstate}, said to hunter2")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "planned"),
    [
        ("40P01", StoreUnavailable),
        ("40001", StoreUnavailable),
        ("57P01", StoreUnavailable),
        ("57014", StoreUnavailable),
        ("08006", StoreUnavailable),
        ("53300", StoreUnavailable),
        ("53100", StorageFull),
        ("28P01", ConfigurationError),
        ("42501", ConfigurationError),
        ("42P01", ConfigurationError),
    ],
)
def test_postgresql_errors_are_translated_by_sqlstate(
    sqlstate: str, planned: type[Exception]
) -> None:
    url = make_url("postgresql+psycopg://ann:hunter2@db/shop?sslpassword=hunter2&sslmode=require")
    cause = OperationalError("select 1", None, Complaint(sqlstate))
    failure = translated(cause, url)
    assert type(failure) is planned
    assert "hunter2" not in str(failure)
    assert "ann:***@db/shop" in str(failure)


def test_tables_and_upserts_are_valid_for_postgresql() -> None:
    dialect = postgresql.dialect()
    for table in METADATA.sorted_tables:
        ddl = str(CreateTable(table).compile(dialect=dialect))
        assert "TIMESTAMP WITHOUT" not in ddl
        for index in table.indexes:
            assert "CREATE INDEX" in str(CreateIndex(index).compile(dialect=dialect))
    upsert = str(replacing("visit", "postgresql").compile(dialect=dialect))
    assert "ON CONFLICT (event_id) DO UPDATE" in upsert


async def test_old_insights_are_deleted_in_batches_oldest_first(
    store: ExpiringStore,
) -> None:
    await store.record([*(crossing(i, 60.0 * i) for i in range(5)), visit(9, 30.0)])
    assert await store.last_visit(CustomerId("ann")) == visit(9, 30.0)
    assert await store.expire(NOON + timedelta(seconds=150), 2) == 3
    assert await store.last_visit(CustomerId("ann")) is None
    left = await store.fetch("line_crossing", NOON, NOON + timedelta(hours=1))
    assert [c.event_id for c in left] == [crossing(i).event_id for i in (2, 3, 4)]
    assert await store.expire(NOON + timedelta(seconds=150), 2) == 1
    assert await store.expire(NOON + timedelta(seconds=150), 2) == 0


async def test_the_first_deletion_warns_of_how_much_is_too_old(file_url: str) -> None:
    async with SqlInsightStore.open(file_url) as store:
        await store.record([*(crossing(i, 60.0 * i) for i in range(5)), visit(9, 30.0)])
        with capture_logs() as lines:
            for _ in range(2):
                await store.expire(NOON + timedelta(seconds=150), 2)
    assert [(line["log_level"], line["number"]) for line in lines] == [("warning", 4)]
