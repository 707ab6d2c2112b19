"""Tables as they were before there were migrations.

They are declared here once more, since ``schema.py`` goes on to change. In a database from before,
tables and columns that it lacks are added.
"""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
)

revision = "0001"
down_revision = None
_METADATA = MetaData()
_UTC = DateTime(timezone=True)
_VERSION_TABLES = ("trinetra_schema", "customer_book_schema", "erasure_schema")


def _insight_table(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name,
        _METADATA,
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", _UTC, nullable=False),
        *columns,
        Column("event", Text, nullable=False),
        Index(f"{name}_by_time", "captured_at", "event_id"),
        Index(f"{name}_by_camera", "camera_id", "captured_at"),
    )


_insight_table(
    "line_crossings",
    Column("line_id", String(128), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
    Column("revision", Integer),
)
_insight_table(
    "zone_stays",
    Column("zone_id", String(128), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("entered_at", _UTC, nullable=False),
    Column("dwell_s", Float(53), nullable=False),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
    Column("revision", Integer),
)
_insight_table(
    "occupancies",
    Column("zone_id", String(128)),
    Column("persons", BigInteger, nullable=False),
    Column("unseen", Boolean),
)
_VISITS = _insight_table(
    "visits",
    Column("customer_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("started_at", _UTC, nullable=False),
    Column("visit_number", BigInteger, nullable=False),
    Column("revision", Integer),
    Column("withdrawn", Boolean),
)
Index("visits_by_customer", _VISITS.c.customer_id, _VISITS.c.captured_at)
Table(
    "customer_aliases",
    _METADATA,
    Column("customer_id", String(64), primary_key=True),
    Column("person_id", String(64), nullable=False, index=True),
    Column("kind", String(16)),
)
Table(
    "customer_aliases_read",
    _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)
Table(
    "customer_changes",
    _METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("change_id", String(64), nullable=False, unique=True),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("other", String(64), index=True),
    Column("change", Text, nullable=False),
    sqlite_autoincrement=True,
)
Table(
    "customer_templates",
    _METADATA,
    Column("model", String(128), primary_key=True),
    Column("entry_id", String(64), primary_key=True),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    Column("quality", Float(53), nullable=False),
    Column("first_seen", _UTC, nullable=False),
    Column("last_seen", _UTC, nullable=False),
    Column("expires_at", _UTC),
    Column("consent", Boolean, nullable=False),
)
Table(
    "customer_book_readers",
    _METADATA,
    Column("reader", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
Table(
    "erasures",
    _METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("asked_at", _UTC, nullable=False),
    Column("settled_at", _UTC),
    Column("ids", Text, nullable=False),
    sqlite_autoincrement=True,
)
Table(
    "erasure_digests",
    _METADATA,
    Column("digest", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False, index=True),
)
Table(
    "erasure_shares",
    _METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("member", String(200), primary_key=True),
    Column("at", _UTC, nullable=False),
    Column("removed", Text, nullable=False),
)
Table(
    "erasure_members",
    _METADATA,
    Column("member", String(200), primary_key=True),
    Column("seen_at", _UTC, nullable=False),
)
Table(
    "erasure_owners",
    _METADATA,
    Column("owner", String(200), primary_key=True),
    Column("seen_at", _UTC, nullable=False),
)
Table(
    "erasure_required",
    _METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("owner", String(200), primary_key=True),
)


def upgrade() -> None:
    """Create the tables, or what an earlier database lacks."""
    connection = op.get_bind()
    there = set(inspect(connection).get_table_names())
    _METADATA.create_all(connection)
    for table in (t for t in _METADATA.sorted_tables if t.name in there):
        columns = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                op.add_column(table.name, Column(column.name, column.type, nullable=True))
    for name in there.intersection(_VERSION_TABLES):
        op.drop_table(name)


def downgrade() -> None:
    """Remove all tables."""
    _METADATA.drop_all(op.get_bind())
