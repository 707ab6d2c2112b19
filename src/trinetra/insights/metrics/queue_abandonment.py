"""Abandonment: parties that left a queue unserved; and changes of the queue."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, QueueVisit
from trinetra.insights.metrics.definition import Metric, ratio_of, total_of
from trinetra.insights.metrics.queue_service import SERVED
from trinetra.insights.metrics.till_place import till_place

ABANDONED, MOVED = "queue.abandoned", "queue.moved"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield one per party that left a queue unserved, or for another queue."""
    if isinstance(insight, QueueVisit) and insight.end != "served":
        series = ABANDONED if insight.end == "abandoned" else MOVED
        yield Cell(series, till_place(insight), insight.captured_at, 1)


ABANDONMENT = Metric(
    name="queue_abandonment",
    version=1,
    title="Abandonment",
    unit="share",
    counts=(
        "The share of parties that waited in a queue and left it unserved, of these and of those "
        "that were served."
    ),
    leaves_out=(
        "Parties that turned away before they joined a queue, waits below the zone's "
        "engaged_after_s, and changes to another queue."
    ),
    series=(ABANDONED, SERVED),
    inputs=("queue_visit",),
    cells=cells,
    value=ratio_of(ABANDONED, ABANDONED, SERVED),
    scope="tills",
    is_total=False,
    trade="Abandonment rate, walk-aways, reneging. Turning away before joining is balking.",
)
QUEUE_CHANGES = Metric(
    name="queue_changes",
    version=1,
    title="Changes of the queue",
    unit="count",
    counts="Each time a party leaves a queue in which it waited and waits in another (jockeying).",
    leaves_out="Walks through other queues that are too short to be a wait.",
    series=(MOVED,),
    inputs=("queue_visit",),
    cells=cells,
    value=total_of(MOVED),
    scope="tills",
    trade="Jockeying, queue switching.",
)
