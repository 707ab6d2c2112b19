"""Insight store in a SQL database: one table per kind of insight, with columns to query.

Each row also keeps its event as JSON, which ``fetch`` returns, so fields without a column are not
lost. Works on SQLite and PostgreSQL, depending on the URL. Several insight engines may write to one
database, and on one host also to one SQLite file.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    func,
    insert,
    or_,
    select,
)

from trinetra.adapters.sql import derived, insight_pages, rollups
from trinetra.adapters.sql.audits import read_audits, write_audit
from trinetra.adapters.sql.customer_log import erased_among
from trinetra.adapters.sql.database import Database
from trinetra.adapters.sql.insight_rows import (
    NAMING_KINDS,
    Alias,
    aliases_of,
    as_known,
    insights_between,
    insights_of,
    prepare_sums,
    recount,
    without,
    write_insights,
)
from trinetra.adapters.sql.merge_expiry import expire_merges
from trinetra.adapters.sql.migrate import prepare
from trinetra.adapters.sql.schema import ALIASES, ALIASES_READ, RECEIPTS, TABLE_OF_KIND, VISITS
from trinetra.adapters.sql.setups import Setup, marks_in, note_setup
from trinetra.adapters.sql.vehicles import unlink_vehicles, vehicles_before
from trinetra.events.audits import CountAudit
from trinetra.events.customers import CustomerDirectory
from trinetra.events.derivation import Derivation, Span
from trinetra.events.figures import Mark
from trinetra.events.rollups import BucketSum, Grain, PartSum, RollupRules
from trinetra.events.schema import InsightEvent, Receipt, Visit
from trinetra.events.subjects import customer_of
from trinetra.events.visits import unite
from trinetra.ports import InsightQuery, Unpublished
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId, EventId, Instant

IdT = TypeVar("IdT", CustomerId, EventId)
log = get_logger("retention")
NO_ROLLUPS = RollupRules(lambda _: (), "")
"""Rules of a reader that writes no insights."""
_IDS_AT_ONCE = 500
_ALIASES_LOCK = 0x74726970
"""Key of the advisory lock: any number that no other application uses in this database."""


class SqlInsightStore:
    """An InsightStore in a SQL database; create one with ``open``."""

    name = "insight store"

    def __init__(self, database: Database, rules: RollupRules) -> None:
        self._database = database
        self._run = database.run
        self._rules = rules
        self._expiry_logged = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, rules: RollupRules = NO_ROLLUPS
    ) -> AsyncIterator["SqlInsightStore"]:
        """Open or create the tables in the database of an SQLAlchemy URL; a writer passes rules.

        ``sqlite:///FILE`` (its folder is created), ``sqlite://`` for memory, or
        ``postgresql://USER:PASSWORD@HOST/NAME``. Raises ConfigurationError when the URL is invalid,
        its driver is missing, the login is refused, the file is not a database, or a newer TRINETRA
        wrote it; StoreUnavailable when the server does not answer or the file is locked.
        """
        async with Database.connected(url, thread_name="insight-store") as database:
            await prepare(database)
            yield cls(database, rules)

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
            await self._run(lambda c: _record(c, self._rules, insights), writes=True)

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one event type with captured_at in ``[start, end)``, in that order.

        Without withdrawn visits. Raises ValueError for an unknown kind.
        """
        if kind not in TABLE_OF_KIND:
            raise ValueError(f"{kind!r} is no kind of insight; use one of {sorted(TABLE_OF_KIND)}")
        found = await self._run(lambda c: insights_between(c, kind, start, end))
        return [i for i in found if not (isinstance(i, Visit) and i.withdrawn)]

    async def records_of(self, ids: Sequence[CustomerId]) -> list[InsightEvent]:
        """Return everything recorded under exactly these ids, in the order of capture."""
        found = await self._run(
            lambda c: [e for kind in NAMING_KINDS for e in insights_of(c, kind, ids)]
        )
        return sorted(found, key=lambda event: (event.captured_at, event.event_id))

    async def receipts(self, event_ids: Collection[EventId]) -> list[Receipt]:
        """Return the receipts that are stored under these event ids, in any order."""
        queries = [
            select(RECEIPTS.c.event).where(RECEIPTS.c.event_id.in_(part))
            for part in _parts(event_ids)
        ]
        texts = await self._run(lambda c: [t for query in queries for t in c.scalars(query)])
        return [msgspec.json.decode(text, type=Receipt) for text in texts]

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return the most recent visit recorded under exactly this id, even if withdrawn."""
        query = (
            select(VISITS.c.event)
            .where(VISITS.c.customer_id == customer_id)
            .order_by(VISITS.c.captured_at.desc(), VISITS.c.event_id.desc())
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
        naming = [TABLE_OF_KIND[kind] for kind in NAMING_KINDS]
        return await self._run(
            lambda connection: expire_merges(connection, before, most, naming, ALIASES),
            writes=True,
        )

    async def expire_plates(self, before: Instant, most: int) -> int:
        """Unlink up to ``most`` vehicle visits older than ``before``; return how many."""
        return await self._run(
            lambda connection: unlink_vehicles(
                connection, self._rules, vehicles_before(connection, before, most)
            ),
            writes=True,
        )

    async def know(
        self, people: CustomerDirectory, changed: Collection[CustomerId] | None = None
    ) -> None:
        """Store which ids belong to the same person; a directory with a lower number is ignored."""
        await self._run(lambda c: _know(c, self._rules, people, changed), writes=True)

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

    async def prepare_figures(self, zone: ZoneInfo, setup: Setup, at: Instant) -> bool:
        """Sum up all insights on record anew if the time zone or the rules are others than before.

        Returns whether it was necessary. Sums of insights that were deleted stay as they are.
        Notes what differs in the setup since the last call.
        """
        rules = self._rules
        await self._run(lambda connection: note_setup(connection, setup, at), writes=True)
        return await self._run(lambda c: prepare_sums(c, zone, rules), writes=True)

    async def marks(self, span: Span) -> list[Mark]:
        """Return the changes of the setup in a span, in order."""
        return await self._run(lambda connection: marks_in(connection, span))

    async def sums(
        self,
        series: Collection[str],
        grain: Grain,
        span: tuple[Instant, Instant],
        places: Collection[str] | None = None,
    ) -> list[BucketSum]:
        """Return the sums of buckets that start in the span, by series, start, place and bin."""
        return await self._run(lambda c: rollups.read_sums(c, series, grain, span, places))

    async def part_sums(
        self,
        series: Collection[str],
        grain: Grain,
        parts: Sequence[Span],
        places: Collection[str] | None = None,
        *,
        by_place: bool = False,
    ) -> list[PartSum]:
        """Return the sums over spans that follow each other, of all places together or by place.

        The edges of the spans are edges of buckets of the grain.
        """
        return await self._run(
            lambda c: rollups.read_parts(c, series, grain, parts, places, by_place=by_place)
        )

    async def write_audit(self, audit: CountAudit) -> None:
        """Add a count by hand."""
        await self._run(lambda connection: write_audit(connection, audit), writes=True)

    async def audits(self) -> list[CountAudit]:
        """Return the latest counts by hand, the last one first."""
        return await self._run(read_audits)

    async def counted(self, kinds: Collection[str], span: Span) -> list[InsightEvent]:
        """Return insights of these types as they count now, ordered by captured_at and id.

        With the person and the kind that the customer log has for them, and withdrawn visits.
        """

        def read(connection: Connection) -> list[InsightEvent]:
            found = [i for kind in kinds for i in insights_between(connection, kind, *span)]
            return as_known(connection, found)

        found = await self._run(read)
        return sorted(found, key=lambda insight: (insight.captured_at, insight.event_id))

    async def page(self, query: InsightQuery) -> list[InsightEvent]:
        """Return a page of insights, in the order of captured_at and id, as they count now.

        Without withdrawn visits. Raises ValueError for an unknown kind, or one without customers.
        """
        if query.kind not in TABLE_OF_KIND:
            raise ValueError(f"{query.kind!r} is no kind of insight")
        if query.customer_id is not None and query.kind not in NAMING_KINDS:
            raise ValueError(f"{query.kind!r} names no customer")
        return await self._run(lambda c: insight_pages.read_page(c, query))

    async def changed_sums(self, grain: Grain, change: int, most: int) -> list[BucketSum]:
        """Return sums that changed after write number ``change``, in the order of writes.

        About ``most``: sums of one write are not separated.
        """
        return await self._run(lambda c: rollups.read_changed(c, grain, change, most))

    async def derive(self, derivation: Derivation, most: int) -> int:
        """Derive anew what the inputs' changes since the last call require; return the windows.

        Takes up to ``most`` changed minutes into account.
        """
        rules = self._rules
        return await self._run(
            lambda connection: derived.derive(connection, rules, derivation, most), writes=True
        )

    async def settle(self, names: Sequence[str]) -> None:
        """Forget the changes that all derivations of these names have taken into account."""
        await self._run(lambda connection: derived.drop_read(connection, names), writes=True)

    async def unpublished(self, most: int) -> list[Unpublished]:
        """Return the first derived insights that the event log has not received yet."""
        return await self._run(lambda connection: derived.unpublished(connection, most))

    async def published(self, number: int) -> None:
        """Note that the event log has received all derived insights up to this one."""
        await self._run(lambda connection: derived.published(connection, number), writes=True)


def _count_older(connection: Connection, before: Instant) -> int:
    counts = (select(func.count()).where(t.c.captured_at < before) for t in TABLE_OF_KIND.values())
    return sum(connection.scalar(count) or 0 for count in counts)


def _expire(connection: Connection, before: Instant, most: int) -> int:
    """Delete the oldest insights and sums of minutes; sums of hours and days name no customer."""
    rollups.forget_before(connection, before)
    deleted = 0
    for table in TABLE_OF_KIND.values():
        old = select(table.c.event_id).where(table.c.captured_at < before)
        oldest = old.order_by(table.c.captured_at).limit(most)
        deleted += connection.execute(delete(table).where(table.c.event_id.in_(oldest))).rowcount
    return deleted


def _know(
    connection: Connection,
    rules: RollupRules,
    people: CustomerDirectory,
    touched: Collection[CustomerId] | None,
) -> None:
    # Read, compare and write must not interleave with another engine, or an older directory could
    # overwrite a newer one. SQLite has only one writer at a time anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_ALIASES_LOCK)))
    if (connection.scalar(select(ALIASES_READ.c.number)) or 0) >= people.number:
        return
    known = _aliases_in(connection, touched)
    told = people.merged.keys() | people.customers.keys()
    ids = told if touched is None else (known.keys() | touched) & told
    current = {c: Alias(people.canonical(c), people.kind_of(c)) for c in ids}
    changed = {c for c in known.keys() | current.keys() if known.get(c) != current.get(c)}
    rows = [{"customer_id": c, **current[c]._asdict()} for c in sorted(changed & current.keys())]
    for part in _parts(changed):
        connection.execute(delete(ALIASES).where(ALIASES.c.customer_id.in_(part)))
    if rows:
        connection.execute(insert(ALIASES), rows)
    connection.execute(delete(ALIASES_READ))
    connection.execute(insert(ALIASES_READ).values(id=1, number=people.number))
    before = {c: known[c].kind for c in changed & known.keys()}
    recount(connection, rules, changed, {c: kind for c, kind in before.items() if kind})


def _aliases_in(
    connection: Connection, touched: Collection[CustomerId] | None = None
) -> dict[CustomerId, Alias]:
    """Return the aliases, or only those that contain one of these ids."""
    if touched is None:
        return aliases_of(connection.execute(select(ALIASES)))
    found: dict[CustomerId, Alias] = {}
    for part in _parts(touched):
        about = or_(ALIASES.c.customer_id.in_(part), ALIASES.c.person_id.in_(part))
        found |= aliases_of(connection.execute(select(ALIASES).where(about)))
    return found


def _visits_between(
    connection: Connection, start: Instant, end: Instant
) -> tuple[dict[CustomerId, Alias], list[Visit]]:
    """Return all aliases, and the visits of the period.

    For people with several ids all their visits are included, because a visit before or after the
    period may have to be merged with one in it.
    """
    known = _aliases_in(connection)
    person_of = {customer_id: alias.person_id for customer_id, alias in known.items()}
    in_time = (VISITS.c.captured_at >= start, VISITS.c.captured_at < end)
    found = _read_visits(connection, *in_time)
    several = {*person_of, *person_of.values()}
    persons = {person_of.get(c, c) for v in found.values() if (c := v.customer_id) in several}
    ids = persons | {c for c, person in person_of.items() if person in persons}
    for part in _parts(ids):
        found |= _read_visits(connection, VISITS.c.customer_id.in_(part))
    return known, list(found.values())


def _read_visits(connection: Connection, *where: ColumnElement[bool]) -> dict[str, Visit]:
    texts = connection.scalars(select(VISITS.c.event).where(*where))
    visits = (msgspec.json.decode(text, type=Visit) for text in texts)
    return {visit.event_id: visit for visit in visits}


def _parts(ids: Iterable[IdT]) -> Iterator[Sequence[IdT]]:
    """Yield ids in batches that fit into one statement."""
    remaining = iter(sorted(ids))
    while part := list(islice(remaining, _IDS_AT_ONCE)):
        yield part


def forget_aliases(connection: Connection, ids: Sequence[CustomerId]) -> None:
    """Delete the aliases that contain one of these ids."""
    about = or_(ALIASES.c.customer_id.in_(ids), ALIASES.c.person_id.in_(ids))
    connection.execute(delete(ALIASES).where(about))


def _record(connection: Connection, rules: RollupRules, insights: Sequence[InsightEvent]) -> None:
    named = {customer for insight in insights if (customer := customer_of(insight))}
    erased = erased_among(connection, named)
    write_insights(connection, rules, without(insights, erased) if erased else insights)
