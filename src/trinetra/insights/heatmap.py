"""Heatmaps: where people were on the floor in a span of time, by cells of 1 m.

Where the views of cameras overlap, the same people are seen by each: a cell has the largest of the
cameras' values in each hour, not their sum. Cells of few people are left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Span
from trinetra.events.rollups import BucketSum, Grain, bucket_start
from trinetra.insights.camera.grid import CELL_M, GridCell, cell_numbered
from trinetra.insights.figures import FigureQuery, FigureReader
from trinetra.insights.journeys.paths import Cell, shown
from trinetra.insights.metrics.floor import FLOOR_PRESENCE, series_of
from trinetra.ports import FigureStore
from trinetra.values import CameraId

Grid = Literal["floor", "picture"]


class Heatmap(NamedTuple):
    """Person-hours by cell; ``left_out`` cells had fewer people than may be shown.

    A cell of the ``floor`` is ``cell_m`` wide, and GridCell(0, 0) begins at the floor plan's
    origin. A cell of the ``picture`` is 1/32 by 1/18 of it, from the top left corner; its
    ``cell_m`` is None. ``completeness`` is the share of the expected time that each camera was
    watched, None if none was expected.
    """

    grid: Grid
    cell_m: float | None
    span: Span
    hours: Mapping[GridCell, float]
    left_out: int
    completeness: Mapping[CameraId, float | None]


class HeatmapQuery(NamedTuple):
    """A question: the floor as ``cameras`` see it, or the picture of the only one."""

    span: Span
    cameras: tuple[CameraId, ...]
    least_people: int
    grid: Grid = "floor"


async def read_heatmap(reader: FigureReader, store: FigureStore, query: HeatmapQuery) -> Heatmap:
    """Return the heatmap of a span of whole hours of the shop's clock.

    Raises ConfigurationError for other spans, without cameras, and for several pictures, which have
    nothing in common; StoreUnavailable.
    """
    _check(reader, query)
    in_ms, in_tracks = series_of(query.grid)
    sums = await store.sums([in_ms, in_tracks], Grain.HOUR, query.span, query.cameras)
    asked = FigureQuery(
        query.span, [FLOOR_PRESENCE.name], "range", by_place=True, places=query.cameras
    )
    figures = (await reader.read(asked)).figures
    kept = shown(_merged(sums, in_ms), query.least_people)
    return Heatmap(
        grid=query.grid,
        cell_m=CELL_M if query.grid == "floor" else None,
        span=query.span,
        hours={cell: held.times / 3_600_000 for cell, held in sorted(kept.cells.items())},
        left_out=kept.left_out,
        completeness={CameraId(figure.place): figure.completeness for figure in figures},
    )


def _merged(sums: Iterable[BucketSum], in_ms: str) -> dict[GridCell, Cell]:
    """Return milliseconds and people by cell: per hour those of the camera with the most."""
    most: dict[tuple[str, datetime, int], int] = {}
    for one in sums:
        key = one.series, one.start, one.bin
        most[key] = max(most.get(key, 0), one.value)
    ms: Counter[int] = Counter()
    people: Counter[int] = Counter()
    for (series, _, number), value in most.items():
        (ms if series == in_ms else people)[number] += value
    return {cell_numbered(number): Cell(ms[number], people[number]) for number in ms if ms[number]}


def _check(reader: FigureReader, query: HeatmapQuery) -> None:
    zone = reader.site.zone
    if not query.cameras:
        raise ConfigurationError(
            "no camera of the site has floor points: give them to one (docs/heatmaps.md), or ask "
            "for the picture of one camera"
        )
    if query.grid == "picture" and len(query.cameras) > 1:
        raise ConfigurationError("a heatmap of pictures is of one camera: name it")
    if any(bucket_start(edge, Grain.HOUR, zone) != edge for edge in query.span):
        raise ConfigurationError(
            "heatmaps are kept by the hour: begin and end at a full hour of the shop's clock"
        )
