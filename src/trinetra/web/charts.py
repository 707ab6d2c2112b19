"""Charts: small ones as SVG drawn on the server, large ones as data for ``charts.js``.

Small charts need no script and no inline style. Large ones come with the same figures as a table.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Literal

from markupsafe import Markup

_WIDTH, _HEIGHT, _MARGIN = 120.0, 32.0, 2.0


@dataclass(frozen=True, slots=True)
class Series:
    """Values by category; None is unknown. ``quiet`` series are drawn in the background."""

    name: str
    values: Sequence[float | None]
    kind: Literal["bar", "line"] = "bar"
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over the same categories; ``of`` heads the categories, ``unit`` is a metric's.

    ``marked`` are the categories at which figures changed for another reason than the shop.
    ``watched`` is the share of the time that was watched, by category: the less, the paler.
    """

    title: str
    of: str
    unit: str
    categories: Sequence[str]
    series: Sequence[Series]
    marked: Sequence[str] = ()
    watched: Sequence[float | None] = ()

    def json(self) -> str:
        """Return the chart as JSON, for ``charts.js``."""
        return json.dumps(asdict(self))


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """Return a line over the values; it is broken where a value is unknown."""
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    top = max(*known, 0.0) or 1.0
    step = (_WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    points = [
        None if value is None else (_MARGIN + number * step, _y(value, top))
        for number, value in enumerate(values)
    ]
    drawn = "".join(_pieces(points))
    return Markup(
        '<svg class="sparkline" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(f"{_WIDTH:g}", f"{_HEIGHT:g}", label, Markup(drawn))  # noqa: S704  digits alone


def _y(value: float, top: float) -> float:
    return _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * value / top


def _pieces(points: Sequence[tuple[float, float] | None]) -> Iterator[str]:
    for is_known, group in groupby(points, key=lambda point: point is not None):
        if is_known:
            joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in filter(None, group))
            yield f'<polyline points="{joined}" />'
