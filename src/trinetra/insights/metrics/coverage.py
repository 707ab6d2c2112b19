"""Coverage: camera time in which figures are known."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import CameraCoverage, InsightEvent
from trinetra.insights.metrics.definition import Metric, total
from trinetra.insights.metrics.minutes import milliseconds_by_minute

SEEN_MS = "coverage.ms"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the watched milliseconds of each minute; those of a span add up to its length."""
    if not isinstance(insight, CameraCoverage):
        return
    for minute, value in milliseconds_by_minute(insight.started_at, insight.captured_at):
        yield Cell(SEEN_MS, insight.camera_id, minute, value)


COVERAGE = Metric(
    name="coverage",
    version=1,
    title="Camera time watched",
    unit="s",
    counts=(
        "The time in which a camera's frames followed each other closely enough to count by: at "
        "most coverage_gap_s apart."
    ),
    leaves_out=(
        "Time in which the camera was offline or stalled, its frames were dropped, or only its key "
        "frames were decoded and they came too seldom."
    ),
    series=(SEEN_MS,),
    inputs=("coverage",),
    cells=cells,
    reach_s=3600.0,
    value=lambda sums, _: total(sums, SEEN_MS) / 1000,
)
