"""Contract of the alert store and its outbox: on SQLite and on a PostgreSQL server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import create_engine, inspect

from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.adapters.sql.migrate import migrate
from trinetra.alerts.desk import AlertDesk
from trinetra.events.alerts import (
    Arming,
    Board,
    BoardChange,
    BoardQuery,
    Mute,
    Notice,
    NoticeDelivery,
    NoticeKey,
    Outgoing,
)
from trinetra.values import CustomerId, SiteId

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class StoppedClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def notice(number: int, minutes: float = 0.0, **changes: object) -> Notice:
    at = NOON + timedelta(minutes=minutes)
    fields: dict = {
        "alert_id": f"a{number}",
        "site_id": SiteId("shop"),
        "rule": "queue_length",
        "subject": "till/queue",
        "severity": "warning",
        "title": "Long queue",
        "message": "7 people wait",
        "advice": "open a till",
        "raised_at": at,
        "last_at": at,
        "changed_at": at,
    }
    return Notice(**fields | changes)


def delivery(number: int, of: Notice, **changes: object) -> NoticeDelivery:
    fields: dict = {
        "delivery_id": f"d{number}",
        "alert_id": of.alert_id,
        "channel": "office",
        "recipient": "ann",
        "step": "raised",
        "created_at": of.raised_at,
        "due_at": of.raised_at,
    }
    return NoticeDelivery(**fields | changes)


async def put(
    store: SqlAlertStore, notices: list[Notice], deliveries: list[NoticeDelivery] | None = None
) -> None:
    change = BoardChange(notices=notices, deliveries=deliveries or [])
    await store.change(BoardQuery(), lambda _: change)


def ids(outgoing: list[Outgoing]) -> list[str]:
    return [each.delivery.delivery_id for each in outgoing]


@pytest.fixture(params=["file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/insights.db"


@pytest.fixture
async def stores(url: str) -> AsyncIterator[tuple[SqlAlertStore, SqlAlertStore]]:
    """Two connections to one database, as from two processes."""
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(SqlAlertStore.open(url)),
            await stack.enter_async_context(SqlAlertStore.open(url)),
        )


@pytest.fixture
def store(stores: tuple[SqlAlertStore, SqlAlertStore]) -> SqlAlertStore:
    return stores[0]


async def test_a_change_sees_the_latest_notice_of_each_subject(store: SqlAlertStore) -> None:
    other = notice(3, 3, subject="elsewhere")
    await put(store, [notice(1), notice(2, 2), other], [delivery(1, notice(1))])
    seen: list[Board] = []

    def look(board: Board) -> BoardChange:
        seen.append(board)
        return BoardChange()

    keys = frozenset({notice(1).key, NoticeKey("vip", "ann")})
    query = BoardQuery(keys=keys, alert_ids=frozenset({"a3", "a9"}), counted_since=NOON)
    await store.change(query, look)
    await store.change(BoardQuery(idle_since=NOON + timedelta(minutes=1)), look)

    assert seen[0].latest == {notice(1).key: notice(2, 2)}
    assert seen[0].selected == (other,)
    assert seen[0].delivered == {"ann": 1}
    assert [each.alert_id for each in seen[1].selected] == ["a1"]


async def test_changes_of_two_processes_run_one_after_the_other(
    stores: tuple[SqlAlertStore, SqlAlertStore],
) -> None:
    key = notice(0).key

    def count(board: Board) -> BoardChange:
        before = board.latest.get(key) or replace(notice(0), count=0)
        return BoardChange(notices=[replace(before, count=before.count + 1)])

    query = BoardQuery(keys=frozenset({key}))
    await asyncio.gather(*(stores[n % 2].change(query, count) for n in range(20)))

    page = await stores[0].notices(None, None, 10, None)
    assert [each.count for each in page.notices] == [20]


async def test_a_delivery_is_stored_once_however_often_it_is_decided(store: SqlAlertStore) -> None:
    await put(store, [notice(1)], [delivery(1, notice(1))])
    await store.settle([replace(delivery(1, notice(1)), state="sent", attempts=1)])
    await put(store, [notice(1)], [delivery(1, notice(1))])

    found = await store.deliveries("a1")
    assert found is not None
    assert [(each.state, each.attempts) for each in found] == [("sent", 1)]
    assert await store.deliveries("a9") is None


async def test_the_list_goes_page_by_page_from_the_newest(store: SqlAlertStore) -> None:
    await put(store, [notice(number, number // 2) for number in range(7)])
    await put(store, [replace(notice(6, 3), state="closed")])

    found, cursor = [], None
    while page := await store.notices(None, NOON + timedelta(minutes=1), 2, cursor):
        found += [each.alert_id for each in page.notices]
        if (cursor := page.cursor) is None:
            break
    assert found == ["a6", "a5", "a4", "a3", "a2"]
    closed = await store.notices("closed", None, 9, None)
    assert [each.alert_id for each in closed.notices] == ["a6"]


@pytest.mark.parametrize("cursor", ["", "x", "!!", "bm90L2E", "OTk5OTk5OTk5OTk5OTk5OTk5OTkvYQ"])
async def test_a_cursor_that_no_page_had_is_refused(store: SqlAlertStore, cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        await store.notices(None, None, 1, cursor)


async def test_controls_are_replaced_and_read(store: SqlAlertStore) -> None:
    assert (await store.controls()).armed
    until = NOON + timedelta(hours=1)
    mute = Mute(rule="vip", until=until, by="ann", at=NOON)
    await store.control(mute)
    await store.control(replace(mute, until=NOON))
    await store.control(replace(mute, subject="bob"))
    await store.control(Arming(armed=False, by="ann", at=NOON))

    controls = await store.controls()
    assert not controls.armed
    assert [(each.subject, each.until) for each in controls.mutes] == [(None, NOON), ("bob", until)]
    assert controls.is_muted(NoticeKey("vip", "bob"), NOON)
    assert not controls.is_muted(NoticeKey("vip", "eve"), NOON)
    assert not controls.is_muted(NoticeKey("watchlist", "bob"), NOON)


async def test_the_outbox_gives_what_is_due_in_order(store: SqlAlertStore) -> None:
    first, later = notice(1), NOON + timedelta(hours=1)
    waiting = [
        delivery(1, first),
        delivery(2, first, channel="chat"),
        delivery(3, first, due_at=later),
        delivery(4, first, created_at=NOON - timedelta(hours=1)),
    ]
    await put(store, [first], waiting)

    assert ids(await store.take("office", "m1", NOON, 30, 9)) == ["d1", "d4"]
    assert ids(await store.take("office", "m1", NOON, 30, 1)) == ["d1"]
    await store.settle([replace(waiting[0], state="sent"), replace(waiting[3], state="dead")])
    assert await store.take("office", "m1", NOON, 30, 9) == []
    assert ids(await store.take("office", "m1", later, 30, 9)) == ["d3"]
    assert ids(await store.take("chat", "m1", NOON, 30, 9)) == ["d2"]


async def test_one_member_at_a_time_sends_on_a_channel(
    stores: tuple[SqlAlertStore, SqlAlertStore],
) -> None:
    one, two = stores
    await put(one, [notice(1)], [delivery(1, notice(1)), delivery(2, notice(1), channel="chat")])
    soon, late = NOON + timedelta(seconds=29), NOON + timedelta(seconds=31)

    assert ids(await one.take("office", "m1", NOON, 30, 9)) == ["d1"]
    assert await two.take("office", "m2", soon, 30, 9) == []
    assert ids(await two.take("chat", "m2", soon, 30, 9)) == ["d2"]
    assert ids(await two.take("office", "m2", late, 30, 9)) == ["d1"]
    assert await one.take("office", "m1", late, 30, 9) == []


async def test_what_was_given_up_is_listed_and_can_be_tried_again(store: SqlAlertStore) -> None:
    dead = [delivery(n, notice(1), state="dead", problem="no answer") for n in (1, 2)]
    await put(store, [notice(1)], [*dead, delivery(3, notice(1), state="sent")])

    assert ids(await store.dead_letters(9)) == ["d2", "d1"]
    assert await store.retry({"d1", "d3", "d9"}, NOON) == 1
    assert ids(await store.take("office", "m1", NOON, 30, 9)) == ["d1"]
    assert await store.retry(None, NOON) == 1
    assert await store.dead_letters(9) == []


async def test_old_notices_are_deleted_once_they_are_closed(store: SqlAlertStore) -> None:
    old = [notice(1, state="closed"), notice(2, state="closed"), notice(3)]
    await put(store, [*old, notice(4, 60, state="closed")], [delivery(n.count, n) for n in old[:1]])
    before = NOON + timedelta(minutes=1)

    assert await store.expire(before, 1) == 1
    assert await store.expire(before, 9) == 1
    assert await store.expire(before, 9) == 0
    page = await store.notices(None, None, 9, None)
    assert [each.alert_id for each in page.notices] == ["a4", "a3"]
    assert await store.deliveries("a1") is None


async def test_an_erased_person_is_in_no_alert(store: SqlAlertStore, url: str) -> None:
    about = notice(1, rule="vip", subject="ann", person=CustomerId("ann"))
    await put(store, [about, notice(2)], [delivery(1, about), delivery(2, notice(2))])
    await store.control(Mute(rule="vip", subject="ann", until=NOON, by="eve", at=NOON))

    async with SqlErasureStore.open(url) as erasures:
        status = await erasures.request([CustomerId("ann")], NOON)

    assert status.removed()["alerts"] == 1
    page = await store.notices(None, None, 9, None)
    assert [each.alert_id for each in page.notices] == ["a2"]
    assert ids(await store.take("office", "m1", NOON, 30, 9)) == ["d2"]
    assert (await store.controls()).mutes == ()


async def test_the_first_one_to_acknowledge_stays_on_record(store: SqlAlertStore) -> None:
    desk = AlertDesk(store, StoppedClock())
    await put(store, [notice(1), notice(2, state="closed")])

    first = await desk.acknowledge("a1", "ann")
    second = await desk.acknowledge("a1", "bob")
    assert first == second
    assert first is not None
    assert (first.state, first.by) == ("acknowledged", "ann")
    closed = await desk.acknowledge("a2", "ann")
    assert closed is not None
    assert closed.state == "closed"
    assert await desk.acknowledge("a9", "ann") is None


async def test_the_desk_tells_what_is_muted_and_armed(store: SqlAlertStore) -> None:
    clock = StoppedClock()
    desk = AlertDesk(store, clock)
    mute = await desk.mute("vip", None, NOON + timedelta(hours=1), "ann")

    assert await desk.mutes() == (mute,)
    clock.at += timedelta(hours=1)
    assert await desk.mutes() == ()
    assert await desk.armed()
    await desk.arm(False, "ann")
    assert not await desk.armed()


async def test_the_tables_of_alerts_come_and_go_with_their_step(
    store: SqlAlertStore, url: str
) -> None:
    await put(store, [notice(1)])
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        migrate(connection, "0002")
        assert not [n for n in inspect(connection).get_table_names() if n.startswith("alert_")]
        migrate(connection, "0003")
    engine.dispose()
    await put(store, [notice(2)])
    page = await store.notices(None, None, 9, None)
    assert [each.alert_id for each in page.notices] == ["a2"]
