"""Random insights of all types, whose ids often repeat: each is then a correction."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from trinetra.events.schema import (
    CameraCoverage,
    FloorCell,
    FloorPresence,
    Group,
    InsightEvent,
    LineCrossing,
    Passage,
    Purchase,
    QueueVisit,
    Receipt,
    SiteOccupancy,
    TrackPlate,
    UnpaidStay,
    VehicleVisit,
    Visit,
    ZoneStay,
)
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

NIGHT = datetime(2026, 10, 24, 20, tzinfo=UTC)
"""The evening before the clocks of Berlin go back."""
PLATE = TrackPlate("plate_1", 0.9, 4)
ANN, BOB, EVE = map(CustomerId, ("ann", "bob", "eve"))
_TRACK = TrackId("t")


def common(number: int, at: datetime) -> dict:
    return {
        "event_id": EventId(f"id_{number}"),
        "site_id": SiteId("shop"),
        "camera_id": CameraId(f"cam{number // len(_MAKERS) % 3}"),
        "captured_at": at,
    }


def insight(rng: Random) -> InsightEvent:
    """Return an insight within eight hours of that night."""
    number, at = rng.randrange(9 * len(_MAKERS)), NIGHT + timedelta(seconds=rng.randrange(28_800))
    return _MAKERS[number % len(_MAKERS)](rng, common(number, at), at)


def _names(rng: Random) -> dict:
    who = rng.choice([None, ANN, BOB, EVE])
    kind = rng.choice([IdentityKind.ANONYMOUS, IdentityKind.STAFF]) if who else msgspec.UNSET
    return {"customer_id": who, "kind": kind}


def _revision(rng: Random) -> dict:
    return {"revision": rng.choice([msgspec.UNSET, 1, 2])}


def _track(rng: Random) -> dict:
    return {"track_id": _TRACK, "label": rng.choice(["person", "person", "car"])}


def _ago(rng: Random, at: datetime, most_s: int) -> datetime:
    return at - timedelta(seconds=rng.randrange(1, most_s))


def _crossing(rng: Random, common: dict, _at: datetime) -> LineCrossing:
    named = {**_names(rng), **_revision(rng), **_track(rng)}
    return LineCrossing(**common, **named, line_id="door", direction=rng.choice(["in", "out"]))


def _stay(rng: Random, common: dict, at: datetime) -> ZoneStay:
    named = {**_names(rng), **_revision(rng), **_track(rng)}
    dwell = {"entered_at": _ago(rng, at, 9), "dwell_s": rng.randrange(9000) / 1000}
    return ZoneStay(**common, **named, zone_id="shelf", **dwell)


def _visit(rng: Random, common: dict, at: datetime) -> Visit:
    return Visit(
        **common,
        **_revision(rng),
        customer_id=rng.choice([ANN, BOB, EVE]),
        kind=IdentityKind.ANONYMOUS,
        started_at=_ago(rng, at, 5400),
        cameras=(),
        visit_number=rng.randrange(1, 4),
        withdrawn=rng.choice([msgspec.UNSET, msgspec.UNSET, True]),
    )


def _queue_visit(rng: Random, common: dict, at: datetime) -> QueueVisit:
    served = rng.choice([None, _ago(rng, at, 400)])
    return QueueVisit(
        **common,
        queue_id="line",
        till_id=rng.choice([None, "one", "two"]),
        joined_at=at - timedelta(seconds=rng.randrange(600, 900)),
        served_at=served,
        end="served" if served else rng.choice(["abandoned", "moved"]),
        wait_s=rng.choice([None, rng.randrange(600_000) / 1000]),
        service_s=(at - served).total_seconds() if served else None,
        track_id=_TRACK,
        customer_id=rng.choice([None, ANN, BOB]),
    )


def _receipt(rng: Random, common: dict, at: datetime) -> Receipt:
    return Receipt(
        **common,
        **_revision(rng),
        receipt_id=common["event_id"],
        till_id="till-1",
        issued_at=at,
        kind=rng.choice(["sale", "sale", "refund", "void"]),
        total_minor=rng.randrange(9000),
        currency="EUR",
        item_count=rng.choice([msgspec.UNSET, 1, 2]),
    )


def _purchase(rng: Random, common: dict, at: datetime) -> Purchase:
    who = rng.choice([None, ANN, BOB, EVE])
    return Purchase(
        **common,
        receipt_id=common["event_id"],
        till_id="till-1",
        paid_at=at + timedelta(seconds=7),
        total_minor=900,
        currency="EUR",
        offset_s=7.0,
        spread_s=2.0,
        confidence=0.9,
        track_id=rng.choice([None, _TRACK]),
        customer_id=who,
        entered_at=_ago(rng, at, 900) if who else msgspec.UNSET,
        zones_before=("door/shelf",) if who else msgspec.UNSET,
    )


def _unpaid_stay(_rng: Random, common: dict, _at: datetime) -> UnpaidStay:
    stay = {"stay_id": EventId("s"), "track_id": _TRACK, "dwell_s": 9.0}
    return UnpaidStay(**common, **stay, till_id="till-1", zone_id="desk")


def _passage(rng: Random, common: dict, _at: datetime) -> Passage:
    return Passage(
        **common,
        **_names(rng),
        door_id="main",
        door_kind=rng.choice(["entrance", "entrance", "passby"]),
        direction=rng.choice(["in", "in", "out"]),
        label="person",
        crossings=(EventId("c"),),
        age=rng.choice([msgspec.UNSET, "adult", "child"]),
    )


def _group(rng: Random, common: dict, at: datetime) -> Group:
    people = rng.randrange(1, 5)
    way = {"door_id": "main", "direction": rng.choice(["in", "out"])}
    return Group(**common, **way, passages=(), people=people, children=0, last_at=at)


def _vehicle_visit(rng: Random, common: dict, at: datetime) -> VehicleVisit:
    stay_s = float(rng.randrange(1, 4000))
    return VehicleVisit(
        **common,
        left_at=at + timedelta(seconds=stay_s),
        stay_s=stay_s,
        label=rng.choice(["car", "motorcycle", "bus", "truck", "bicycle"]),
        stays=(),
        cameras=(),
        plate=rng.choice([None, PLATE]),
    )


def _site_occupancy(rng: Random, common: dict, at: datetime) -> SiteOccupancy:
    until = at + timedelta(seconds=rng.randrange(1, 900))
    return SiteOccupancy(**common, until=until, people=rng.randrange(1, 30))


def _coverage(rng: Random, common: dict, at: datetime) -> CameraCoverage:
    start = _ago(rng, at, 400) - timedelta(microseconds=rng.randrange(10**6))
    return CameraCoverage(**common, started_at=start, frames=7)


def _floor_presence(rng: Random, common: dict, at: datetime) -> FloorPresence:
    return FloorPresence(
        **common,
        started_at=_ago(rng, at, 900),
        grid=rng.choice(["floor", "floor", "picture"]),
        cells=tuple(
            FloorCell(x, rng.randrange(3), rng.randrange(9000), rng.randrange(3))
            for x in range(-1, rng.randrange(3))
        ),
        unplaced_ms=rng.randrange(900),
    )


_MAKERS: tuple[Callable[[Random, dict, datetime], InsightEvent], ...] = (
    _crossing,
    _crossing,
    _stay,
    _visit,
    _queue_visit,
    _receipt,
    _purchase,
    _unpaid_stay,
    _passage,
    _group,
    _vehicle_visit,
    _site_occupancy,
    _coverage,
    _floor_presence,
)
