"""Insight store in a SQL database: one table per kind of insight, with columns to query.

Each row also keeps its event as JSON, which ``fetch`` returns, so fields without a column are not
lost. Works on SQLite and PostgreSQL, depending on the URL. Several insight engines may write to one
database, and on one host also to one SQLite file.
"""

import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    true,
)

from trinetra.adapters.sql.customer_log import erased_among, prepare_customer_log
from trinetra.adapters.sql.database import Database, Utc, prepare, upsert_into, version_table
from trinetra.adapters.sql.merge_expiry import expire_merges
from trinetra.events.codec import encode
from trinetra.events.customers import CustomerDirectory
from trinetra.events.schema import (
    InsightEvent,
    LineCrossing,
    Occupancy,
    Purchase,
    Receipt,
    UnpaidStay,
    Visit,
    ZoneStay,
)
from trinetra.events.visits import unite
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId, EventId, IdentityKind, Instant, TrackId

IdT = TypeVar("IdT", CustomerId, EventId)
log = get_logger("retention")
SCHEMA_VERSION = 1
_IDS_AT_ONCE = 500
_ALIASES_LOCK = 0x74726970
"""Key of the advisory lock: any number that no other application uses in this database."""

_metadata = MetaData()
_schema = version_table("trinetra_schema", _metadata)


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
    Column("kind", String(16)),
    Column("revision", Integer),
)
_zone_stays = _insight_table(
    "zone_stays",
    Column("zone_id", String(128), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("entered_at", Utc, nullable=False),
    Column("dwell_s", Float(53), nullable=False),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
    Column("revision", Integer),
)
_occupancies = _insight_table(
    "occupancies",
    Column("zone_id", String(128)),
    Column("persons", BigInteger, nullable=False),
    Column("unseen", Boolean),
)
_visits = _insight_table(
    "visits",
    Column("customer_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("visit_number", BigInteger, nullable=False),
    Column("revision", Integer),
    Column("withdrawn", Boolean),
)
Index("visits_by_customer", _visits.c.customer_id, _visits.c.captured_at)
_receipts = _insight_table(
    "receipts",
    Column("receipt_id", String(64), nullable=False),
    Column("till_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("item_count", BigInteger),
    Column("revision", Integer),
)
Index("receipts_by_till", _receipts.c.till_id, _receipts.c.captured_at)
_purchases = _insight_table(
    "purchases",
    Column("receipt_id", String(64), nullable=False),
    Column("till_id", String(64), nullable=False),
    Column("paid_at", Utc, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("offset_s", Float(53), nullable=False),
    Column("confidence", Float(53), nullable=False),
    Column("track_id", String(64)),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
)
_unpaid_stays = _insight_table(
    "unpaid_stays",
    Column("till_id", String(64), nullable=False),
    Column("zone_id", String(128), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("dwell_s", Float(53), nullable=False),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
)
_aliases = Table(
    "customer_aliases",
    _metadata,
    Column("customer_id", String(64), primary_key=True),
    Column("person_id", String(64), nullable=False, index=True),
    Column("kind", String(16)),
)
"""The person that each merged id belongs to now, and their kind. All other tables keep the id that
was valid when the row was written; to count people, join this table and use
``coalesce(person_id, customer_id)``."""
_aliases_read = Table(
    "customer_aliases_read",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

TYPE_OF_KIND: Mapping[str, type[InsightEvent]] = {
    "line_crossing": LineCrossing,
    "zone_stay": ZoneStay,
    "occupancy": Occupancy,
    "visit": Visit,
    "receipt": Receipt,
    "purchase": Purchase,
    "unpaid_stay": UnpaidStay,
}
TABLE_OF_KIND: Mapping[str, Table] = {
    "line_crossing": _line_crossings,
    "zone_stay": _zone_stays,
    "occupancy": _occupancies,
    "visit": _visits,
    "receipt": _receipts,
    "purchase": _purchases,
    "unpaid_stay": _unpaid_stays,
}
_KIND_OF_TYPE = {type_: kind for kind, type_ in TYPE_OF_KIND.items()}
_NAMELESS = (Occupancy, Receipt)
"""Insights that have no customer."""
KINDS_KEPT_WITHOUT_ID = ("line_crossing", "zone_stay", "purchase", "unpaid_stay")
"""Insights that remain when their customer is erased, without the id."""


class SqlInsightStore:
    """An InsightStore in a SQL database; create one with ``open``."""

    name = "insight store"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run
        self._expiry_logged = False

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqlInsightStore"]:
        """Open or create the tables in the database of an SQLAlchemy URL.

        ``sqlite:///FILE`` (its folder is created), ``sqlite://`` for memory, or
        ``postgresql://USER:PASSWORD@HOST/NAME``. Raises ConfigurationError when the URL is invalid,
        its driver is missing, the login is refused, the file is not a database, or a newer TRINETRA
        wrote it; StoreUnavailable when the server does not answer or the file is locked.
        """
        async with Database.connected(url, thread_name="insight-store") as database:
            await database.run(prepare_store, writes=True)
            yield cls(database)

    @property
    def place(self) -> str:
        """The URL of the database, without its password."""
        return self._database.place

    async def check(self) -> str:
        """Return the database's URL. Raises StoreUnavailable when it does not answer."""
        return await self._database.check()

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert or replace by ``event_id``, all or none.

        An older state of an insight is ignored; an engine that was considered dead may still
        deliver one. A withdrawn visit is kept as such, so that it cannot bring it back. For erased
        people, crossings and stays are kept without an id, and visits are discarded. Raises
        StorageFull or StoreUnavailable.
        """
        if insights:
            await self._run(lambda connection: _record(connection, insights), writes=True)

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one event type with captured_at in ``[start, end)``, in that order.

        Without withdrawn visits. Raises ValueError for an unknown kind.
        """
        if kind not in TABLE_OF_KIND:
            raise ValueError(f"{kind!r} is no kind of insight; use one of {sorted(TABLE_OF_KIND)}")
        table = TABLE_OF_KIND[kind]
        query = (
            select(table.c.event)
            .where(table.c.captured_at >= start, table.c.captured_at < end)
            .order_by(table.c.captured_at, table.c.event_id)
        )
        if table is _visits:
            query = query.where(_visits.c.withdrawn.is_not(true()))
        texts = await self._run(lambda connection: connection.scalars(query).all())
        return [msgspec.json.decode(text, type=TYPE_OF_KIND[kind]) for text in texts]

    async def records_of(self, ids: Sequence[CustomerId]) -> list[InsightEvent]:
        """Return everything recorded under exactly these ids, in the order of capture."""
        kinds = (*KINDS_KEPT_WITHOUT_ID, "visit")
        found = await self._run(lambda c: [e for kind in kinds for e in insights_of(c, kind, ids)])
        return sorted(found, key=lambda event: (event.captured_at, event.event_id))

    async def receipts(self, event_ids: Collection[EventId]) -> list[Receipt]:
        """Return the receipts that are stored under these event ids, in any order."""
        queries = [
            select(_receipts.c.event).where(_receipts.c.event_id.in_(part))
            for part in _parts(event_ids)
        ]
        texts = await self._run(lambda c: [t for query in queries for t in c.scalars(query)])
        return [msgspec.json.decode(text, type=Receipt) for text in texts]

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return the most recent visit recorded under exactly this id, even if withdrawn."""
        query = (
            select(_visits.c.event)
            .where(_visits.c.customer_id == customer_id)
            .order_by(_visits.c.captured_at.desc(), _visits.c.event_id.desc())
            .limit(1)
        )
        text = await self._run(lambda connection: connection.scalar(query))
        return None if text is None else msgspec.json.decode(text, type=Visit)

    async def expire(self, before: Instant, most: int) -> int:
        """Delete up to ``most`` insights of each kind older than ``before``; return how many."""
        if not self._expiry_logged:
            self._expiry_logged = True
            if old := await self._run(lambda connection: _count_older(connection, before)):
                log.warning(
                    "insights are deleted for good: policies.retention.insights_days of the site",
                    number=old,
                    older_than=before.isoformat(),
                )
        deleted = await self._run(lambda connection: _expire(connection, before, most), writes=True)
        if 0 < deleted < most:  # otherwise more may be due, and the log is truncated after that
            await self._database.empty_log()
        return deleted

    async def expire_merges(self, before: Instant, most: int) -> int:
        """Delete up to ``most`` changes of merges that expired by ``before``; return how many."""
        naming = [table for table in TABLE_OF_KIND.values() if "customer_id" in table.c]
        return await self._run(
            lambda connection: expire_merges(connection, before, most, naming, _aliases),
            writes=True,
        )

    async def know(
        self, people: CustomerDirectory, changed: Collection[CustomerId] | None = None
    ) -> None:
        """Store which ids belong to the same person; a directory with a lower number is ignored."""
        await self._run(lambda connection: _know(connection, people, changed), writes=True)

    async def visits(self, start: Instant, end: Instant, gap_s: float) -> list[Visit]:
        """Return the visits of people that ended in ``[start, end)``, in that order."""
        known, recorded = await self._run(lambda c: _visits_between(c, start, end))
        visits = unite(
            recorded,
            lambda c: known[c].person_id if c in known else c,
            gap_s,
            lambda c: known[c].kind if c in known else None,
        )
        return [visit for visit in visits if start <= visit.captured_at < end]


def _count_older(connection: Connection, before: Instant) -> int:
    counts = (select(func.count()).where(t.c.captured_at < before) for t in TABLE_OF_KIND.values())
    return sum(connection.scalar(count) or 0 for count in counts)


def _expire(connection: Connection, before: Instant, most: int) -> int:
    deleted = 0
    for table in TABLE_OF_KIND.values():
        old = select(table.c.event_id).where(table.c.captured_at < before)
        oldest = old.order_by(table.c.captured_at).limit(most)
        deleted += connection.execute(delete(table).where(table.c.event_id.in_(oldest))).rowcount
    return deleted


def _know(
    connection: Connection, people: CustomerDirectory, touched: Collection[CustomerId] | None
) -> None:
    # Read, compare and write must not interleave with another engine, or an older directory could
    # overwrite a newer one. SQLite has only one writer at a time anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_ALIASES_LOCK)))
    if (connection.scalar(select(_aliases_read.c.number)) or 0) >= people.number:
        return
    known = _aliases_in(connection, touched)
    ids = people.merged if touched is None else (known.keys() | touched) & people.merged.keys()
    current = {c: _Alias(people.canonical(c), people.kind_of(c)) for c in ids}
    changed = {c for c in known.keys() | current.keys() if known.get(c) != current.get(c)}
    rows = [{"customer_id": c, **current[c]._asdict()} for c in sorted(changed & current.keys())]
    for part in _parts(changed):
        connection.execute(delete(_aliases).where(_aliases.c.customer_id.in_(part)))
    if rows:
        connection.execute(insert(_aliases), rows)
    connection.execute(delete(_aliases_read))
    connection.execute(insert(_aliases_read).values(id=1, number=people.number))


class _Alias(NamedTuple):
    """The person that an id belongs to, and their kind if the customer log has one."""

    person_id: CustomerId
    kind: IdentityKind | None


def _aliases_in(
    connection: Connection, touched: Collection[CustomerId] | None = None
) -> dict[CustomerId, _Alias]:
    """Return the aliases, or only those that contain one of these ids."""
    if touched is None:
        return _aliases_of(connection.execute(select(_aliases)))
    found: dict[CustomerId, _Alias] = {}
    for part in _parts(touched):
        about = or_(_aliases.c.customer_id.in_(part), _aliases.c.person_id.in_(part))
        found |= _aliases_of(connection.execute(select(_aliases).where(about)))
    return found


def _aliases_of(rows: Iterable[Row[Any]]) -> dict[CustomerId, _Alias]:
    return {r.customer_id: _Alias(r.person_id, r.kind and IdentityKind(r.kind)) for r in rows}


def _visits_between(
    connection: Connection, start: Instant, end: Instant
) -> tuple[dict[CustomerId, _Alias], list[Visit]]:
    """Return all aliases, and the visits of the period.

    For people with several ids all their visits are included, because a visit before or after the
    period may have to be merged with one in it.
    """
    known = _aliases_in(connection)
    person_of = {customer_id: alias.person_id for customer_id, alias in known.items()}
    in_time = (_visits.c.captured_at >= start, _visits.c.captured_at < end)
    found = _read_visits(connection, *in_time)
    several = {*person_of, *person_of.values()}
    persons = {person_of.get(c, c) for v in found.values() if (c := v.customer_id) in several}
    ids = persons | {c for c, person in person_of.items() if person in persons}
    for part in _parts(ids):
        found |= _read_visits(connection, _visits.c.customer_id.in_(part))
    return known, list(found.values())


def _read_visits(connection: Connection, *where: ColumnElement[bool]) -> dict[str, Visit]:
    texts = connection.scalars(select(_visits.c.event).where(*where))
    visits = (msgspec.json.decode(text, type=Visit) for text in texts)
    return {visit.event_id: visit for visit in visits}


def _parts(ids: Iterable[IdT]) -> Iterator[Sequence[IdT]]:
    """Yield ids in batches that fit into one statement."""
    remaining = iter(sorted(ids))
    while part := list(islice(remaining, _IDS_AT_ONCE)):
        yield part


def insights_of(connection: Connection, kind: str, ids: Sequence[CustomerId]) -> list[InsightEvent]:
    """Return the insights of one kind (except occupancy) that carry one of these ids."""
    table = TABLE_OF_KIND[kind]
    texts = connection.scalars(select(table.c.event).where(table.c.customer_id.in_(ids)))
    return [msgspec.json.decode(text, type=TYPE_OF_KIND[kind]) for text in texts]


def forget_aliases(connection: Connection, ids: Sequence[CustomerId]) -> None:
    """Delete the aliases that contain one of these ids."""
    about = or_(_aliases.c.customer_id.in_(ids), _aliases.c.person_id.in_(ids))
    connection.execute(delete(_aliases).where(about))


def prepare_store(connection: Connection) -> None:
    """Create missing tables of the store, and of the customer log, which it reads."""
    prepare(connection, _metadata, _schema, SCHEMA_VERSION, what="insight")
    prepare_customer_log(connection)


def _record(connection: Connection, insights: Sequence[InsightEvent]) -> None:
    named = {i.customer_id for i in insights if not isinstance(i, _NAMELESS) and i.customer_id}
    erased = erased_among(connection, named)
    upsert_all(connection, without(insights, erased) if erased else insights)


def without(insights: Iterable[InsightEvent], erased: Collection[CustomerId]) -> list[InsightEvent]:
    """Return the insights that may be kept: of erased people no visits, and the rest without id."""
    kept: list[InsightEvent] = []
    for insight in insights:
        if isinstance(insight, _NAMELESS) or insight.customer_id not in erased:
            kept.append(insight)
        elif not isinstance(insight, Visit):
            kept.append(_of_a_stranger(insight))
    return kept


def _of_a_stranger(insight: LineCrossing | ZoneStay | Purchase | UnpaidStay) -> InsightEvent:
    """Return the insight without anything that identifies a person.

    The track id goes as well, because customer ids are derived from a person's first track. Staff
    keep their kind, because they must not be counted as customers.
    """
    return msgspec.structs.replace(
        insight,
        customer_id=None,
        kind=IdentityKind.STAFF if insight.kind is IdentityKind.STAFF else msgspec.UNSET,
        track_id=TrackId(f"trk_{secrets.token_hex(12)}"),
    )


def upsert_all(connection: Connection, insights: Sequence[InsightEvent]) -> None:
    """Insert or replace by ``event_id``."""
    for type_, kind in _KIND_OF_TYPE.items():
        # The last event of an id wins: PostgreSQL refuses to change a row twice in one statement.
        latest = {i.event_id: _row(i, kind) for i in insights if isinstance(i, type_)}
        if latest:
            statement = _upsert(TABLE_OF_KIND[kind], connection.dialect.name)
            # Sorted, because engines that lock the same rows in different orders would deadlock.
            connection.execute(statement, [latest[event_id] for event_id in sorted(latest)])


def _row(insight: InsightEvent, kind: str) -> dict[str, Any]:
    fields = {c.name for c in TABLE_OF_KIND[kind].columns} - {"event"}
    values = ((name, getattr(insight, name)) for name in fields)
    row: dict[str, Any] = {n: None if v is msgspec.UNSET else v for n, v in values}
    return {**row, "event": encode(insight).decode()}


def _upsert(table: Table, dialect: str) -> Any:
    statement = upsert_into(table, dialect)
    replaced = {c.name: statement.excluded[c.name] for c in table.columns if c.name != "event_id"}
    return statement.on_conflict_do_update(
        index_elements=["event_id"], set_=replaced, where=_is_no_older(statement.excluded, table)
    )


def _is_no_older(new: Any, table: Table) -> ColumnElement[bool] | None:
    """Return the condition that a row is not replaced by an older state, as ``is_older`` has it."""
    if "revision" not in table.c:
        return None
    before, now = (func.coalesce(row.revision, 0) for row in (table.c, new))
    if table is _receipts:
        return now > before
    if table is _visits:
        is_as_revised = and_(now == before, new.captured_at >= table.c.captured_at)
        return or_(now > before, is_as_revised)
    is_as_long = and_(new.captured_at == table.c.captured_at, now >= before)
    return or_(new.captured_at > table.c.captured_at, is_as_long)
