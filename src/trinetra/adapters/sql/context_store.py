"""Context of a shop's figures, in the database of the insights."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy import Connection, select

from trinetra.adapters.sql.database import Database, upsert_into
from trinetra.adapters.sql.migrate import prepare
from trinetra.adapters.sql.schema import CONTEXT_ENTRIES
from trinetra.events.context import ContextEntry
from trinetra.values import Instant


class SqlContextStore:
    """A ContextStore in a SQL database; create one with ``open``."""

    def __init__(self, database: Database) -> None:
        self._run = database.run

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlContextStore"]:
        """Open or create the tables in the database of an SQLAlchemy URL.

        Raises ConfigurationError, StoreUnavailable or StorageFull, as the insight store does.
        """
        async with Database.connected(url, thread_name="context-store") as database:
            await prepare(database)
            yield cls(database)

    async def record(self, entries: Sequence[ContextEntry]) -> None:
        """Insert or replace entries, all or none. Raises StorageFull or StoreUnavailable."""
        if entries:
            await self._run(lambda connection: _record(connection, entries), writes=True)

    async def between(self, start: Instant, end: Instant) -> list[ContextEntry]:
        """Return the entries whose span overlaps ``[start, end)``, in order of their start."""
        table = CONTEXT_ENTRIES
        query = (
            select(table.c.entry)
            .where(table.c.starts_at < end, table.c.ends_at > start)
            .order_by(table.c.starts_at, table.c.entry_id)
        )
        texts = await self._run(lambda connection: connection.scalars(query).all())
        return [msgspec.json.decode(text, type=ContextEntry) for text in texts]


def _record(connection: Connection, entries: Sequence[ContextEntry]) -> None:
    table = CONTEXT_ENTRIES
    latest = {entry.entry_id: entry for entry in entries}
    statement = upsert_into(table, connection.dialect.name)
    replaced = {c.name: statement.excluded[c.name] for c in table.columns if c.name != "entry_id"}
    rows = [
        {
            "entry_id": entry_id,
            "starts_at": entry.starts_at,
            "ends_at": entry.ends_at,
            "kind": entry.kind,
            "entry": msgspec.json.encode(entry).decode(),
        }
        for entry_id, entry in sorted(latest.items())
    ]
    connection.execute(
        statement.on_conflict_do_update(index_elements=["entry_id"], set_=replaced), rows
    )
