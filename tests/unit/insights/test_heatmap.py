"""Heatmaps: cameras merged without counting twice, few people left out, only whole hours."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.unit.insights.test_figures import BERLIN, DAY, NINE, SITE, At

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.commands.heatmap import blocks_of, csv_of, remarks_on
from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Span
from trinetra.events.schema import CameraCoverage, FloorCell, FloorPresence
from trinetra.insights.figures import FigureReader
from trinetra.insights.heatmap import Grid, Heatmap, HeatmapQuery, read_heatmap
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.values import CameraId, EventId, SiteId

DOOR, SHELF = CameraId("door"), CameraId("shelf")
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000


@pytest.fixture
async def store() -> AsyncIterator[SqlInsightStore]:
    async with SqlInsightStore.open("sqlite://", ROLLUP_RULES) as store:
        await store.prepare_figures(BERLIN, {}, DAY)
        yield store


def presence(
    camera: CameraId, minute: int, *cells: tuple[int, int, float, int], grid: Grid = "floor"
) -> FloorPresence:
    """Return the presence from so many minutes after nine: x, y, hours and tracks by cell."""
    started = NINE + timedelta(minutes=minute)
    return FloorPresence(
        event_id=EventId(f"{camera}-{minute}-{grid}"),
        site_id=SiteId("shop"),
        camera_id=camera,
        captured_at=started + timedelta(minutes=15),
        started_at=started,
        grid=grid,
        cells=tuple(FloorCell(x, y, round(hours * HOUR_MS), n) for x, y, hours, n in cells),
    )


async def read(
    store: SqlInsightStore,
    *presences: FloorPresence,
    cameras: tuple[CameraId, ...] = (DOOR, SHELF),
    span: Span | None = None,
    least_people: int = 1,
    grid: Grid = "floor",
) -> Heatmap:
    await store.record(list(presences))
    reader = FigureReader(store, SITE, At(NINE + timedelta(hours=9)))
    query = HeatmapQuery(span or Span(NINE, NINE + 2 * HOUR), cameras, least_people, grid)
    return await read_heatmap(reader, store, query)


async def test_a_cell_that_two_cameras_see_has_the_larger_value_of_each_hour(
    store: SqlInsightStore,
) -> None:
    found = await read(
        store,
        presence(DOOR, 0, (0, 0, 0.5, 3), (5, 5, 0.25, 3)),
        presence(SHELF, 0, (0, 0, 0.25, 3)),
        presence(DOOR, 60, (0, 0, 0.125, 3)),
        presence(SHELF, 60, (0, 0, 1.0, 3)),
    )
    assert found.hours == {(0, 0): 1.5, (5, 5): 0.25}
    assert found.cell_m == 1.0


async def test_the_quarters_of_an_hour_add_up_before_cameras_are_compared(
    store: SqlInsightStore,
) -> None:
    door = [presence(DOOR, minute, (-3, 2, 0.25, 1)) for minute in (0, 15, 30, 45)]
    found = await read(store, *door, presence(SHELF, 30, (-3, 2, 0.75, 4)))
    assert found.hours == {(-3, 2): 1.0}


async def test_a_report_that_comes_again_replaces_the_former(store: SqlInsightStore) -> None:
    await read(store, presence(DOOR, 0, (0, 0, 0.5, 3), (1, 0, 0.5, 3)))
    found = await read(store, presence(DOOR, 0, (0, 0, 0.75, 4)))
    assert found.hours == {(0, 0): 0.75}
    assert found.left_out == 0


async def test_cells_of_few_people_are_left_out(store: SqlInsightStore) -> None:
    few = [(0, 0, 1.0, 4), (1, 0, 2.0, 4)]
    many = [(2, 0, 1.0, 5), (3, 0, 0.5, 9)]
    found = await read(store, presence(DOOR, 0, *few, *many), least_people=5)
    assert found.hours == {(2, 0): 1.0, (3, 0): 0.5}
    assert found.left_out == 2
    assert "2 cells of fewer than 5 people are not shown" in remarks_on(found, 5)


async def test_a_single_small_cell_cannot_be_told_from_the_sum(store: SqlInsightStore) -> None:
    cells = [(0, 0, 1.0, 1), (1, 0, 2.0, 6), (2, 0, 1.0, 7)]
    found = await read(store, presence(DOOR, 0, *cells), least_people=5)
    assert (set(found.hours), found.left_out) == ({(2, 0)}, 2)


async def test_two_cameras_do_not_make_few_people_many(store: SqlInsightStore) -> None:
    seen_twice = [presence(camera, 0, (0, 0, 1.0, 3)) for camera in (DOOR, SHELF)]
    assert (await read(store, *seen_twice, least_people=5)).hours == {}


async def test_nothing_of_other_hours_cameras_and_grids_is_in_it(store: SqlInsightStore) -> None:
    found = await read(
        store,
        presence(DOOR, -15, (0, 0, 1.0, 9)),
        presence(DOOR, 0, (1, 0, 1.0, 9)),
        presence(DOOR, 60, (2, 0, 1.0, 9)),
        presence(SHELF, 0, (3, 0, 1.0, 9)),
        presence(DOOR, 0, (4, 0, 1.0, 9), grid="picture"),
        cameras=(DOOR,),
        span=Span(NINE, NINE + HOUR),
    )
    assert set(found.hours) == {(1, 0)}


async def test_it_tells_what_was_not_watched(store: SqlInsightStore) -> None:
    watched = CameraCoverage(
        event_id=EventId("w"),
        site_id=SiteId("shop"),
        camera_id=DOOR,
        captured_at=NINE + HOUR / 2,
        started_at=NINE,
        frames=7,
    )
    await store.record([watched])
    found = await read(store, span=Span(NINE, NINE + HOUR))
    assert found.completeness == {DOOR: 0.5, SHELF: 0.0}
    assert remarks_on(found, 5) == [
        "door was watched 50% of the time",
        "shelf was watched 0% of the time",
    ]


async def test_what_cannot_be_answered_is_refused(store: SqlInsightStore) -> None:
    half = Span(NINE, NINE + HOUR / 2)
    with pytest.raises(ConfigurationError, match="full hour of the shop's clock"):
        await read(store, span=half)
    with pytest.raises(ConfigurationError, match="no camera of the site has floor points"):
        await read(store, cameras=())
    with pytest.raises(ConfigurationError, match="of one camera"):
        await read(store, grid="picture")


async def test_it_is_printed_as_blocks_and_as_rows(store: SqlInsightStore) -> None:
    found = await read(store, presence(DOOR, 0, (-1, 0, 1.0, 9), (1, 0, 0.5, 9), (0, 1, 0.01, 9)))
    assert blocks_of(found).splitlines()[:2] == ["██  ▓▓", "  ░░"]
    assert csv_of(found).splitlines() == [
        "grid,x,y,person_hours",
        "floor,-1,0,1.000000",
        "floor,0,1,0.010000",
        "floor,1,0,0.500000",
    ]
