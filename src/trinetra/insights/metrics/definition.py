"""A metric: its name, unit and definition, and the cells that insights add to it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent
from trinetra.insights.metrics.histogram import percentile

Unit = Literal["count", "s", "share", "money", "people"]
Scope = Literal["lines", "zones", "tills", "faces", "vehicles", "receipts", "site"]
"""The cameras that a figure depends on; ``receipts`` depend on none."""
Cells = Callable[[InsightEvent], Iterable[Cell]]
Sums = Mapping[str, Mapping[int, int]]
"""What a bucket holds: the sum of each series, by bin. A series without cells is absent."""
Value = Callable[[Sums, float], float | None]
"""The value of a bucket from its sums, and from the seconds in it in which the shop was open."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that people read.

    A change of what counts is the next ``version``, and charts mark where it took effect.
    ``counts`` and ``leaves_out`` are the definition in words, as in docs/metrics.md, ``trade`` is
    what others call it, and where they count otherwise. ``cells`` turns insights of the types
    ``inputs``, captured up to ``reach_s`` from the cells' time, into what they add to series. From
    those named in ``series`` follows the ``value`` of a bucket, None if there was nothing to take
    it of; ``parts`` are more series of these cells, which only heatmaps read. ``scope`` tells which
    cameras must have been watched for the figure of the whole site to be complete. If ``is_total``,
    half the time watched means about half the value. ``needs`` are series of a source that a shop
    may not have: a figure is unknown if the whole question finds no cells of any of them.
    """

    name: str
    version: int
    title: str
    unit: Unit
    counts: str
    leaves_out: str
    series: tuple[str, ...]
    inputs: tuple[str, ...]
    cells: Cells
    value: Value
    scope: Scope = "site"
    is_total: bool = True
    trade: str = ""
    reach_s: float = 0.0
    parts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def total(sums: Sums, series: str) -> int:
    """Return the sum of a series over all bins; 0 without cells."""
    return sum(sums.get(series, {}).values())


def total_of(series: str) -> Value:
    """Return the value function of a metric that is the sum of one series."""
    return lambda sums, _: float(total(sums, series))


def ratio_of(part: str, *whole: str, unit: float = 1.0) -> Value:
    """Return the value function of one sum by the sum of others; None without these."""

    def value(sums: Sums, _open_s: float) -> float | None:
        denominator = sum(total(sums, series) for series in whole)
        return total(sums, part) / denominator * unit if denominator else None

    return value


def mean_over_time_of(series_ms: str) -> Value:
    """Return the value function of a mean number over the time open; None if it was closed."""
    return lambda sums, open_s: total(sums, series_ms) / 1000 / open_s if open_s else None


def percentile_of(series: str, share: float) -> Value:
    """Return the value function of a percentile, read from a histogram."""
    return lambda sums, _: percentile(sums.get(series, {}), share)
