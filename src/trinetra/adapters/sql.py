"""The insight store on SQL: one table per kind of insight, with real columns to query.

Each row also keeps its event as JSON, which is what ``fetch`` returns, so a column added later
never loses what the event said. Written for SQLite and PostgreSQL; the URL chooses. Several engines
may write to one database, on one host also to one SQLite file.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    select,
)

from trinetra.adapters.sql_database import Database, Utc, prepare, upsert_into
from trinetra.events.codec import encode
from trinetra.events.schema import InsightEvent, LineCrossing, Occupancy, Visit, ZoneStay
from trinetra.values import CustomerId, Instant

SCHEMA_VERSION = 1

_metadata = MetaData()
_schema = Table(
    "trinetra_schema",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
)


def _insight_table(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name,
        _metadata,
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", Utc, nullable=False),
        *columns,
        Column("event", Text, nullable=False),
        Index(f"{name}_by_time", "captured_at", "event_id"),
        Index(f"{name}_by_camera", "camera_id", "captured_at"),
    )


_line_crossings = _insight_table(
    "line_crossings",
    Column("line_id", String(128), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("customer_id", String(64), index=True),
)
_zone_stays = _insight_table(
    "zone_stays",
    Column("zone_id", String(128), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("entered_at", Utc, nullable=False),
    Column("dwell_s", Float(53), nullable=False),
    Column("customer_id", String(64), index=True),
)
_occupancies = _insight_table(
    "occupancies",
    Column("zone_id", String(128)),
    Column("persons", BigInteger, nullable=False),
)
_visits = _insight_table(
    "visits",
    Column("customer_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("visit_number", BigInteger, nullable=False),
)
Index("visits_by_customer", _visits.c.customer_id, _visits.c.captured_at)

_TYPE_OF_KIND: Mapping[str, type[InsightEvent]] = {
    "line_crossing": LineCrossing,
    "zone_stay": ZoneStay,
    "occupancy": Occupancy,
    "visit": Visit,
}
_TABLE_OF_KIND: Mapping[str, Table] = {
    "line_crossing": _line_crossings,
    "zone_stay": _zone_stays,
    "occupancy": _occupancies,
    "visit": _visits,
}
_KIND_OF_TYPE = {type_: kind for kind, type_ in _TYPE_OF_KIND.items()}


class SqlInsightStore:
    """An InsightStore in a SQL database; make one with ``open``."""

    name = "insight store"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlInsightStore"]:
        """Open or create the tables in the database of an SQLAlchemy URL.

        ``sqlite:///FILE`` (its folder is created), ``sqlite://`` for memory, or
        ``postgresql://USER:PASSWORD@HOST/NAME``. Raises ConfigurationError when the URL is none,
        its driver is missing, the login is refused, the file is no database, or a newer TRINETRA
        wrote it; StoreUnavailable when the server does not answer or the file is locked.
        """
        database = Database(url, thread_name="insight-store")
        try:
            await database.run(_prepare, writes=True)
            yield cls(database)
        finally:
            await database.close()

    @property
    def place(self) -> str:
        """Where the store is, without its password."""
        return self._database.place

    async def check(self) -> str:
        """Return which database answers; raises StoreUnavailable when none does."""
        await self._run(lambda connection: connection.scalar(select(_schema.c.version)))
        return self.place

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert or replace by ``event_id``, all or none.

        A visit only ever grows, so an older state of it, which an engine that was taken for dead
        may still deliver, is ignored. Raises StorageFull or StoreUnavailable.
        """
        if insights:
            await self._run(lambda connection: _upsert_all(connection, insights), writes=True)

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one event type with captured_at in ``[start, end)``, in that order.

        Raises ValueError for a kind that is no insight.
        """
        if kind not in _TABLE_OF_KIND:
            raise ValueError(f"no insight is called {kind!r}; there are {sorted(_TABLE_OF_KIND)}")
        table = _TABLE_OF_KIND[kind]
        query = (
            select(table.c.event)
            .where(table.c.captured_at >= start, table.c.captured_at < end)
            .order_by(table.c.captured_at, table.c.event_id)
        )
        texts = await self._run(lambda connection: connection.scalars(query).all())
        return [msgspec.json.decode(text, type=_TYPE_OF_KIND[kind]) for text in texts]

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return a customer's most recent visit."""
        query = (
            select(_visits.c.event)
            .where(_visits.c.customer_id == customer_id)
            .order_by(_visits.c.captured_at.desc(), _visits.c.event_id.desc())
            .limit(1)
        )
        text = await self._run(lambda connection: connection.scalar(query))
        return None if text is None else msgspec.json.decode(text, type=Visit)


def _prepare(connection: Connection) -> None:
    prepare(connection, _metadata, _schema, SCHEMA_VERSION, what="insight")


def _upsert_all(connection: Connection, insights: Sequence[InsightEvent]) -> None:
    for type_, kind in _KIND_OF_TYPE.items():
        # The last of one id wins: PostgreSQL refuses to touch a row twice in one statement.
        latest = {i.event_id: _row(i, kind) for i in insights if isinstance(i, type_)}
        if latest:
            statement = _upsert(_TABLE_OF_KIND[kind], connection.dialect.name)
            # In one order everywhere: engines that lock rows crosswise would wait for each other.
            connection.execute(statement, [latest[event_id] for event_id in sorted(latest)])


def _row(insight: InsightEvent, kind: str) -> dict[str, Any]:
    fields = {c.name for c in _TABLE_OF_KIND[kind].columns} - {"event"}
    row: dict[str, Any] = {name: getattr(insight, name) for name in fields}
    return {**row, "event": encode(insight).decode()}


def _upsert(table: Table, dialect: str) -> Any:
    statement = upsert_into(table, dialect)
    replaced = {c.name: statement.excluded[c.name] for c in table.columns if c.name != "event_id"}
    is_no_older = None
    if table is _visits:
        is_no_older = statement.excluded.captured_at >= table.c.captured_at
    return statement.on_conflict_do_update(
        index_elements=["event_id"], set_=replaced, where=is_no_older
    )
