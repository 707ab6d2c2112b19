"""Journeys."""

from alembic import op
from sqlalchemy import Column, DateTime, String, Text

revision = "0006"
down_revision = "0005"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "journeys",
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", _UTC, nullable=False),
        Column("visit_id", String(64), nullable=False),
        Column("customer_id", String(64), nullable=False),
        Column("started_at", _UTC, nullable=False),
        Column("event", Text, nullable=False),
    )
    op.create_index("journeys_by_time", "journeys", ["captured_at", "event_id"])
    op.create_index("journeys_by_camera", "journeys", ["camera_id", "captured_at"])
    op.create_index("ix_journeys_customer_id", "journeys", ["customer_id"])


def downgrade() -> None:
    """Remove the table with all it holds; the visits and stays that it follows from remain."""
    op.drop_table("journeys")
