"""All metrics, and the rules by which the store keeps their sums."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from trinetra.errors import ConfigurationError
from trinetra.events.rollups import Cell, RollupRules
from trinetra.events.schema import InsightEvent
from trinetra.insights.metrics.coverage import COVERAGE
from trinetra.insights.metrics.definition import Cells, Metric
from trinetra.insights.metrics.dwell import DWELL_MEAN, DWELL_MEDIAN, DWELL_P90, ZONE_STAYS
from trinetra.insights.metrics.floor import FLOOR_PRESENCE
from trinetra.insights.metrics.footfall import (
    CHILDREN_SHARE,
    FOOTFALL_IN,
    FOOTFALL_OUT,
    GROUP_SIZE,
    GROUP_TRAFFIC_IN,
    GROUP_TRAFFIC_OUT,
    RECOGNIZED_SHARE,
)
from trinetra.insights.metrics.journey_coverage import JOURNEY_COVERAGE
from trinetra.insights.metrics.occupancy import MEAN_STAY, OCCUPANCY_MEAN, OCCUPANCY_PEAK
from trinetra.insights.metrics.passby import PASSBY_TRAFFIC, TURN_IN_RATE
from trinetra.insights.metrics.purchases import PURCHASE_METRICS
from trinetra.insights.metrics.queue_abandonment import ABANDONMENT, QUEUE_CHANGES
from trinetra.insights.metrics.queue_length import QUEUE_LENGTH
from trinetra.insights.metrics.queue_service import (
    SERVED_PARTIES,
    SERVICE_TIME,
    SERVICE_TIME_MEAN,
)
from trinetra.insights.metrics.queue_wait import (
    QUEUE_WAIT_MEAN,
    QUEUE_WAIT_MEDIAN,
    QUEUE_WAIT_P90,
)
from trinetra.insights.metrics.sales import SALES_METRICS
from trinetra.insights.metrics.till_busy import TILLS_SERVING
from trinetra.insights.metrics.traffic import TRAFFIC_IN, TRAFFIC_OUT
from trinetra.insights.metrics.vehicles import VEHICLE_METRICS
from trinetra.insights.metrics.visits import (
    RECOGNIZED_VISITS,
    RETURNING_SHARE,
    VISIT_DURATION,
)
from trinetra.values import derive_id

METRICS: tuple[Metric, ...] = (
    FOOTFALL_IN,
    FOOTFALL_OUT,
    GROUP_TRAFFIC_IN,
    GROUP_TRAFFIC_OUT,
    GROUP_SIZE,
    CHILDREN_SHARE,
    RECOGNIZED_SHARE,
    PASSBY_TRAFFIC,
    TURN_IN_RATE,
    TRAFFIC_IN,
    TRAFFIC_OUT,
    OCCUPANCY_MEAN,
    OCCUPANCY_PEAK,
    MEAN_STAY,
    ZONE_STAYS,
    DWELL_MEDIAN,
    DWELL_P90,
    DWELL_MEAN,
    JOURNEY_COVERAGE,
    FLOOR_PRESENCE,
    RECOGNIZED_VISITS,
    RETURNING_SHARE,
    VISIT_DURATION,
    QUEUE_WAIT_MEDIAN,
    QUEUE_WAIT_P90,
    QUEUE_WAIT_MEAN,
    QUEUE_LENGTH,
    ABANDONMENT,
    QUEUE_CHANGES,
    SERVED_PARTIES,
    SERVICE_TIME,
    SERVICE_TIME_MEAN,
    TILLS_SERVING,
    *SALES_METRICS,
    *PURCHASE_METRICS,
    *VEHICLE_METRICS,
    COVERAGE,
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def cells_of(insight: InsightEvent) -> Iterator[Cell]:
    """Yield what an insight adds to the series of all metrics."""
    for cells in _FUNCTIONS:
        yield from cells(insight)


def metrics_named(names: Sequence[str]) -> tuple[Metric, ...]:
    """Return metrics by name, all without names. Raises ConfigurationError for an unknown one."""
    if unknown := [name for name in names if name not in BY_NAME]:
        raise ConfigurationError(
            f"no metric is called {unknown[0]!r}; there are: {', '.join(BY_NAME)}"
        )
    return tuple(BY_NAME[name] for name in names) or METRICS


def _functions(metrics: Iterable[Metric]) -> tuple[Cells, ...]:
    """Return the functions of the metrics, each once: some metrics share one."""
    return tuple(dict.fromkeys(metric.cells for metric in metrics))


_FUNCTIONS = _functions(METRICS)
ROLLUP_RULES = RollupRules(
    cells_of, derive_id("metrics", *(f"{m.name}@{m.version}" for m in METRICS))
)
"""A change of any metric's version sums up all insights on record anew."""
