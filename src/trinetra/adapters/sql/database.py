"""SQL database shared by several processes: SQLite or PostgreSQL, depending on the URL.

Connections, transactions and the translation of errors are common to the insight store, the
customer log and the erasure store, which define their own tables.
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
    Connection,
    DateTime,
    Dialect,
    Engine,
    Table,
    TypeDecorator,
    create_engine,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError, StatementError
from sqlalchemy.pool import StaticPool

from trinetra.adapters.sql.errors import BUSY_TIMEOUT_S, shown_url, translated
from trinetra.errors import ConfigurationError, StoreUnavailable

_MEMORY_NAMES = (None, "", ":memory:")
_SHORT_WAIT_MS = 100
"""Truncating the write-ahead log blocks writers while it waits for readers, so it must not wait
long."""
_TRUNCATE_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
_SETUP_LOCK = 0x7472696E
"""Key of the advisory lock: any number that no other application uses in this database."""
_LIBPQ_TIMEOUTS = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c statement_timeout=10s -c lock_timeout=5s",
}
"""Options of libpq: a server that is gone causes an error within seconds instead of a hang."""
T = TypeVar("T")


class Utc(TypeDecorator[datetime]):
    """An instant stored and read as UTC, also in databases without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC. Raises ValueError if it has no UTC offset."""
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
    """One connection, with one thread that executes all work on it.

    SQLite allows only one writer at a time, so more threads would not help.
    """

    def __init__(self, url: str, *, thread_name: str) -> None:
        """Prepare the engine; it connects at the first use.

        Raises ConfigurationError when the URL is invalid or its driver is missing.
        """
        self._url = _parse(url)
        self._engine = _engine(self._url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=thread_name)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, *, thread_name: str) -> AsyncIterator["Database"]:
        """Open a database for the block. Raises ConfigurationError as the constructor does."""
        database = cls(url, thread_name=thread_name)
        try:
            yield database
        finally:
            await database.close()

    @property
    def place(self) -> str:
        """The URL of the database, without its password."""
        return shown_url(self._url)

    async def check(self) -> str:
        """Return the database's URL. Raises StoreUnavailable when it does not answer."""
        await self.run(lambda connection: connection.scalar(select(1)))
        return self.place

    async def run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Run ``work`` in one transaction and return its result.

        Raises StorageFull, StoreUnavailable or ConfigurationError.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, work, writes)

    async def scrub(self) -> bool:
        """Rewrite an SQLite file without deleted data; return whether no byte of it remains.

        False while another connection reads or writes: retry later. Does not wait long, since it
        would block other writers. Always True for a server, which vacuums and keeps its log as
        configured.
        """
        # Deleted rows also remain in the write-ahead log, and VACUUM itself writes to the log.
        return await self._maintain(_TRUNCATE_LOG, "VACUUM", _TRUNCATE_LOG)

    async def empty_log(self) -> bool:
        """Truncate SQLite's write-ahead log; False while another connection reads or writes."""
        return await self._maintain(_TRUNCATE_LOG)

    async def _maintain(self, *statements: str) -> bool:
        if self._url.get_backend_name() != "sqlite":
            return True
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._execute_unless_busy, statements)

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
                raise cause.orig from None  # an invalid value of the caller, not a database error
            raise translated(cause, self._url) from cause

    def _execute_unless_busy(self, statements: Sequence[str]) -> bool:
        """Execute statements in order until one finds the file in use; return whether none did."""
        try:
            with closing(self._engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA busy_timeout={_SHORT_WAIT_MS}")
                try:
                    return all(_executed(cursor, statement) for statement in statements)
                finally:
                    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")
        except SQLAlchemyError as cause:
            raise translated(cause, self._url) from cause
        except SqliteError as cause:
            raise StoreUnavailable(
                f"deleted data cannot be removed from the file of {self.place} now: {cause}"
            ) from cause


def _executed(cursor: Any, statement: str) -> bool:
    """Execute a statement; return False if the file is in use.

    A checkpoint does not fail then, but reports it in the first column of its result.
    """
    try:
        answer = cursor.execute(statement).fetchone()
    except OperationalError as cause:
        if cause.sqlite_errorcode & 0xFF in {SQLITE_BUSY, SQLITE_LOCKED}:
            return False
        raise
    return answer is None or answer[0] == 0


def upsert_into(table: Table, dialect: str) -> Any:
    """Return an insert statement that supports ON CONFLICT in this dialect."""
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)


def missing_file(url: str) -> Path | None:
    """Return the file of an SQLite database that is not there yet. Raises ConfigurationError."""
    parsed = _parse(url)
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or name is None or name in _MEMORY_NAMES:
        return None
    return None if name.startswith("file:") or Path(name).exists() else Path(name)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as cause:
        # The URL may contain a password, so the message does not repeat it.
        raise ConfigurationError(
            "the insight store's URL cannot be parsed; it should look like sqlite:///insights.db "
            "or postgresql://user:password@host/name"
        ) from cause
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ConfigurationError(
            f"the insight store does not support {parsed.get_backend_name()!r}; "
            "use sqlite:///FILE or postgresql://user:password@host/name"
        )
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        given = _LIBPQ_TIMEOUTS if url.drivername == "postgresql+psycopg" else {}
        timeouts = {key: value for key, value in given.items() if key not in url.query}
        return _created(url, pool_pre_ping=True, pool_size=1, connect_args=timeouts)
    arguments = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "isolation_level": None}
    if url.database in _MEMORY_NAMES:
        engine = _created(url, connect_args=arguments, poolclass=StaticPool)
    else:
        _make_folder(Path(str(url.database)).parent, url)
        engine = _created(url, connect_args=arguments)
        event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _created(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(url, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as cause:
        raise ConfigurationError(
            f"the driver of {url.drivername} is not installed: {cause}; install it"
        ) from cause


def _make_folder(folder: Path, url: URL) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its log files the permissions of the database file, which older versions of
        # TRINETRA created readable for other users.
        Path(str(url.database)).touch(mode=0o600)
        for file in (Path(f"{url.database}{suffix}") for suffix in ("", "-wal", "-shm")):
            if file.exists() and file.stat().st_uid == os.geteuid():
                file.chmod(0o600)
    except OSError as cause:
        raise translated(cause, url) from cause


def _configure_sqlite(connection: Any, _record: object) -> None:
    """Configure a new SQLite connection for concurrent readers, durability and real deletion."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers are not blocked by the writer
    cursor.execute("PRAGMA synchronous=FULL")  # a power failure loses no commit
    cursor.execute("PRAGMA secure_delete=ON")  # deleted rows are overwritten, not just unlinked
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a transaction on SQLite explicitly, because Python's driver would begin it too late.

    A transaction that will write takes the write lock now. If it began as a reader, SQLite would
    fail its first write at once, without waiting, if another process has written since.
    """
    writes = connection.get_execution_options().get("trinetra_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
