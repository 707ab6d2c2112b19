"""Rows of insights: the one way in which they are written, so that the figures follow.

Every write keeps the rollups in step and notes the minutes that changed, in one transaction.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row, delete, func, select, tuple_

from trinetra.adapters.sql import rollups
from trinetra.adapters.sql.database import upsert_into
from trinetra.adapters.sql.schema import (
    ALIASES,
    CHANGED_MINUTES,
    KIND_OF_TYPE,
    TABLE_OF_KIND,
    TYPE_OF_KIND,
)
from trinetra.events.codec import encode
from trinetra.events.rollups import RollupRules
from trinetra.events.schema import InsightEvent, LineCrossing, Passage, Visit, ZoneStay
from trinetra.events.subjects import customer_of
from trinetra.events.visits import is_older
from trinetra.values import CustomerId, IdentityKind, Instant, TrackId, microseconds

NAMING_KINDS = tuple(kind for kind, table in TABLE_OF_KIND.items() if "customer_id" in table.c)
"""Kinds of insights that name a customer."""
OBSERVED_KINDS = frozenset({"line_crossing", "zone_stay"})
"""Those of them that are kept without a name once the customer is erased: they count on."""
_RECORD_LOCK = 0x74726971
"""Key of the advisory lock: any number that no other application uses in this database."""
_AT_ONCE = 500
_Kinds = Mapping[CustomerId, IdentityKind]


def write_insights(
    connection: Connection,
    rules: RollupRules,
    insights: Iterable[InsightEvent],
    removed: Sequence[InsightEvent] = (),
    *,
    always: bool = False,
) -> None:
    """Insert or replace insights by id, and delete others.

    If not ``always``, an insight that is older than the one on record is ignored. Insights from
    before the retention are ignored, since the sums contain them already.
    """
    _lock(connection)
    since = rollups.kept_since(connection)
    insights = [i for i in insights if since is None or i.captured_at >= since]
    added: list[InsightEvent] = []
    former: list[InsightEvent] = [*removed]
    for kind, latest in _by_kind(insights).items():
        known = _known(connection, kind, latest)
        news = [i for i in latest.values() if always or _is_news(i, known.get(i.event_id))]
        if news:
            connection.execute(replacing(kind, connection.dialect.name), [_row(i) for i in news])
        added += news
        former += [known[i.event_id] for i in news if i.event_id in known]
    for kind, gone in _by_kind(removed).items():
        table = TABLE_OF_KIND[kind]
        for part in _parts(gone):
            connection.execute(delete(table).where(table.c.event_id.in_(part)))
    if added or former:
        kinds = kinds_of(connection, {c for i in (*added, *former) if (c := customer_of(i))})
        _follow(connection, rules, (added, kinds), (former, kinds))


def recount(
    connection: Connection, rules: RollupRules, ids: Collection[CustomerId], before: _Kinds
) -> None:
    """Count the insights of customers anew whose kind or person changed; they stay as recorded."""
    insights = [i for kind in NAMING_KINDS for i in insights_of(connection, kind, ids)]
    if insights:
        _lock(connection)
        now = kinds_of(connection, set(ids))
        _follow(connection, rules, (insights, now), (insights, before))


class Alias(NamedTuple):
    """The person that an id belongs to, and their kind if the customer log has one."""

    person_id: CustomerId
    kind: IdentityKind | None


def people_of(connection: Connection, ids: Collection[CustomerId]) -> dict[CustomerId, Alias]:
    """Return the people of those of these ids of which the customer log tells something."""
    found: dict[CustomerId, Alias] = {}
    for part in _parts(ids):
        query = select(ALIASES).where(ALIASES.c.customer_id.in_(part))
        found |= aliases_of(connection.execute(query))
    return found


def aliases_of(rows: Iterable[Row[Any]]) -> dict[CustomerId, Alias]:
    """Return rows of the aliases by id."""
    return {r.customer_id: Alias(r.person_id, r.kind and IdentityKind(r.kind)) for r in rows}


def kinds_of(connection: Connection, ids: Collection[CustomerId]) -> dict[CustomerId, IdentityKind]:
    """Return the kinds that the customer log gives to these customers, where it gives one."""
    return {c: kind for c, (_, kind) in people_of(connection, ids).items() if kind}


def prepare_sums(connection: Connection, zone: ZoneInfo, rules: RollupRules) -> bool:
    """Sum all insights on record up anew if zone or rules differ; return whether they did.

    Buckets that began before the retention stay as they are.
    """
    _lock(connection)
    if rollups.state_of(connection) == rollups.RollupState(zone, rules.version):
        return False
    since = rollups.kept_since(connection)
    rollups.note_rules(connection, zone, rules)
    rollups.clear_since(connection, since)
    change = rollups.next_change(connection)
    for kind in TABLE_OF_KIND:
        for insights in _batches(connection, kind):
            kinds = kinds_of(connection, {c for i in insights if (c := customer_of(i))})
            cells = [cell for i in insights for cell in rules.cells_of(with_kind(i, kinds))]
            rollups.add_cells(connection, zone, change, cells, since=since)
    # A month that has begun before the retention has days of both kinds.
    rollups.add_up_months(connection, zone, change)
    return True


def _batches(connection: Connection, kind: str) -> Iterator[list[InsightEvent]]:
    """Yield the insights of one kind in batches, in order: those of a batch share their buckets."""
    table, type_ = TABLE_OF_KIND[kind], TYPE_OF_KIND[kind]
    order = (table.c.captured_at, table.c.event_id)
    query = select(*order, table.c.event).order_by(*order).limit(_AT_ONCE)
    later = query
    while rows := connection.execute(later).all():
        yield [msgspec.json.decode(row.event, type=type_) for row in rows]
        later = query.where(tuple_(*order) > tuple_(rows[-1].captured_at, rows[-1].event_id))


def insights_of(
    connection: Connection, kind: str, ids: Collection[CustomerId]
) -> list[InsightEvent]:
    """Return the insights of one kind that name one of these customers."""
    table, type_ = TABLE_OF_KIND[kind], TYPE_OF_KIND[kind]
    found: list[InsightEvent] = []
    for part in _parts(ids):
        texts = connection.scalars(select(table.c.event).where(table.c.customer_id.in_(part)))
        found += [msgspec.json.decode(text, type=type_) for text in texts]
    return found


def insights_between(
    connection: Connection, kind: str, start: Instant, end: Instant
) -> list[InsightEvent]:
    """Return the insights of one kind with captured_at in ``[start, end)``, in that order."""
    table, type_ = TABLE_OF_KIND[kind], TYPE_OF_KIND[kind]
    query = (
        select(table.c.event)
        .where(table.c.captured_at >= start, table.c.captured_at < end)
        .order_by(table.c.captured_at, table.c.event_id)
    )
    return [msgspec.json.decode(text, type=type_) for text in connection.scalars(query)]


def without(insights: Iterable[InsightEvent], erased: Collection[CustomerId]) -> list[InsightEvent]:
    """Return the insights that may be kept: of erased people only crossings and stays, without id.

    What was derived from these is derived anew.
    """
    kept: list[InsightEvent] = []
    for insight in insights:
        if customer_of(insight) not in erased:
            kept.append(insight)
        elif isinstance(insight, LineCrossing | ZoneStay):
            kept.append(_of_a_stranger(insight))
    return kept


def as_known(connection: Connection, insights: Iterable[InsightEvent]) -> list[InsightEvent]:
    """Return the insights with the person and kind that the customer log has for them now."""
    insights = list(insights)
    people = people_of(connection, {c for i in insights if (c := customer_of(i))})
    kinds = {c: kind for c, (_, kind) in people.items() if kind}
    known = (with_kind(insight, kinds) for insight in insights)
    return [
        msgspec.structs.replace(i, customer_id=people[c].person_id)
        if (c := customer_of(i)) in people
        else i
        for i in known
    ]


def with_kind(insight: InsightEvent, kinds: _Kinds) -> InsightEvent:
    """Return the insight with the kind that the customer log gives to its customer."""
    customer_id = customer_of(insight)
    kind = kinds.get(customer_id) if customer_id else None
    if kind is None or not isinstance(insight, LineCrossing | ZoneStay | Visit | Passage):
        return insight
    return msgspec.structs.replace(insight, kind=kind)


def _follow(
    connection: Connection,
    rules: RollupRules,
    added: tuple[Iterable[InsightEvent], _Kinds],
    former: tuple[Iterable[InsightEvent], _Kinds],
) -> None:
    """Add what was added to the rollups, subtract what it replaces, and note the minutes."""
    change = rollups.next_change(connection)
    zone = rollups.zone_of(connection)
    plus, minus = (
        [cell for insight in insights for cell in rules.cells_of(with_kind(insight, kinds))]
        for insights, kinds in (added, former)
    )
    rollups.add_cells(connection, zone, change, plus, minus)
    _note_minutes(connection, change, (*added[0], *former[0]))


def _note_minutes(connection: Connection, change: int, insights: Iterable[InsightEvent]) -> None:
    minutes = {
        (KIND_OF_TYPE[type(insight)], microseconds(insight.captured_at) // 60_000_000 * 60)
        for insight in insights
    }
    statement = upsert_into(CHANGED_MINUTES, connection.dialect.name)
    statement = statement.on_conflict_do_update(
        index_elements=["type", "start_s"], set_={"change": statement.excluded.change}
    )
    rows = [{"type": t, "start_s": start_s, "change": change} for t, start_s in sorted(minutes)]
    connection.execute(statement, rows)


def _lock(connection: Connection) -> None:
    """Wait until no other transaction writes insights; on SQLite BEGIN IMMEDIATE has ensured it."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_RECORD_LOCK)))


def _by_kind(insights: Iterable[InsightEvent]) -> dict[str, dict[str, InsightEvent]]:
    """Return the last insight of each id, by kind and id."""
    found: dict[str, dict[str, InsightEvent]] = defaultdict(dict)
    for insight in insights:
        found[KIND_OF_TYPE[type(insight)]][insight.event_id] = insight
    return found


def insights_by_id(connection: Connection, kind: str, ids: Iterable[str]) -> list[InsightEvent]:
    """Return the insights of one kind with these ids, as far as they are on record."""
    return list(_known(connection, kind, ids).values())


def _known(connection: Connection, kind: str, ids: Iterable[str]) -> dict[str, InsightEvent]:
    table, type_ = TABLE_OF_KIND[kind], TYPE_OF_KIND[kind]
    texts: list[str] = []
    for part in _parts(ids):
        query = select(table.c.event).where(table.c.event_id.in_(part))
        texts += connection.scalars(query).all()
    found = (msgspec.json.decode(text, type=type_) for text in texts)
    return {insight.event_id: insight for insight in found}


def _is_news(insight: InsightEvent, known: InsightEvent | None) -> bool:
    return known is None or (insight != known and not is_older(insight, known))


def replacing(kind: str, dialect: str) -> Any:
    """Return the statement that inserts or replaces rows of one kind by ``event_id``."""
    table = TABLE_OF_KIND[kind]
    statement = upsert_into(table, dialect)
    replaced = {c.name: statement.excluded[c.name] for c in table.columns if c.name != "event_id"}
    return statement.on_conflict_do_update(index_elements=["event_id"], set_=replaced)


def _row(insight: InsightEvent) -> dict[str, Any]:
    columns = {c.name for c in TABLE_OF_KIND[KIND_OF_TYPE[type(insight)]].columns} - {"event"}
    values = ((name, getattr(insight, name)) for name in columns)
    row: dict[str, Any] = {n: None if v is msgspec.UNSET else v for n, v in values}
    return {**row, "event": encode(insight).decode()}


def _of_a_stranger(insight: LineCrossing | ZoneStay) -> InsightEvent:
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


def _parts(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield ids in batches that fit into one statement."""
    remaining = iter(sorted(ids))
    while part := list(islice(remaining, _AT_ONCE)):
        yield part
