"""Plates in the store: erased with a linked customer, and unlinked when they expire."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.schema import TrackPlate, VehicleLink, VehicleStay, VehicleVisit
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
ANN, BOB = CustomerId("cus_ann_0123456789"), CustomerId("cus_bob_0123456789")
PLATE = "plt_dd915c5b50755fdd57e5f261d30825bf"
BOX = (0.0, 0.0, 100.0, 100.0)


@dataclass
class Shop:
    erasures: SqlErasureStore
    store: SqlInsightStore


@pytest.fixture(params=["file", "postgres"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    url = f"sqlite:///{tmp_path}/insights.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlInsightStore.open(url))
        erasures = await stack.enter_async_context(SqlErasureStore.open(url))
        yield Shop(erasures, store)


def common(name, at):
    where = {"site_id": SiteId("shop"), "camera_id": CameraId("gate")}
    return {"event_id": EventId(name), "captured_at": at, **where}


def vehicle(name, at, plate_id=PLATE):
    """Return a visit of a vehicle and its two stays."""
    plate = TrackPlate(plate_id, 0.9, 4, "IN", "KA01AB1234")
    stays = [
        VehicleStay(
            **common(f"stay_{name}_{number}", at + timedelta(minutes=number)),
            track_id=TrackId(f"trk_{name}_{number}"),
            label="car",
            entered_at=at,
            appeared=BOX,
            vanished=BOX,
            plate=plate if number else None,
        )
        for number in range(2)
    ]
    visit = VehicleVisit(
        **common(f"visit_{name}", at),
        left_at=at + timedelta(minutes=1),
        stay_s=60.0,
        label="car",
        stays=tuple(stay.event_id for stay in stays),
        cameras=(CameraId("gate"),),
        plate=plate,
    )
    return [*stays, visit]


def link(name, customer_id):
    return VehicleLink(
        **common(f"link_{name}_{customer_id}", NOON),
        vehicle_visit_id=EventId(f"visit_{name}"),
        visit_id=EventId(f"of_{customer_id}"),
        customer_id=customer_id,
        kind=IdentityKind.ANONYMOUS,
        delay_s=60.0,
        confidence=1.0,
    )


async def on_record(shop, kind):
    found = await shop.store.fetch(kind, NOON - timedelta(days=90), NOON + timedelta(days=1))
    return {event.event_id: event for event in found}


async def plates(shop):
    visits, stays = await on_record(shop, "vehicle_visit"), await on_record(shop, "vehicle_stay")
    return {name: event.plate for name, event in {**visits, **stays}.items() if event.plate}


async def test_an_erasure_unlinks_the_vehicle_of_the_customer_and_no_other(shop):
    insights = [*vehicle("a", NOON), *vehicle("b", NOON + timedelta(hours=3))]
    await shop.store.record([*insights, link("a", ANN), link("b", BOB)])
    status = await shop.erasures.request([ANN], NOON)
    links, left = await on_record(shop, "vehicle_link"), await plates(shop)
    assert {event.customer_id for event in links.values()} == {BOB}
    assert left["visit_b"].plate_id == left["stay_b_1"].plate_id == PLATE
    assert left["visit_a"].plate_id == left["stay_a_1"].plate_id != PLATE
    assert left["visit_a"].text is None
    assert left["visit_b"].text == "KA01AB1234"
    assert any(share.removed.get("plates_unlinked") == 1 for share in status.shares)


async def test_expired_visits_of_one_vehicle_cannot_be_connected(shop):
    days = [NOON - timedelta(days=ago) for ago in (60, 45, 3)]
    await shop.store.record([e for n, day in enumerate(days) for e in vehicle(str(n), day)])
    before = NOON - timedelta(days=30)
    assert await shop.store.expire_plates(before, 10) == 2
    left = await plates(shop)
    assert left["visit_2"].plate_id == PLATE
    assert len({left[f"visit_{n}"].plate_id for n in range(3)}) == 3
    assert [left[f"stay_{n}_1"].plate_id for n in range(3)] == [
        left[f"visit_{n}"].plate_id for n in range(3)
    ]
    assert [left[f"visit_{n}"].text for n in range(3)] == [None, None, "KA01AB1234"]


async def test_plates_expire_in_batches_and_only_once(shop):
    old = [vehicle(str(n), NOON - timedelta(days=60 + n)) for n in range(3)]
    await shop.store.record([event for events in old for event in events])
    counts = [await shop.store.expire_plates(NOON, 2) for _ in range(3)]
    assert counts == [2, 1, 0]
    assert len(await on_record(shop, "vehicle_visit")) == 3
