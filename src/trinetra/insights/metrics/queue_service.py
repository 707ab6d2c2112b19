"""Service time: how long a party is served at a till, and how many are."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, QueueVisit
from trinetra.insights.metrics.definition import Metric, percentile_of, ratio_of, total_of
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


SERVICE_TIME, SERVICE_TIME_MEAN = (
    Metric(
        name=name,
        version=1,
        title=title,
        unit="s",
        counts=(
            f"{told} time from a party's arrival at a till to its departure; people who are there "
            "at the same time are one party. It counts when the service ends."
        ),
        leaves_out="Staff, and stays at the till below the zone's engaged_after_s.",
        series=series,
        inputs=("queue_visit",),
        cells=cells,
        value=value,
        scope="tills",
        is_total=False,
        trade="Transaction time, handling time.",
    )
    for name, title, told, series, value in (
        (
            "service_time",
            "Service time (median)",
            "The median",
            (HISTOGRAM,),
            percentile_of(HISTOGRAM, 0.5),
        ),
        (
            "service_time_mean",
            "Service time (mean)",
            "The mean",
            (SERVED, SERVICE_MS),
            ratio_of(SERVICE_MS, SERVED, unit=0.001),
        ),
    )
)
SERVED_PARTIES = Metric(
    name="served_parties",
    version=1,
    title="Parties served",
    unit="count",
    counts="Parties that were served at a till, when the service ends.",
    leaves_out="Staff, and stays at the till below the zone's engaged_after_s.",
    series=(SERVED,),
    inputs=("queue_visit",),
    cells=cells,
    value=total_of(SERVED),
    scope="tills",
)
