"""Small charts as SVG, drawn on the server: they need no script and no inline style."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from markupsafe import Markup

_WIDTH, _HEIGHT, _MARGIN = 120.0, 32.0, 2.0


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
