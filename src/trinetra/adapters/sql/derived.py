"""Derived insights: replaces those of every window whose inputs have changed.

Each derivation has a cursor over the numbered writes. A window is derived and replaced in the same
transaction that moves the cursor on, so that neither a crash nor a second engine leaves it half
done. What the event log is to be told waits in the outbox until it has been told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select

from trinetra.adapters.sql import rollups
from trinetra.adapters.sql.database import upsert_into
from trinetra.adapters.sql.insight_rows import (
    as_known,
    insights_between,
    write_insights,
)
from trinetra.adapters.sql.schema import (
    CHANGED_MINUTES,
    DERIVATIONS,
    KIND_OF_TYPE,
    OUTBOX,
    TABLE_OF_KIND,
)
from trinetra.events.codec import encode
from trinetra.events.derivation import Derivation, Span
from trinetra.events.rollups import RollupRules
from trinetra.events.schema import InsightEvent, Withdrawal
from trinetra.ports import Unpublished
from trinetra.values import EventId, derive_id, microseconds

_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class _Changes:
    """Minutes in which inputs changed, and the last write that is taken into account.

    ``is_read`` tells that it was taken into account before: nothing was written since.
    """

    minutes_s: Sequence[int]
    change: int
    is_read: bool = False


def derive(connection: Connection, rules: RollupRules, derivation: Derivation, most: int) -> int:
    """Derive the windows anew whose inputs changed; return how many."""
    changes = _changes(connection, derivation, most)
    windows = sorted({start for s in changes.minutes_s for start in _windows(derivation, s)})
    for start_s in windows:
        _replace(connection, rules, derivation, _span(derivation, start_s))
    if not changes.is_read:
        row = {"name": derivation.name, "version": derivation.version, "change": changes.change}
        statement = upsert_into(DERIVATIONS, connection.dialect.name)
        connection.execute(
            statement.values(row).on_conflict_do_update(index_elements=["name"], set_=row)
        )
    return len(windows)


def drop_read(connection: Connection, names: Sequence[str]) -> None:
    """Forget the changed minutes that all these derivations have read."""
    read = select(func.count(), func.min(DERIVATIONS.c.change)).where(DERIVATIONS.c.name.in_(names))
    count, change = connection.execute(read).one()
    if count == len(names):
        connection.execute(delete(CHANGED_MINUTES).where(CHANGED_MINUTES.c.change <= change))


def unpublished(connection: Connection, most: int) -> list[Unpublished]:
    """Return the first entries of the outbox."""
    rows = connection.execute(select(OUTBOX).order_by(OUTBOX.c.number).limit(most))
    return [Unpublished(row.number, row.key, row.event.encode()) for row in rows]


def published(connection: Connection, number: int) -> None:
    """Remove the entries of the outbox up to a number."""
    connection.execute(delete(OUTBOX).where(OUTBOX.c.number <= number))


def _changes(connection: Connection, derivation: Derivation, most: int) -> _Changes:
    known = select(DERIVATIONS).where(DERIVATIONS.c.name == derivation.name)
    row = connection.execute(known).first()
    if row is None or row.version != derivation.version:
        change = rollups.next_change(connection)
        return _Changes(_minutes_on_record(connection, derivation), change)
    changed = (
        select(CHANGED_MINUTES.c.start_s, CHANGED_MINUTES.c.change)
        .where(CHANGED_MINUTES.c.type.in_(derivation.inputs), CHANGED_MINUTES.c.change > row.change)
        .order_by(CHANGED_MINUTES.c.change)
    )
    rows = connection.execute(changed.limit(most)).all()
    if len(rows) < most:
        # The types that are no input have been written up to here, too.
        change = rollups.last_change(connection)
        return _Changes([r.start_s for r in rows], change, is_read=change == row.change)
    last = rows[-1].change  # of this write more minutes may follow
    rows = connection.execute(changed.where(CHANGED_MINUTES.c.change <= last)).all()
    return _Changes([r.start_s for r in rows], last)


def _minutes_on_record(connection: Connection, derivation: Derivation) -> list[int]:
    """Return all minutes with inputs or outputs, for a derivation that is new or has changed."""
    minutes: set[int] = set()
    for kind in derivation.inputs | derivation.outputs:
        captured = connection.scalars(select(TABLE_OF_KIND[kind].c.captured_at))
        minutes |= {microseconds(at) // 60_000_000 * _MINUTE_S for at in captured}
    return sorted(minutes)


def _windows(derivation: Derivation, minute_s: int) -> range:
    """Return the starts of the windows for which an input in this minute may matter."""
    window_s, margin_s = round(derivation.window_s), round(derivation.margin_s)
    first = (minute_s - margin_s) // window_s * window_s
    return range(first, minute_s + _MINUTE_S + margin_s, window_s)


def _span(derivation: Derivation, start_s: int) -> Span:
    start = datetime.fromtimestamp(start_s, UTC)
    return Span(start, start + timedelta(seconds=derivation.window_s))


def _replace(
    connection: Connection, rules: RollupRules, derivation: Derivation, span: Span
) -> None:
    margin = timedelta(seconds=derivation.margin_s)
    inputs = _read(connection, derivation.inputs, Span(span.start - margin, span.end + margin))
    before = {i.event_id: i for i in _read(connection, derivation.outputs, span)}
    now = {i.event_id: i for i in derivation.derive(span, as_known(connection, inputs))}
    changed = [i for event_id, i in now.items() if before.get(event_id) != i]
    gone = [i for event_id, i in before.items() if event_id not in now]
    write_insights(connection, rules, changed, gone, always=True)
    tell = [*changed, *map(_withdrawal, gone)]
    if tell:
        rows = [{"key": i.camera_id, "event": encode(i).decode()} for i in tell]
        connection.execute(insert(OUTBOX), rows)


def _read(connection: Connection, kinds: frozenset[str], span: Span) -> list[InsightEvent]:
    found = [i for kind in kinds for i in insights_between(connection, kind, *span)]
    return sorted(found, key=lambda insight: (insight.captured_at, insight.event_id))


def _withdrawal(insight: InsightEvent) -> Withdrawal:
    kind = KIND_OF_TYPE[type(insight)]
    return Withdrawal(
        event_id=EventId(derive_id("withdrawal", kind, insight.event_id, insight.captured_at)),
        site_id=insight.site_id,
        camera_id=insight.camera_id,
        captured_at=insight.captured_at,
        insight_id=insight.event_id,
        insight_type=kind,
    )
