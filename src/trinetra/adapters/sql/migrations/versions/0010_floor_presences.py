"""Where people were on the floor, for heatmaps."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, String, Text

revision = "0010"
down_revision = "0009"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    name = "floor_presences"
    op.create_table(
        name,
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", _UTC, nullable=False),
        Column("started_at", _UTC, nullable=False),
        Column("grid", String(16), nullable=False),
        Column("unplaced_ms", BigInteger, nullable=False),
        Column("event", Text, nullable=False),
    )
    op.create_index(f"{name}_by_time", name, ["captured_at", "event_id"])
    op.create_index(f"{name}_by_camera", name, ["camera_id", "captured_at"])


def downgrade() -> None:
    """Remove the table with all it holds."""
    op.drop_table("floor_presences")
