"""Presence on the floor: the time of people in view, in all and by cell for heatmaps."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import FloorPresence, InsightEvent
from trinetra.insights.camera.grid import GridCell, number_of
from trinetra.insights.metrics.definition import Metric, total

PRESENCE_MS = "floor.presence_ms"


def series_of(grid: str) -> tuple[str, str]:
    """Return the series of milliseconds and of tracks per cell; the bin is the cell's number."""
    return f"{grid}.ms", f"{grid}.tracks"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the time of all people, and the time and tracks of each cell, at the span's start."""
    if not isinstance(insight, FloorPresence):
        return
    place, at = insight.camera_id, insight.started_at
    all_ms = insight.unplaced_ms + sum(cell.ms for cell in insight.cells)
    yield Cell(PRESENCE_MS, place, at, all_ms)
    in_ms, in_tracks = series_of(insight.grid)
    for cell in insight.cells:
        number = number_of(GridCell(cell.x, cell.y))
        yield Cell(in_ms, place, at, cell.ms, number)
        if cell.tracks:
            yield Cell(in_tracks, place, at, cell.tracks, number)


FLOOR_PRESENCE = Metric(
    name="floor_presence",
    version=1,
    title="Time of people in view",
    unit="s",
    counts=(
        "The time between two looks at a person that are at most coverage_gap_s apart, for all "
        "people and cameras. It counts at the start of its quarter hour, so read it by the hour or "
        "longer. Whoever is in the view of two cameras counts twice."
    ),
    leaves_out=(
        "People known to be staff, and the time in which only an estimate of the tracker tells "
        "where a person is. Staff who are identified later than the quarter hour stay in it."
    ),
    series=(PRESENCE_MS,),
    parts=(*series_of("floor"), *series_of("picture")),
    inputs=("floor_presence",),
    cells=cells,
    value=lambda sums, _: total(sums, PRESENCE_MS) / 1000,
    reach_s=900.0,
)
