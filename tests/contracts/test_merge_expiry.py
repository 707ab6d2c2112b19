"""Merges of anonymous people expire from the customer log, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trinetra.adapters.sql.customer_log import SqlCustomerLog
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.customers.customer_feed import read_people
from trinetra.events.customers import ChangeKind, CustomerChange, erasure_digest
from trinetra.events.erasure import erased_change
from trinetra.events.schema import Visit
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
OLD, NEW = NOW - timedelta(days=40), NOW - timedelta(days=20)
BEFORE = NOW - timedelta(days=30)
ALWAYS = (NOW - timedelta(days=999), NOW + timedelta(days=1))
Stores = tuple[SqlCustomerLog, SqlInsightStore]


@pytest.fixture(params=["file", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    url = f"sqlite:///{tmp_path}/insights.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open(url))
        yield await stack.enter_async_context(SqlCustomerLog.open(url)), store


def change(
    what: ChangeKind, who: str, other: str | None = None, at: datetime = OLD, **more: object
) -> CustomerChange:
    return CustomerChange(
        change_id=f"{what}-{who}-{other}",
        change=what,
        customer_id=CustomerId(who),
        other=CustomerId(other) if other else None,
        at=at,
        **more,
    )


def visit(who: str, at: datetime = NOW) -> Visit:
    return Visit(
        event_id=EventId(f"visit-{who}"),
        site_id=SiteId("shop"),
        camera_id=CameraId("door"),
        captured_at=at,
        customer_id=CustomerId(who),
        kind=IdentityKind.ANONYMOUS,
        started_at=at,
        cameras=(CameraId("door"),),
        visit_number=1,
    )


async def merged(customer_log: SqlCustomerLog) -> dict[str, str]:
    return dict((await read_people(customer_log)).merged)


async def test_only_merges_of_people_whom_nothing_names_expire(stores: Stores) -> None:
    customer_log, store = stores
    await customer_log.write(
        [
            change("merged", "gone", "gone_too"),
            change("merged", "young", "young_too", at=NEW),
            change("merged", "seen", "seen_too"),
            change("merged", "alias_seen", "head"),
            change("merged", "first", "second"),
            change("merged", "second", "third"),
            change("enrolled", "ann", kind=IdentityKind.VIP),
            change("merged", "ann_too", "ann"),
            change("merge_proposed", "maybe", "perhaps"),
        ]
    )
    await store.record([visit("seen_too"), visit("alias_seen"), visit("third")])
    await store.know(await read_people(customer_log))

    assert await store.expire_merges(BEFORE, 1000) == 2
    assert await merged(customer_log) == {
        "young": "young_too",
        "seen": "seen_too",
        "alias_seen": "head",
        "first": "second",
        "second": "third",
        "ann_too": "ann",
    }
    assert not (await read_people(customer_log)).proposed
    assert {v.customer_id for v in await store.visits(*ALWAYS, 0)} == {"seen_too", "head", "third"}
    assert await store.expire_merges(BEFORE, 1000) == 0


async def test_a_merge_does_not_outlive_the_split_that_undid_it(stores: Stores) -> None:
    customer_log, store = stores
    await customer_log.write([change("merged", "a", "b"), change("split", "a", "b", at=NEW)])
    assert await store.expire_merges(BEFORE, 1000) == 0
    assert await store.expire_merges(NOW, 1000) == 2
    assert await merged(customer_log) == {}


async def test_a_reader_goes_on_behind_the_gap_and_erased_ids_stay_refused(stores: Stores) -> None:
    customer_log, store = stores
    await customer_log.write([change("merged", "a", "b"), change("merged", "c", "d")])
    await customer_log.erase(CustomerId("eve"), erased_change(CustomerId("eve"), OLD))
    people = await read_people(customer_log)
    assert await store.expire_merges(NOW, 1000) == 2

    await customer_log.write([change("merged", "e", "f", at=NEW)])
    people.apply(await customer_log.changes(people.number, 1000))
    assert people.canonical(CustomerId("e")) == "f"
    fresh = await read_people(customer_log)
    assert fresh.erased == {erasure_digest(CustomerId("eve"))}
    assert fresh.number == people.number
    await customer_log.write([change("merged", "a", "b", at=NOW)])  # they are back, and alike
    assert (await merged(customer_log))["a"] == "b"
