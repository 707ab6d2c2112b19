"""Coverage: camera time in which figures are known."""

from collections.abc import Iterable
from datetime import timedelta

from trinetra.events.rollups import Cell
from trinetra.events.schema import CameraCoverage, InsightEvent
from trinetra.insights.metrics.definition import Metric, total
from trinetra.values import microseconds

SEEN_MS = "coverage.ms"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the watched milliseconds of each minute; those of a span add up to its length."""
    if not isinstance(insight, CameraCoverage):
        return
    at, end = insight.started_at, insight.captured_at
    while at < end:
        minute = at.replace(second=0, microsecond=0)
        upto = min(minute + timedelta(minutes=1), end)
        # Differences of rounded times, so that rounding errors do not add up.
        value = microseconds(upto) // 1000 - microseconds(at) // 1000
        yield Cell(SEEN_MS, insight.camera_id, minute, value)
        at = upto


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
    value=lambda sums: total(sums, SEEN_MS) / 1000,
)
