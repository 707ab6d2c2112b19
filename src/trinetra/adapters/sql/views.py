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


def view_statements(dialect: str) -> Mapping[str, str]:
    """Return the query of each view by its name."""
    sql = _SQLITE if dialect == "sqlite" else _POSTGRES
    hour = sql.date_of_hour.format(series="r.series", at="r.start_s")
    day = sql.date_of_day.format(at="r.start_s")
    start = sql.instant.format(at="r.start_s")
    whole_place = "cast(r.place as text)"
    camera, item = (part.format(place="r.place") for part in (sql.before_slash, sql.after_slash))
    return {
        "v_traffic_hourly": f"""
            select {start} as start_utc, min({hour}) as local_date,
                {camera} as camera_id, {item} as line_id, {_traffic()}
            from rollups as r
            where r.series in ('traffic.in', 'traffic.out') and r.grain = 1
            group by r.start_s, r.place""",
        "v_traffic_daily": f"""
            select {day} as local_date, {camera} as camera_id, {item} as line_id, {_traffic()}
            from rollups as r
            where r.series in ('traffic.in', 'traffic.out') and r.grain = 2
            group by r.start_s, r.place""",
        "v_dwell_hourly": f"""
            select {start} as start_utc, min({hour}) as local_date,
                {camera} as camera_id, {item} as zone_id, {_dwell()}
            from rollups as r
            where r.series in ('stays', 'dwell.ms') and r.grain = 1
            group by r.start_s, r.place""",
        "v_dwell_daily": f"""
            select {day} as local_date, {camera} as camera_id, {item} as zone_id, {_dwell()}
            from rollups as r
            where r.series in ('stays', 'dwell.ms') and r.grain = 2
            group by r.start_s, r.place""",
        "v_visits_daily": f"""
            select {day} as local_date, {_sum("visits")} as visits,
                {_sum("visits.returning")} as returning_visits
            from rollups as r
            where r.series in ('visits', 'visits.returning') and r.grain = 2
            group by r.start_s""",
        "v_visits": f"""
            select cast(v.event_id as text) as visit_id, {sql.stored.format(at="v.started_at")} as started_utc,
                {sql.stored.format(at="v.captured_at")} as last_seen_utc,
                {sql.date_of_visit.format(at="v.started_at")} as local_date,
                {sql.seconds.format(start="v.started_at", end="v.captured_at")} as duration_s,
                cast(coalesce(a.person_id, v.customer_id) as text) as customer_id,
                cast(coalesce(a.kind, v.kind) as text) as kind,
                v.visit_number as visit_number, cast(v.camera_id as text) as camera_id
            from visits as v left join customer_aliases as a on a.customer_id = v.customer_id
            where v.withdrawn is not true and coalesce(a.kind, v.kind) <> 'staff'""",
        "v_coverage_hourly": f"""
            select {start} as start_utc, min({hour}) as local_date, {whole_place} as camera_id,
                {_seconds("coverage.ms")} as watched_s
            from rollups as r where r.series = 'coverage.ms' and r.grain = 1
            group by r.start_s, r.place""",
        "v_coverage_daily": f"""
            select {day} as local_date, {whole_place} as camera_id,
                {_seconds("coverage.ms")} as watched_s
            from rollups as r where r.series = 'coverage.ms' and r.grain = 2
            group by r.start_s, r.place""",
    }


def _sum(series: str) -> str:
    return f"cast(sum(case when r.series = '{series}' then r.value else 0 end) as bigint)"


def _seconds(series: str) -> str:
    return f"cast({_sum(series)} as double precision) / 1000"


def _traffic() -> str:
    return f"{_sum('traffic.in')} as people_in, {_sum('traffic.out')} as people_out"


def _dwell() -> str:
    total = _seconds("dwell.ms")
    mean = f"{total} / nullif({_sum('stays')}, 0)"
    return f"{_sum('stays')} as stays, {total} as dwell_s, {mean} as mean_dwell_s"


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
