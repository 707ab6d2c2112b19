"""A report as a document: sections with headlines, charts and tables, before any format."""

from dataclasses import dataclass
from datetime import datetime

from trinetra.events.figures import Figure, FigureTable, Granularity
from trinetra.reports.periods import ComparedPeriod, Period
from trinetra.reports.wording import State, Unit
from trinetra.values import Instant


@dataclass(frozen=True, slots=True)
class MetricText:
    """Name, title and unit of a metric, and its definition in words.

    If ``is_total``, its values add up over time; else they are means and percentiles. It follows
    from the sums of ``series``.
    """

    name: str
    title: str
    unit: Unit
    counts: str
    leaves_out: str
    is_total: bool = True
    series: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """Figures of a period, by metric and time, and each for all of it.

    ``detail`` and ``total`` are those of the whole site, ``places`` the totals of its places.
    """

    detail: FigureTable
    total: FigureTable
    places: FigureTable


@dataclass(frozen=True, slots=True)
class Compared:
    """A period for comparison, with its figures."""

    with_: ComparedPeriod
    figures: PeriodFigures


@dataclass(frozen=True, slots=True)
class ReportInput:
    """All that a report says, at ``now``; ``site`` is how its readers know the shop.

    Unless its readers have ``chosen`` the metrics, those without any figure are left out.
    """

    site: str
    period: Period
    metrics: tuple[MetricText, ...]
    figures: PeriodFigures
    compared: tuple[Compared, ...]
    now: Instant
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A value that may be missing, and why; ``figure`` is None where there was no such row."""

    state: State
    figure: Figure | None = None

    @property
    def number(self) -> float | None:
        """The value, None if there is none."""
        return self.figure.value if self.figure and self.state in {"known", "partial"} else None


@dataclass(frozen=True, slots=True)
class Row:
    """One row in time: its figure, and that of each period for comparison."""

    label: str
    start: datetime
    end: datetime
    value: Value
    compared: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """The figure of a whole period; ``changes`` are relative, None where it is not comparable."""

    value: Value
    compared: tuple[Value, ...]
    changes: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class PlaceLine:
    """The figure of one place for the whole period."""

    place: str
    headline: Headline


@dataclass(frozen=True, slots=True)
class Section:
    """One metric: its headline, the rows behind its chart and its table, and its places."""

    metric: MetricText
    headline: Headline
    rows: tuple[Row, ...]
    places: tuple[PlaceLine, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NumberedMark:
    """A change to know of when figures are compared; charts show its number."""

    number: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A report, ready to be rendered; ``left_out`` are titles of metrics without any figure."""

    title: str
    dates: str
    site: str
    timezone: str
    granularity: Granularity
    comparisons: tuple[str, ...]
    sections: tuple[Section, ...]
    marks: tuple[NumberedMark, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    made_at: datetime
