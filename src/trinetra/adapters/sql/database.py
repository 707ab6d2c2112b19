"""A SQL database that several processes share: SQLite or PostgreSQL, the URL chooses.

What is kept there, the insight store and the customer book say for themselves; how one connects,
takes turns, and what a fault means is the same for both.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import SQLITE_BUSY, SQLITE_LOCKED, OperationalError
from sqlite3 import Error as SqliteError
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Table,
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
from sqlalchemy.schema import CreateColumn

from trinetra.adapters.sql.errors import BUSY_TIMEOUT_S, translated
from trinetra.errors import ConfigurationError, StoreUnavailable

_MEMORY_NAMES = (None, "", ":memory:")
_SHORT_WAIT_MS = 100
"""Who empties the log keeps writers out while it waits for readers."""
_EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
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


class Database:
    """A connection of one's own, with a thread of its own for all work.

    SQLite's single writer asks for one thread anyway.
    """

    def __init__(self, url: str, *, thread_name: str) -> None:
        """Connect at the first use.

        Raises ConfigurationError when the URL is none or its driver is missing.
        """
        self._url = _parse(url)
        self._engine = _engine(self._url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=thread_name)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, *, thread_name: str) -> AsyncIterator["Database"]:
        """Open a database for a while. Raises ConfigurationError as making one does."""
        database = cls(url, thread_name=thread_name)
        try:
            yield database
        finally:
            await database.close()

    @property
    def place(self) -> str:
        """Where the database is, without its password."""
        return self._url.render_as_string(hide_password=True)

    async def check(self) -> str:
        """Return which database answers; raises StoreUnavailable when none does."""
        await self.run(lambda connection: connection.scalar(select(1)))
        return self.place

    async def run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Return what ``work`` returns, done in one transaction.

        Raises StorageFull, StoreUnavailable or ConfigurationError.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, work, writes)

    async def scrub(self) -> bool:
        """Rewrite an SQLite file without what was deleted; return whether no byte of it is left.

        False while somebody else reads or writes: ask again later, for nobody is kept waiting
        long. A server vacuums, and keeps its log, as it is set up to.
        """
        return await self._tidy(_EMPTY_LOG, "VACUUM", _EMPTY_LOG)

    async def empty_log(self) -> bool:
        """Empty SQLite's write-ahead log; False while somebody else reads or writes."""
        return await self._tidy(_EMPTY_LOG)

    async def _tidy(self, *statements: str) -> bool:
        if self._url.get_backend_name() != "sqlite":
            return True
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._do_soon_or_not, statements)

    async def close(self) -> None:
        """Disconnect."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

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

    def _do_soon_or_not(self, statements: Sequence[str]) -> bool:
        """Do these in order until one finds the file in use; return whether none did."""
        try:
            with closing(self._engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA busy_timeout={_SHORT_WAIT_MS}")
                try:
                    return all(_is_done(cursor, statement) for statement in statements)
                finally:
                    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")
        except SQLAlchemyError as cause:
            raise translated(cause, self._url) from cause
        except SqliteError as cause:
            raise StoreUnavailable(f"{self.place} cannot be rewritten now: {cause}") from cause


def _is_done(cursor: Any, statement: str) -> bool:
    """Do it; return whether it could be done, which what empties the log says in its answer."""
    try:
        answer = cursor.execute(statement).fetchone()
    except OperationalError as cause:
        if cause.sqlite_errorcode & 0xFF in {SQLITE_BUSY, SQLITE_LOCKED}:
            return False
        raise
    return answer is None or answer[0] == 0


def version_table(name: str, metadata: MetaData) -> Table:
    """Return the table in which ``prepare`` notes the version of a schema."""
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("version", Integer, nullable=False),
    )


def prepare(
    connection: Connection, metadata: MetaData, schema: Table, version: int, *, what: str
) -> None:
    """Create what is missing; refuse a schema that this version does not know.

    ``schema`` is the table of ``metadata`` that holds the version, as ``id`` 1.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_SETUP_LOCK)))
    if inspect(connection).has_table(schema.name):
        found = connection.scalar(select(schema.c.version))
        if found is not None and found > version:
            place = connection.engine.url.render_as_string(hide_password=True)
            raise ConfigurationError(
                f"{place} has {what} schema {found}, this TRINETRA knows up to {version}; "
                "use the newer TRINETRA or another database"
            )
    metadata.create_all(connection)
    _add_columns(connection, metadata)
    if connection.scalar(select(schema.c.version)) is None:
        connection.execute(insert(schema).values(id=1, version=version))


def _add_columns(connection: Connection, metadata: MetaData) -> None:
    """Add columns that a table of an earlier TRINETRA lacks; what they would say is not known."""
    for table in metadata.sorted_tables:
        there = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def upsert_into(table: Table, dialect: str) -> Any:
    """Return an insert that may say what happens to a row that is there."""
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)


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
        # SQLite gives its logs the permissions of the file; an older TRINETRA let others read it.
        Path(str(url.database)).touch(mode=0o600)
        for file in (Path(f"{url.database}{suffix}") for suffix in ("", "-wal", "-shm")):
            if file.exists() and file.stat().st_uid == os.geteuid():
                file.chmod(0o600)
    except OSError as cause:
        raise translated(cause, url) from cause


def _write_ahead(connection: Any, _record: object) -> None:
    """Let readers go on beside the writer, lose nothing at a power cut, and really delete."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA secure_delete=ON")  # deleted rows are overwritten, not just unlinked
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a transaction on SQLite, which Python's driver would do too late.

    Who is to write takes its turn now: a reader that turns writer is refused at once when another
    process wrote meanwhile.
    """
    writes = connection.get_execution_options().get("trinetra_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
