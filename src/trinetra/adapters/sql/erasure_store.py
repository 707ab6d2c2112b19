"""Erasure store in the database of the insight store and the customer log.

Both delete a person's records in the same transaction that stores the request, and from then on
reject records of that person. All other processes acknowledge the erasure one by one.
"""

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)

from trinetra.adapters.sql.customer_log import all_ids_of, erase_records, lock_writes
from trinetra.adapters.sql.database import Database, Utc, prepare, upsert_into, version_table
from trinetra.adapters.sql.insight_store import (
    KINDS_KEPT_WITHOUT_ID,
    TABLE_OF_KIND,
    forget_aliases,
    insights_of,
    prepare_store,
    upsert_all,
    without,
)
from trinetra.errors import StoreUnavailable
from trinetra.events.customers import erasure_digest
from trinetra.events.erasure import (
    GALLERY,
    Acknowledgement,
    Erasure,
    ErasureStatus,
    answers_for,
    digests_of,
    erased_change,
)
from trinetra.events.schema import Visit
from trinetra.events.visits import unite
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId, EventId, IdentityKind, Instant, after

DESK_VERSION = 1
GONE_AFTER_S = 30.0
"""An erasure does not wait for a process without a heartbeat for so long. When such a process comes
back, it erases before it does anything else."""
_VISIT_GAP_S = 1800.0
"""The default of ``visit_gap_s``; the process that erases may not know the value of the site. It
matters only for adjacent visits of a person under several ids: they are merged, or stay two."""
_HERE = "database"

_metadata = MetaData()
_schema = version_table("erasure_schema", _metadata)
_erasures = Table(
    "erasures",
    _metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("asked_at", Utc, nullable=False),
    Column("settled_at", Utc),
    Column("ids", Text, nullable=False),
    sqlite_autoincrement=True,
)
_digests = Table(
    "erasure_digests",
    _metadata,
    Column("digest", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False, index=True),
)
_shares = Table(
    "erasure_shares",
    _metadata,
    Column("number", BigInteger, primary_key=True),
    Column("member", String(200), primary_key=True),
    Column("at", Utc, nullable=False),
    Column("removed", Text, nullable=False),
)
_members = Table(
    "erasure_members",
    _metadata,
    Column("member", String(200), primary_key=True),
    Column("seen_at", Utc, nullable=False),
)
_owners = Table(
    "erasure_owners",
    _metadata,
    Column("owner", String(200), primary_key=True),
    Column("seen_at", Utc, nullable=False),
)
_required = Table(
    "erasure_required",
    _metadata,
    Column("number", BigInteger, primary_key=True),
    Column("owner", String(200), primary_key=True),
)


class SqlErasureStore:
    """An ErasureStore in a SQL database; create one with ``open``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlErasureStore"]:
        """Open or create the store in the database of an SQLAlchemy URL.

        Raises ConfigurationError, StorageFull or StoreUnavailable, as the insight store does.
        """
        async with Database.connected(url, thread_name="erasure-desk") as database:
            erasure_store = cls(database)
            if await database.run(_prepare, writes=True):
                # Older versions of TRINETRA left deleted data in the free pages of the file.
                await erasure_store._scrub()
            yield erasure_store

    async def request(
        self, ids: Sequence[CustomerId], at: Instant, owners: Sequence[str] = ()
    ) -> ErasureStatus:
        """Erase a person from this database, and request the same of all owners of data."""
        number = await self._run(
            lambda connection: _store_request(connection, ids, at, owners), writes=True
        )
        return await self._run(lambda connection: _status(connection, number, at))

    async def heartbeat(self, member: str, at: Instant, owner: str | None = None) -> list[Erasure]:
        """Record that a process is alive; return the erasures it still has to acknowledge."""
        due = await self._run(
            lambda connection: _store_heartbeat(connection, member, at, owner), writes=True
        )
        await self._settle(at)
        return due

    async def acknowledge(self, number: int, share: Acknowledgement) -> None:
        """Record that a process did its part; after the last acknowledgement, delete the ids."""
        await self._run(
            lambda connection: _store_acknowledgement(connection, number, share), writes=True
        )
        await self._settle(share.at)

    async def find(self, customer_id: CustomerId, at: Instant) -> ErasureStatus | None:
        """Return the erasure of a person and the processes it still waits for, or None."""
        await self._settle(at)
        return await self._run(lambda connection: _find(connection, customer_id, at))

    async def deregister(self, member: str, owner: str | None = None) -> None:
        """Record that a process shuts down cleanly, and that no data of an owner is left."""
        at = await self._run(
            lambda connection: _remove_member(connection, member, owner), writes=True
        )
        if at is not None:
            await self._settle(at)

    async def _settle(self, at: Instant) -> None:
        """Delete the ids of erasures that all processes acknowledged.

        An erasure counts as settled only once no byte of the ids remains in the file. If the file
        is in use now, the ids are deleted but the erasure stays open, and a later call settles it.
        """
        if not await self._run(_open_numbers):
            return
        numbers = await self._run(lambda connection: _drop_ids(connection, at), writes=True)
        if numbers and await self._scrub():
            await self._run(lambda connection: _note_settled(connection, numbers, at), writes=True)

    async def _scrub(self) -> bool:
        """Remove every byte of deleted data from the file; return whether that was possible now."""
        try:
            return await self._database.scrub()
        except StoreUnavailable as cause:  # for example no space for a copy; the rest can go on
            get_logger("erasure").warning("deleted data is still in the file", cause=str(cause))
            return False


def _prepare(connection: Connection) -> bool:
    """Create missing tables; return True if this database had no erasure store before."""
    is_new = not inspect(connection).has_table(_schema.name)
    prepare_store(connection)
    prepare(connection, _metadata, _schema, DESK_VERSION, what="erasure")
    return is_new


def _store_request(
    connection: Connection, asked: Sequence[CustomerId], at: Instant, owners: Sequence[str]
) -> int:
    """Erase the people that these ids belong to; return the number of the request.

    Ids that were not requested before become a request of their own, because other processes may
    already have fetched the earlier one.
    """
    lock_writes(connection)
    ids = all_ids_of(connection, asked)
    numbers = _numbers_of(connection, ids)
    new = [each for each in ids if erasure_digest(each) not in numbers]
    number = _new_request(connection, new, at) if new else max(numbers.values())
    _require(connection, number, owners)
    erased = sum(erase_records(connection, each, erased_change(each, at)) for each in ids)
    removed = {"book_entries": erased} | _forget_insights(connection, ids)
    _store_acknowledgement(
        connection, number, Acknowledgement(member=_HERE, at=at, removed=removed)
    )
    return number


def _numbers_of(connection: Connection, ids: Iterable[CustomerId]) -> dict[str, int]:
    known = select(_digests.c.digest, _digests.c.number)
    rows = connection.execute(known.where(_digests.c.digest.in_(digests_of(ids))))
    return {row.digest: row.number for row in rows}


def _new_request(connection: Connection, ids: Sequence[CustomerId], at: Instant) -> int:
    number = 1 + int(connection.scalar(select(func.max(_erasures.c.number))) or 0)
    row = {"number": number, "asked_at": at, "ids": _packed(ids)}
    connection.execute(insert(_erasures).values(row))
    digests = [{"digest": digest, "number": number} for digest in digests_of(ids)]
    connection.execute(insert(_digests), digests)
    return number


def _require(connection: Connection, number: int, owners: Sequence[str]) -> None:
    """Let an erasure wait for these owners, and for all that any heartbeat ever named."""
    insertion = upsert_into(_required, connection.dialect.name)
    for owner in {*owners, *connection.scalars(select(_owners.c.owner))}:
        connection.execute(insertion.values(number=number, owner=owner).on_conflict_do_nothing())


def _forget_insights(connection: Connection, ids: Sequence[CustomerId]) -> dict[str, int]:
    """Remove a person from the insights without changing any totals; return the counts."""
    forget_aliases(connection, ids)
    counts = {}
    for kind in KINDS_KEPT_WITHOUT_ID:
        insights = insights_of(connection, kind, ids)
        upsert_all(connection, without(insights, ids))
        counts[f"{kind}s_without_id"] = len(insights)
    visits = [v for v in insights_of(connection, "visit", ids) if isinstance(v, Visit)]
    table = TABLE_OF_KIND["visit"]
    connection.execute(delete(table).where(table.c.customer_id.in_(ids)))
    upsert_all(connection, [_unlinked(v) for v in unite(visits, lambda _: ids[0], _VISIT_GAP_S)])
    counts["visits_made_anonymous"] = sum(not visit.withdrawn for visit in visits)
    return counts


def _unlinked(visit: Visit) -> Visit:
    """Return the visit as the first one of an anonymous person, with random ids.

    Random ids make the visits of one person unlinkable. The visit number and the kind are reset,
    because a rare value would reveal whose visits these were.
    """
    return msgspec.structs.replace(
        visit,
        event_id=EventId(f"visit_{secrets.token_hex(12)}"),
        customer_id=CustomerId(f"gone_{secrets.token_hex(12)}"),
        kind=IdentityKind.ANONYMOUS,
        visit_number=1,
    )


def _store_heartbeat(
    connection: Connection, member: str, at: Instant, owner: str | None
) -> list[Erasure]:
    _see(connection, _members, at, member=member)
    if owner is not None:
        _see(connection, _owners, at, owner=owner)
    done = select(_shares.c.number).where(_shares.c.member == member)
    due = select(_erasures.c.number).where(
        _erasures.c.settled_at.is_(None),
        _erasures.c.ids != _packed(()),
        _erasures.c.number.not_in(done),
    )
    numbers = connection.scalars(due.order_by(_erasures.c.number)).all()
    return [_erasure(connection, number) for number in numbers]


def _see(connection: Connection, table: Table, at: Instant, **name: str) -> None:
    statement = upsert_into(table, connection.dialect.name).values(**name, seen_at=at)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(name), set_={"seen_at": statement.excluded.seen_at}
        )
    )


def _remove_member(connection: Connection, member: str, owner: str | None) -> Instant | None:
    """Remove a process from the members; return when it was last seen."""
    if owner is not None:
        connection.execute(delete(_owners).where(_owners.c.owner == owner))
    own = _members.c.member == member
    seen_at = connection.scalar(select(_members.c.seen_at).where(own))
    connection.execute(delete(_members).where(own))
    return seen_at


def _store_acknowledgement(connection: Connection, number: int, share: Acknowledgement) -> None:
    """Record what a process deleted; counts that it reported before are kept.

    A process that repeats an erasure, say after a restart, finds nothing left to delete.
    """
    lock_writes(connection)
    own = (_shares.c.number == number, _shares.c.member == share.member)
    reported = connection.scalar(select(_shares.c.removed).where(*own))
    removed = share.removed | (msgspec.json.decode(reported) if reported else {})
    row = {"at": share.at, "removed": msgspec.json.encode(removed).decode()}
    if reported is None:
        connection.execute(insert(_shares).values(number=number, member=share.member, **row))
    else:
        connection.execute(update(_shares).where(*own).values(row))


def _open_numbers(connection: Connection) -> Sequence[int]:
    is_open = select(_erasures.c.number).where(_erasures.c.settled_at.is_(None))
    return connection.scalars(is_open.order_by(_erasures.c.number)).all()


def _drop_ids(connection: Connection, at: Instant) -> list[int]:
    """Delete the ids of erasures that all processes acknowledged; return their numbers."""
    lock_writes(connection)  # so that acknowledgements committed meanwhile are seen
    statuses = [_status(connection, number, at) for number in _open_numbers(connection)]
    done = [s.erasure.number for s in statuses if not s.awaited and GALLERY in s.removed()]
    _update(connection, done, {"ids": _packed(())})
    return done


def _note_settled(connection: Connection, numbers: Sequence[int], at: Instant) -> None:
    _update(connection, numbers, {"settled_at": at})


def _update(connection: Connection, numbers: Sequence[int], values: dict[str, Any]) -> None:
    open_rows = _erasures.c.number.in_(numbers) & _erasures.c.settled_at.is_(None)
    connection.execute(update(_erasures).where(open_rows).values(values))


def _find(connection: Connection, customer_id: CustomerId, at: Instant) -> ErasureStatus | None:
    query = select(_digests.c.number).where(_digests.c.digest == erasure_digest(customer_id))
    number = connection.scalar(query)
    return None if number is None else _status(connection, number, at)


def _status(connection: Connection, number: int, at: Instant) -> ErasureStatus:
    rows = connection.execute(
        select(_shares).where(_shares.c.number == number).order_by(_shares.c.at, _shares.c.member)
    )
    shares = [
        Acknowledgement(member=r.member, at=r.at, removed=msgspec.json.decode(r.removed))
        for r in rows
    ]
    present = select(_members.c.member).where(_members.c.seen_at > after(at, -GONE_AFTER_S))
    confirmed = {share.member for share in shares}
    of_number = select(_required.c.owner).where(_required.c.number == number)
    owners = sorted(connection.scalars(of_number))
    silent = {o for o in owners if not any(answers_for(member, o) for member in confirmed)}
    awaited = silent | set(connection.scalars(present)) - confirmed
    settled = select(_erasures.c.settled_at).where(_erasures.c.number == number)
    settled_at = connection.scalar(settled)
    erasure = _erasure(connection, number)
    return ErasureStatus(
        erasure=erasure,
        shares=tuple(shares),
        awaited=tuple(sorted(awaited)) if erasure.ids else (),
        settled_at=settled_at,
        owners=tuple(owners),
    )


def _erasure(connection: Connection, number: int) -> Erasure:
    row = connection.execute(select(_erasures).where(_erasures.c.number == number)).one()
    of_number = select(_digests.c.digest).where(_digests.c.number == number)
    digests = connection.scalars(of_number.order_by(_digests.c.digest)).all()
    return Erasure(
        number=number,
        asked_at=row.asked_at,
        ids=msgspec.json.decode(row.ids, type=tuple[CustomerId, ...]),
        digests=tuple(map(CustomerId, digests)),
    )


def _packed(ids: Iterable[CustomerId]) -> str:
    return msgspec.json.encode(list(ids)).decode()
