"""Busy tills: time in which a till serves, from which follow the tills that are open."""

from collections.abc import Iterable, Mapping

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, QueueVisit
from trinetra.insights.metrics.definition import Metric
from trinetra.insights.metrics.minutes import milliseconds_by_minute

BUSY_MS = "till.busy.ms"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the milliseconds that a till served in each minute."""
    if isinstance(insight, QueueVisit) and insight.till_id and insight.served_at:
        for minute, value in milliseconds_by_minute(insight.served_at, insight.captured_at):
            yield Cell(BUSY_MS, insight.till_id, minute, value)


def open_tills(busy_ms: Mapping[str, int]) -> int:
    """Return how many tills served anyone, given the busy time of each."""
    return sum(value > 0 for value in busy_ms.values())


OPEN_TILLS = Metric(
    name="open_tills",
    version=1,
    title="Open tills",
    unit="count",
    counts="The tills at which anyone was served in the bucket.",
    leaves_out="Tills that were staffed but served no one.",
    series=(BUSY_MS,),
    cells=cells,
)
