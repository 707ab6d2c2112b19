"""The erasure desk on SQL, beside the insight store and the customer book.

What these two hold of a person goes in the transaction that takes the request; from then on neither
takes that person in again. The rest of the platform confirms, process by process.
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

from trinetra.adapters.sql.customer_log import erase_from_book, everybody_of, take_turn
from trinetra.adapters.sql.database import Database, Utc, prepare, upsert_into, version_table
from trinetra.adapters.sql.insight_store import (
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
    digests_of,
    erased_change,
)
from trinetra.events.schema import Visit
from trinetra.events.visits import unite
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId, EventId, IdentityKind, Instant, after

DESK_VERSION = 1
GONE_AFTER_S = 30.0
"""A process not heard of for so long is not waited for; it forgets before it does anything else."""
_VISIT_GAP_S = 1800.0
"""What sites keep if they do not set ``visit_gap_s``, which who erases may not know. It matters
only where a person's visits under several ids touch: they become one, or stay two."""
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


class SqlErasureStore:
    """An ErasureStore in a SQL database; make one with ``open``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlErasureStore"]:
        """Open or create the desk in the database of an SQLAlchemy URL.

        Raises ConfigurationError, StorageFull or StoreUnavailable, as the insight store does.
        """
        async with Database.connected(url, thread_name="erasure-desk") as database:
            erasure_store = cls(database)
            if await database.run(_prepare, writes=True):
                await erasure_store._scrub()  # an older TRINETRA only unlinked what it deleted
            yield erasure_store

    async def request(self, ids: Sequence[CustomerId], at: Instant) -> ErasureStatus:
        """Forget a person here, in the book and among the insights, and have all others do so."""
        number = await self._run(lambda connection: _ask(connection, ids, at), writes=True)
        return await self._run(lambda connection: _status(connection, number, at))

    async def heartbeat(self, member: str, at: Instant) -> list[Erasure]:
        """Note that a process is there; return what it has to confirm."""
        due = await self._run(lambda connection: _attend(connection, member, at), writes=True)
        await self._settle(at)
        return due

    async def acknowledge(self, number: int, share: Acknowledgement) -> None:
        """Note that a process did its share; when it was the last one, the ids are forgotten."""
        await self._run(lambda connection: _note_share(connection, number, share), writes=True)
        await self._settle(share.at)

    async def find(self, customer_id: CustomerId, at: Instant) -> ErasureStatus | None:
        """Return the erasure of somebody, with who is awaited then, if it was ever asked for."""
        await self._settle(at)
        return await self._run(lambda connection: _find(connection, customer_id, at))

    async def deregister(self, member: str) -> None:
        """Note that a process ends in order: nobody has to wait for it."""
        at = await self._run(lambda connection: _leave(connection, member), writes=True)
        if at is not None:
            await self._settle(at)

    async def _settle(self, at: Instant) -> None:
        """Forget the ids that everybody confirmed; done is what no byte of the file tells of."""
        if not await self._run(_open_numbers):
            return
        numbers = await self._run(lambda connection: _drop_ids(connection, at), writes=True)
        if numbers and await self._scrub():
            await self._run(lambda connection: _note_settled(connection, numbers, at), writes=True)

    async def _scrub(self) -> bool:
        """Leave no byte of what was deleted; return whether that could be done now."""
        try:
            return await self._database.scrub()
        except StoreUnavailable as cause:  # no room for a copy, say: what else there is to do can
            get_logger("erasure").warning("deleted data is still in the file", cause=str(cause))
            return False


def _prepare(connection: Connection) -> bool:
    """Create what is missing; return whether nobody could ask for an erasure here before."""
    is_new = not inspect(connection).has_table(_schema.name)
    prepare_store(connection)
    prepare(connection, _metadata, _schema, DESK_VERSION, what="erasure")
    return is_new


def _ask(connection: Connection, asked: Sequence[CustomerId], at: Instant) -> int:
    """Erase who the book says these are now; return the number of what all others have to do.

    Ids that were not asked for before are a request of their own: the others know the old one.
    """
    take_turn(connection)
    ids = everybody_of(connection, asked)
    numbers = _numbers_of(connection, ids)
    new = [each for each in ids if erasure_digest(each) not in numbers]
    number = _new_request(connection, new, at) if new else max(numbers.values())
    erased = sum(erase_from_book(connection, each, erased_change(each, at)) for each in ids)
    removed = {"book_entries": erased} | _forget_insights(connection, ids)
    _note_share(connection, number, Acknowledgement(member=_HERE, at=at, removed=removed))
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


def _forget_insights(connection: Connection, ids: Sequence[CustomerId]) -> dict[str, int]:
    """Take a person out of the insights without changing what they add up to; return how many."""
    forget_aliases(connection, ids)
    counts = {}
    for kind in ("line_crossing", "zone_stay"):
        insights = insights_of(connection, kind, ids)
        upsert_all(connection, without(insights, ids))
        counts[f"{kind}s_without_id"] = len(insights)
    visits = [v for v in insights_of(connection, "visit", ids) if isinstance(v, Visit)]
    table = TABLE_OF_KIND["visit"]
    connection.execute(delete(table).where(table.c.customer_id.in_(ids)))
    upsert_all(connection, [_unlinked(v) for v in unite(visits, lambda _: ids[0], _VISIT_GAP_S)])
    counts["visits_made_anonymous"] = len(visits)
    return counts


def _unlinked(visit: Visit) -> Visit:
    """Return a stranger's first visit; its ids are drawn by lot, so that none leads to another.

    A number or a kind of few would single out whose visits these were.
    """
    return msgspec.structs.replace(
        visit,
        event_id=EventId(f"visit_{secrets.token_hex(12)}"),
        customer_id=CustomerId(f"gone_{secrets.token_hex(12)}"),
        kind=IdentityKind.ANONYMOUS,
        visit_number=1,
    )


def _attend(connection: Connection, member: str, at: Instant) -> list[Erasure]:
    statement = upsert_into(_members, connection.dialect.name).values(member=member, seen_at=at)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["member"], set_={"seen_at": statement.excluded.seen_at}
        )
    )
    done = select(_shares.c.number).where(_shares.c.member == member)
    due = select(_erasures.c.number).where(
        _erasures.c.settled_at.is_(None),
        _erasures.c.ids != _packed(()),
        _erasures.c.number.not_in(done),
    )
    numbers = connection.scalars(due.order_by(_erasures.c.number)).all()
    return [_erasure(connection, number) for number in numbers]


def _leave(connection: Connection, member: str) -> Instant | None:
    """Strike a process off; return when it was last seen."""
    own = _members.c.member == member
    seen_at = connection.scalar(select(_members.c.seen_at).where(own))
    connection.execute(delete(_members).where(own))
    return seen_at


def _note_share(connection: Connection, number: int, share: Acknowledgement) -> None:
    """Note what a process deleted; of what it told before, the first word stands."""
    take_turn(connection)
    own = (_shares.c.number == number, _shares.c.member == share.member)
    told = connection.scalar(select(_shares.c.removed).where(*own))
    removed = share.removed | (msgspec.json.decode(told) if told else {})
    row = {"at": share.at, "removed": msgspec.json.encode(removed).decode()}
    if told is None:
        connection.execute(insert(_shares).values(number=number, member=share.member, **row))
    else:
        connection.execute(update(_shares).where(*own).values(row))


def _open_numbers(connection: Connection) -> Sequence[int]:
    is_open = select(_erasures.c.number).where(_erasures.c.settled_at.is_(None))
    return connection.scalars(is_open.order_by(_erasures.c.number)).all()


def _drop_ids(connection: Connection, at: Instant) -> list[int]:
    """Delete the ids of what everybody confirmed; return the numbers of it."""
    take_turn(connection)  # whoever confirmed meanwhile is seen
    statuses = [_status(connection, number, at) for number in _open_numbers(connection)]
    done = [s.erasure.number for s in statuses if not s.awaited and GALLERY in s.removed()]
    _update(connection, done, {"ids": _packed(())})
    return done


def _note_settled(connection: Connection, numbers: Sequence[int], at: Instant) -> None:
    _update(connection, numbers, {"settled_at": at})


def _update(connection: Connection, numbers: Sequence[int], values: dict[str, Any]) -> None:
    mine = _erasures.c.number.in_(numbers) & _erasures.c.settled_at.is_(None)
    connection.execute(update(_erasures).where(mine).values(values))


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
    awaited = set(connection.scalars(present)) - {share.member for share in shares}
    settled = select(_erasures.c.settled_at).where(_erasures.c.number == number)
    settled_at = connection.scalar(settled)
    erasure = _erasure(connection, number)
    return ErasureStatus(
        erasure=erasure,
        shares=tuple(shares),
        awaited=tuple(sorted(awaited)) if erasure.ids else (),
        settled_at=settled_at,
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
