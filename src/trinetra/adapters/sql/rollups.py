"""Rollups: per minute, hour, day and month, the sums of the cells of the insights on record.

They change in the transaction that writes the insights, so that they never differ from them, even
after a crash. A correction subtracts the cells of the former state and adds those of the new one. A
sum that becomes zero is kept, so that a reader who asks what changed learns of it.

Most figures are of the whole site, and most sums are bins of histograms. So the sums over all
places are kept as well, and all bins of a bucket are one row: a year of a store of 20 cameras is
added up from 15,000 rows instead of 1.2 million. Writers read the bins before they change them,
which is safe because only one transaction at a time writes insights.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Table, delete, insert, literal, select, true, update

from trinetra.adapters.sql.database import upsert_into
from trinetra.adapters.sql.schema import ROLLUP_STATE, ROLLUPS, SITE_ROLLUPS
from trinetra.events.derivation import Span
from trinetra.events.rollups import (
    BucketSum,
    Cell,
    Grain,
    PartSum,
    RollupRules,
    bucket_start_s,
    next_start_s,
)
from trinetra.values import Instant, microseconds

_AT_ONCE = 500
_COARSER = {Grain.MINUTE: Grain.HOUR, Grain.DAY: Grain.MONTH}
"""Whole hours within a span are read instead of their minutes, and months instead of their days."""
_DECODER = msgspec.json.Decoder(dict[int, int])
_Bins = dict[int, int]


class _Key(NamedTuple):
    series: str
    grain: Grain
    start_s: int
    place: str


_Deltas = Mapping[_Key, Mapping[int, int]]


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
    deltas: dict[_Key, Counter[int]] = defaultdict(Counter)
    since_s = _ceil_s(since) if since else None
    for sign, cells in ((1, added), (-1, removed)):
        for cell in cells:
            at_s = microseconds(cell.at) // 1_000_000
            for grain in Grain:
                start_s = bucket_start_s(at_s, grain, zone)
                if since_s is None or start_s >= since_s:
                    key = _Key(cell.series, grain, start_s, cell.place)
                    deltas[key][cell.bin] += sign * cell.value
    _add(connection, ROLLUPS, deltas, change)
    _add(connection, SITE_ROLLUPS, _of_site(deltas), change)


def _of_site(deltas: _Deltas) -> _Deltas:
    """Return the sums over all places."""
    found: dict[_Key, Counter[int]] = defaultdict(Counter)
    for key, bins in deltas.items():
        found[key._replace(place="")].update(bins)
    return found


def _add(connection: Connection, table: Table, deltas: _Deltas, change: int) -> None:
    """Add to the sums of a table; those that change in bin 0 only need not be read."""
    plain: dict[_Key, _Bins] = {}
    binned: dict[_Key, _Bins] = {}
    for key, bins in sorted(deltas.items()):
        if changed := {number: value for number, value in bins.items() if value}:
            (binned if changed.keys() - {0} else plain)[key] = changed
    known = _bins_on_record(connection, table, binned)
    for group in (plain, binned):
        rows = [_row(table, key, bins, known.get(key, {}), change) for key, bins in group.items()]
        if rows:
            adding = _adding(table, connection.dialect.name, has_bins=group is binned)
            connection.execute(adding, rows)


def _row(
    table: Table, key: _Key, delta: Mapping[int, int], known: Mapping[int, int], change: int
) -> dict[str, Any]:
    bins = {number: known.get(number, 0) + delta.get(number, 0) for number in {*known, *delta}}
    row = {
        **key._asdict(),
        "grain": int(key.grain),
        "value": sum(delta.values()),
        "bins": _encoded(bins),
        "change": change,
    }
    return {name: value for name, value in row.items() if name in table.c}


def _adding(table: Table, dialect: str, *, has_bins: bool) -> Any:
    statement = upsert_into(table, dialect)
    given = statement.excluded
    changed = {"value": table.c.value + given.value}
    changed |= {c.name: given[c.name] for c in table.c if c.name == "change"}
    changed |= {"bins": given.bins} if has_bins else {}
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _bins_on_record(
    connection: Connection, table: Table, keys: Collection[_Key]
) -> dict[_Key, _Bins]:
    """Return the bins of these buckets, and of some others."""
    found: dict[_Key, _Bins] = {}
    for grain in {key.grain for key in keys}:
        own = [key for key in keys if key.grain == grain]
        starts_s = sorted({key.start_s for key in own})
        for first in range(0, len(starts_s), _AT_ONCE):
            query = select(table).where(
                table.c.series.in_({key.series for key in own}),
                table.c.grain == int(grain),
                table.c.start_s.in_(starts_s[first : first + _AT_ONCE]),
            )
            if "place" in table.c:
                query = query.where(table.c.place.in_({key.place for key in own}))
            for row in connection.execute(query.where(table.c.bins.is_not(None))):
                place = row.place if "place" in table.c else ""
                found[_Key(row.series, grain, row.start_s, place)] = _DECODER.decode(row.bins)
    return found


def _encoded(bins: Mapping[int, int]) -> str | None:
    """Return the bins but bin 0, which is the rest of the sum; None without any."""
    kept = {number: bins[number] for number in sorted(bins) if number}
    return msgspec.json.encode(kept).decode() if kept else None


def _decoded(value: int, text: str | None) -> _Bins:
    """Return all bins of a row, whose sum is ``value``."""
    if text is None:
        return {0: value}
    bins = _DECODER.decode(text)
    bins[0] = value - sum(bins.values())
    return bins


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
    query = query.order_by("series", "start_s", "place")
    return [one for row in connection.execute(query).all() for one in _sums_of(row)]


def read_parts(
    connection: Connection,
    series: Collection[str],
    grain: Grain,
    parts: Sequence[Span],
    places: Collection[str] | None = None,
    *,
    by_place: bool = False,
) -> list[PartSum]:
    """Return the sums over spans that follow each other, of all places together or by place."""
    starts_s = [_ceil_s(part.start) for part in parts]
    found: dict[tuple[int, str, str], _Bins] = {}
    for piece in _pieces(parts, grain, zone_of(connection)):
        rows = _rows_in(connection, piece, series, places, by_place=by_place)
        for name, start_s, place, value, text in rows:
            key = bisect_right(starts_s, start_s) - 1, name, place
            bins = _decoded(value, text)
            if (known := found.setdefault(key, bins)) is not bins:
                for number, count in bins.items():
                    known[number] = known.get(number, 0) + count
    return [PartSum(*key, bins) for key, bins in found.items()]


class _Piece(NamedTuple):
    """A span that is read in buckets of one grain."""

    grain: Grain
    start_s: int
    end_s: int


def _pieces(parts: Iterable[Span], grain: Grain, zone: ZoneInfo) -> list[_Piece]:
    """Return what to read of each grain for parts that follow each other, in order."""
    merged: list[_Piece] = []
    for piece in (piece for part in parts for piece in _pieces_of(part, grain, zone)):
        if merged and merged[-1].grain == piece.grain and merged[-1].end_s == piece.start_s:
            merged[-1] = merged[-1]._replace(end_s=piece.end_s)
        else:
            merged.append(piece)
    return merged


def _pieces_of(part: Span, grain: Grain, zone: ZoneInfo) -> Iterator[_Piece]:
    start_s, end_s = _ceil_s(part.start), _ceil_s(part.end)
    coarser = _COARSER.get(grain)
    if coarser is None:
        yield _Piece(grain, start_s, end_s)
        return
    first_s, last_s = bucket_start_s(start_s, coarser, zone), bucket_start_s(end_s, coarser, zone)
    if first_s < start_s:
        first_s = next_start_s(first_s, coarser, zone)
    if last_s <= first_s:
        first_s = last_s = end_s
    edges = (start_s, first_s, last_s, end_s)
    for of, (begin_s, until_s) in zip((grain, coarser, grain), pairwise(edges), strict=True):
        if begin_s < until_s:
            yield _Piece(of, begin_s, until_s)


def _rows_in(
    connection: Connection,
    piece: _Piece,
    series: Collection[str],
    places: Collection[str] | None,
    *,
    by_place: bool,
) -> Iterable[Any]:
    """Return series, start, place, value and bins; the place is "" if all are wanted together."""
    table = SITE_ROLLUPS if places is None and not by_place else ROLLUPS
    held = table.c
    place = held.place if by_place else literal("").label("place")
    query = select(held.series, held.start_s, place, held.value, held.bins).where(
        held.series.in_(series),
        held.grain == int(piece.grain),
        held.start_s >= piece.start_s,
        held.start_s < piece.end_s,
    )
    if places is not None:
        query = query.where(held.place.in_(places))
    return connection.execute(query).all()


def read_changed(connection: Connection, grain: Grain, change: int, most: int) -> list[BucketSum]:
    """Return up to ``most`` sums changed after write number ``change``, in that order.

    All sums of one write are returned together, so there may be more than ``most``, and all bins of
    a bucket, whichever of them changed.
    """
    later = select(ROLLUPS).where(ROLLUPS.c.grain == int(grain), ROLLUPS.c.change > change)
    limit = select(ROLLUPS.c.change).where(ROLLUPS.c.grain == int(grain), ROLLUPS.c.change > change)
    last = connection.scalar(limit.order_by("change").offset(most - 1).limit(1))
    if last is not None:
        later = later.where(ROLLUPS.c.change <= last)
    order = ("change", "series", "start_s", "place")
    rows = connection.execute(later.order_by(*order))
    return [one for row in rows for one in _sums_of(row)]


def note_rules(connection: Connection, zone: ZoneInfo, rules: RollupRules) -> None:
    """Note the time zone and the rules that the sums are made with from now on."""
    next_change(connection)
    noted = update(ROLLUP_STATE).values(zone=zone.key, version=rules.version)
    connection.execute(noted)


def clear_since(connection: Connection, since: Instant | None) -> None:
    """Delete the sums of buckets that begin at ``since`` or later; all without it."""
    for table in (ROLLUPS, SITE_ROLLUPS):
        later = table.c.start_s >= _ceil_s(since) if since else true()
        connection.execute(delete(table).where(later))


def add_up_months(connection: Connection, zone: ZoneInfo, change: int) -> None:
    """Add up the sums of all months anew from those of their days."""
    for table in (ROLLUPS, SITE_ROLLUPS):
        connection.execute(delete(table).where(table.c.grain == int(Grain.MONTH)))
        days = select(table.c.start_s).where(table.c.grain == int(Grain.DAY)).distinct()
        starts_s = {bucket_start_s(s, Grain.MONTH, zone) for s in connection.scalars(days)}
        for start_s in sorted(starts_s):
            month = _month(connection, table, start_s, zone)
            rows = [_row(table, key, bins, {}, change) for key, bins in month.items()]
            connection.execute(insert(table), rows)


def _month(connection: Connection, table: Table, start_s: int, zone: ZoneInfo) -> _Deltas:
    """Return the sums of a month."""
    found: dict[_Key, Counter[int]] = defaultdict(Counter)
    end_s = next_start_s(start_s, Grain.MONTH, zone)
    days = select(table).where(
        table.c.grain == int(Grain.DAY), table.c.start_s >= start_s, table.c.start_s < end_s
    )
    for row in connection.execute(days):
        place = row.place if "place" in table.c else ""
        found[_Key(row.series, Grain.MONTH, start_s, place)].update(_decoded(row.value, row.bins))
    return found


def kept_since(connection: Connection) -> Instant | None:
    """Return since when insights are on record; earlier ones are only in the sums."""
    return connection.scalar(select(ROLLUP_STATE.c.kept_since))


def forget_before(connection: Connection, before: Instant) -> None:
    """Delete the sums of minutes before an instant, and note that earlier insights go as well."""
    next_change(connection)
    known = kept_since(connection)
    if known is None or known < before:
        connection.execute(update(ROLLUP_STATE).values(kept_since=before))
    for table in (ROLLUPS, SITE_ROLLUPS):
        old = (table.c.grain == int(Grain.MINUTE)) & (table.c.start_s < _ceil_s(before))
        connection.execute(delete(table).where(old))


def last_change(connection: Connection) -> int:
    """Return the number of the last write."""
    return int(connection.scalar(select(ROLLUP_STATE.c.change)) or 0)


def _ceil_s(instant: Instant) -> int:
    return -(-microseconds(instant) // 1_000_000)


def _sums_of(row: Any) -> Iterator[BucketSum]:
    """Yield the sums of a row, by bin."""
    start, grain = datetime.fromtimestamp(row.start_s, UTC), Grain(row.grain)
    for number, value in sorted(_decoded(row.value, row.bins).items()):
        yield BucketSum(row.series, row.place, grain, start, number, value, row.change)
