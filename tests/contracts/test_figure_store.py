"""Contract of the figure store: sums follow the insights on record, whatever happens to these."""

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from tests.databases import lose_migrations
from tests.unit.insights.any_insight import ANN, BOB, NIGHT, common, insight

from trinetra.adapters.sql import migrations
from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.adapters.sql.migrate import HEAD, migrate, revision, upgrade
from trinetra.adapters.sql.schema import METADATA, REVISION_TABLE, TYPE_OF_KIND
from trinetra.events.customers import Customer, CustomerDirectory
from trinetra.events.derivation import Span
from trinetra.events.rollups import BucketSum, Cell, Grain, RollupRules, bucket_start
from trinetra.events.schema import (
    InsightEvent,
    LineCrossing,
    Occupancy,
    Visit,
    ZoneStay,
)
from trinetra.insights.metrics.catalog import METRICS, ROLLUP_RULES
from trinetra.values import EventId, IdentityKind, TrackId, microseconds

BERLIN = ZoneInfo("Europe/Berlin")
SPAN = (NIGHT - timedelta(days=3), NIGHT + timedelta(days=3))
MONTHS = (NIGHT - timedelta(days=40), SPAN[1])
"""From before the beginning of the month in which SPAN begins."""
SERIES = sorted({series for metric in METRICS for series in (*metric.series, *metric.parts)})
BEFORE_MIGRATIONS = (LineCrossing, ZoneStay, Visit)


@pytest.fixture(params=["memory", "file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/insights.db"


@pytest.fixture(params=["file", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/insights.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlInsightStore]:
    async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
        await store.prepare_figures(BERLIN, {}, NIGHT)
        yield store


def summed(insights: Iterable[InsightEvent], zone: ZoneInfo = BERLIN) -> dict[tuple, int]:
    """Return the sums of insights, computed in another way: one bucket at a time."""
    sums: Counter[tuple] = Counter()
    for cell in (cell for one in insights for cell in ROLLUP_RULES.cells_of(one)):
        for grain in Grain:
            start = bucket_start(cell.at, grain, zone)
            sums[cell.series, cell.place, grain, start, cell.bin] += cell.value
    return {key: value for key, value in sums.items() if value}


async def kept(store: SqlInsightStore) -> dict[tuple, int]:
    """Return the sums that the store keeps."""
    found: list[BucketSum] = []
    for grain in Grain:
        found += await store.sums(SERIES, grain, MONTHS if grain is Grain.MONTH else SPAN)
    return {(s.series, s.place, s.grain, s.start, s.bin): s.value for s in found if s.value}


async def on_record(store: SqlInsightStore) -> list[InsightEvent]:
    kinds = set(TYPE_OF_KIND) - {"occupancy"}
    return [i for kind in kinds for i in await store.fetch(kind, *SPAN)]


@pytest.mark.parametrize("seed", range(4))
async def test_sums_are_those_of_the_insights_on_record_after_any_corrections(
    store: SqlInsightStore, seed: int
) -> None:
    rng = random.Random(seed)
    for _ in range(30):
        await store.record([insight(rng) for _ in range(rng.randrange(1, 12))])
    assert await kept(store) == summed(await on_record(store))
    assert len(await kept(store)) > 100


async def test_the_same_insights_in_any_order_give_the_same_sums(tmp_path: Path) -> None:
    rng = random.Random(5)
    insights = list({i.event_id: i for i in (insight(rng) for _ in range(300))}.values())
    results = []
    for order in (insights, insights[::-1], rng.sample(insights, len(insights))):
        async with SqlInsightStore.open("sqlite://", ROLLUP_RULES) as store:
            await store.prepare_figures(BERLIN, {}, NIGHT)
            for start in range(0, len(order), 7):
                await store.record([*order[start : start + 7], *order[:3]])
            results.append(await kept(store))
    assert results[0] == results[1] == results[2]
    assert results[0]


@pytest.mark.parametrize("hours", [1, 24, 72])
@pytest.mark.parametrize("by_place", [False, True])
async def test_the_sums_over_parts_of_a_span_are_those_of_their_buckets(
    store: SqlInsightStore, hours: int, *, by_place: bool
) -> None:
    rng = random.Random(7)
    await store.record([insight(rng) for _ in range(300)])
    edges = [SPAN[0] + timedelta(hours=h) for h in range(0, 145, hours)]
    parts = list(itertools.starmap(Span, itertools.pairwise(edges)))
    for places in (None, ["cam1", "cam1/shelf", "till"]):
        found = await store.part_sums(SERIES, Grain.HOUR, parts, places, by_place=by_place)
        expected: Counter[tuple] = Counter()
        for one in await store.sums(SERIES, Grain.HOUR, SPAN, places):
            part = int((one.start - SPAN[0]) / timedelta(hours=hours))
            expected[part, one.series, one.place if by_place else "", one.bin] += one.value
        values = {(*one[:3], n): value for one in found for n, value in one.bins.items()}
        assert {k: v for k, v in values.items() if v} == {k: v for k, v in expected.items() if v}
        assert any(expected.values())


async def test_nothing_is_lost_at_a_day_of_25_hours(store: SqlInsightStore) -> None:
    crossings = [
        LineCrossing(
            **common(i, NIGHT + timedelta(minutes=7 * i)),
            line_id="door",
            direction="in",
            track_id=TrackId("t"),
            label="person",
        )
        for i in range(400)
    ]
    await store.record(crossings)
    days = await store.sums(["traffic.in"], Grain.DAY, SPAN)
    starts = sorted({one.start for one in days})
    assert [(b - a).total_seconds() / 3600 for a, b in itertools.pairwise(starts)] == [
        24,
        25,
    ]
    assert sum(one.value for one in days) == len(crossings)
    hours = await store.sums(["traffic.in"], Grain.HOUR, (starts[1], starts[2]))
    assert len({one.start for one in hours}) == 25


async def test_a_customer_who_turns_out_to_be_staff_counts_no_more_nor_did_before(
    store: SqlInsightStore,
) -> None:
    rng = random.Random(1)
    for _ in range(20):
        await store.record([insight(rng) for _ in range(9)])
    before = await kept(store)
    staff = Customer(ANN, IdentityKind.STAFF, None, consent=True, purpose=None, enrolled_at=NIGHT)
    people = CustomerDirectory(number=1, customers={ANN: staff}, merged={BOB: ANN})
    await store.know(people, {ANN, BOB})
    known = [
        msgspec.structs.replace(i, kind=IdentityKind.STAFF)
        if hasattr(i, "kind") and getattr(i, "customer_id", None) in {ANN, BOB}
        else i
        for i in await on_record(store)
    ]
    assert await kept(store) == summed(known) != before
    await store.know(CustomerDirectory(number=2), {ANN, BOB})
    assert await kept(store) == before


async def test_an_erasure_changes_no_sum_but_those_of_returning_customers(database: str) -> None:
    rng = random.Random(2)
    async with (
        SqlInsightStore.open(database, ROLLUP_RULES) as store,
        SqlErasureStore.open(database, ROLLUP_RULES) as erasures,
    ):
        await store.prepare_figures(BERLIN, {}, NIGHT)
        for _ in range(20):
            await store.record([insight(rng) for _ in range(9)])
        before = await kept(store)
        await erasures.request([ANN], NIGHT)
        after = await kept(store)
        assert after == summed(await on_record(store))

        def footfall(sums: dict[tuple, int]) -> dict[tuple, int]:
            return {key: value for key, value in sums.items() if key[0].startswith("traffic")}

        assert footfall(after) == footfall(before) != {}


async def test_sums_of_days_outlive_their_insights_and_late_corrections_do_not_count_twice(
    store: SqlInsightStore,
) -> None:
    rng = random.Random(3)
    await store.record([insight(rng) for _ in range(200)])
    insights = await on_record(store)
    days = await store.sums(SERIES, Grain.DAY, SPAN)
    hours = await store.sums(SERIES, Grain.HOUR, SPAN)
    while await store.expire(NIGHT + timedelta(hours=4), 50):
        pass
    await store.record(insights)
    assert await store.sums(SERIES, Grain.DAY, SPAN) == days
    assert await store.sums(SERIES, Grain.HOUR, SPAN) == hours
    minutes = await store.sums(SERIES, Grain.MINUTE, SPAN)
    assert min(one.start for one in minutes) >= NIGHT + timedelta(hours=4)


async def test_another_time_zone_or_definition_sums_up_anew(database: str) -> None:
    rng = random.Random(4)
    async with SqlInsightStore.open(database, ROLLUP_RULES) as store:
        assert await store.prepare_figures(BERLIN, {}, NIGHT)
        assert not await store.prepare_figures(BERLIN, {}, NIGHT)
        await store.record([insight(rng) for _ in range(200)])
        kathmandu = ZoneInfo("Asia/Kathmandu")
        assert await store.prepare_figures(kathmandu, {}, NIGHT)
        insights = await on_record(store)
        assert await kept(store) == summed(insights, kathmandu)
    doubled = RollupRules(lambda i: [*ROLLUP_RULES.cells_of(i)] * 2, "doubled")
    async with SqlInsightStore.open(database, doubled) as store:
        assert await store.prepare_figures(kathmandu, {}, NIGHT)
        twice = {key: 2 * value for key, value in summed(insights, kathmandu).items()}
        assert await kept(store) == twice


async def test_a_reader_of_changes_misses_no_rewritten_past(store: SqlInsightStore) -> None:
    rng = random.Random(6)
    copy: dict[tuple, int] = {}
    cursor = 0
    for _ in range(25):
        await store.record([insight(rng) for _ in range(6)])
        while changed := await store.changed_sums(Grain.DAY, cursor, 5):
            cursor = changed[-1].change
            copy |= {(s.series, s.place, s.grain, s.start, s.bin): s.value for s in changed}
    days = {key: value for key, value in (await kept(store)).items() if key[2] is Grain.DAY}
    assert {key: value for key, value in copy.items() if value} == days


async def test_changes_of_the_setup_are_marked_but_not_its_first_state(
    store: SqlInsightStore,
) -> None:
    door, model = ("geometry", "cam1/door"), ("model", "detect")
    setups = [{door: "a"}, {door: "a"}, {door: "b", model: "1"}, {door: "a", model: "2"}]
    for hour, setup in enumerate(setups):
        await store.prepare_figures(BERLIN, setup, NIGHT + timedelta(hours=hour))
    marks = [(m.at - NIGHT, m.what, m.name) for m in await store.marks(Span(*SPAN))]
    two, three = timedelta(hours=2), timedelta(hours=3)
    assert marks == [(two, *door), (three, *door), (three, *model)]
    assert await store.marks(Span(NIGHT, NIGHT + three)) != marks


class Peaks:
    """Derives, for each ten minutes, an occupancy of as many as crossed a line in and around it."""

    name = "peaks"
    version = 1
    inputs = frozenset({"line_crossing"})
    outputs = frozenset({"occupancy"})
    window_s = 600.0
    margin_s = 120.0

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[InsightEvent]:
        assert list(inputs) == sorted(inputs, key=lambda i: (i.captured_at, i.event_id))
        counted = [i for i in inputs if isinstance(i, LineCrossing) and i.kind != "staff"]
        if not counted:
            return []
        fields = common(0, span.start) | {"event_id": EventId(f"peak_{span.start.timestamp():.0f}")}
        return [Occupancy(**fields, zone_id=None, persons=len(counted))]


async def derived(store: SqlInsightStore, derivation: Peaks, most: int = 20) -> list[InsightEvent]:
    while await store.derive(derivation, most):
        pass
    return await store.fetch("occupancy", *SPAN)


async def test_derived_insights_depend_on_the_set_of_their_inputs_only() -> None:
    rng = random.Random(8)
    crossings = [i for i in (insight(rng) for _ in range(400)) if isinstance(i, LineCrossing)]
    crossings = list(
        {i.event_id: msgspec.structs.replace(i, revision=msgspec.UNSET) for i in crossings}.values()
    )
    results = []
    for often in (1, 100):
        async with SqlInsightStore.open("sqlite://", ROLLUP_RULES) as store:
            rng.shuffle(crossings)
            for number, crossing in enumerate(crossings):
                await store.record([crossing])
                if number % often == 0:
                    await derived(store, Peaks())
            results.append(await derived(store, Peaks()))
    assert results[0] == results[1] != []


async def test_a_correction_replaces_what_was_derived_and_the_log_is_told(
    store: SqlInsightStore,
) -> None:
    crossing = LineCrossing(
        **common(1, NIGHT + timedelta(minutes=9)),
        line_id="door",
        direction="in",
        track_id=TrackId("t"),
        label="person",
        customer_id=ANN,
        kind=IdentityKind.ANONYMOUS,
    )
    await store.record([crossing])
    first, second = await derived(store, Peaks())
    assert second.captured_at - first.captured_at == timedelta(minutes=10)
    told = await store.unpublished(10)
    assert [msgspec.json.decode(one.event)["type"] for one in told] == ["occupancy"] * 2
    await store.published(told[-1].number)
    staff = Customer(ANN, IdentityKind.STAFF, None, consent=True, purpose=None, enrolled_at=NIGHT)
    await store.know(CustomerDirectory(number=1, customers={ANN: staff}), {ANN})
    assert await derived(store, Peaks()) == []
    withdrawn = [msgspec.json.decode(one.event) for one in await store.unpublished(10)]
    assert {one["insight_id"] for one in withdrawn} == {first.event_id, second.event_id}
    assert {one["type"] for one in withdrawn} == {"withdrawal"}


async def test_a_new_version_derives_all_windows_on_record_anew(store: SqlInsightStore) -> None:
    rng = random.Random(9)
    await store.record([insight(rng) for _ in range(100)])
    before = await derived(store, Peaks(), 3)
    await store.settle(["peaks"])

    class Doubled(Peaks):
        version = 2

        def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[InsightEvent]:
            found = super().derive(span, inputs)
            return [msgspec.structs.replace(one, persons=2 * one.persons) for one in found]

    after = await derived(store, Doubled())
    assert [one.persons for one in after] == [2 * one.persons for one in before]
    assert before


def engine_of(url: str):
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def test_the_migrations_lead_to_the_tables_of_the_schema_and_back(database: str) -> None:
    engine = engine_of(database)
    with engine.begin() as connection:
        migrate(connection, HEAD)
        context = MigrationContext.configure(connection, opts={"version_table": REVISION_TABLE})
        assert compare_metadata(context, METADATA) == []
        assert revision(connection) == HEAD
        folder = Path(migrations.__file__).parent
        last_to_first = [step.revision for step in ScriptDirectory(str(folder)).walk_revisions()]
        assert last_to_first[0] == HEAD
        for step in last_to_first[1:]:
            migrate(connection, step)
            assert revision(connection) == step
        migrate(connection, "base")
    with engine.begin() as connection:
        assert set(inspect(connection).get_table_names()) <= {REVISION_TABLE}
        migrate(connection, HEAD)
        assert revision(connection) == HEAD
        upgrade(connection)
        assert revision(connection) == HEAD
    engine.dispose()


async def test_sums_of_expired_insights_outlive_the_step_to_bins_in_one_row_and_back(
    database: str,
) -> None:
    rng = random.Random(12)
    async with SqlInsightStore.open(database, ROLLUP_RULES) as store:
        await store.prepare_figures(BERLIN, {}, NIGHT)
        for _ in range(20):
            await store.record([insight(rng) for _ in range(20)])
        while await store.expire(NIGHT + timedelta(hours=4), 50):
            pass
        before, parts = await kept(store), await of_site(store)
    engine = engine_of(database)
    with engine.begin() as connection:
        migrate(connection, "0004")
        rows = connection.execute(text("select * from rollups where value <> 0")).all()
    old = {(r.series, r.place, r.grain, microseconds_of(r.start_s), r.bin): r.value for r in rows}
    assert old == {
        (*key[:3], microseconds(key[3]), key[4]): value
        for key, value in before.items()
        if key[2] is not Grain.MONTH
    }
    with engine.begin() as connection:
        migrate(connection, HEAD)
    engine.dispose()
    async with SqlInsightStore.open(database, ROLLUP_RULES) as store:
        assert not await store.prepare_figures(BERLIN, {}, NIGHT)
        assert await kept(store) == before
        assert await of_site(store) == parts
        # It can be written on.
        await store.record([insight(rng) for _ in range(50)])
        assert await of_site(store) == summed_up(await kept(store))


async def test_the_sums_of_the_site_and_of_months_are_those_of_places_and_days(
    store: SqlInsightStore,
) -> None:
    rng = random.Random(13)
    for zone in ("Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"):
        await store.prepare_figures(ZoneInfo(zone), {}, NIGHT)
        await store.record([insight(rng) for _ in range(150)])
        sums = await kept(store)
        assert await of_site(store) == summed_up(sums)
        days, months = Counter[tuple](), Counter[tuple]()
        for (series, place, grain, _, number), value in sums.items():
            if grain is Grain.DAY:
                days[series, place, number] += value
            if grain is Grain.MONTH:
                months[series, place, number] += value
        assert days == months != Counter()
        while await store.expire(NIGHT + timedelta(hours=rng.randrange(1, 9)), 50):
            pass


async def of_site(store: SqlInsightStore) -> dict[tuple, int]:
    """Return the sums of the whole site that the store keeps, by hour."""
    edges = [SPAN[0] + timedelta(hours=h) for h in range(145)]
    hours = list(itertools.starmap(Span, itertools.pairwise(edges)))
    found = await store.part_sums(SERIES, Grain.HOUR, hours)
    return {
        (one.series, hours[one.part].start, number): value
        for one in found
        for number, value in one.bins.items()
        if value
    }


def summed_up(sums: dict[tuple, int]) -> dict[tuple, int]:
    """Return the sums of hours of all places together, by the UTC hour in which these begin."""
    found: Counter[tuple] = Counter()
    for (series, _, grain, start, number), value in sums.items():
        if grain is Grain.HOUR:
            found[series, start.replace(minute=0), number] += value
    return {key: value for key, value in found.items() if value}


def microseconds_of(seconds: int) -> int:
    return seconds * 1_000_000


async def test_insights_from_before_the_migrations_are_summed_up(database: str) -> None:
    rng = random.Random(7)
    async with SqlInsightStore.open(database, ROLLUP_RULES) as store:
        await store.record([i for i in (insight(rng) for _ in range(200)) if i.camera_id != "cam1"])
        insights = [i for i in await on_record(store) if type(i) in BEFORE_MIGRATIONS]
    lose_migrations(database)
    async with SqlInsightStore.open(database, ROLLUP_RULES) as store:
        assert await store.prepare_figures(BERLIN, {}, NIGHT)
        assert await on_record(store) == insights
        assert await kept(store) == summed(insights)


def test_all_cells_of_the_catalog_belong_to_a_metric() -> None:
    rng = random.Random(10)
    cells = [cell for _ in range(900) for cell in ROLLUP_RULES.cells_of(insight(rng))]
    # The series of net sales are one for each currency.
    missing = {series for series in SERIES if series not in {cell.series for cell in cells}}
    assert {cell.series for cell in cells} <= set(SERIES)
    assert all(series.startswith(("sales.", "receipts.sales.")) for series in missing)
    assert all(isinstance(cell, Cell) and isinstance(cell.value, int) for cell in cells)
