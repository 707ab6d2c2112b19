"""Queue wait: from joining a queue to the beginning of service."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, QueueVisit
from trinetra.insights.metrics.definition import Metric, percentile_of, ratio_of
from trinetra.insights.metrics.histogram import bin_of
from trinetra.insights.metrics.till_place import till_place

WAITED, WAIT_MS, HISTOGRAM = "queue.waited", "queue.wait.ms", "queue.wait.bins"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield count, time and bin of a wait, when the service ends."""
    if not isinstance(insight, QueueVisit) or insight.end != "served" or insight.wait_s is None:
        return
    place, at = till_place(insight), insight.captured_at
    yield Cell(WAITED, place, at, 1)
    yield Cell(WAIT_MS, place, at, round(insight.wait_s * 1000))
    yield Cell(HISTOGRAM, place, at, 1, bin_of(insight.wait_s))


QUEUE_WAIT_MEDIAN, QUEUE_WAIT_P90, QUEUE_WAIT_MEAN = (
    Metric(
        name=name,
        version=1,
        title=title,
        unit="s",
        counts=(
            f"{told} the time from joining a queue to the beginning of service, for each party "
            "that was served; 0 for a party that walked to a free till. A party that changed the "
            "queue waited since it joined the first one. It counts when the service ends."
        ),
        leaves_out=(
            "Parties that gave up, those that wait or are served right now, those that were not "
            "seen to come, staff, and people who only pass."
        ),
        series=series,
        inputs=("queue_visit",),
        cells=cells,
        value=value,
        scope="tills",
        is_total=False,
        trade="Queue time, wait time, service level (the share below a limit).",
    )
    for name, title, told, series, value in (
        (
            "queue_wait_median",
            "Queue wait (median)",
            "The median of",
            (HISTOGRAM,),
            percentile_of(HISTOGRAM, 0.5),
        ),
        (
            "queue_wait_p90",
            "Queue wait (90 %)",
            "What nine of ten do not exceed of",
            (HISTOGRAM,),
            percentile_of(HISTOGRAM, 0.9),
        ),
        (
            "queue_wait_mean",
            "Queue wait (mean)",
            "The mean of",
            (WAITED, WAIT_MS),
            ratio_of(WAIT_MS, WAITED, unit=0.001),
        ),
    )
)
