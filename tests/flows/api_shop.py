"""A shop on record for the tests of the Python API: an hour that was watched, of four."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.schema import CameraCoverage, LineCrossing, Receipt, ReceiptItem, Visit
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

NOON = datetime(2026, 11, 27, 11, 0, tzinfo=UTC)
FRIDAY, SATURDAY = date(2026, 11, 27), date(2026, 11, 28)
SITE = """
site: shop
timezone: Europe/Berlin
opening_hours: [{days: [fri], opens: "12:00", closes: "16:00"}]
cameras:
  - id: door
    role: entrance
    source: {file: door.mp4}
    lines: [{id: main, a: [0, 0.5], b: [1, 0.5]}]
"""


def common(name: str, minute: int) -> dict:
    return {
        "event_id": EventId(name),
        "site_id": SiteId("shop"),
        "camera_id": CameraId("door"),
        "captured_at": NOON + timedelta(minutes=minute),
    }


def crossing(minute: int, **fields: object) -> LineCrossing:
    track = {"track_id": TrackId(f"trk_{minute}"), "label": "person"}
    line = {"line_id": "main", "direction": "in"}
    return LineCrossing(**{**common(f"e{minute}", minute), **track, **line, **fields})


def visit(name: str, **fields: object) -> Visit:
    start = {"started_at": NOON, "cameras": (CameraId("door"),), "visit_number": 1}
    who = {"customer_id": CustomerId("ann"), "kind": IdentityKind.ANONYMOUS}
    return Visit(**common(name, 30), **start, **who, **fields)


EVE = {"customer_id": CustomerId("eve"), "kind": IdentityKind.STAFF}
RECEIPT = Receipt(
    **common("r1", 40),
    receipt_id="1",
    till_id="t",
    issued_at=NOON + timedelta(minutes=40),
    kind="sale",
    total_minor=250,
    currency="EUR",
    items=(ReceiptItem("tea", 250),),
)
RECORDED = (
    *(crossing(minute) for minute in range(5)),
    crossing(5, **EVE),
    crossing(50, direction="out", along=0.5),
    visit("v1"),
    visit("v2", revision=1, withdrawn=True),
    RECEIPT,
    CameraCoverage(**common("c1", 60), started_at=NOON, frames=9, ended="silent"),
)


def write_shop(folder: Path) -> None:
    """Write a site file and a database into a folder."""

    async def fill() -> None:
        url = f"sqlite:///{folder}/insights.db"
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            await store.prepare_figures(ZoneInfo("Europe/Berlin"), {}, NOON)
            await store.record(RECORDED)

    asyncio.run(fill())
    (folder / "site.yaml").write_text(SITE)
