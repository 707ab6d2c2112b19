"""One event of each type, for tests."""

from datetime import UTC, datetime, timedelta

import numpy as np

from trinetra.events.codec import pack_embedding
from trinetra.events.receipts import receipt_event_id
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    Candidate,
    DetectionEvent,
    Evidence,
    FaceBox,
    FaceQuality,
    GateEvidence,
    IdentityEvent,
    LineCrossing,
    ObjectBox,
    Occupancy,
    Purchase,
    Receipt,
    ReceiptItem,
    Thresholds,
    TrackPosition,
    TracksEvent,
    UnpaidStay,
    Visit,
    ZoneStay,
)
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SITE, DOOR, TILL = SiteId("shop"), CameraId("door"), CameraId("till")
ANNA, TRACK = CustomerId("cus_anna"), TrackId("trk_1")


def _head(event_id: str) -> dict[str, object]:
    return {
        "event_id": EventId(event_id),
        "site_id": SITE,
        "camera_id": DOOR,
        "captured_at": NOON + timedelta(milliseconds=250),
    }


def face() -> FaceBox:
    """Return a face with an arbitrary embedding."""
    vector = np.random.default_rng(7).normal(size=512).astype(np.float32)
    return FaceBox(
        score=0.91,
        box=(612.5, 200.0, 668.2, 271.9),
        landmarks=(
            (626.0, 228.1),
            (653.5, 227.4),
            (640.2, 243.0),
            (628.8, 255.5),
            (651.9, 255.0),
        ),
        quality=FaceQuality(0.72, 55.7, 0.8, 0.9, 0.95),
        embedding=pack_embedding(vector / np.linalg.norm(vector)),
    )


def detection(faces: tuple[FaceBox, ...] = ()) -> DetectionEvent:
    """Return a detection event with one person."""
    return DetectionEvent(
        **_head("det_1"),
        frame_seq=7,
        frame_width=1280,
        frame_height=720,
        objects=(ObjectBox("person", 0.87, (580.0, 180.0, 720.5, 600.0)),),
        faces=faces,
        models={"detect": "nanodet-g-416@1"},
    )


def one_of_each() -> list[AnyEvent]:
    """Return one event of every type, each with its optional fields set."""
    gate = GateEvidence(
        customer_id=ANNA,
        verdict="plausible",
        reason="walkable",
        from_camera=TILL,
        distance_m=40.0,
        elapsed_s=56.0,
        speed_mps=0.708,
        limit_mps=2.5,
    )
    evidence = Evidence(
        faces_seen=9,
        faces_used=3,
        best_face_px=55.7,
        quality=0.72,
        model="mobilefacenet-fr@1",
        thresholds=Thresholds(0.72, 0.03, 0.3, 32.0),
        candidates=(Candidate(ANNA, 0.881), Candidate(CustomerId("cus_ben"), 0.53)),
        margin=0.351,
        gate=(gate,),
    )
    tiny = FaceBox(
        score=0.6,
        box=(1.0, 2.0, 15.0, 18.0),
        landmarks=((4.0, 8.0), (11.0, 8.0), (7.5, 11.0), (5.0, 14.0), (10.0, 14.0)),
        quality=FaceQuality(0.1, 14.0, 0.3, 0.9, 0.9),
        unusable="too_small",
    )
    return [
        detection(faces=(face(), tiny)),
        TracksEvent(
            **_head("trs_1"),
            frame_seq=7,
            frame_width=1280,
            frame_height=720,
            tracks=(
                TrackPosition(
                    TRACK, "person", (580.0, 180.0, 720.5, 600.0), ANNA, IdentityKind.ANONYMOUS
                ),
            ),
            ended=(TrackId("trk_0"),),
        ),
        IdentityEvent(
            **_head("idn_1"),
            track_id=TRACK,
            status="known",
            reasons=("similar", "gate_plausible"),
            evidence=evidence,
            track_started_at=NOON,
            customer_id=ANNA,
            kind=IdentityKind.ANONYMOUS,
        ),
        AlertEvent(
            **_head("alr_1"),
            rule="impossible_transition",
            severity="warning",
            message="nobody walks that fast",
            track_id=TRACK,
            customer_id=ANNA,
            detail={"distance_m": 400.0, "from_camera": "till"},
        ),
        LineCrossing(
            **_head("lin_1"),
            line_id="door",
            direction="in",
            track_id=TRACK,
            label="person",
            customer_id=ANNA,
        ),
        ZoneStay(
            **_head("zon_1"),
            zone_id="table",
            track_id=TRACK,
            label="person",
            entered_at=NOON,
            dwell_s=8.5,
            customer_id=ANNA,
        ),
        Occupancy(**_head("occ_1"), zone_id="table", persons=2),
        Visit(
            **_head("vis_1"),
            customer_id=ANNA,
            kind=IdentityKind.ANONYMOUS,
            started_at=NOON,
            cameras=(DOOR, TILL),
            visit_number=3,
        ),
        receipt(),
        Purchase(
            **_head("pur_1"),
            receipt_id="T2-000417",
            till_id="till-2",
            paid_at=NOON + timedelta(seconds=38),
            total_minor=1250,
            currency="EUR",
            offset_s=37.75,
            spread_s=3.5,
            confidence=0.97,
            stay_id=EventId("zon_1"),
            track_id=TRACK,
            customer_id=ANNA,
            kind=IdentityKind.ANONYMOUS,
            item_count=3,
            entered_at=NOON - timedelta(minutes=9),
            zones_before=("door/shelf",),
        ),
        UnpaidStay(
            **_head("unp_1"),
            till_id="till-2",
            zone_id="table",
            stay_id=EventId("zon_1"),
            track_id=TRACK,
            dwell_s=8.5,
            customer_id=ANNA,
        ),
    ]


def receipt(number: int = 417, seconds: float = 0.25, **changes: object) -> Receipt:
    """Return a receipt of the sale of three pieces."""
    receipt_id = f"T2-{number:06}"
    at = NOON + timedelta(seconds=seconds)
    fields: dict[str, object] = {
        "event_id": receipt_event_id(SITE, receipt_id),
        "site_id": SITE,
        "camera_id": CameraId(""),
        "captured_at": at,
        "receipt_id": receipt_id,
        "till_id": "till-2",
        "issued_at": at,
        "kind": "sale",
        "total_minor": 1250,
        "currency": "EUR",
        "item_count": 3,
        "items": (ReceiptItem("4006381333931", 1500, 3), ReceiptItem("coupon", -250)),
    }
    return Receipt(**{**fields, **changes})
