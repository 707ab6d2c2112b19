"""Receipts, purchases and unpaid stays; context of the figures."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Float, Integer, String, Text

revision = "0004"
down_revision = "0003"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
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
    op.create_index("receipts_by_till", "receipts", ["till_id", "captured_at"])
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
    op.create_table(
        "context_entries",
        Column("entry_id", String(64), primary_key=True),
        Column("starts_at", _UTC, nullable=False),
        Column("ends_at", _UTC, nullable=False),
        Column("kind", String(16), nullable=False),
        Column("entry", Text, nullable=False),
    )
    op.create_index("context_entries_by_time", "context_entries", ["starts_at", "ends_at"])


def downgrade() -> None:
    """Remove the tables with all they hold."""
    for name in ("context_entries", "unpaid_stays", "purchases", "receipts"):
        op.drop_table(name)


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
