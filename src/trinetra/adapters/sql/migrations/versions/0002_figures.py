"""Figures: the insights that they follow from, and their sums.

The views for BI tools are created by ``migrate.py`` after the last step, as ``views.py`` has them.
"""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    SmallInteger,
    String,
    Text,
)

revision = "0002"
down_revision = "0001"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_insights()
    _create_sums()


def downgrade() -> None:
    """Remove the tables with all they hold; crossings, stays, occupancy and visits remain."""
    for name in (
        "context_entries",
        "outbox",
        "derivations",
        "changed_minutes",
        "setups",
        "rollup_state",
        "rollups",
        "floor_presences",
        "site_occupancies",
        "vehicle_links",
        "vehicle_visits",
        "vehicle_stays",
        "journeys",
        "groups",
        "passages",
        "unpaid_stays",
        "purchases",
        "receipts",
        "queue_visits",
        "coverages",
    ):
        op.drop_table(name)


def _create_insights() -> None:
    _insight_table(
        "coverages",
        Column("started_at", _UTC, nullable=False),
        Column("frames", BigInteger, nullable=False),
        Column("ended", String(16)),
    )
    _insight_table(
        "queue_visits",
        Column("queue_id", String(128)),
        Column("till_id", String(128)),
        Column("joined_at", _UTC, nullable=False),
        Column("served_at", _UTC),
        Column("end", String(16), nullable=False),
        Column("wait_s", Float(53)),
        Column("service_s", Float(53)),
        Column("changes", BigInteger, nullable=False),
        Column("persons", BigInteger, nullable=False),
        Column("track_id", String(64), nullable=False),
        Column("customer_id", String(64), index=True),
    )
    _insight_table(
        "receipts",
        Column("receipt_id", String(64), nullable=False),
        Column("till_id", String(64), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("total_minor", BigInteger, nullable=False),
        Column("currency", String(3), nullable=False),
        Column("item_count", BigInteger),
        Column("revision", Integer),
    )
    _insight_table(
        "purchases",
        Column("receipt_id", String(64), nullable=False),
        Column("till_id", String(64), nullable=False),
        Column("paid_at", _UTC, nullable=False),
        Column("total_minor", BigInteger, nullable=False),
        Column("currency", String(3), nullable=False),
        Column("offset_s", Float(53), nullable=False),
        Column("confidence", Float(53), nullable=False),
        Column("track_id", String(64)),
        Column("customer_id", String(64), index=True),
        Column("kind", String(16)),
    )
    _insight_table(
        "unpaid_stays",
        Column("till_id", String(64), nullable=False),
        Column("zone_id", String(128), nullable=False),
        Column("track_id", String(64), nullable=False),
        Column("dwell_s", Float(53), nullable=False),
        Column("customer_id", String(64), index=True),
        Column("kind", String(16)),
    )
    _insight_table(
        "passages",
        Column("door_id", String(260), nullable=False),
        Column("door_kind", String(16), nullable=False),
        Column("direction", String(8), nullable=False),
        Column("label", String(64), nullable=False),
        Column("kind", String(16)),
        Column("age", String(16)),
        Column("customer_id", String(64), index=True),
    )
    _insight_table(
        "groups",
        Column("door_id", String(260), nullable=False),
        Column("direction", String(8), nullable=False),
        Column("people", Integer, nullable=False),
        Column("children", Integer, nullable=False),
        Column("last_at", _UTC, nullable=False),
    )
    _insight_table(
        "journeys",
        Column("visit_id", String(64), nullable=False),
        Column("customer_id", String(64), nullable=False, index=True),
        Column("started_at", _UTC, nullable=False),
    )
    _insight_table(
        "vehicle_stays",
        Column("track_id", String(64), nullable=False),
        Column("label", String(64), nullable=False),
        Column("entered_at", _UTC, nullable=False),
        Column("plate_id", String(64), index=True),
    )
    _insight_table(
        "vehicle_visits",
        Column("left_at", _UTC, nullable=False),
        Column("stay_s", Float(53), nullable=False),
        Column("label", String(64), nullable=False),
        Column("plate_id", String(64), index=True),
    )
    _insight_table(
        "vehicle_links",
        Column("vehicle_visit_id", String(64), nullable=False),
        Column("visit_id", String(64), nullable=False),
        Column("customer_id", String(64), nullable=False, index=True),
        Column("kind", String(16), nullable=False),
        Column("confidence", Float(53), nullable=False),
    )
    _insight_table(
        "site_occupancies",
        Column("until", _UTC, nullable=False),
        Column("people", BigInteger, nullable=False),
    )
    _insight_table(
        "floor_presences",
        Column("started_at", _UTC, nullable=False),
        Column("grid", String(16), nullable=False),
        Column("unplaced_ms", BigInteger, nullable=False),
    )
    op.create_index("receipts_by_till", "receipts", ["till_id", "captured_at"])


def _create_sums() -> None:
    op.create_table(
        "rollups",
        Column("series", String(64), primary_key=True),
        Column("grain", SmallInteger, primary_key=True, autoincrement=False),
        Column("start_s", BigInteger, primary_key=True, autoincrement=False),
        Column("place", String(260), primary_key=True),
        Column("bin", Integer, primary_key=True, autoincrement=False),
        Column("value", BigInteger, nullable=False),
        Column("change", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("rollups_by_change", "rollups", ["grain", "change"])
    op.create_table(
        "rollup_state",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("zone", String(64), nullable=False),
        Column("version", String(64), nullable=False),
        Column("change", BigInteger, nullable=False),
        Column("kept_since", _UTC),
    )
    op.create_table(
        "setups",
        Column("at", _UTC, primary_key=True),
        Column("what", String(16), primary_key=True),
        Column("name", String(260), primary_key=True),
        Column("state", String(64), nullable=False),
        Column("is_first", Boolean, nullable=False),
    )
    op.create_table(
        "changed_minutes",
        Column("type", String(32), primary_key=True),
        Column("start_s", BigInteger, primary_key=True, autoincrement=False),
        Column("change", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("changed_minutes_by_change", "changed_minutes", ["change"])
    op.create_table(
        "derivations",
        Column("name", String(64), primary_key=True),
        Column("version", Integer, nullable=False),
        Column("change", BigInteger, nullable=False),
    )
    op.create_table(
        "outbox",
        Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("key", String(128), nullable=False),
        Column("event", Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "context_entries",
        Column("entry_id", String(64), primary_key=True),
        Column("starts_at", _UTC, nullable=False),
        Column("ends_at", _UTC, nullable=False),
        Column("kind", String(16), nullable=False),
        Column("entry", Text, nullable=False),
    )
    op.create_index("context_entries_by_time", "context_entries", ["starts_at", "ends_at"])


def _insight_table(name: str, *columns: Column[Any]) -> None:
    op.create_table(
        name,
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", _UTC, nullable=False),
        *columns,
        Column("event", Text, nullable=False),
    )
    op.create_index(f"{name}_by_time", name, ["captured_at", "event_id"])
    op.create_index(f"{name}_by_camera", name, ["camera_id", "captured_at"])
