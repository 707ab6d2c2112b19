"""Gives figures of counting lines their interval, from the counts by hand that hold for them.

A count by hand holds for a figure if nothing has changed between the two: neither the line, nor the
camera's floor points, nor a network.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from trinetra.events.audits import CountAudit, Way
from trinetra.events.derivation import Span
from trinetra.events.figures import Figure, Mark
from trinetra.insights.footfall.count_accuracy import accuracy, latest_for
from trinetra.ports import FigureStore
from trinetra.values import Instant

_DIRECTIONS: Mapping[str, Way] = {
    "traffic_in": "in",
    "traffic_out": "out",
    "footfall_in": "in",
    "footfall_out": "out",
}
_Key = tuple[str, Instant]


def is_counted(metric: str) -> bool:
    """Return whether a metric counts people at lines."""
    return metric in _DIRECTIONS


async def with_intervals(
    figures: Sequence[Figure], audits: Sequence[CountAudit], store: FigureStore
) -> list[Figure]:
    """Return figures of places, those of audited lines with an interval.

    Raises StoreUnavailable.
    """
    of_place = audits_by_place(audits)
    concerned = [f for f in figures if is_counted(f.metric) and f.value and f.place in of_place]
    if not concerned:
        return list(figures)
    starts = [*(f.start for f in concerned), *(audit.start for audit in audits)]
    ends = [*(f.end for f in concerned), *(audit.end for audit in audits)]
    marks = await store.marks(Span(min(starts), max(ends)))
    return [_with_interval(figure, of_place.get(figure.place, ()), marks) for figure in figures]


def with_total_intervals(figures: Sequence[Figure], of_lines: Sequence[Figure]) -> list[Figure]:
    """Return figures over all lines, with an interval where each of their lines has one.

    Lines may err together, as in a crowd, so their bounds are added up.
    """
    parts: dict[_Key, list[Figure]] = defaultdict(list)
    for figure in of_lines:
        if figure.value:
            parts[figure.metric, figure.start].append(figure)
    return [_with_total(figure, parts[figure.metric, figure.start]) for figure in figures]


def audits_by_place(audits: Iterable[CountAudit]) -> dict[str, list[CountAudit]]:
    """Return the counts by hand of each line, by the place of its figures."""
    found: dict[str, list[CountAudit]] = defaultdict(list)
    for audit in audits:
        found[f"{audit.camera_id}/{audit.line_id}"].append(audit)
    return dict(found)


def changes_of(place: str, marks: Iterable[Mark]) -> list[Mark]:
    """Return the changes after which a line may count otherwise than before."""
    camera = place.partition("/")[0]
    return [
        mark
        for mark in marks
        if mark.what == "model" or (mark.what == "geometry" and mark.name in {place, camera})
    ]


def _with_interval(figure: Figure, audits: Sequence[CountAudit], marks: Sequence[Mark]) -> Figure:
    direction = _DIRECTIONS.get(figure.metric)
    if direction is None or not figure.value or not audits:
        return figure
    changed: list[Instant] = [mark.at for mark in changes_of(figure.place, marks)]
    audit = latest_for(audits, changed, (figure.start, figure.end))
    bounds = accuracy(audit, direction).interval(figure.value) if audit else None
    return replace(figure, low=bounds[0], high=bounds[1]) if bounds else figure


def _with_total(figure: Figure, parts: Sequence[Figure]) -> Figure:
    lows = [part.low for part in parts if part.low is not None]
    highs = [part.high for part in parts if part.high is not None]
    is_whole = figure.value == sum(part.value or 0.0 for part in parts)
    if not parts or not is_whole or not len(lows) == len(highs) == len(parts):
        return figure
    return replace(figure, low=sum(lows), high=sum(highs))
