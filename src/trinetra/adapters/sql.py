"""The insight store on SQL: one table per kind of insight, with real columns to query.

Each row also keeps its event as JSON, which is what ``fetch`` returns, so a column added later
never loses what the event said. Written for SQLite and PostgreSQL; the URL chooses. Several engines
may write to one database, on one host also to one SQLite file.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError, StatementError
from sqlalchemy.pool import StaticPool

from trinetra.adapters.sql_errors import BUSY_TIMEOUT_S, translated
from trinetra.errors import ConfigurationError
from trinetra.events.codec import encode
from trinetra.events.schema import InsightEvent, LineCrossing, Occupancy, Visit, ZoneStay
from trinetra.values import CustomerId, Instant

SCHEMA_VERSION = 1
_MEMORY_NAMES = (None, "", ":memory:")
_SETUP_LOCK = 0x7472696E
"""Any number will do, as long as only TRINETRA takes this advisory lock in its database."""
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c statement_timeout=10s -c lock_timeout=5s",
}
"""libpq's: a server that is gone is an error within seconds instead of a silence."""
T = TypeVar("T")


class Utc(TypeDecorator[datetime]):
    """An instant, stored in UTC and read back as UTC, also where the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC; raises ValueError for one without an offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the instant {value} has no UTC offset")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored instant as UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


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
    """An InsightStore in a SQL database; make one with ``open``.

    All work is done in one thread of its own, which SQLite's single writer asks for anyway.
    """

    name = "insight store"

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine = engine
        self._url = url
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="insight-store")

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlInsightStore"]:
        """Open or create the tables in the database of an SQLAlchemy URL.

        ``sqlite:///FILE`` (its folder is created), ``sqlite://`` for memory, or
        ``postgresql://USER:PASSWORD@HOST/NAME``. Raises ConfigurationError when the URL is none,
        its driver is missing, the login is refused, the file is no database, or a newer TRINETRA
        wrote it; StoreUnavailable when the server does not answer or the file is locked.
        """
        parsed = _parse(url)
        store = cls(_engine(parsed), parsed)
        try:
            await store._run(lambda connection: _prepare(connection, store.place), writes=True)
            yield store
        finally:
            await store._close()

    @property
    def place(self) -> str:
        """Where the store is, without its password."""
        return self._url.render_as_string(hide_password=True)

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

    async def _run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, work, writes)

    def _transact(self, work: Callable[[Connection], T], writes: bool) -> T:  # noqa: FBT001 -- run_in_executor passes no keywords
        try:
            with self._engine.connect() as connection:
                connection.execution_options(trinetra_writes=writes)
                with connection.begin():
                    return work(connection)
        except (SQLAlchemyError, OSError) as cause:
            if isinstance(cause, StatementError) and isinstance(cause.orig, ValueError):
                raise cause.orig from None  # a value of the caller's, not the database's trouble
            raise translated(cause, self._url) from cause

    async def _close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as cause:
        # The text may hold a password, so it is not repeated.
        raise ConfigurationError(
            "the insight store's URL cannot be read; it looks like sqlite:///insights.db or "
            "postgresql://user:password@host/name"
        ) from cause
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ConfigurationError(
            f"the insight store cannot be on {parsed.get_backend_name()!r}; "
            "use sqlite:///FILE or postgresql://user:password@host/name"
        )
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        given = _PATIENCE if url.drivername == "postgresql+psycopg" else {}
        patience = {key: value for key, value in given.items() if key not in url.query}
        return _created(url, pool_pre_ping=True, pool_size=1, connect_args=patience)
    arguments = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "isolation_level": None}
    if url.database in _MEMORY_NAMES:
        engine = _created(url, connect_args=arguments, poolclass=StaticPool)
    else:
        _make_folder(Path(str(url.database)).parent, url)
        engine = _created(url, connect_args=arguments)
        event.listen(engine, "connect", _write_ahead)
    event.listen(engine, "begin", _begin)
    return engine


def _created(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(url, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as cause:
        raise ConfigurationError(
            f"the driver of {url.drivername} is not installed: {cause}"
        ) from cause


def _make_folder(folder: Path, url: URL) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as cause:
        raise translated(cause, url) from cause


def _write_ahead(connection: Any, _record: object) -> None:
    """Let readers go on beside the writer, and lose nothing even when the power fails."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a transaction on SQLite, which Python's driver would do too late.

    Who is to write takes its turn now: a reader that turns writer is refused at once when another
    process wrote meanwhile.
    """
    writes = connection.get_execution_options().get("trinetra_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(connection: Connection, place: str) -> None:
    """Create what is missing; refuse a schema that this version does not know."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_SETUP_LOCK)))
    if inspect(connection).has_table(_schema.name):
        version = connection.scalar(select(_schema.c.version))
        if version is not None and version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"{place} has insight schema {version}, this TRINETRA knows up to "
                f"{SCHEMA_VERSION}; use the newer TRINETRA or another database"
            )
    _metadata.create_all(connection)
    if connection.scalar(select(_schema.c.version)) is None:
        connection.execute(insert(_schema).values(id=1, version=SCHEMA_VERSION))


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
    dialect_insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = dialect_insert(table)
    replaced = {c.name: statement.excluded[c.name] for c in table.columns if c.name != "event_id"}
    is_no_older = None
    if table is _visits:
        is_no_older = statement.excluded.captured_at >= table.c.captured_at
    return statement.on_conflict_do_update(
        index_elements=["event_id"], set_=replaced, where=is_no_older
    )
