"""Erasure store in the database of the insight store and the customer log.

Both delete a person's records in the same transaction that stores the request, and from then on
reject records of that person. All other processes acknowledge the erasure one by one.
"""

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, func, insert, inspect, select, update

from trinetra.adapters.sql.alert_store import forget_notices
from trinetra.adapters.sql.customer_log import all_ids_of, erase_records, lock_writes
from trinetra.adapters.sql.database import Database, upsert_into
from trinetra.adapters.sql.insight_rows import (
    NAMING_KINDS,
    OBSERVED_KINDS,
    insights_of,
    without,
    write_insights,
)
from trinetra.adapters.sql.insight_store import NO_ROLLUPS, forget_aliases
from trinetra.adapters.sql.migrate import prepare
from trinetra.adapters.sql.schema import (
    ERASURE_DIGESTS,
    ERASURE_MEMBERS,
    ERASURE_OWNERS,
    ERASURE_REQUIRED,
    ERASURE_SHARES,
    ERASURES,
)
from trinetra.adapters.sql.vehicles import unlink_vehicles, vehicles_of
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
from trinetra.events.rollups import RollupRules
from trinetra.events.schema import Visit
from trinetra.events.visits import unite
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId, EventId, IdentityKind, Instant, after

GONE_AFTER_S = 30.0
"""An erasure does not wait for a process without a heartbeat for so long. When such a process comes
back, it erases before it does anything else."""
_VISIT_GAP_S = 1800.0
"""The default of ``visit_gap_s``; the process that erases may not know the value of the site. It
matters only for adjacent visits of a person under several ids: they are merged, or stay two."""
_HERE = "database"


class SqlErasureStore:
    """An ErasureStore in a SQL database; create one with ``open``."""

    def __init__(self, database: Database, rules: RollupRules) -> None:
        self._database = database
        self._run = database.run
        self._rules = rules

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, rules: RollupRules = NO_ROLLUPS
    ) -> AsyncIterator["SqlErasureStore"]:
        """Open or create the store in the database of an SQLAlchemy URL.

        ``rules`` are those of the insight store, whose insights an erasure rewrites.
        Raises ConfigurationError, StorageFull or StoreUnavailable, as the insight store does.
        """
        async with Database.connected(url, thread_name="erasure-desk") as database:
            erasure_store = cls(database, rules)
            is_new = await database.run(_is_new)
            await prepare(database)
            if is_new:
                # Older versions of TRINETRA left deleted data in the free pages of the file.
                await erasure_store._scrub()
            yield erasure_store

    async def request(
        self, ids: Sequence[CustomerId], at: Instant, owners: Sequence[str] = ()
    ) -> ErasureStatus:
        """Erase a person from this database, and request the same of all owners of data."""
        number = await self._run(
            lambda c: _store_request(c, self._rules, ids, at, owners), writes=True
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


def _is_new(connection: Connection) -> bool:
    return not inspect(connection).has_table(ERASURES.name)


def _store_request(
    connection: Connection,
    rules: RollupRules,
    asked: Sequence[CustomerId],
    at: Instant,
    owners: Sequence[str],
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
    removed = {"book_entries": erased} | _forget_insights(connection, rules, ids)
    _store_acknowledgement(
        connection, number, Acknowledgement(member=_HERE, at=at, removed=removed)
    )
    return number


def _numbers_of(connection: Connection, ids: Iterable[CustomerId]) -> dict[str, int]:
    known = select(ERASURE_DIGESTS.c.digest, ERASURE_DIGESTS.c.number)
    rows = connection.execute(known.where(ERASURE_DIGESTS.c.digest.in_(digests_of(ids))))
    return {row.digest: row.number for row in rows}


def _new_request(connection: Connection, ids: Sequence[CustomerId], at: Instant) -> int:
    number = 1 + int(connection.scalar(select(func.max(ERASURES.c.number))) or 0)
    row = {"number": number, "asked_at": at, "ids": _packed(ids)}
    connection.execute(insert(ERASURES).values(row))
    digests = [{"digest": digest, "number": number} for digest in digests_of(ids)]
    connection.execute(insert(ERASURE_DIGESTS), digests)
    return number


def _require(connection: Connection, number: int, owners: Sequence[str]) -> None:
    """Let an erasure wait for these owners, and for all that any heartbeat ever named."""
    insertion = upsert_into(ERASURE_REQUIRED, connection.dialect.name)
    for owner in {*owners, *connection.scalars(select(ERASURE_OWNERS.c.owner))}:
        connection.execute(insertion.values(number=number, owner=owner).on_conflict_do_nothing())


def _forget_insights(
    connection: Connection, rules: RollupRules, ids: Sequence[CustomerId]
) -> dict[str, int]:
    """Remove a person from the insights without changing any totals; return the counts.

    What was derived from them goes, and is derived anew.
    """
    forget_aliases(connection, ids)
    plates_unlinked = unlink_vehicles(connection, rules, vehicles_of(connection, ids))
    found = {kind: insights_of(connection, kind, ids) for kind in NAMING_KINDS}
    visits = [visit for visit in found.pop("visit") if isinstance(visit, Visit)]
    anonymous = [_unlinked(v) for v in unite(visits, lambda _: ids[0], _VISIT_GAP_S)]
    write_insights(connection, rules, anonymous, visits)
    counts = {"plates_unlinked": plates_unlinked} if plates_unlinked else {}
    if alerts := forget_notices(connection, ids):
        counts["alerts"] = alerts
    for kind, insights in found.items():
        is_kept = kind in OBSERVED_KINDS
        write_insights(connection, rules, without(insights, ids), [] if is_kept else insights)
        if is_kept or insights:
            counts[f"{kind}s_without_id" if is_kept else f"{kind}s"] = len(insights)
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
    _see(connection, ERASURE_MEMBERS, at, member=member)
    if owner is not None:
        _see(connection, ERASURE_OWNERS, at, owner=owner)
    done = select(ERASURE_SHARES.c.number).where(ERASURE_SHARES.c.member == member)
    due = select(ERASURES.c.number).where(
        ERASURES.c.settled_at.is_(None),
        ERASURES.c.ids != _packed(()),
        ERASURES.c.number.not_in(done),
    )
    numbers = connection.scalars(due.order_by(ERASURES.c.number)).all()
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
        connection.execute(delete(ERASURE_OWNERS).where(ERASURE_OWNERS.c.owner == owner))
    own = ERASURE_MEMBERS.c.member == member
    seen_at = connection.scalar(select(ERASURE_MEMBERS.c.seen_at).where(own))
    connection.execute(delete(ERASURE_MEMBERS).where(own))
    return seen_at


def _store_acknowledgement(connection: Connection, number: int, share: Acknowledgement) -> None:
    """Record what a process deleted; counts that it reported before are kept.

    A process that repeats an erasure, say after a restart, finds nothing left to delete.
    """
    lock_writes(connection)
    own = (ERASURE_SHARES.c.number == number, ERASURE_SHARES.c.member == share.member)
    reported = connection.scalar(select(ERASURE_SHARES.c.removed).where(*own))
    removed = share.removed | (msgspec.json.decode(reported) if reported else {})
    row = {"at": share.at, "removed": msgspec.json.encode(removed).decode()}
    if reported is None:
        connection.execute(insert(ERASURE_SHARES).values(number=number, member=share.member, **row))
    else:
        connection.execute(update(ERASURE_SHARES).where(*own).values(row))


def _open_numbers(connection: Connection) -> Sequence[int]:
    is_open = select(ERASURES.c.number).where(ERASURES.c.settled_at.is_(None))
    return connection.scalars(is_open.order_by(ERASURES.c.number)).all()


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
    open_rows = ERASURES.c.number.in_(numbers) & ERASURES.c.settled_at.is_(None)
    connection.execute(update(ERASURES).where(open_rows).values(values))


def _find(connection: Connection, customer_id: CustomerId, at: Instant) -> ErasureStatus | None:
    query = select(ERASURE_DIGESTS.c.number).where(
        ERASURE_DIGESTS.c.digest == erasure_digest(customer_id)
    )
    number = connection.scalar(query)
    return None if number is None else _status(connection, number, at)


def _status(connection: Connection, number: int, at: Instant) -> ErasureStatus:
    rows = connection.execute(
        select(ERASURE_SHARES)
        .where(ERASURE_SHARES.c.number == number)
        .order_by(ERASURE_SHARES.c.at, ERASURE_SHARES.c.member)
    )
    shares = [
        Acknowledgement(member=r.member, at=r.at, removed=msgspec.json.decode(r.removed))
        for r in rows
    ]
    present = select(ERASURE_MEMBERS.c.member).where(
        ERASURE_MEMBERS.c.seen_at > after(at, -GONE_AFTER_S)
    )
    confirmed = {share.member for share in shares}
    of_number = select(ERASURE_REQUIRED.c.owner).where(ERASURE_REQUIRED.c.number == number)
    owners = sorted(connection.scalars(of_number))
    silent = {o for o in owners if not any(answers_for(member, o) for member in confirmed)}
    awaited = silent | set(connection.scalars(present)) - confirmed
    settled = select(ERASURES.c.settled_at).where(ERASURES.c.number == number)
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
    row = connection.execute(select(ERASURES).where(ERASURES.c.number == number)).one()
    of_number = select(ERASURE_DIGESTS.c.digest).where(ERASURE_DIGESTS.c.number == number)
    digests = connection.scalars(of_number.order_by(ERASURE_DIGESTS.c.digest)).all()
    return Erasure(
        number=number,
        asked_at=row.asked_at,
        ids=msgspec.json.decode(row.ids, type=tuple[CustomerId, ...]),
        digests=tuple(map(CustomerId, digests)),
    )


def _packed(ids: Iterable[CustomerId]) -> str:
    return msgspec.json.encode(list(ids)).decode()
