"""A metric: its name, unit and definition, and the cells that insights add to it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent

Unit = Literal["count", "s", "share", "money", "people"]
Scope = Literal["lines", "zones", "site"]
Cells = Callable[[InsightEvent], Iterable[Cell]]
Sums = Mapping[str, Mapping[int, int]]
"""What a bucket holds: the sum of each series, by bin. A series without cells is absent."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that people read.

    A change of what counts is the next ``version``, and charts mark where it took effect.
    ``counts`` and ``leaves_out`` are the definition in words, as in docs/metrics.md, ``trade`` is
    what others call it, and where they count otherwise. ``cells`` turns insights of the types
    ``inputs``, captured up to ``reach_s`` after the cells' time, into what they add to series. From
    those named in ``series`` follows the ``value`` of a bucket, None if there was nothing to take
    it of. ``scope`` tells which cameras must have been watched for the figure of the whole site to
    be complete. If ``is_total``, half the time watched means about half the value.
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
    value: Callable[[Sums], float | None]
    scope: Scope = "site"
    is_total: bool = True
    trade: str = ""
    reach_s: float = 0.0


def total(sums: Sums, series: str) -> int:
    """Return the sum of a series over all bins; 0 without cells."""
    return sum(sums.get(series, {}).values())


def total_of(series: str) -> Callable[[Sums], float | None]:
    """Return the value function of a metric that is the sum of one series."""
    return lambda sums: float(total(sums, series))


def ratio_of(part: str, whole: str, unit: float = 1.0) -> Callable[[Sums], float | None]:
    """Return the value function of a metric that is one sum by another; None without the other."""

    def value(sums: Sums) -> float | None:
        denominator = total(sums, whole)
        return total(sums, part) / denominator * unit if denominator else None

    return value
