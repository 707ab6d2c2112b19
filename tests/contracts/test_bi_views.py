"""Contract of the views for BI tools: columns, types and meaning, in SQLite and PostgreSQL."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.adapters.sql.migrate import HEAD, migrate
from trinetra.adapters.sql.views import view_statements
from trinetra.events.customers import Customer, CustomerDirectory
from trinetra.events.schema import (
    CameraCoverage,
    Group,
    InsightEvent,
    LineCrossing,
    Passage,
    QueueVisit,
    Receipt,
    Visit,
    ZoneStay,
)
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

AUCKLAND = ZoneInfo("Pacific/Auckland")
MORNING = datetime(2026, 11, 23, 9, 30, tzinfo=AUCKLAND).astimezone(UTC)
"""In UTC it is still the day before."""
ANN, EVE, BOB = map(CustomerId, ("ann", "eve", "bob"))
GOLDEN = Path(__file__).parents[1] / "golden" / "bi"
PAGE = Path(__file__).parents[2] / "docs" / "bi.md"


def common(number: int, at: datetime) -> dict:
    return {
        "event_id": EventId(f"id_{number}"),
        "site_id": SiteId("shop"),
        "camera_id": CameraId("front"),
        "captured_at": at,
    }


def crossing(number: int, at: datetime, direction: str) -> LineCrossing:
    track = {"track_id": TrackId("t"), "label": "person"}
    return LineCrossing(**common(number, at), **track, line_id="door", direction=direction)


def visit(number: int, who: CustomerId, at: datetime, **rest: object) -> Visit:
    given = {"kind": IdentityKind.ANONYMOUS, "visit_number": 1, "cameras": (), **rest}
    end = at + timedelta(minutes=8)
    return Visit(**common(number, end), customer_id=who, started_at=at, **given)


def passage(number: int, at: datetime, direction: str) -> Passage:
    door = {"door_id": "front/door", "door_kind": "entrance", "label": "person"}
    return Passage(**common(number, at), **door, direction=direction, crossings=())


def queue_visit(number: int, wait_s: float | None) -> QueueVisit:
    """Return a wait that ended at the till, or without it."""
    return QueueVisit(
        **common(number, MORNING),
        queue_id="queue",
        till_id="t1",
        joined_at=MORNING - timedelta(minutes=3),
        served_at=None if wait_s is None else MORNING,
        end="abandoned" if wait_s is None else "served",
        wait_s=wait_s,
        service_s=None if wait_s is None else 20.0,
        track_id=TrackId("t"),
    )


def receipt(number: int, kind: str, total_minor: int, currency: str) -> Receipt:
    money = {"kind": kind, "total_minor": total_minor, "currency": currency}
    sold = {"receipt_id": f"r{number}", "till_id": "t1", "issued_at": MORNING}
    return Receipt(**common(number, MORNING), **sold, **money)


INSIGHTS: list[InsightEvent] = [
    *(crossing(n, MORNING + timedelta(minutes=n), "in") for n in range(5)),
    *(crossing(n, MORNING + timedelta(hours=1, minutes=n), "out") for n in range(5, 8)),
    *(crossing(n, MORNING + timedelta(days=1), "in") for n in range(8, 10)),
    *(
        ZoneStay(
            **common(n, MORNING),
            track_id=TrackId("t"),
            label="person",
            zone_id="shelf",
            entered_at=MORNING - timedelta(seconds=dwell_s),
            dwell_s=dwell_s,
        )
        for n, dwell_s in ((20, 10.0), (21, 25.0))
    ),
    visit(30, ANN, MORNING),
    visit(31, EVE, MORNING + timedelta(hours=2), visit_number=3),
    visit(32, BOB, MORNING, kind=IdentityKind.STAFF),
    visit(33, ANN, MORNING + timedelta(hours=3), withdrawn=True),
    *(
        passage(n, MORNING + timedelta(seconds=n), d)
        for n, d in ((50, "in"), (51, "in"), (52, "out"))
    ),
    Group(
        **common(53, MORNING),
        door_id="front/door",
        direction="in",
        passages=(EventId("id_50"), EventId("id_51")),
        people=2,
        children=0,
        last_at=MORNING,
    ),
    *(queue_visit(n, wait_s) for n, wait_s in ((60, 30.0), (61, 90.0), (62, None))),
    *(
        receipt(n, kind, total, currency)
        for n, kind, total, currency in (
            (70, "sale", 1250, "EUR"),
            (71, "sale", 800, "EUR"),
            (72, "refund", 300, "EUR"),
            (73, "training", 999, "EUR"),
            (74, "sale", 500, "JPY"),
        )
    ),
    CameraCoverage(
        **common(40, MORNING), started_at=MORNING - timedelta(minutes=10, seconds=30), frames=7
    ),
]


def statements() -> list[tuple[str, str]]:
    """Return the SQL statements of the page, each with the name of its database."""
    blocks = re.findall(r"```sql( \w+)?\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [
        (kind.strip() or "any", statement.strip())
        for kind, block in blocks
        for statement in block.split(";")
        if statement.strip()
    ]


@pytest.fixture(params=["sqlite", "postgres"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Return a database with insights, in which Eve turned out to be Ann."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{tmp_path}/insights.db"
    async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
        await store.prepare_figures(AUCKLAND, {}, MORNING)
        await store.record(INSIGHTS)
        ann = Customer(ANN, IdentityKind.ENROLLED, None, True, None, MORNING)
        people = CustomerDirectory(number=1, customers={ANN: ann}, merged={EVE: ANN})
        await store.know(people)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


def rows(engine: Engine, query: str) -> list[dict]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(query))]


def as_text(value: object) -> str:
    """Return a date or an instant as SQLite has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return value.isoformat() if isinstance(value, date) else str(value)


def columns(engine: Engine) -> dict[str, dict[str, str]]:
    """Return the columns of all views with their types; in SQLite, those of the values."""
    found: dict[str, dict[str, str]] = {}
    if engine.dialect.name == "postgresql":
        query = (
            "select table_name, column_name, data_type from information_schema.columns "
            "where table_name in (select viewname from pg_views where schemaname = 'public') "
            "order by table_name, ordinal_position"
        )
        for row in rows(engine, query):
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        return found
    for view in sorted(inspect(engine).get_view_names()):
        first = rows(engine, f"select * from {view}")[0]
        types = ", ".join(f'typeof("{name}") as "{name}"' for name in first)
        found[view] = rows(engine, f"select {types} from {view}")[0]
    return found


def test_columns_and_types_are_those_of_the_contract(engine: Engine) -> None:
    file = GOLDEN / f"{engine.dialect.name}_views.json"
    promised = json.loads(file.read_text(encoding="utf-8"))
    assert list(columns(engine)) == list(promised)
    for view, types in promised.items():
        assert list(columns(engine)[view].items()) == list(types.items()), view


def test_hours_and_days_are_counted_by_the_clock_of_the_shop(engine: Engine) -> None:
    hourly = rows(engine, "select * from v_traffic_hourly order by start_utc")
    assert [
        (as_text(r["start_utc"]), as_text(r["local_date"]), r["people_in"], r["people_out"])
        for r in hourly
    ] == [
        ("2026-11-22 20:00:00", "2026-11-23", 5, 0),
        ("2026-11-22 21:00:00", "2026-11-23", 0, 3),
        ("2026-11-23 20:00:00", "2026-11-24", 2, 0),
    ]
    assert {(r["camera_id"], r["line_id"]) for r in hourly} == {("front", "door")}
    daily = rows(engine, "select * from v_traffic_daily order by local_date")
    assert [(as_text(r["local_date"]), r["people_in"], r["people_out"]) for r in daily] == [
        ("2026-11-23", 5, 3),
        ("2026-11-24", 2, 0),
    ]


@pytest.mark.parametrize("view", ["v_dwell_hourly", "v_dwell_daily"])
def test_dwell_is_a_sum_and_a_mean(engine: Engine, view: str) -> None:
    (row,) = rows(engine, f"select * from {view}")
    assert as_text(row["local_date"]) == "2026-11-23"
    assert (row["camera_id"], row["zone_id"], row["stays"]) == ("front", "shelf", 2)
    assert (row["dwell_s"], row["mean_dwell_s"]) == (35.0, 17.5)


def test_visits_are_those_of_people_without_staff_and_withdrawn_ones(engine: Engine) -> None:
    found = rows(engine, "select * from v_visits order by started_utc")
    assert [(r["visit_id"], r["customer_id"], r["kind"], r["visit_number"]) for r in found] == [
        ("id_30", "ann", "enrolled", 1),
        ("id_31", "ann", "enrolled", 3),
    ]
    assert {as_text(r["local_date"]) for r in found} == {"2026-11-23"}
    assert [r["duration_s"] for r in found] == [480.0, 480.0]
    assert as_text(found[0]["started_utc"])[:19] == "2026-11-22 20:30:00"
    assert as_text(found[0]["last_seen_utc"])[:19] == "2026-11-22 20:38:00"
    (day,) = rows(engine, "select * from v_visits_daily")
    assert (as_text(day["local_date"]), day["visits"], day["returning_visits"]) == (
        "2026-11-23",
        2,
        1,
    )


def test_coverage_tells_how_long_a_camera_was_watched(engine: Engine) -> None:
    hourly = rows(engine, "select * from v_coverage_hourly")
    assert [(as_text(r["start_utc"]), r["camera_id"], r["watched_s"]) for r in hourly] == [
        ("2026-11-22 20:00:00", "front", 630.0)
    ]
    assert rows(engine, "select watched_s from v_coverage_daily") == [{"watched_s": 630.0}]


@pytest.mark.parametrize("grain", ["hourly", "daily"])
def test_footfall_queues_and_sales_are_those_of_the_figures(engine: Engine, grain: str) -> None:
    (door,) = rows(engine, f"select * from v_footfall_{grain}")
    counted = [door[n] for n in ("people_in", "people_out", "groups_in", "groups_out")]
    assert (door["door_id"], counted) == ("front/door", [2, 1, 1, 0])
    (till,) = rows(engine, f"select * from v_queues_{grain}")
    assert (till["till_or_queue"], till["served"], till["abandoned"]) == ("t1", 2, 1)
    assert (till["waits"], till["wait_s"], till["mean_wait_s"]) == (2, 120.0, 60.0)
    sales = rows(engine, f"select * from v_sales_{grain} order by currency")
    assert [
        (r["till_id"], r["currency"], r["receipts"], r["net_minor"], r["net"]) for r in sales
    ] == [
        ("t1", "EUR", 2, 1750, 17.5),
        ("t1", "JPY", 1, 500, 500.0),
    ]
    assert {as_text(r["local_date"]) for r in (door, till, *sales)} == {"2026-11-23"}


@pytest.mark.parametrize("view", view_statements("sqlite"))
def test_views_are_read_only(engine: Engine, view: str) -> None:
    column = next(iter(columns(engine)[view]))
    with engine.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text(f"update {view} set {column} = {column}"))


def test_views_and_the_rights_to_read_them_outlast_migrations(postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        migrate(connection, HEAD)
        connection.execute(text("drop role if exists bi_reader"))
        connection.execute(text("create role bi_reader"))
        connection.execute(text("grant select on v_traffic_daily to bi_reader"))
        migrate(connection, HEAD)
        may = "select has_table_privilege('bi_reader', '{}', 'select')"
        assert connection.scalar(text(may.format("v_traffic_daily"))) is True
        assert connection.scalar(text(may.format("v_visits"))) is False
        connection.execute(text("drop owned by bi_reader"))
        connection.execute(text("drop role bi_reader"))
    engine.dispose()


def test_every_statement_of_the_page_runs(engine: Engine) -> None:
    kinds = {"any", "postgres"} if engine.dialect.name == "postgresql" else {"any"}
    queries = [statement for kind, statement in statements() if kind in kinds]
    assert len(queries) >= len(kinds) * 3
    with engine.connect() as connection:  # rolled back: a role would outlive the database
        for query in queries:
            # The insights above are of one day, which is ever longer ago.
            dated = query.replace("now()", f"timestamptz '{MORNING + timedelta(days=1)}'")
            result = connection.exec_driver_sql(dated)
            assert not result.returns_rows or result.all(), query
