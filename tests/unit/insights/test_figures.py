"""Figures: known or unknown, never silently zero; and every one can be explained exactly."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from tests.unit.insights.any_insight import insight

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.errors import ConfigurationError
from trinetra.events.customers import Customer, CustomerDirectory
from trinetra.events.derivation import Span
from trinetra.events.figures import Figure, Granularity
from trinetra.events.schema import CameraCoverage, LineCrossing, Passage, Receipt
from trinetra.insights.figures import FigureQuery, FigureReader, FigureSite
from trinetra.insights.metrics.buckets import SUNDAY, grain_of, midnight, spans_of
from trinetra.insights.metrics.catalog import METRICS, ROLLUP_RULES
from trinetra.insights.metrics.histogram import bin_of, edges_of, percentile
from trinetra.insights.why import explain_figure, why_left_out
from trinetra.opening_hours import OpeningHours, OpenSpan
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2026, 10, 23, tzinfo=BERLIN)
NINE = DAY.replace(hour=9)
DOOR, SHELF = CameraId("door"), CameraId("shelf")
OPEN = OpeningHours(tuple(OpenSpan(day, 9 * 60, 17 * 60) for day in range(7)), "Europe/Berlin")
SITE = FigureSite(
    SiteId("shop"),
    BERLIN,
    {"site": frozenset({DOOR, SHELF}), "lines": frozenset({DOOR}), "zones": frozenset({SHELF})},
    OPEN,
)


class At:
    """A clock that stands still."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now.astimezone(UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.fixture
async def store() -> AsyncIterator[SqlInsightStore]:
    async with SqlInsightStore.open("sqlite://", ROLLUP_RULES) as store:
        await store.prepare_figures(BERLIN, {}, DAY)
        yield store


def reader(store: SqlInsightStore, now: datetime = DAY + timedelta(days=9)) -> FigureReader:
    return FigureReader(store, SITE, At(now))


def crossing(number: int, at: datetime, **fields: object) -> LineCrossing:
    return LineCrossing(
        **{
            "event_id": EventId(f"c{number}"),
            "site_id": SiteId("shop"),
            "camera_id": DOOR,
            "captured_at": at.astimezone(UTC),
            "line_id": "main",
            "direction": "in",
            "track_id": TrackId(f"t{number}"),
            "label": "person",
            **fields,
        }
    )


def watched(camera: CameraId, start: datetime, hours: float, ended: str = "gap") -> list:
    """Return reports of a camera that was watched for some hours, each ending at the full hour."""
    reports, at, end = [], start, start + timedelta(hours=hours)
    while at < end:
        upto = min(end, at.replace(minute=0) + timedelta(hours=1))
        reports.append(
            CameraCoverage(
                event_id=EventId(f"w-{camera}-{at.isoformat()}"),
                site_id=SiteId("shop"),
                camera_id=camera,
                captured_at=upto.astimezone(UTC),
                started_at=at.astimezone(UTC),
                frames=9,
                **({"ended": ended} if upto == end else {}),
            )
        )
        at = upto
    return reports


async def traffic(
    reader: FigureReader, granularity: Granularity = "day", days: int = 1, **query: object
) -> list[Figure]:
    span = Span(DAY.astimezone(UTC), midnight(DAY.date() + timedelta(days=days), BERLIN))
    asked = FigureQuery(span, ["traffic_in"], granularity, **query)
    return list((await reader.read(asked)).figures)


async def test_a_day_that_nothing_watched_is_unknown_and_a_watched_empty_one_is_zero(
    store: SqlInsightStore,
) -> None:
    await store.record(watched(DOOR, NINE, 8))
    first, second = await traffic(reader(store), days=2)
    assert (first.value, first.completeness) == (0, 1.0)
    assert (second.value, second.completeness) == (None, 0.0)


async def test_a_figure_says_how_much_of_the_opening_hours_was_watched(
    store: SqlInsightStore,
) -> None:
    await store.record([crossing(i, NINE + timedelta(minutes=i)) for i in range(30)])
    await store.record(watched(DOOR, NINE, 2) + watched(SHELF, NINE, 8))
    [figure] = await traffic(reader(store))
    assert (figure.value, figure.completeness) == (30, 0.25)
    [imputed] = await traffic(reader(store), impute=True)
    assert (imputed.value, imputed.imputed, imputed.completeness) == (120, True, 0.25)
    hours = await traffic(reader(store), "hour")
    assert [h.value for h in hours[8:12]] == [0, 30, 0, None]
    assert [h.completeness for h in hours[8:12]] == [None, 1.0, 1.0, 0.0]


def receipt(number: int, at: datetime) -> Receipt:
    return Receipt(
        event_id=EventId(f"r{number}"),
        site_id=SiteId("shop"),
        camera_id=CameraId(""),
        captured_at=at.astimezone(UTC),
        issued_at=at.astimezone(UTC),
        receipt_id=f"r{number}",
        till_id="till-1",
        kind="sale",
        total_minor=900,
        currency="EUR",
    )


async def of_day(reader: FigureReader, *metrics: str, days: int = 1, **query: object) -> list:
    span = Span(midnight(DAY.date(), BERLIN), midnight(DAY.date() + timedelta(days=days), BERLIN))
    asked = FigureQuery(span, metrics, **query)
    return [(f.place, f.value, f.completeness) for f in (await reader.read(asked)).figures]


async def test_figures_of_others_do_not_make_a_blind_day_a_day_without_people(
    store: SqlInsightStore,
) -> None:
    await store.record([receipt(1, NINE)])
    assert await of_day(reader(store), "traffic_in", "transactions") == [
        ("", None, 0.0),
        ("", 1, None),
    ]


async def test_receipts_depend_on_no_camera_and_are_never_extrapolated(
    store: SqlInsightStore,
) -> None:
    await store.record([receipt(1, NINE), *watched(DOOR, NINE, 2)])
    assert await of_day(reader(store), "transactions", impute=True) == [("", 1, None)]
    two_days = await of_day(reader(store), "transactions", days=2)
    assert [value for _, value, _ in two_days] == [1, 0]


async def test_without_any_receipt_sales_and_conversion_are_unknown_not_zero(
    store: SqlInsightStore,
) -> None:
    came = {"door_id": "main", "door_kind": "entrance", "crossings": ()}
    fields = ("event_id", "site_id", "camera_id", "captured_at", "direction", "label")
    walk = crossing(1, NINE)
    passage = Passage(**{name: getattr(walk, name) for name in fields}, **came)
    await store.record([passage, *watched(DOOR, NINE, 8)])
    names = ("footfall_in", "transactions", "conversion", "passby_traffic")
    assert [value for _, value, _ in await of_day(reader(store), *names)] == [1, None, None, None]
    await store.record([receipt(1, NINE)])
    assert [v for _, v, _ in await of_day(reader(store), *names)] == [1, 1, 1, None]
    by_place = await of_day(reader(store), "conversion", by_place=True)
    assert {value for _, value, _ in by_place} == {None}


async def test_a_shop_without_cameras_of_a_kind_has_unknown_figures_of_it(
    store: SqlInsightStore,
) -> None:
    await store.record(watched(DOOR, NINE, 8) + watched(SHELF, NINE, 8))
    values = await of_day(reader(store), "served_parties", "vehicle_arrivals", "stays")
    assert [value for _, value, _ in values] == [None, None, 0]


async def test_hours_that_have_not_come_are_unknown_and_closed_ones_are_zero(
    store: SqlInsightStore,
) -> None:
    await store.record(watched(DOOR, NINE, 3))
    hours = await traffic(reader(store, NINE + timedelta(hours=3)), "hour")
    assert [h.value for h in hours[7:14]] == [0, 0, 0, 0, 0, None, None]


async def test_time_that_has_not_come_is_not_expected_to_be_watched(store: SqlInsightStore) -> None:
    await store.record(watched(DOOR, NINE, 3))
    [figure] = await traffic(reader(store, NINE + timedelta(hours=3)))
    assert figure.completeness == pytest.approx(1.0)


async def test_figures_by_place_depend_on_the_camera_of_the_place(store: SqlInsightStore) -> None:
    await store.record(watched(DOOR, NINE, 4))
    await store.record([crossing(1, NINE), crossing(2, NINE, line_id="side")])
    places = await traffic(reader(store), by_place=True)
    assert [(f.place, f.value, f.completeness) for f in places] == [
        ("door/main", 1, 0.5),
        ("door/side", 1, 0.5),
    ]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        (FigureQuery(Span(NINE, NINE)), "is not after"),
        (FigureQuery(Span(NINE, NINE + timedelta(seconds=90))), "whole minute"),
        (FigureQuery(Span(NINE, NINE + timedelta(days=9)), granularity="minute"), "at most 2 days"),
        (FigureQuery(Span(NINE, NINE + timedelta(days=1)), ["foo"]), "no metric is called 'foo'"),
    ],
)
async def test_a_question_without_an_answer_is_refused(
    store: SqlInsightStore, query: FigureQuery, complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        await reader(store).read(query)


@pytest.mark.parametrize("seed", range(3))
async def test_the_insights_that_make_a_figure_add_up_to_it_exactly(
    store: SqlInsightStore, seed: int
) -> None:
    rng = Random(seed)
    for _ in range(15):
        await store.record([insight(rng) for _ in range(9)])
    many = (insight(rng) for _ in range(500))
    await store.record([replace(i, event_id=EventId(f"n{n}")) for n, i in enumerate(many)])
    ann = CustomerId("ann")
    staff = Customer(ann, IdentityKind.STAFF, None, consent=True, purpose=None, enrolled_at=DAY)
    await store.know(CustomerDirectory(number=1, customers={ann: staff}), {ann})
    days = [midnight((DAY + timedelta(days=n)).date(), BERLIN) for n in (1, 3)]
    span = Span(*days)
    for metric in METRICS:
        why = await explain_figure(reader(store), store, metric.name, span)
        assert why.is_exact, metric.name
        assert why.counted, metric.name
        for place in sorted({c.place for one in why.counted for c in one.cells} - {""})[:2]:
            part = await explain_figure(reader(store), store, metric.name, span, place)
            assert part.is_exact, (metric.name, place)
            assert {cell.place for one in part.counted for cell in one.cells} == {place}


async def test_an_explanation_names_what_is_left_out_and_when_nothing_was_watched(
    store: SqlInsightStore,
) -> None:
    eve = {"customer_id": CustomerId("eve"), "kind": IdentityKind.STAFF}
    await store.record(
        [crossing(1, NINE), crossing(2, NINE, **eve), crossing(3, NINE, label="car")]
    )
    later = NINE + timedelta(hours=3)
    await store.record(watched(DOOR, NINE, 2, "silent") + watched(DOOR, later, 5))
    span = Span(midnight(DAY.date(), BERLIN), midnight(DAY.date() + timedelta(days=1), BERLIN))
    why = await explain_figure(reader(store), store, "traffic_in", span)
    assert (why.figure.value, len(why.counted)) == (1, 1)
    assert [why_left_out(i) for i in why.left_out] == ["staff", "a car, not a person"]
    [gap] = why.gaps
    assert gap == (DOOR, Span(NINE + timedelta(hours=2), later), "silent")


def test_weeks_and_months_begin_by_the_clock_of_the_shop() -> None:
    span = Span(midnight(DAY.date(), BERLIN), midnight(DAY.date() + timedelta(days=20), BERLIN))
    days = spans_of(span, "day", BERLIN)
    assert sorted({part.end - part.start for part in days}) == [
        timedelta(hours=24),
        timedelta(hours=25),
    ]
    weeks = [part.start.astimezone(BERLIN) for part in spans_of(span, "week", BERLIN)]
    assert [(w.date() - DAY.date()).days for w in weeks] == [0, 3, 10, 17]
    sundays = [part.start.astimezone(BERLIN) for part in spans_of(span, "week", BERLIN, SUNDAY)]
    assert {s.weekday() for s in sundays[1:]} == {SUNDAY}
    months = [part.start.astimezone(BERLIN).day for part in spans_of(span, "month", BERLIN)]
    assert months == [23, 1]
    assert spans_of(span, "range", BERLIN) == [span]


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York"])
@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
def test_spans_follow_each_other_without_a_gap_in_every_zone(
    zone: str, granularity: Granularity
) -> None:
    place = ZoneInfo(zone)
    span = Span(
        midnight(datetime(2026, 3, 1, tzinfo=UTC).date(), place),
        midnight(datetime(2026, 11, 30, tzinfo=UTC).date(), place),
    )
    parts = spans_of(span, granularity, place)
    assert (parts[0].start, parts[-1].end) == span
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert grain_of(parts, place).name == ("HOUR" if granularity == "hour" else "DAY")


def test_percentiles_of_bins_are_accurate_to_half_a_second_or_one_percent() -> None:
    rng = Random(3)
    for scale in (5.0, 40.0, 300.0, 5000.0):
        values = sorted(rng.expovariate(1 / scale) for _ in range(4001))
        counts: dict[int, int] = {}
        for value in values:
            counts[bin_of(value)] = counts.get(bin_of(value), 0) + 1
        for share in (0.1, 0.5, 0.9):
            exact = values[round(share * 4000)]
            assert percentile(counts, share) == pytest.approx(exact, rel=0.012, abs=0.55)
    assert percentile({}, 0.5) is None


def test_each_duration_lies_within_the_edges_of_its_bin() -> None:
    rng = Random(4)
    for value in (0.0, 59.999, 60.0, 61.2, *(rng.uniform(0, 1e5) for _ in range(500))):
        low, high = edges_of(bin_of(value))
        assert low - 1e-6 <= value <= high + 1e-6


def names(figures: Iterable[Figure]) -> list[str]:
    return [figure.metric for figure in figures]


async def test_without_names_all_metrics_are_answered_in_the_order_of_the_catalog(
    store: SqlInsightStore,
) -> None:
    span = Span(midnight(DAY.date(), BERLIN), midnight(DAY.date() + timedelta(days=1), BERLIN))
    table = await reader(store).read(FigureQuery(span))
    assert names(table.figures) == [metric.name for metric in METRICS]
