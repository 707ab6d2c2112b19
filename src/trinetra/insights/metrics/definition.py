"""A metric: its name, unit and definition, and the cells that insights add to it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent

Unit = Literal["count", "s", "share", "money", "people"]
Cells = Callable[[InsightEvent], Iterable[Cell]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that people read.

    A change of what counts is the next ``version``, and charts mark where it took effect.
    ``counts`` and ``leaves_out`` are the definition in words, as in docs/metrics.md. ``series`` are
    those that its cells add to.
    """

    name: str
    version: int
    title: str
    unit: Unit
    counts: str
    leaves_out: str
    series: tuple[str, ...]
    cells: Cells
