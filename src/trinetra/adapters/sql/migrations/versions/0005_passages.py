"""Passages through doors, and the groups in which people come and leave."""

from alembic import op
from sqlalchemy import Column, DateTime, Integer, String, Text

revision = "0005"
down_revision = "0004"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create(
        "passages",
        Column("door_id", String(260), nullable=False),
        Column("door_kind", String(16), nullable=False),
        Column("direction", String(8), nullable=False),
        Column("label", String(64), nullable=False),
        Column("kind", String(16)),
        Column("age", String(16)),
        Column("customer_id", String(64)),
    )
    op.create_index("ix_passages_customer_id", "passages", ["customer_id"])
    _create(
        "groups",
        Column("door_id", String(260), nullable=False),
        Column("direction", String(8), nullable=False),
        Column("people", Integer, nullable=False),
        Column("children", Integer, nullable=False),
        Column("last_at", _UTC, nullable=False),
    )


def _create(name: str, *columns: Column[object]) -> None:
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


def downgrade() -> None:
    """Remove the tables; they are derived anew after the next upgrade."""
    op.drop_table("groups")
    op.drop_table("passages")
