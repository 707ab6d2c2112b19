"""Occupancy of the site."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, String, Text

revision = "0009"
down_revision = "0008"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "site_occupancies",
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", _UTC, nullable=False),
        Column("until", _UTC, nullable=False),
        Column("people", BigInteger, nullable=False),
        Column("event", Text, nullable=False),
    )
    op.create_index("site_occupancies_by_time", "site_occupancies", ["captured_at", "event_id"])
    op.create_index("site_occupancies_by_camera", "site_occupancies", ["camera_id", "captured_at"])


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("site_occupancies")
