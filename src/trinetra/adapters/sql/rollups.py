"""Rollups: per minute, hour and day, the sums of the cells of the insights on record.

They change in the transaction that writes the insights, so that they never differ from them, even
after a crash. A correction subtracts the cells of the former state and adds those of the new one. A
sum that becomes zero is kept, so that a reader who asks what changed learns of it.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from trinetra.adapters.sql.database import upsert_into
from trinetra.adapters.sql.schema import ROLLUP_STATE, ROLLUPS
from trinetra.events.derivation import Span
from trinetra.events.rollups import (
    BucketSum,
    Cell,
    Grain,
    PartSum,
    RollupRules,
    bucket_start_s,
)
from trinetra.values import Instant, microseconds

_MOST_QUERIES = 60
_NEXT_SERIES = select(func.min(ROLLUPS.c.series)).where(ROLLUPS.c.series > bindparam("after"))


class _Key(NamedTuple):
    series: str
    grain: Grain
    start_s: int
    place: str
    bin: int


@dataclass(frozen=True, slots=True)
class RollupState:
    """The time zone and the rules that the rollups were made with."""

    zone: ZoneInfo
    version: str


def state_of(connection: Connection) -> RollupState | None:
    """Return what the rollups were made with; None before an engine has prepared them."""
    row = connection.execute(select(ROLLUP_STATE)).first()
    return None if row is None else RollupState(ZoneInfo(row.zone), row.version)


def zone_of(connection: Connection) -> ZoneInfo:
    """Return the time zone of the buckets; UTC until an engine has prepared the rollups."""
    state = state_of(connection)
    return state.zone if state else ZoneInfo("UTC")


def next_change(connection: Connection) -> int:
    """Return the number of this write, which is higher than that of every earlier one."""
    raised = update(ROLLUP_STATE).values(change=ROLLUP_STATE.c.change + 1)
    number = connection.scalar(raised.returning(ROLLUP_STATE.c.change))
    if number is None:
        number = 1
        row = {"id": 1, "zone": "UTC", "version": "", "change": number}
        connection.execute(insert(ROLLUP_STATE).values(row))
    return int(number)


def add_cells(
    connection: Connection,
    zone: ZoneInfo,
    change: int,
    added: Iterable[Cell],
    removed: Iterable[Cell] = (),
    *,
    since: Instant | None = None,
) -> None:
    """Add cells to the sums of their buckets, and subtract those of former states.

    Buckets that begin before ``since`` are left alone.
    """
    deltas: Counter[_Key] = Counter()
    since_s = _ceil_s(since) if since else None
    for sign, cells in ((1, added), (-1, removed)):
        for cell in cells:
            at_s = microseconds(cell.at) // 1_000_000
            for grain in Grain:
                start_s = bucket_start_s(at_s, grain, zone)
                deltas[_Key(cell.series, grain, start_s, cell.place, cell.bin)] += sign * cell.value
    rows = [
        {**key._asdict(), "grain": int(key.grain), "value": value, "change": change}
        for key, value in sorted(deltas.items())
        if value and (since_s is None or key.start_s >= since_s)
    ]
    if rows:
        connection.execute(_adding(connection.dialect.name), rows)


def _adding(dialect: str) -> Any:
    statement = upsert_into(ROLLUPS, dialect)
    return statement.on_conflict_do_update(
        index_elements=list(_Key._fields),
        set_={
            "value": ROLLUPS.c.value + statement.excluded.value,
            "change": statement.excluded.change,
        },
    )


def read_sums(
    connection: Connection,
    series: Collection[str],
    grain: Grain,
    span: tuple[Instant, Instant],
    places: Collection[str] | None = None,
) -> list[BucketSum]:
    """Return the sums of buckets that start in the span, by series, start, place and bin."""
    start_s, end_s = (_ceil_s(edge) for edge in span)
    query = select(ROLLUPS).where(
        ROLLUPS.c.series.in_(series),
        ROLLUPS.c.grain == int(grain),
        ROLLUPS.c.start_s >= start_s,
        ROLLUPS.c.start_s < end_s,
    )
    if places is not None:
        query = query.where(ROLLUPS.c.place.in_(places))
    query = query.order_by("series", "grain", "start_s", "place", "bin")
    return [_sum_of(row) for row in connection.execute(query)]


def read_parts(
    connection: Connection,
    series: Collection[str],
    grain: Grain,
    parts: Sequence[Span],
    places: Collection[str] | None = None,
    *,
    by_place: bool = False,
) -> list[PartSum]:
    """Return the sums over spans that follow each other, of all places together or by place.

    The database adds up: it has many more sums than the answer, above all bins of histograms.
    """
    present = _present(connection, series)
    starts_s = [_ceil_s(part.start) for part in parts]
    # One query for many short spans; for a few long ones the database adds up each as a whole.
    is_fine = len(parts) > _MOST_QUERIES
    wholes = [Span(parts[0].start, parts[-1].end)] if is_fine else parts
    found: Counter[tuple[int, str, str, int]] = Counter()
    for number, whole in enumerate(wholes):
        query = _adding_up(present, grain, whole, places, by_place=by_place, by_start=is_fine)
        for name, place, bin_, value, start_s in connection.execute(query):
            part = bisect_right(starts_s, start_s) - 1 if is_fine else number
            found[part, name, place, bin_] += int(value)
    return [PartSum(*key, value) for key, value in found.items()]


def _adding_up(
    series: Collection[str],
    grain: Grain,
    span: Span,
    places: Collection[str] | None,
    *,
    by_place: bool,
    by_start: bool,
) -> Select[Any]:
    held = ROLLUPS.c
    place = held.place if by_place else literal("").label("place")
    start = held.start_s if by_start else literal(0).label("start_s")
    grouped = [held.series, held.bin, *[held.place] * by_place, *[held.start_s] * by_start]
    query = (
        select(held.series, place, held.bin, func.sum(held.value), start)
        .where(held.series.in_(series), held.grain == int(grain))
        .where(held.start_s >= _ceil_s(span.start), held.start_s < _ceil_s(span.end))
        .group_by(*grouped)
    )
    return query if places is None else query.where(held.place.in_(places))


def _present(connection: Connection, series: Collection[str]) -> list[str]:
    """Return the series that have any sums: of the hundreds, most are of other currencies.

    Each is found by one step in the index; a plain DISTINCT would read all sums.
    """
    found: list[str] = []
    asked = frozenset(series)
    after = ""
    while (name := connection.scalar(_NEXT_SERIES, {"after": after})) is not None:
        found += [name] * (name in asked)
        after = name
    return found


def read_changed(connection: Connection, grain: Grain, change: int, most: int) -> list[BucketSum]:
    """Return up to ``most`` sums changed after write number ``change``, in that order.

    All sums of one write are returned together, so there may be more than ``most``.
    """
    later = select(ROLLUPS).where(ROLLUPS.c.grain == int(grain), ROLLUPS.c.change > change)
    limit = select(ROLLUPS.c.change).where(ROLLUPS.c.grain == int(grain), ROLLUPS.c.change > change)
    last = connection.scalar(limit.order_by("change").offset(most - 1).limit(1))
    if last is not None:
        later = later.where(ROLLUPS.c.change <= last)
    order = ("change", "series", "start_s", "place", "bin")
    return [_sum_of(row) for row in connection.execute(later.order_by(*order))]


def note_rules(connection: Connection, zone: ZoneInfo, rules: RollupRules) -> None:
    """Note the time zone and the rules that the sums are made with from now on."""
    next_change(connection)
    noted = update(ROLLUP_STATE).values(zone=zone.key, version=rules.version)
    connection.execute(noted)


def clear_since(connection: Connection, since: Instant | None) -> None:
    """Delete the sums of buckets that begin at ``since`` or later; all without it."""
    later = ROLLUPS.c.start_s >= _ceil_s(since) if since else true()
    connection.execute(delete(ROLLUPS).where(later))


def kept_since(connection: Connection) -> Instant | None:
    """Return since when insights are on record; earlier ones are only in the sums."""
    return connection.scalar(select(ROLLUP_STATE.c.kept_since))


def forget_before(connection: Connection, before: Instant) -> None:
    """Delete the sums of minutes before an instant, and note that earlier insights go as well."""
    next_change(connection)
    known = kept_since(connection)
    if known is None or known < before:
        connection.execute(update(ROLLUP_STATE).values(kept_since=before))
    old = (ROLLUPS.c.grain == int(Grain.MINUTE)) & (ROLLUPS.c.start_s < _ceil_s(before))
    connection.execute(delete(ROLLUPS).where(old))


def last_change(connection: Connection) -> int:
    """Return the number of the last write."""
    return int(connection.scalar(select(ROLLUP_STATE.c.change)) or 0)


def _ceil_s(instant: Instant) -> int:
    return -(-microseconds(instant) // 1_000_000)


def _sum_of(row: Any) -> BucketSum:
    start = datetime.fromtimestamp(row.start_s, UTC)
    return BucketSum(row.series, row.place, Grain(row.grain), start, row.bin, row.value, row.change)
