"""Views for BI tools: the part of the database whose names and types are a contract.

Their columns never change their meaning; a later version may only add columns and views
(docs/bi.md). Tables may change with any migration, hence ``migrate.py`` drops the views before the
steps and creates them after the last one.

In SQLite, which knows no time zones, a local date is taken from the UTC start of its day: 13 h 45
min later it is that date in UTC as well, from UTC-10:00 to UTC+13:45.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, MetaData, event, inspect, text

from trinetra.adapters.sql.schema import METADATA
from trinetra.events.currencies import DECIMALS


class _Dialect(NamedTuple):
    """SQL of one dialect for what the standard lacks; the placeholders are columns."""

    instant: str
    date_of_day: str
    date_of_hour: str
    date_of_visit: str
    before_slash: str
    after_slash: str
    seconds: str
    stored: str


_SHOP_DAY = """(
    select max(day.start_s) from rollups as day
    where day.series = {series} and day.grain = 2 and day.start_s <= {at}
)"""
_SQLITE_DATE = "date({at}, 'unixepoch', '+825 minutes')"
_SQLITE = _Dialect(
    instant="datetime({at}, 'unixepoch')",
    date_of_day=_SQLITE_DATE,
    date_of_hour=_SQLITE_DATE.format(at=_SHOP_DAY),
    date_of_visit=_SQLITE_DATE.format(
        at=_SHOP_DAY.format(series="'visits'", at="cast(strftime('%s', {at}) as integer)")
    ),
    before_slash="substr({place}, 1, instr({place}, '/') - 1)",
    after_slash="substr({place}, instr({place}, '/') + 1)",
    seconds="round((julianday({end}) - julianday({start})) * 86400, 3)",
    stored="strftime('%Y-%m-%d %H:%M:%f', {at})",
)
_POSTGRES_DATE = "(to_timestamp({at}) at time zone (select zone from rollup_state))::date"
_POSTGRES = _Dialect(
    instant="to_timestamp({at})",
    date_of_day=_POSTGRES_DATE,
    date_of_hour=_POSTGRES_DATE,
    date_of_visit="({at} at time zone (select zone from rollup_state))::date",
    before_slash="split_part({place}, '/', 1)",
    after_slash="split_part({place}, '/', 2)",
    seconds="round(extract(epoch from {end} - {start}), 3)::double precision",
    stored="{at}",
)


_USUAL_DECIMALS = 2


def _begins(prefix: str) -> str:
    return f"substr(r.series, 1, {len(prefix)}) = '{prefix}'"


def view_statements(dialect: str) -> Mapping[str, str]:
    """Return the query of each view by its name."""
    sql = _SQLITE if dialect == "sqlite" else _POSTGRES
    camera, item = (part.format(place="r.place") for part in (sql.before_slash, sql.after_slash))
    at_camera = "cast(r.place as text) as camera_id"
    at_line, at_zone = (
        f"{camera} as camera_id, {item} as {name}" for name in ("line_id", "zone_id")
    )
    traffic = f"{at_line}, {_sum('traffic.in')} as people_in, {_sum('traffic.out')} as people_out"
    stays, dwell_s = _sum("stays"), _seconds("dwell.ms")
    mean_s = f"{dwell_s} / nullif({stays}, 0)"
    dwell = f"{at_zone}, {stays} as stays, {dwell_s} as dwell_s, {mean_s} as mean_dwell_s"
    footfall = (
        f"cast(r.place as text) as door_id, {_sum('footfall.in')} as people_in, "
        f"{_sum('footfall.out')} as people_out, {_sum('groups.in')} as groups_in, "
        f"{_sum('groups.out')} as groups_out"
    )
    waited, wait_s = _sum("queue.waited"), _seconds("queue.wait.ms")
    queues = (
        f"cast(r.place as text) as till_or_queue, {_sum('queue.served')} as served, "
        f"{_sum('queue.abandoned')} as abandoned, {waited} as waits, {wait_s} as wait_s, "
        f"{wait_s} / nullif({waited}, 0) as mean_wait_s"
    )
    visits = f"{_sum('visits')} as visits, {_sum('visits.returning')} as returning_visits"
    coverage = f"{at_camera}, {_seconds('coverage.ms')} as watched_s"
    return {
        "v_traffic_hourly": _hourly(sql, traffic, _TRAFFIC),
        "v_traffic_daily": _daily(sql, traffic, _TRAFFIC),
        "v_dwell_hourly": _hourly(sql, dwell, _DWELL),
        "v_dwell_daily": _daily(sql, dwell, _DWELL),
        "v_footfall_hourly": _hourly(sql, footfall, _FOOTFALL),
        "v_footfall_daily": _daily(sql, footfall, _FOOTFALL),
        "v_queues_hourly": _hourly(sql, queues, _QUEUES),
        "v_queues_daily": _daily(sql, queues, _QUEUES),
        "v_sales_hourly": _hourly(sql, _sales(), _SALES, _BY_TILL),
        "v_sales_daily": _daily(sql, _sales(), _SALES, _BY_TILL),
        "v_visits_daily": _daily(sql, visits, "r.series in ('visits', 'visits.returning')"),
        "v_visits": _visits(sql),
        "v_coverage_hourly": _hourly(sql, coverage, "r.series = 'coverage.ms'"),
        "v_coverage_daily": _daily(sql, coverage, "r.series = 'coverage.ms'"),
    }


_FOOTFALL = "r.series in ('footfall.in', 'footfall.out', 'groups.in', 'groups.out')"
_QUEUES = "r.series in ('queue.served', 'queue.abandoned', 'queue.waited', 'queue.wait.ms')"
_TRAFFIC = "r.series in ('traffic.in', 'traffic.out')"
_DWELL = "r.series in ('stays', 'dwell.ms')"
_NET, _BILLS = ("sales.net.", "receipts.sales.")
_SALES = f"({_begins(_NET)} or {_begins(_BILLS)})"
_CURRENCY = "upper(substr(r.series, length(r.series) - 2))"
_BY_TILL = f"r.place, {_CURRENCY}"


def _hourly(sql: _Dialect, columns: str, rows: str, by: str = "r.place") -> str:
    start = sql.instant.format(at="r.start_s")
    day = sql.date_of_hour.format(series="r.series", at="r.start_s")
    return (
        f"select {start} as start_utc, min({day}) as local_date, {columns} from rollups as r "
        f"where {rows} and r.grain = 1 group by r.start_s, {by}"
    )


def _daily(sql: _Dialect, columns: str, rows: str, by: str = "r.place") -> str:
    day = sql.date_of_day.format(at="r.start_s")
    return (
        f"select {day} as local_date, {columns} from rollups as r "
        f"where {rows} and r.grain = 2 group by r.start_s, {by}"
    )


def _sales() -> str:
    """Return the columns of sales of a till in one currency: amounts of two never add up."""
    net = f"sum(case when {_begins(_NET)} then r.value else 0 end)"
    bills = f"sum(case when {_begins(_BILLS)} then r.value else 0 end)"
    units = [
        f"when '{code}' then {10**n}.0" for code, n in DECIMALS.items() if n != _USUAL_DECIMALS
    ]
    unit = f"case {_CURRENCY} {' '.join(units)} else {10**_USUAL_DECIMALS}.0 end"
    return (
        f"cast(r.place as text) as till_id, {_CURRENCY} as currency, "
        f"cast({bills} as bigint) as receipts, cast({net} as bigint) as net_minor, "
        f"cast({net} / {unit} as double precision) as net"
    )


def _visits(sql: _Dialect) -> str:
    start, end = (sql.stored.format(at=f"v.{name}") for name in ("started_at", "captured_at"))
    day = sql.date_of_visit.format(at="v.started_at")
    duration = sql.seconds.format(start="v.started_at", end="v.captured_at")
    return f"""
        select cast(v.event_id as text) as visit_id, {start} as started_utc,
            {end} as last_seen_utc, {day} as local_date, {duration} as duration_s,
            cast(coalesce(a.person_id, v.customer_id) as text) as customer_id,
            cast(coalesce(a.kind, v.kind) as text) as kind, v.visit_number as visit_number,
            cast(v.camera_id as text) as camera_id
        from visits as v left join customer_aliases as a on a.customer_id = v.customer_id
        where v.withdrawn is not true and coalesce(a.kind, v.kind) <> 'staff'"""


def _sum(series: str) -> str:
    return f"cast(sum(case when r.series = '{series}' then r.value else 0 end) as bigint)"


def _seconds(series: str) -> str:
    return f"cast({_sum(series)} as double precision) / 1000"


Grants = Sequence[tuple[str, str]]
"""Roles that may read a view, as pairs of the view and the role."""


def drop_views(connection: Connection) -> Grants:
    """Drop all views; return which roles could read them."""
    there = set(inspect(connection).get_view_names())
    views = [name for name in view_statements(connection.dialect.name) if name in there]
    grants = _grants(connection, views)
    for name in views:
        connection.execute(text(f"drop view {name}"))
    return grants


def create_views(connection: Connection, grants: Grants = ()) -> None:
    """Create all views, and let the same roles read them as before."""
    quote = connection.dialect.identifier_preparer.quote
    statements = view_statements(connection.dialect.name)
    for name, query in statements.items():
        connection.exec_driver_sql(f"create view {name} as {query}")
    for name, role in grants:
        if name in statements:
            connection.execute(text(f"grant select on {name} to {quote(role)}"))


def _grants(connection: Connection, views: Sequence[str]) -> Grants:
    if connection.dialect.name != "postgresql" or not views:
        return ()
    query = text(
        "select table_name, grantee from information_schema.role_table_grants "
        "where table_schema = current_schema() and table_name = any(:views) "
        "and privilege_type = 'SELECT' and grantee <> current_user"
    )
    return [(row.table_name, row.grantee) for row in connection.execute(query, {"views": views})]


@event.listens_for(METADATA, "before_drop")
def _drop_before_tables(_target: MetaData, connection: Connection, **_: Any) -> None:
    """Drop the views of tables that are dropped: PostgreSQL refuses to drop those otherwise."""
    drop_views(connection)
