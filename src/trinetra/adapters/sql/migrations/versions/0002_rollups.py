"""Rollups, camera coverage, and what derived insights need."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, SmallInteger, String, Text

revision = "0002"
down_revision = "0001"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "coverages",
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", _UTC, nullable=False),
        Column("started_at", _UTC, nullable=False),
        Column("frames", BigInteger, nullable=False),
        Column("ended", String(16)),
        Column("event", Text, nullable=False),
    )
    op.create_index("coverages_by_time", "coverages", ["captured_at", "event_id"])
    op.create_index("coverages_by_camera", "coverages", ["camera_id", "captured_at"])
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


def downgrade() -> None:
    """Remove the tables with all they hold; the insights stay."""
    for name in (
        "outbox",
        "derivations",
        "changed_minutes",
        "setups",
        "rollup_state",
        "rollups",
        "coverages",
    ):
        op.drop_table(name)
