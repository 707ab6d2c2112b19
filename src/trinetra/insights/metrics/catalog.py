"""All metrics, and the rules by which the store keeps their sums."""

from collections.abc import Iterable, Iterator

from trinetra.events.rollups import Cell, RollupRules
from trinetra.events.schema import InsightEvent
from trinetra.insights.metrics.coverage import COVERAGE
from trinetra.insights.metrics.definition import Cells, Metric
from trinetra.insights.metrics.dwell import DWELL
from trinetra.insights.metrics.journey_coverage import JOURNEY_COVERAGE
from trinetra.insights.metrics.queue_abandonment import ABANDONMENT, QUEUE_CHANGES
from trinetra.insights.metrics.queue_length import QUEUE_LENGTH
from trinetra.insights.metrics.queue_service import SERVICE_TIME
from trinetra.insights.metrics.queue_wait import QUEUE_WAIT
from trinetra.insights.metrics.till_busy import OPEN_TILLS
from trinetra.insights.metrics.traffic import TRAFFIC_IN, TRAFFIC_OUT
from trinetra.insights.metrics.visits import RECOGNIZED_VISITS
from trinetra.values import derive_id

METRICS: tuple[Metric, ...] = (
    TRAFFIC_IN,
    TRAFFIC_OUT,
    DWELL,
    JOURNEY_COVERAGE,
    RECOGNIZED_VISITS,
    QUEUE_WAIT,
    SERVICE_TIME,
    ABANDONMENT,
    QUEUE_CHANGES,
    QUEUE_LENGTH,
    OPEN_TILLS,
    COVERAGE,
)


def cells_of(insight: InsightEvent) -> Iterator[Cell]:
    """Yield what an insight adds to the series of all metrics."""
    for cells in _FUNCTIONS:
        yield from cells(insight)


def _functions(metrics: Iterable[Metric]) -> tuple[Cells, ...]:
    """Return the functions of the metrics, each once: some metrics share one."""
    return tuple(dict.fromkeys(metric.cells for metric in metrics))


_FUNCTIONS = _functions(METRICS)
ROLLUP_RULES = RollupRules(
    cells_of, derive_id("metrics", *(f"{m.name}@{m.version}" for m in METRICS))
)
"""A change of any metric's version sums up all insights on record anew."""
