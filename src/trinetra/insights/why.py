"""Explains a figure: the insights that it counts, those that it leaves out, and the gaps.

Every counted insight comes with what it adds. The sums of these are compared with those on record,
which must be the same.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from trinetra.events.derivation import Span
from trinetra.events.figures import Figure
from trinetra.events.rollups import Cell
from trinetra.events.schema import CameraCoverage, InsightEvent
from trinetra.insights.figures import SITE, FigureQuery, FigureReader
from trinetra.insights.metrics.catalog import cells_of, metrics_named
from trinetra.insights.metrics.definition import Metric
from trinetra.insights.metrics.people import is_staff
from trinetra.opening_hours import OpeningHours
from trinetra.ports import FigureStore
from trinetra.values import CameraId, Instant

_HOUR = timedelta(hours=1)


class Contribution(NamedTuple):
    """One insight and the cells that it adds to the series of the metric."""

    insight: InsightEvent
    cells: tuple[Cell, ...]


class Gap(NamedTuple):
    """A span of opening hours in which a camera was not watched.

    ``reason`` is ``gap``, ``silent`` or ``session`` as reported, or ``unknown`` if the platform did
    not run.
    """

    camera_id: CameraId
    span: Span
    reason: str


class Explanation(NamedTuple):
    """A figure and what it is made of.

    ``is_exact`` is true if the sums of the contributions equal the sums on record.
    """

    metric: Metric
    figure: Figure
    counted: tuple[Contribution, ...]
    left_out: tuple[InsightEvent, ...]
    gaps: tuple[Gap, ...]
    is_exact: bool


async def explain_figure(
    reader: FigureReader, store: FigureStore, name: str, span: Span, place: str = SITE
) -> Explanation:
    """Return what a figure is made of. Raises ConfigurationError or StoreUnavailable."""
    [metric] = metrics_named([name])
    places = [place] if place else None
    query = FigureQuery(span, [name], "range", by_place=bool(place), places=places)
    [figure] = (await reader.read(query)).figures
    reach = timedelta(seconds=metric.reach_s)
    found = await store.counted(metric.inputs, Span(span.start - reach, span.end + reach))
    cells = {insight.event_id: _cells(metric, insight, span, place) for insight in found}
    counted = [Contribution(i, own) for i in found if (own := cells[i.event_id])]
    left_out = [i for i in found if not cells[i.event_id] and _is_left_out(i, span, place)]
    watched = await store.counted(["coverage"], Span(span.start, span.end + _HOUR))
    cameras = reader.cameras_of(metric, place)
    return Explanation(
        metric,
        figure,
        tuple(counted),
        tuple(left_out),
        tuple(_gaps(watched, cameras, span, reader.site.hours, reader.expected_until())),
        await reader.sums_of(metric, query) == _summed(counted),
    )


def _cells(metric: Metric, insight: InsightEvent, span: Span, place: str) -> tuple[Cell, ...]:
    return tuple(
        cell
        for cell in cells_of(insight)  # of all metrics: some series are shared
        if cell.series in metric.series
        and span.start <= cell.at < span.end
        and (not place or cell.place == place)
    )


def _is_left_out(insight: InsightEvent, span: Span, place: str) -> bool:
    """Return whether an insight of this span and place was seen but does not count."""
    camera_id = place.partition("/")[0]
    is_there = not place or insight.camera_id == camera_id
    return is_there and span.start <= insight.captured_at < span.end


def why_left_out(insight: InsightEvent) -> str:
    """Return the reason for which an insight does not count."""
    if getattr(insight, "withdrawn", False) is True:
        return "withdrawn: it turned out to be another person's"
    if is_staff(insight):
        return "staff"
    label = getattr(insight, "label", "person")
    return f"a {label}, not a person" if label != "person" else "another line, zone or direction"


def _summed(counted: Iterable[Contribution]) -> Mapping[tuple[str, int], int]:
    sums: Counter[tuple[str, int]] = Counter()
    for cell in (cell for contribution in counted for cell in contribution.cells):
        sums[cell.series, cell.bin] += cell.value
    return {key: value for key, value in sums.items() if value}


def _gaps(
    watched: Sequence[InsightEvent],
    cameras: Iterable[CameraId],
    span: Span,
    hours: OpeningHours | None,
    until: Instant,
) -> Iterable[Gap]:
    """Yield the parts of the opening hours that no report of a camera covers."""
    end = min(span.end, until)
    if end <= span.start:
        return
    opened = [Span(span.start, end)] if hours is None else hours.open_spans(span.start, end)
    for camera_id in sorted(cameras):
        own = [w for w in watched if isinstance(w, CameraCoverage) and w.camera_id == camera_id]
        own.sort(key=lambda report: report.started_at)
        for opens, closes in opened:
            yield from _gaps_of(camera_id, own, Span(opens, closes))


def _gaps_of(camera_id: CameraId, own: Sequence[CameraCoverage], span: Span) -> Iterable[Gap]:
    at, reason = span.start, "unknown"
    for report in own:
        if report.captured_at <= span.start or report.started_at >= span.end:
            continue
        if report.started_at > at:
            yield Gap(camera_id, Span(at, report.started_at), reason)
        at, reason = max(at, report.captured_at), report.ended or "unknown"
    if at < span.end:
        yield Gap(camera_id, Span(at, span.end), reason)
