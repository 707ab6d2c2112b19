"""Alerts: the list of them, their deliveries, and what silences them."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Integer, String, Text

revision = "0003"
down_revision = "0002"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_notices()
    _create_deliveries()
    op.create_table(
        "alert_lanes",
        Column("channel", String(64), primary_key=True),
        Column("member", String(200), nullable=False),
        Column("until", _UTC, nullable=False),
    )
    op.create_table(
        "alert_mutes",
        Column("rule", String(32), primary_key=True),
        Column("subject", String(300), primary_key=True),
        Column("mute", Text, nullable=False),
    )
    op.create_table(
        "alert_arming",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("arming", Text, nullable=False),
    )


def downgrade() -> None:
    """Remove the tables with all alerts."""
    for name in (
        "alert_arming",
        "alert_mutes",
        "alert_lanes",
        "alert_deliveries",
        "alert_notices",
    ):
        op.drop_table(name)


def _create_notices() -> None:
    op.create_table(
        "alert_notices",
        Column("alert_id", String(64), primary_key=True),
        Column("rule", String(32), nullable=False),
        Column("subject", String(300), nullable=False),
        Column("state", String(16), nullable=False),
        Column("raised_at", _UTC, nullable=False),
        Column("last_at", _UTC, nullable=False),
        Column("person", String(64)),
        Column("notice", Text, nullable=False),
    )
    op.create_index("ix_alert_notices_person", "alert_notices", ["person"])
    op.create_index("alert_notices_by_time", "alert_notices", ["raised_at", "alert_id"])
    op.create_index("alert_notices_by_subject", "alert_notices", ["rule", "subject", "raised_at"])
    op.create_index("alert_notices_by_state", "alert_notices", ["state", "last_at"])


def _create_deliveries() -> None:
    op.create_table(
        "alert_deliveries",
        Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("delivery_id", String(64), nullable=False, unique=True),
        Column("alert_id", String(64), nullable=False),
        Column("channel", String(64), nullable=False),
        Column("recipient", String(64), nullable=False),
        Column("state", String(16), nullable=False),
        Column("created_at", _UTC, nullable=False),
        Column("due_at", _UTC, nullable=False),
        Column("delivery", Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_deliveries_alert_id", "alert_deliveries", ["alert_id"])
    op.create_index("ix_alert_deliveries_created_at", "alert_deliveries", ["created_at"])
    op.create_index(
        "alert_deliveries_by_channel", "alert_deliveries", ["channel", "state", "number"]
    )
