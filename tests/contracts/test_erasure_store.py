"""Contract of the erasure store, on SQLite and on a PostgreSQL server."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET, UnsetType
from tests.servers.traces import traces

from trinetra.adapters.sql.customer_log import SqlCustomerLog
from trinetra.adapters.sql.erasure_store import GONE_AFTER_S, SqlErasureStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.customers.customer_feed import read_people
from trinetra.errors import CustomerConflict
from trinetra.events.customers import CustomerChange, erasure_digest
from trinetra.events.erasure import GALLERY, Acknowledgement
from trinetra.events.schema import LineCrossing, Purchase, UnpaidStay, Visit, ZoneStay
from trinetra.ports import Template
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    GalleryEntry,
    IdentityKind,
    SiteId,
    TrackId,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=1)
ANN, ALSO_ANN, BOB = map(CustomerId, ("cus_ann_0123456789", "cus_ann_too_456789", "cus_bob"))
KINDS = ("line_crossing", "zone_stay")
MEMBERS = ("resolver", "engine")
FACE = np.random.default_rng(0).standard_normal(128).astype(np.float32)


@dataclass
class Shop:
    """The three stores that share a database."""

    erasure_store: SqlErasureStore
    store: SqlInsightStore
    customer_log: SqlCustomerLog
    folder: Path
    url: str


@pytest.fixture(params=["file", "postgres"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    url = f"sqlite:///{tmp_path}/insights.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open(url))
        customer_log = await stack.enter_async_context(SqlCustomerLog.open(url))
        erasure_store = await stack.enter_async_context(SqlErasureStore.open(url))
        yield Shop(erasure_store, store, customer_log, tmp_path, url)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def common(name: str, minutes: float) -> dict:
    return {
        "event_id": EventId(name),
        "site_id": SiteId("shop"),
        "camera_id": CameraId("door"),
        "captured_at": at(minutes),
    }


def crossing(
    name: str, customer: CustomerId | None, kind: IdentityKind | UnsetType = UNSET
) -> LineCrossing:
    track = {"track_id": TrackId(f"t-{name}"), "label": "person", "customer_id": customer}
    return LineCrossing(**common(name, 1), line_id="door", direction="in", kind=kind, **track)


def stay(name: str, customer: CustomerId) -> ZoneStay:
    track = {"track_id": TrackId(f"t-{name}"), "label": "person", "customer_id": customer}
    return ZoneStay(**common(name, 2), zone_id="till", entered_at=NOON, dwell_s=9.0, **track)


def visit(name: str, customer: CustomerId, minutes: float, number: int) -> Visit:
    return Visit(
        **common(name, minutes + 5),
        customer_id=customer,
        kind=IdentityKind.ENROLLED,
        started_at=at(minutes),
        cameras=(CameraId("door"),),
        visit_number=number,
    )


def purchase(name: str, customer: CustomerId) -> Purchase:
    return Purchase(
        **common(name, 2),
        receipt_id=name,
        till_id="till-1",
        paid_at=at(2),
        total_minor=990,
        currency="EUR",
        offset_s=1.0,
        spread_s=2.0,
        confidence=0.9,
        stay_id=EventId("s1"),
        track_id=TrackId(f"t-{name}"),
        customer_id=customer,
    )


def unpaid(name: str, customer: CustomerId) -> UnpaidStay:
    till = {"till_id": "till-1", "zone_id": "till", "stay_id": EventId("s1"), "dwell_s": 9.0}
    track_id = TrackId(f"t-{name}")
    return UnpaidStay(**common(name, 2), **till, track_id=track_id, customer_id=customer)


async def fill(shop: Shop) -> None:
    described = {"kind": IdentityKind.ENROLLED, "name": "Ann Example", "purpose": "loyalty"}
    entry = GalleryEntry("emb", ANN, IdentityKind.ENROLLED, FACE, 0.9, NOON, NOON, None, True)
    changes = [
        CustomerChange(change_id="1", change="enrolled", customer_id=ANN, at=NOON, **described),
        CustomerChange(change_id="2", change="merged", customer_id=ALSO_ANN, other=ANN, at=NOON),
    ]
    await shop.customer_log.write(changes, [Template("model/1", entry)])
    await shop.store.know(await read_people(shop.customer_log))
    await shop.store.record(
        [
            *(crossing("x1", ANN, IdentityKind.VIP), crossing("x2", BOB), crossing("x3", None)),
            *(crossing("x4", ANN, IdentityKind.STAFF), stay("s1", ALSO_ANN)),
            *(visit("v1", ANN, 0, 1), visit("v2", ALSO_ANN, 3, 1), visit("v3", ANN, 600, 2)),
            visit("v4", BOB, 0, 1),
            *(purchase("p1", ANN), purchase("p2", BOB), unpaid("u1", ALSO_ANN)),
        ]
    )


async def totals(shop: Shop) -> dict[str, object]:
    visits = await shop.store.visits(NOON, LATER, 1800)
    return {
        "crossings": len(await shop.store.fetch("line_crossing", NOON, LATER)),
        "stays_s": sum(s.dwell_s for s in await shop.store.fetch("zone_stay", NOON, LATER)),
        "visits": [(v.started_at, v.captured_at) for v in visits],
    }


async def test_nothing_of_a_person_is_left_in_the_database_and_the_totals_stand(shop: Shop) -> None:
    await fill(shop)
    before = await totals(shop)
    names = [ANN, ALSO_ANN, "Ann Example", "loyalty"]

    status = await shop.erasure_store.request([ANN, ALSO_ANN], NOON)
    assert await totals(shop) == before
    assert status.removed() == {
        "book_entries": 3,
        "line_crossings_without_id": 2,
        "purchases": 1,
        "unpaid_stays": 1,
        "visits_made_anonymous": 3,
        "zone_stays_without_id": 1,
    }
    assert status.erasure.ids == (ANN, ALSO_ANN)
    assert (await read_people(shop.customer_log)).is_erased(ALSO_ANN)

    await shop.erasure_store.acknowledge(
        1, Acknowledgement(member="m", at=NOON, removed={GALLERY: 4})
    )
    assert traces(shop.folder, [FACE], names) == {}
    found = await shop.store.visits(NOON, LATER, 1800)
    assert {v.customer_id for v in found if v.event_id != "v4"}.isdisjoint({ANN, ALSO_ANN})
    assert len({v.customer_id for v in found}) == len(found)  # the ids are unlinkable
    assert {(v.kind, v.visit_number) for v in found if v.event_id != "v4"} == {("anonymous", 1)}
    tracks = {e.event_id: e for k in KINDS for e in await shop.store.fetch(k, NOON, LATER)}
    changed = {name for name, event in tracks.items() if event.track_id != f"t-{name}"}
    assert changed == {"x1", "s1", "x4"}
    assert {n: e.kind for n, e in tracks.items() if e.kind is not UNSET} == {"x4": "staff"}


async def test_late_records_do_not_bring_an_erased_person_back(shop: Shop) -> None:
    await fill(shop)
    await shop.erasure_store.request([ANN, ALSO_ANN], NOON)
    before = await totals(shop)

    late = [crossing("x1", ANN), stay("s1", ALSO_ANN), visit("v3", ANN, 600, 2)]
    await shop.store.record([*late, crossing("x9", ANN)])
    assert await totals(shop) == {**before, "crossings": 5}
    assert traces(shop.folder, [], [ANN, ALSO_ANN, "Ann Example"]).keys() <= {
        "insights.db",  # the request itself, until it is acknowledged
        "insights.db-wal",
    }
    again = CustomerChange(change_id="9", change="enrolled", customer_id=ANN, at=LATER)
    with pytest.raises(CustomerConflict, match="erased"):
        await shop.customer_log.write([again])


async def test_a_request_is_open_until_all_live_processes_acknowledged(shop: Shop) -> None:
    await fill(shop)
    assert await shop.erasure_store.heartbeat("resolver", NOON) == []
    assert await shop.erasure_store.heartbeat("engine", NOON) == []
    await shop.erasure_store.heartbeat("dead", NOON - timedelta(seconds=GONE_AFTER_S + 1))
    await shop.erasure_store.heartbeat("stopped", NOON)
    await shop.erasure_store.deregister("stopped")

    status = await shop.erasure_store.request([ANN], NOON)
    assert status.awaited == ("engine", "resolver")
    [due] = await shop.erasure_store.heartbeat("resolver", NOON)
    assert due.ids == (ANN, ALSO_ANN)
    await shop.erasure_store.acknowledge(
        due.number, Acknowledgement(member="resolver", at=NOON, removed={GALLERY: 2})
    )
    await shop.erasure_store.acknowledge(
        due.number, Acknowledgement(member="resolver", at=NOON, removed={GALLERY: 99})
    )
    assert await shop.erasure_store.heartbeat("resolver", NOON) == []

    status = await shop.erasure_store.find(ANN, NOON)
    assert status is not None
    assert (status.settled_at, status.awaited) == (None, ("engine",))
    await shop.erasure_store.acknowledge(
        due.number, Acknowledgement(member="engine", at=at(1), removed={})
    )
    status = await shop.erasure_store.find(ANN, LATER)
    assert status is not None
    assert status.settled_at == at(1)
    assert status.removed()[GALLERY] == 2
    assert status.erasure.ids == ()
    assert set(status.erasure.digests) == {erasure_digest(ANN), erasure_digest(ALSO_ANN)}
    assert await shop.erasure_store.heartbeat("newcomer", LATER) == []


async def test_an_erasure_is_not_done_before_a_gallery_was_cleared(shop: Shop) -> None:
    await fill(shop)
    await shop.erasure_store.request([ANN], NOON)
    await shop.erasure_store.acknowledge(1, Acknowledgement(member="engine", at=NOON, removed={}))
    status = await shop.erasure_store.find(ANN, NOON)
    assert status is not None
    assert status.settled_at is None


async def test_asking_twice_is_one_request(shop: Shop) -> None:
    await fill(shop)
    first = await shop.erasure_store.request([ANN], NOON)
    again = await shop.erasure_store.request([ANN], LATER)
    assert again.erasure == first.erasure
    assert again.removed() == first.removed()


async def test_an_id_that_joined_unseen_is_erased_too_and_one_that_comes_later_is_told_to_all(
    shop: Shop,
) -> None:
    await shop.erasure_store.heartbeat("resolver", NOON)
    merge = CustomerChange(change_id="2", change="merged", customer_id=ALSO_ANN, other=ANN, at=NOON)
    await shop.customer_log.write([merge])
    first = await shop.erasure_store.request([ANN], NOON)
    assert first.erasure.ids == (ANN, ALSO_ANN)

    await shop.erasure_store.acknowledge(
        1, Acknowledgement(member="resolver", at=NOON, removed={GALLERY: 1})
    )
    second = await shop.erasure_store.request([ANN, BOB], NOON)
    assert (second.erasure.number, second.erasure.ids) == (2, (BOB,))
    assert await shop.erasure_store.heartbeat("resolver", NOON) == [second.erasure]


async def settled(shop: Shop, when: datetime) -> bool:
    status = await shop.erasure_store.find(ANN, when)
    assert status is not None
    return status.settled_at is not None and status.erasure.ids == ()


@pytest.mark.parametrize("ends", ["in order", "without a word"])
async def test_an_erasure_does_not_wait_for_a_process_that_ended(shop: Shop, ends: str) -> None:
    await shop.erasure_store.heartbeat("resolver", NOON)
    await shop.erasure_store.heartbeat("engine", NOON)
    await shop.erasure_store.request([ANN], NOON)
    await shop.erasure_store.acknowledge(
        1, Acknowledgement(member="resolver", at=NOON, removed={GALLERY: 3})
    )
    assert not await settled(shop, NOON)
    if ends == "in order":
        await shop.erasure_store.deregister("engine")
    assert await settled(shop, NOON if ends == "in order" else at(1))


async def test_a_process_may_add_what_it_could_not_do_at_first(shop: Shop) -> None:
    await shop.erasure_store.request([ANN], NOON)
    await shop.erasure_store.acknowledge(
        1, Acknowledgement(member="command", at=NOON, removed={"journal_records": 2})
    )
    assert not await settled(shop, NOON)
    await shop.erasure_store.acknowledge(
        1, Acknowledgement(member="command", at=at(5), removed={GALLERY: 4})
    )
    assert await settled(shop, at(5))


async def test_processes_that_act_at_the_same_time_leave_nothing_open(shop: Shop) -> None:
    people = [CustomerId(f"cus_{n}") for n in range(10)]
    for member in MEMBERS:
        await shop.erasure_store.heartbeat(member, NOON)
    async with AsyncExitStack() as stack:
        erasure_stores = [
            await stack.enter_async_context(SqlErasureStore.open(shop.url)) for _ in range(2)
        ]
        for one, two in zip(people[::2], people[1::2], strict=True):
            requests = await asyncio.gather(
                erasure_stores[0].request([one], NOON), erasure_stores[1].request([two], NOON)
            )
            assert len({r.erasure.number for r in requests}) == len(requests)
            for number in (r.erasure.number for r in requests):
                shares = [Acknowledgement(member=m, at=NOON, removed={GALLERY: 1}) for m in MEMBERS]
                confirmed = map(
                    SqlErasureStore.acknowledge, erasure_stores, (number, number), shares
                )
                await asyncio.gather(*confirmed)
    found = [await shop.erasure_store.find(who, NOON) for who in people]
    assert [who.settled_at for who in found if who] == [NOON] * len(people)


async def test_an_erasure_waits_for_owners_that_ended_or_never_ran(shop: Shop) -> None:
    await shop.erasure_store.heartbeat("resolver@a", NOON, "resolver@a")
    await shop.erasure_store.heartbeat("engine@a", NOON, "engine")
    for member in ("resolver@a", "engine@a"):
        await shop.erasure_store.deregister(member)

    status = await shop.erasure_store.request([ANN], NOON, ["engine", "worker"])
    assert status.owners == status.awaited == ("engine", "resolver@a", "worker")
    for member in ("engine@b", "resolver@b", "worker@a"):
        share = Acknowledgement(member=member, at=NOON, removed={GALLERY: 1})
        await shop.erasure_store.acknowledge(1, share)
    status = await shop.erasure_store.find(ANN, LATER)
    assert status is not None
    assert (status.awaited, status.settled_at) == (("resolver@a",), None)
    [due] = await shop.erasure_store.heartbeat("resolver@a", LATER, "resolver@a")
    await shop.erasure_store.acknowledge(
        due.number, Acknowledgement(member="resolver@a", at=LATER, removed={GALLERY: 2})
    )
    assert await settled(shop, LATER)


async def test_an_unknown_id_has_no_erasure(shop: Shop) -> None:
    assert await shop.erasure_store.find(BOB, NOON) is None


async def test_it_is_not_done_while_a_reader_keeps_what_was_deleted(tmp_path: Path) -> None:
    file = tmp_path / "insights.db"
    everybody = [CustomerId(f"cus_{n:060}") for n in range(400)]
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open(f"sqlite:///{file}"))
        erasure_store = await stack.enter_async_context(SqlErasureStore.open(f"sqlite:///{file}"))
        await store.record([visit(f"v{n}", who, n, 1) for n, who in enumerate(everybody)])
        with closing(sqlite3.connect(file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM visits").fetchone()
            for who in everybody[::20]:
                status = await erasure_store.request([who], NOON)
                share = Acknowledgement(member="all", at=NOON, removed={GALLERY: 1})
                await erasure_store.acknowledge(status.erasure.number, share)
            status = await erasure_store.find(everybody[0], NOON)
            assert status is not None
            assert (status.settled_at, status.erasure.ids) == (None, ())
        status = await erasure_store.find(everybody[0], LATER)
        assert status is not None
        assert status.settled_at == LATER
        assert traces(tmp_path, [], everybody[::20]) == {}


async def test_a_file_that_others_could_read_and_that_kept_what_was_deleted_is_mended(
    tmp_path: Path,
) -> None:
    file = tmp_path / "insights.db"
    with closing(sqlite3.connect(file)) as old:
        old.execute("PRAGMA secure_delete=OFF")
        old.execute("CREATE TABLE old (name TEXT)")
        old.execute("INSERT INTO old VALUES ('Ann Example')")
        old.execute("DELETE FROM old")
        old.commit()
    file.chmod(0o644)
    assert b"Ann Example" in file.read_bytes()
    async with SqlErasureStore.open(f"sqlite:///{file}"):
        assert file.stat().st_mode & 0o077 == 0
        assert traces(tmp_path, [], ["Ann Example"]) == {}


async def test_no_later_erasure_waits_for_an_owner_whose_data_is_gone(shop: Shop) -> None:
    for worker in ("worker@a", "worker@b"):
        await shop.erasure_store.heartbeat(worker, NOON, worker)
    first = await shop.erasure_store.request([ANN], NOON)
    assert first.owners == ("worker@a", "worker@b")
    await shop.erasure_store.deregister("worker@a", "worker@a")
    second = await shop.erasure_store.request([BOB], NOON)
    assert second.owners == second.awaited == ("worker@b",)
    found = await shop.erasure_store.find(ANN, NOON)
    assert found is not None
    assert found.awaited == ("worker@a", "worker@b")  # it had been asked while it had data
