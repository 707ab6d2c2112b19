"""Service time: how long a party is served at a till, and how many are."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, QueueVisit
from trinetra.insights.metrics.definition import Metric
from trinetra.insights.metrics.histogram import bin_of
from trinetra.insights.metrics.till_place import till_place

SERVED, SERVICE_MS, HISTOGRAM = "queue.served", "queue.service.ms", "queue.service.bins"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield count, time and bin of a service, when it ends."""
    if not isinstance(insight, QueueVisit) or insight.service_s is None:
        return
    place, at = till_place(insight), insight.captured_at
    yield Cell(SERVED, place, at, 1)
    yield Cell(SERVICE_MS, place, at, round(insight.service_s * 1000))
    yield Cell(HISTOGRAM, place, at, 1, bin_of(insight.service_s))


SERVICE_TIME = Metric(
    name="service_time",
    version=1,
    title="Service time",
    unit="s",
    counts=(
        "The time from a party's arrival at a till to its departure; people who are there at the "
        "same time are one party. It counts when the service ends."
    ),
    leaves_out="Staff, and stays at the till below the zone's engaged_after_s.",
    series=(SERVED, SERVICE_MS, HISTOGRAM),
    cells=cells,
)
