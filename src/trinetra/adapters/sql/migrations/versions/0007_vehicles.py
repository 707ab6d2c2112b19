"""Vehicles: their stays, visits, and links to customers."""

from typing import Any

from alembic import op
from sqlalchemy import Column, DateTime, Float, String, Text

revision = "0007"
down_revision = "0006"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create(
        "vehicle_stays",
        Column("track_id", String(64), nullable=False),
        Column("label", String(64), nullable=False),
        Column("entered_at", _UTC, nullable=False),
        Column("plate_id", String(64)),
    )
    _create(
        "vehicle_visits",
        Column("left_at", _UTC, nullable=False),
        Column("stay_s", Float(53), nullable=False),
        Column("label", String(64), nullable=False),
        Column("plate_id", String(64)),
    )
    _create(
        "vehicle_links",
        Column("vehicle_visit_id", String(64), nullable=False),
        Column("visit_id", String(64), nullable=False),
        Column("customer_id", String(64), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("confidence", Float(53), nullable=False),
    )
    op.create_index("ix_vehicle_stays_plate_id", "vehicle_stays", ["plate_id"])
    op.create_index("ix_vehicle_visits_plate_id", "vehicle_visits", ["plate_id"])
    op.create_index("ix_vehicle_links_customer_id", "vehicle_links", ["customer_id"])


def downgrade() -> None:
    """Remove the tables with all they hold."""
    for name in ("vehicle_links", "vehicle_visits", "vehicle_stays"):
        op.drop_table(name)


def _create(name: str, *columns: Column[Any]) -> None:
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
