"""Sums of the whole site and of months; all bins of a bucket are one row.

Nothing is counted anew: sums outlive the insights that they were made of.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, SmallInteger, String, Text, text

revision = "0005"
down_revision = "0004"
_DAY, _MONTH = 2, 3


def upgrade() -> None:
    """Create the tables with bins in one row, and move the sums to them."""
    _set_aside()
    _add_up_months()
    op.create_table(
        "rollups",
        *_key_columns(),
        Column("place", String(260), primary_key=True),
        Column("value", BigInteger, nullable=False),
        Column("bins", Text),
        Column("change", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("rollups_by_change", "rollups", ["grain", "change"])
    op.create_table(
        "site_rollups",
        *_key_columns(),
        Column("value", BigInteger, nullable=False),
        Column("bins", Text),
        sqlite_with_rowid=False,
    )
    key = "series, grain, start_s"
    op.execute(
        f"insert into rollups (series, grain, start_s, place, value, bins, change) "
        f"select {key}, place, sum(value), {_bins()}, max(change) from sums group by {key}, place"
    )
    op.execute(
        f"insert into site_rollups (series, grain, start_s, value, bins) "
        f"select {key}, sum(value), {_bins()} from (select {key}, bin, sum(value) as value "
        f"from sums group by {key}, bin) as site group by {key}"
    )
    op.drop_table("sums")


def downgrade() -> None:
    """Move the sums back to a row for each bin; those of months and of the site are dropped."""
    op.drop_table("site_rollups")
    op.execute(f"delete from rollups where grain = {_MONTH}")
    _set_aside()
    op.create_table(
        "rollups",
        *_key_columns(),
        Column("place", String(260), primary_key=True),
        Column("bin", Integer, primary_key=True, autoincrement=False),
        Column("value", BigInteger, nullable=False),
        Column("change", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("rollups_by_change", "rollups", ["grain", "change"])
    into = "insert into rollups (series, grain, start_s, place, bin, value, change)"
    key = "s.series, s.grain, s.start_s, s.place"
    each = "json_each(s.bins)" if _is_sqlite() else "json_each_text(cast(s.bins as json))"
    op.execute(
        f"{into} select {key}, cast(b.key as integer), cast(b.value as bigint), s.change "
        f"from sums as s, {each} as b"
    )
    # What the bins do not hold is bin 0; without bins it is there even if it is zero.
    rest = f"s.value - coalesce((select sum(cast(b.value as bigint)) from {each} as b), 0)"
    op.execute(
        f"{into} select {key}, 0, {rest}, s.change from sums as s "
        f"where s.bins is null or {rest} <> 0"
    )
    op.drop_table("sums")


def _set_aside() -> None:
    op.execute("create temporary table sums as select * from rollups")
    op.drop_table("rollups")


def _add_up_months() -> None:
    """Add the sums of months, by the shop's clock, to those that were set aside."""
    connection = op.get_bind()
    zone = connection.scalar(text("select zone from rollup_state"))
    days = connection.scalars(text(f"select distinct start_s from sums where grain = {_DAY}"))
    local = (datetime.fromtimestamp(start_s, ZoneInfo(zone or "UTC")) for start_s in list(days))
    first = {at.replace(day=1, hour=0, minute=0, second=0, fold=0) for at in local}
    for month in sorted(first):
        following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        query = (
            f"insert into sums (series, grain, start_s, place, bin, value, change) "
            f"select series, {_MONTH}, cast(:start_s as bigint), place, bin, sum(value), "
            f"max(change) from sums where grain = {_DAY} "
            "and start_s >= :start_s and start_s < :end_s "
            "group by series, place, bin"
        )
        edges = {"start_s": int(month.timestamp()), "end_s": int(following.timestamp())}
        connection.execute(text(query), edges)


def _bins() -> str:
    """Return the aggregate of all bins but bin 0, null without any."""
    if _is_sqlite():
        return "nullif(json_group_object(bin, value) filter (where bin <> 0), '{}')"
    return "cast(json_object_agg(bin, value) filter (where bin <> 0) as text)"


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _key_columns() -> tuple[Column[str], Column[int], Column[int]]:
    return (
        Column("series", String(64), primary_key=True),
        Column("grain", SmallInteger, primary_key=True, autoincrement=False),
        Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    )
