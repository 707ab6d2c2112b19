"""Stays at the tills of a small shop, for tests."""

from datetime import UTC, datetime

import msgspec

from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent, QueueVisit, ZoneStay
from trinetra.insights.queues.plan import QueuePlan, TillZone, ZonePlace
from trinetra.insights.queues.visits import QueueVisits
from trinetra.values import (
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    SiteId,
    TrackId,
    after,
    derive_id,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CAMERA = CameraId("till-camera")


def zone(kind: str, *tills: str, engaged_after_s: float = 10.0) -> TillZone:
    assert kind in {"queue", "till"}
    return TillZone("queue" if kind == "queue" else "till", frozenset(tills), engaged_after_s)


PLAN = QueuePlan(
    {
        ZonePlace(CAMERA, "queue-1"): zone("queue", "till-1"),
        ZonePlace(CAMERA, "desk-1"): zone("till", "till-1", engaged_after_s=5.0),
        ZonePlace(CAMERA, "queue-2"): zone("queue", "till-2"),
        ZonePlace(CAMERA, "desk-2"): zone("till", "till-2", engaged_after_s=5.0),
        ZonePlace(CAMERA, "snake"): zone("queue", "till-3", "till-4"),
        ZonePlace(CAMERA, "desk-3"): zone("till", "till-3", engaged_after_s=5.0),
        ZonePlace(CAMERA, "desk-4"): zone("till", "till-4", engaged_after_s=5.0),
        ZonePlace(CAMERA, "kiosk"): zone("till", "till-5", engaged_after_s=5.0),
    }
)


def stay(
    zone_id: str, from_s: float, to_s: float, track: str, customer: str | None = None
) -> ZoneStay:
    """Return a stay from and to so many seconds after noon."""
    entered_at = after(NOON, from_s)
    return ZoneStay(
        event_id=EventId(derive_id("stay", zone_id, track, entered_at)),
        site_id=SiteId("shop"),
        camera_id=CAMERA,
        captured_at=after(NOON, to_s),
        zone_id=zone_id,
        track_id=TrackId(track),
        label="person",
        entered_at=entered_at,
        dwell_s=to_s - from_s,
        customer_id=CustomerId(customer) if customer else None,
    )


def of_staff(event: ZoneStay) -> ZoneStay:
    return msgspec.structs.replace(event, kind=IdentityKind.STAFF)


def in_order(events: list[InsightEvent]) -> list[InsightEvent]:
    return sorted(events, key=lambda event: (event.captured_at, event.event_id))


def visits(*stays: ZoneStay, from_s: float = -3600, to_s: float = 7200) -> list[QueueVisit]:
    """Return the visits that ended in a span, which is given in seconds after noon."""
    span = Span(after(NOON, from_s), after(NOON, to_s))
    return list(QueueVisits(PLAN).derive(span, in_order([*stays])))
