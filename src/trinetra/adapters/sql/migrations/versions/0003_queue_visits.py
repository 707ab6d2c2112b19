"""Visits to queues."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Float, String, Text

revision = "0003"
down_revision = "0002"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "queue_visits",
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", _UTC, nullable=False),
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
        Column("customer_id", String(64)),
        Column("event", Text, nullable=False),
    )
    op.create_index("queue_visits_by_time", "queue_visits", ["captured_at", "event_id"])
    op.create_index("queue_visits_by_camera", "queue_visits", ["camera_id", "captured_at"])
    op.create_index("ix_queue_visits_customer_id", "queue_visits", ["customer_id"])


def downgrade() -> None:
    """Remove the table with all it holds; the stays that it follows from remain."""
    op.drop_table("queue_visits")
