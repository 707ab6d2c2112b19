"""Busy tills: time in which a till serves, from which follow the tills that are open."""

from collections.abc import Iterable, Mapping

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, QueueVisit
from trinetra.insights.metrics.definition import Metric, mean_over_time_of
from trinetra.insights.metrics.minutes import milliseconds_by_minute

BUSY_MS = "till.busy.ms"
_REACH_S = 6 * 3600.0
"""A service counts minute by minute, and is known when it ends; none lasts six hours."""


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the milliseconds that a till served in each minute."""
    if isinstance(insight, QueueVisit) and insight.till_id and insight.served_at:
        for minute, value in milliseconds_by_minute(insight.served_at, insight.captured_at):
            yield Cell(BUSY_MS, insight.till_id, minute, value)


def open_tills(busy_ms: Mapping[str, int]) -> int:
    """Return how many tills served customers, given the busy time of each."""
    return sum(value > 0 for value in busy_ms.values())


TILLS_SERVING = Metric(
    name="tills_serving",
    version=1,
    title="Tills serving",
    unit="count",
    counts=(
        "The mean number of tills that serve at the same time, over the time open; by place, the "
        "share of the time in which a till serves."
    ),
    leaves_out="Tills that were staffed but served no one.",
    series=(BUSY_MS,),
    inputs=("queue_visit",),
    cells=cells,
    value=mean_over_time_of(BUSY_MS),
    scope="tills",
    is_total=False,
    reach_s=_REACH_S,
    trade="Open lanes, till utilization.",
)
