"""Customer log in the database of the insight store: ordered changes, and faces of enrolled people.

Writers are serialized, so that each change is checked against all earlier ones, and a reader that
asks for changes above a number never misses one that was numbered earlier but committed later. See
ADR 12.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    delete,
    func,
    insert,
    or_,
    select,
)

from trinetra.adapters.memory.customer_log import refuse_contradictions
from trinetra.adapters.sql.database import Database, upsert_into
from trinetra.adapters.sql.migrate import prepare
from trinetra.adapters.sql.schema import CUSTOMER_CHANGES, CUSTOMER_READERS, CUSTOMER_TEMPLATES
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

_WRITE_LOCK = 0x626F6F6B
"""Key of the advisory lock: any number that no other application uses in this database."""
_IDS_AT_ONCE = 500
_LITTLE_FLOATS = np.dtype("<f4")


class SqlCustomerLog:
    """A CustomerLog in a SQL database; create one with ``open``."""

    name = "customer log"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlCustomerLog"]:
        """Open or create the log in the database of an SQLAlchemy URL.

        Raises ConfigurationError, StorageFull or StoreUnavailable, as the insight store does.
        """
        async with Database.connected(url, thread_name="customer-book") as database:
            await prepare(database)
            yield cls(database)

    @property
    def place(self) -> str:
        """The URL of the database, without its password."""
        return self._database.place

    async def check(self) -> str:
        """Return the database's URL. Raises StoreUnavailable when it does not answer."""
        return await self._database.check()

    async def write(
        self, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()
    ) -> None:
        """Append changes in order, and faces, all or none; each ``change_id`` at most once.

        Raises CustomerConflict, StorageFull or StoreUnavailable.
        """
        await self._run(lambda connection: _write(connection, changes, templates), writes=True)

    async def changes(self, after: int, limit: int) -> list[NumberedChange]:
        """Return changes with a number above ``after``, in order."""
        return await self._run(lambda connection: _read(connection, after, limit))

    async def templates(self, model: str) -> list[GalleryEntry]:
        """Return the faces of enrolled people that were embedded by a model version."""
        query = (
            select(CUSTOMER_TEMPLATES)
            .where(CUSTOMER_TEMPLATES.c.model == model)
            .order_by("entry_id")
        )
        rows = await self._run(lambda connection: connection.execute(query).all())
        return [_entry(row) for row in rows]

    async def erase(self, customer_id: CustomerId, change: CustomerChange) -> int:
        """Replace every record about a person with ``change``; return how many were deleted.

        In SQLite no byte of them remains in the files, unless another connection reads or writes
        meanwhile.
        """
        deleted = await self._run(
            lambda connection: erase_records(connection, customer_id, change), writes=True
        )
        await self._database.scrub()
        return deleted

    async def reached(self, reader: str, number: int = 0) -> int:
        """Record that a reader has applied all changes up to ``number``; return its maximum."""
        if number:
            await self._run(lambda connection: _note(connection, reader, number), writes=True)
        query = select(CUSTOMER_READERS.c.number).where(CUSTOMER_READERS.c.reader == reader)
        return await self._run(lambda connection: connection.scalar(query)) or 0


def lock_writes(connection: Connection) -> None:
    """Wait until no other transaction writes; on SQLite BEGIN IMMEDIATE has already ensured it.

    The lock is held until the transaction ends. Without it two PostgreSQL transactions could commit
    in the reverse order of their numbers, and a reader would skip the lower one for good.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_WRITE_LOCK)))


def all_ids_of(connection: Connection, ids: Iterable[CustomerId]) -> list[CustomerId]:
    """Return every id of these people according to the log now, sorted."""
    people = CustomerDirectory()
    people.apply(_read(connection, 0, None))
    return sorted({member for each in ids for member in people.members(each)})


def erased_among(connection: Connection, ids: Iterable[CustomerId]) -> set[CustomerId]:
    """Return the ids whose person was erased; no further one is until this transaction ends."""
    digests = {erasure_digest(each): each for each in ids}
    if not digests:
        return set()
    if connection.dialect.name == "postgresql":
        # Shared: callers do not exclude each other, but an erasure waits for all of them, so none
        # can insert a row of a person that an erasure has just removed.
        connection.execute(select(func.pg_advisory_xact_lock_shared(_WRITE_LOCK)))
    query = select(CUSTOMER_CHANGES.c.customer_id).where(
        CUSTOMER_CHANGES.c.customer_id.in_(digests)
    )
    return {digests[digest] for digest in connection.scalars(query)}


def _read(connection: Connection, after: int, limit: int | None) -> list[NumberedChange]:
    return _read_where(connection, CUSTOMER_CHANGES.c.number > after, limit)


def _read_where(
    connection: Connection, where: ColumnElement[bool], limit: int | None = None
) -> list[NumberedChange]:
    query = select(CUSTOMER_CHANGES.c.number, CUSTOMER_CHANGES.c.change).where(where)
    rows = connection.execute(query.order_by(CUSTOMER_CHANGES.c.number).limit(limit))
    return [NumberedChange(number, decode_change(text.encode())) for number, text in rows]


def _directory_about(connection: Connection, ids: Iterable[CustomerId]) -> CustomerDirectory:
    """Return the directory of these ids, and of those that they are merged into.

    A change can contradict no others, so a write reads few rows of a log of any length.
    """
    rows: dict[int, NumberedChange] = {}
    found: set[CustomerId] = set()
    wanted = {each for given in ids for each in (given, erasure_digest(given))}
    while wanted:
        found |= wanted
        about: list[NumberedChange] = []
        for part in parts_of(wanted):
            about += _read_where(connection, CUSTOMER_CHANGES.c.customer_id.in_(part))
        rows |= {numbered.number: numbered for numbered in about}
        merged_into = {c.other for _, c in about if c.change == "merged" and c.other}
        wanted = merged_into - found
    people = CustomerDirectory()
    people.apply(rows[number] for number in sorted(rows))
    return people


def parts_of(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield ids in batches that fit into one statement."""
    remaining = iter(sorted(ids))
    while part := list(islice(remaining, _IDS_AT_ONCE)):
        yield part


def _write(
    connection: Connection, changes: Sequence[CustomerChange], templates: Sequence[Template]
) -> None:
    """Append to the log."""
    lock_writes(connection)
    known: set[str] = set()
    for part in parts_of(change.change_id for change in changes):
        written = select(CUSTOMER_CHANGES.c.change_id).where(CUSTOMER_CHANGES.c.change_id.in_(part))
        known.update(connection.scalars(written))
    new = {change.change_id: change for change in changes if change.change_id not in known}
    parties = [each for c in new.values() for each in (c.customer_id, c.other) if each]
    parties += [template.entry.customer_id for template in templates]
    people = _directory_about(connection, parties)
    refuse_contradictions(people, list(new.values()), templates)
    if new:
        connection.execute(
            insert(CUSTOMER_CHANGES), [_change_row(change) for change in new.values()]
        )
    if templates:
        statement = upsert_into(CUSTOMER_TEMPLATES, connection.dialect.name)
        keys = {"model", "entry_id"}
        values = {
            c.name: statement.excluded[c.name] for c in CUSTOMER_TEMPLATES.c if c.name not in keys
        }
        statement = statement.on_conflict_do_update(index_elements=sorted(keys), set_=values)
        rows = {(t.model, t.entry.entry_id): _template_row(t) for t in templates}
        connection.execute(statement, list(rows.values()))


def read_all(connection: Connection) -> list[NumberedChange]:
    """Return all changes, in order."""
    return _read(connection, 0, None)


def delete_changes(connection: Connection, numbers: Sequence[int]) -> None:
    """Delete changes; readers see a gap in the numbers, which are not used again."""
    for start in range(0, len(numbers), _IDS_AT_ONCE):
        part = numbers[start : start + _IDS_AT_ONCE]
        connection.execute(delete(CUSTOMER_CHANGES).where(CUSTOMER_CHANGES.c.number.in_(part)))


def erase_records(connection: Connection, customer_id: CustomerId, change: CustomerChange) -> int:
    """Replace every change and face of a person with ``change``; return how many were deleted."""
    lock_writes(connection)
    about = or_(
        CUSTOMER_CHANGES.c.customer_id == customer_id, CUSTOMER_CHANGES.c.other == customer_id
    )
    deleted_changes = connection.execute(delete(CUSTOMER_CHANGES).where(about)).rowcount
    faces = delete(CUSTOMER_TEMPLATES).where(CUSTOMER_TEMPLATES.c.customer_id == customer_id)
    deleted = deleted_changes + connection.execute(faces).rowcount
    is_there = select(CUSTOMER_CHANGES.c.number).where(
        CUSTOMER_CHANGES.c.change_id == change.change_id
    )
    if connection.scalar(is_there) is None:
        connection.execute(insert(CUSTOMER_CHANGES), [_change_row(change)])
    return deleted


def _note(connection: Connection, reader: str, number: int) -> None:
    statement = upsert_into(CUSTOMER_READERS, connection.dialect.name).values(
        reader=reader, number=number
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["reader"],
            set_={"number": statement.excluded.number},
            where=statement.excluded.number > CUSTOMER_READERS.c.number,
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
