"""All metrics, and the rules by which the store keeps their sums."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from trinetra.errors import ConfigurationError
from trinetra.events.rollups import Cell, RollupRules
from trinetra.events.schema import InsightEvent
from trinetra.insights.metrics.coverage import COVERAGE
from trinetra.insights.metrics.definition import Cells, Metric
from trinetra.insights.metrics.dwell import DWELL_MEAN, DWELL_MEDIAN, DWELL_P90, ZONE_STAYS
from trinetra.insights.metrics.traffic import TRAFFIC_IN, TRAFFIC_OUT
from trinetra.insights.metrics.visits import (
    RECOGNIZED_VISITS,
    RETURNING_SHARE,
    VISIT_DURATION,
)
from trinetra.values import derive_id

METRICS: tuple[Metric, ...] = (
    TRAFFIC_IN,
    TRAFFIC_OUT,
    ZONE_STAYS,
    DWELL_MEDIAN,
    DWELL_P90,
    DWELL_MEAN,
    RECOGNIZED_VISITS,
    RETURNING_SHARE,
    VISIT_DURATION,
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
