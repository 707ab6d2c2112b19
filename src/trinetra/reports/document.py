"""A report as a document: sections with headlines, charts and tables, before any format."""

from dataclasses import dataclass
from datetime import datetime

from trinetra.events.figures import Figure, FigureTable, Granularity
from trinetra.reports.periods import ComparedPeriod, Period
from trinetra.reports.wording import State, Unit
from trinetra.values import Instant


@dataclass(frozen=True, slots=True)
class MetricText:
    """Name, title and unit of a metric, and its definition in words."""

    name: str
    title: str
    unit: Unit
    counts: str
    leaves_out: str


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """Figures of a period: one per row in ``detail``, and one for all of it in ``total``."""

    detail: FigureTable
    total: FigureTable


@dataclass(frozen=True, slots=True)
class Compared:
    """A period for comparison, with its figures."""

    with_: ComparedPeriod
    figures: PeriodFigures


@dataclass(frozen=True, slots=True)
class ReportInput:
    """All that a report says, at ``now``; ``site`` is how its readers know the shop."""

    site: str
    period: Period
    metrics: tuple[MetricText, ...]
    figures: PeriodFigures
    compared: tuple[Compared, ...]
    now: Instant


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
class Panel:
    """One metric at one place: the headline, and the rows behind its chart and its table."""

    place: str
    headline: Headline
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One metric: ``panels`` with charts, and ``places`` with one headline each."""

    metric: MetricText
    panels: tuple[Panel, ...]
    places: tuple[Panel, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NumberedMark:
    """A change to know of when figures are compared; charts show its number."""

    number: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A report, ready to be rendered."""

    title: str
    dates: str
    site: str
    timezone: str
    granularity: Granularity
    comparisons: tuple[str, ...]
    sections: tuple[Section, ...]
    marks: tuple[NumberedMark, ...]
    notes: tuple[str, ...]
    made_at: datetime
