"""Queue length: parties that wait at the same time, as a mean over time."""

from collections.abc import Iterable
from datetime import timedelta

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, QueueVisit
from trinetra.insights.metrics.definition import Metric, mean_over_time_of
from trinetra.insights.metrics.minutes import milliseconds_by_minute
from trinetra.insights.metrics.till_place import till_place

WAITING_MS = "queue.waiting.ms"
_REACH_S = 6 * 3600.0
"""A wait counts minute by minute, and is known when the party leaves; none lasts six hours."""


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the milliseconds that a party waited in each minute.

    Over a bucket, their sum divided by its length is the mean number of parties in the queue.
    """
    if not isinstance(insight, QueueVisit) or not insight.wait_s:
        return
    until = insight.served_at or insight.captured_at
    # A wait that began in another queue is waited there, by the visit that ended with the move.
    since = max(insight.joined_at, until - timedelta(seconds=insight.wait_s))
    for minute, value in milliseconds_by_minute(since, until):
        yield Cell(WAITING_MS, till_place(insight), minute, value)


QUEUE_LENGTH = Metric(
    name="queue_length",
    version=1,
    title="Queue length",
    unit="people",
    counts="The mean number of parties that wait at the same time, over the time open.",
    leaves_out=(
        "Parties that are being served, and those that still wait: they count as soon as they "
        "leave. The length at this moment is the number of people in the queue's zone."
    ),
    series=(WAITING_MS,),
    inputs=("queue_visit",),
    cells=cells,
    value=mean_over_time_of(WAITING_MS),
    scope="tills",
    is_total=False,
    reach_s=_REACH_S,
)
