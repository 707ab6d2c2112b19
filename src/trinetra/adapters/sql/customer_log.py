"""The customer book on SQL, beside the insight store: changes in order, and faces of the enrolled.

Writers take turns, so that each is checked against everything before it, and a reader that asks for
what is above a number never misses one that was given earlier and committed later. See ADR 12.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
)

from trinetra.adapters.memory.customer_log import refuse_contradictions
from trinetra.adapters.sql.database import Database, Utc, prepare, upsert_into, version_table
from trinetra.events.customers import (
    CustomerChange,
    CustomerDirectory,
    NumberedChange,
    decode_change,
    encode_change,
    erasure_digest,
)
from trinetra.ports import Template
from trinetra.values import CustomerId, GalleryEntry, IdentityKind

BOOK_VERSION = 1
_TURN_LOCK = 0x626F6F6B
"""Any number will do, as long as only TRINETRA takes this advisory lock in its database."""
_LITTLE_FLOATS = np.dtype("<f4")

_metadata = MetaData()
_schema = version_table("customer_book_schema", _metadata)
_changes = Table(
    "customer_changes",
    _metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("change_id", String(64), nullable=False, unique=True),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("other", String(64), index=True),
    Column("change", Text, nullable=False),
    # Without it SQLite gives the numbers of deleted changes again, and readers would skip those.
    sqlite_autoincrement=True,
)
_templates = Table(
    "customer_templates",
    _metadata,
    Column("model", String(128), primary_key=True),
    Column("entry_id", String(64), primary_key=True),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    Column("quality", Float(53), nullable=False),
    Column("first_seen", Utc, nullable=False),
    Column("last_seen", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("consent", Boolean, nullable=False),
)
_readers = Table(
    "customer_book_readers",
    _metadata,
    Column("reader", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)


class SqlCustomerLog:
    """A CustomerLog in a SQL database; make one with ``open``."""

    name = "customer book"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run
        self._committed = CustomerDirectory()  # folded as far as the last writing had to read

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlCustomerLog"]:
        """Open or create the book in the database of an SQLAlchemy URL.

        Raises ConfigurationError, StorageFull or StoreUnavailable, as the insight store does.
        """
        async with Database.connected(url, thread_name="customer-book") as database:
            await database.run(prepare_customer_log, writes=True)
            yield cls(database)

    @property
    def place(self) -> str:
        """Where the book is, without its password."""
        return self._database.place

    async def check(self) -> str:
        """Return which database answers; raises StoreUnavailable when none does."""
        return await self._database.check()

    async def write(
        self, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()
    ) -> None:
        """Add changes in order, and faces, all or none; a ``change_id`` is added but once.

        Raises CustomerConflict, StorageFull or StoreUnavailable.
        """
        await self._run(
            lambda connection: _write(connection, self._committed, changes, templates), writes=True
        )

    async def changes(self, after: int, limit: int) -> list[NumberedChange]:
        """Return changes with a number above ``after``, in order."""
        return await self._run(lambda connection: _read(connection, after, limit))

    async def templates(self, model: str) -> list[GalleryEntry]:
        """Return the faces of enrolled people that a model version read."""
        query = select(_templates).where(_templates.c.model == model).order_by("entry_id")
        rows = await self._run(lambda connection: connection.execute(query).all())
        return [_entry(row) for row in rows]

    async def erase(self, customer_id: CustomerId, change: CustomerChange) -> int:
        """Delete everything about somebody and put ``change`` in its place; return how much.

        In SQLite no byte of it is left in the files, unless somebody reads or writes meanwhile.
        """
        gone = await self._run(
            lambda connection: erase_from_book(connection, customer_id, change), writes=True
        )
        await self._database.scrub()
        return gone

    async def reached(self, reader: str, number: int = 0) -> int:
        """Note how far a reader has acted on the changes; return the furthest noted."""
        if number:
            await self._run(lambda connection: _note(connection, reader, number), writes=True)
        query = select(_readers.c.number).where(_readers.c.reader == reader)
        return await self._run(lambda connection: connection.scalar(query)) or 0


def prepare_customer_log(connection: Connection) -> None:
    """Create the tables of the book that are missing."""
    prepare(connection, _metadata, _schema, BOOK_VERSION, what="customer book")


def take_turn(connection: Connection) -> None:
    """Wait until no other transaction writes; SQLite saw to that when this one began."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_TURN_LOCK)))


def everybody_of(connection: Connection, ids: Iterable[CustomerId]) -> list[CustomerId]:
    """Return every id of these people as the book has them now, in order."""
    people = CustomerDirectory()
    people.apply(_read(connection, 0, None))
    return sorted({member for each in ids for member in people.members(each)})


def erased_among(connection: Connection, ids: Iterable[CustomerId]) -> set[CustomerId]:
    """Return those ids whose person was erased; nobody is until this transaction has ended."""
    digests = {erasure_digest(each): each for each in ids}
    if not digests:
        return set()
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(_TURN_LOCK)))
    query = select(_changes.c.customer_id).where(_changes.c.customer_id.in_(digests))
    return {digests[digest] for digest in connection.scalars(query)}


def _read(connection: Connection, after: int, limit: int | None) -> list[NumberedChange]:
    query = select(_changes.c.number, _changes.c.change).where(_changes.c.number > after)
    rows = connection.execute(query.order_by(_changes.c.number).limit(limit))
    return [NumberedChange(number, decode_change(text.encode())) for number, text in rows]


def _write(
    connection: Connection,
    committed: CustomerDirectory,
    changes: Sequence[CustomerChange],
    templates: Sequence[Template],
) -> None:
    """Add to the book; ``committed`` is folded on to what it says before that."""
    take_turn(connection)
    committed.apply(_read(connection, committed.number, None))
    ids = [change.change_id for change in changes]
    written = connection.scalars(select(_changes.c.change_id).where(_changes.c.change_id.in_(ids)))
    known = set(written)
    new = {change.change_id: change for change in changes if change.change_id not in known}
    refuse_contradictions(committed.copy(), list(new.values()), templates)
    if new:
        connection.execute(insert(_changes), [_change_row(change) for change in new.values()])
    if templates:
        statement = upsert_into(_templates, connection.dialect.name)
        keys = {"model", "entry_id"}
        values = {c.name: statement.excluded[c.name] for c in _templates.c if c.name not in keys}
        statement = statement.on_conflict_do_update(index_elements=sorted(keys), set_=values)
        rows = {(t.model, t.entry.entry_id): _template_row(t) for t in templates}
        connection.execute(statement, list(rows.values()))


def erase_from_book(connection: Connection, customer_id: CustomerId, change: CustomerChange) -> int:
    """Delete everything about somebody, faces too, and put ``change`` there; return how much."""
    take_turn(connection)
    about = or_(_changes.c.customer_id == customer_id, _changes.c.other == customer_id)
    said = connection.execute(delete(_changes).where(about)).rowcount
    faces = delete(_templates).where(_templates.c.customer_id == customer_id)
    gone = said + connection.execute(faces).rowcount
    is_there = select(_changes.c.number).where(_changes.c.change_id == change.change_id)
    if connection.scalar(is_there) is None:
        connection.execute(insert(_changes), [_change_row(change)])
    return gone


def _note(connection: Connection, reader: str, number: int) -> None:
    statement = upsert_into(_readers, connection.dialect.name).values(reader=reader, number=number)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["reader"],
            set_={"number": statement.excluded.number},
            where=statement.excluded.number > _readers.c.number,
        )
    )


def _change_row(change: CustomerChange) -> dict[str, Any]:
    return {
        "change_id": change.change_id,
        "customer_id": change.customer_id,
        "other": change.other,
        "change": encode_change(change).decode(),
    }


def _template_row(template: Template) -> dict[str, Any]:
    entry = template.entry
    return {
        "model": template.model,
        "entry_id": entry.entry_id,
        "customer_id": entry.customer_id,
        "kind": entry.kind.value,
        "embedding": entry.embedding.astype(_LITTLE_FLOATS).tobytes(),
        "quality": entry.quality,
        "first_seen": entry.first_seen,
        "last_seen": entry.last_seen,
        "expires_at": entry.expires_at,
        "consent": entry.consent,
    }


def _entry(row: Row[Any]) -> GalleryEntry:
    return GalleryEntry(
        entry_id=row.entry_id,
        customer_id=CustomerId(row.customer_id),
        kind=IdentityKind(row.kind),
        embedding=np.frombuffer(row.embedding, _LITTLE_FLOATS).astype(np.float32),
        quality=row.quality,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        expires_at=row.expires_at,
        consent=row.consent,
    )
