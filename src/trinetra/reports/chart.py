"""Layout of a chart in user units of an SVG: pure arithmetic, no markup.

Totals are bars from zero. Means and percentiles are points joined by lines, which a missing value
interrupts. The period for comparison is a line of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10

from trinetra.events.figures import Granularity
from trinetra.reports.document import NumberedMark, Row, Section
from trinetra.reports.wording import WORD_OF_STATE, Unit, axis_label, quantity

_TOP, _BOTTOM, _RIGHT = 22.0, 26.0, 8.0
_CHARACTER = 6.6
"""Width of a digit at the font size of charts, rounded up."""
_LEAST = 1e-6
"""Values up to this one count as zero."""
_MINUTE_S, _HOUR_S = 60, 3600
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height, and about how many characters of axis labels fit one after another."""

    width: float
    height: float


WIDE, NARROW = Size(760, 220), Size(340, 200)


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, at ``at``."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from zero, or the dot of a mean at ``value_y``; the bounds are those of the value."""

    x: float
    y: float
    value_y: float
    width: float
    height: float
    center: float
    is_partial: bool
    low_y: float | None
    high_y: float | None
    tip: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without values, and the word for the reason."""

    x: float
    width: float
    state: str
    word: str


@dataclass(frozen=True, slots=True)
class MarkLine:
    """A vertical line where the setup changed, with its number."""

    x: float
    number: int


@dataclass(frozen=True, slots=True)
class Chart:
    """All positions of a chart; ``lines`` are paths of the values if these are means."""

    size: Size
    left: float
    right: float
    top: float
    base: float
    is_total: bool
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    lines: tuple[str, ...]
    compared: tuple[str, ...]
    gaps: tuple[Gap, ...]
    marks: tuple[MarkLine, ...]


def chart_of(
    section: Section, granularity: Granularity, marks: Sequence[NumberedMark], size: Size
) -> Chart | None:
    """Return the chart of a section; None if it has no value to draw."""
    rows = section.rows
    numbers = [n for row in rows if (n := row.value.number) is not None]
    if not numbers:
        return None
    drawn = [*numbers, *_others(rows), *_bounds(rows)]
    ticks = y_ticks(max(drawn), section.metric.unit, min(drawn))
    return _Layout(section, granularity, ticks, size).chart(marks)


def y_ticks(highest: float, unit: Unit, lowest: float = 0.0) -> list[float]:
    """Return a few round values that include 0 and reach from the lowest to the highest value."""
    highest, lowest = max(highest, 0.0), min(lowest, 0.0)
    span = highest - lowest
    step = _step(span / 4 if span > _LEAST else 1.0, unit)
    first, last = floor(lowest / step + 1e-9), ceil(highest / step - 1e-9)
    if first == last:
        last = first + 1
    return [number * step for number in range(first, last + 1)]


def _step(least: float, unit: Unit) -> float:
    if unit == "s" and least > 1:
        return next((float(s) for s in _TIME_STEPS_S if s >= least), ceil(least / 86400) * 86400.0)
    power = 10.0 ** floor(log10(least))
    step = next(power * s for s in _STEPS if power * s >= least * (1 - 1e-9))
    return float(ceil(step)) if unit == "count" else step


def _others(rows: Sequence[Row]) -> Iterator[float]:
    for row in rows:
        if row.compared and (number := row.compared[0].number) is not None:
            yield number


def _bounds(rows: Sequence[Row]) -> Iterator[float]:
    for row in rows:
        if figure := row.value.figure:
            yield from (bound for bound in (figure.low, figure.high) if bound is not None)


class _Layout:
    """Scales of one chart."""

    def __init__(
        self, section: Section, granularity: Granularity, ticks: Sequence[float], size: Size
    ) -> None:
        self._section, self._granularity, self._size = section, granularity, size
        self._ticks = [(value, _tick_text(value, section.metric.unit, ticks)) for value in ticks]
        self._left = 8 + _CHARACTER * max(len(text) for _, text in self._ticks)
        self._base = size.height - _BOTTOM
        self._slot = (size.width - _RIGHT - self._left) / len(section.rows)

    def chart(self, marks: Sequence[NumberedMark]) -> Chart:
        """Return all positions."""
        rows = self._section.rows
        values = [row.value.number for row in rows]
        others = [row.compared[0].number if row.compared else None for row in rows]
        is_total = self._section.metric.is_total
        return Chart(
            size=self._size,
            left=self._left,
            right=self._size.width - _RIGHT,
            top=_TOP,
            base=self._base,
            is_total=is_total,
            y_ticks=tuple(Tick(self._y(value), text) for value, text in self._ticks),
            x_ticks=tuple(self._x_ticks()),
            bars=tuple(self._bars()),
            lines=() if is_total else tuple(self._paths(values)),
            compared=tuple(self._paths(others)),
            gaps=tuple(self._gaps()),
            marks=tuple(self._mark_lines(marks)),
        )

    def _x(self, number: float) -> float:
        return round(self._left + number * self._slot, 1)

    def _y(self, value: float) -> float:
        lowest, highest = self._ticks[0][0], self._ticks[-1][0]
        share = (value - lowest) / (highest - lowest)
        return round(self._base - (self._base - _TOP) * share, 1)

    def _x_ticks(self) -> Iterator[Tick]:
        """Yield labels of every n-th row, so that they keep clear of each other."""
        rows = self._section.rows
        labels = [axis_label(row.start, self._granularity) for row in rows]
        widest = max(len(label) for label in labels) * _CHARACTER + 10
        every = next(n for n in _EVERY if n * self._slot >= widest or n >= len(rows))
        for number in range(0, len(rows), every):
            yield Tick(self._x(number + 0.5), labels[number])

    def _bars(self) -> Iterator[Bar]:
        width = round(min(self._slot * 0.72, 44), 1)
        for number, row in enumerate(self._section.rows):
            value, figure = row.value.number, row.value.figure
            if value is None or figure is None:
                continue
            center, y, zero = self._x(number + 0.5), self._y(value), self._y(0)
            yield Bar(
                x=round(center - width / 2, 1),
                y=min(y, zero),
                value_y=y,
                width=width,
                height=round(abs(zero - y), 1),
                center=center,
                is_partial=row.value.state == "partial",
                low_y=None if figure.low is None else self._y(figure.low),
                high_y=None if figure.high is None else self._y(figure.high),
                tip=f"{row.label}: {quantity(value, self._section.metric.unit)}",
            )

    def _paths(self, values: Sequence[float | None]) -> Iterator[str]:
        """Yield one path for each run of known values; a single one is a short dash."""
        numbered = list(enumerate(values))
        for known, run in groupby(numbered, key=lambda pair: pair[1] is not None):
            if not known:
                continue
            points = [(self._x(n + 0.5), self._y(v)) for n, v in run if v is not None]
            if len(points) == 1:
                (x, y), half = points[0], self._slot * 0.36
                points = [(round(x - half, 1), y), (round(x + half, 1), y)]
            yield "M" + "L".join(f"{x:g} {y:g}" for x, y in points)

    def _gaps(self) -> Iterator[Gap]:
        numbered = enumerate(self._section.rows)
        for state, run in groupby(numbered, key=lambda pair: pair[1].value.state):
            numbers = [number for number, _ in run]
            if word := WORD_OF_STATE.get(state):
                width = round(len(numbers) * self._slot, 1)
                fits = len(word) * _CHARACTER <= width
                yield Gap(self._x(numbers[0]), width, state, word if fits else "?")

    def _mark_lines(self, marks: Sequence[NumberedMark]) -> Iterator[MarkLine]:
        for mark in marks:
            for number, row in enumerate(self._section.rows):
                if row.start <= mark.at < row.end:
                    share = (mark.at - row.start) / (row.end - row.start)
                    yield MarkLine(self._x(number + share), mark.number)


_EVERY = (1, 2, 3, 4, 6, 7, 12, 14, 24, 28, 56, 112, 1000)


def _tick_text(value: float, unit: Unit, ticks: Sequence[float]) -> str:
    if unit == "share":
        return f"{100 * value:g} %"
    if unit != "s":
        digits = 0 if all(float(tick).is_integer() for tick in ticks) else 1 if ticks[-1] > 1 else 2
        return f"{value:,.{digits}f}"
    if value == 0:
        return "0"
    if ticks[-1] >= 2 * _HOUR_S:
        return f"{value / _HOUR_S:,g} h"
    return f"{value / _MINUTE_S:g} min" if ticks[-1] >= 2 * _MINUTE_S else f"{value:g} s"
