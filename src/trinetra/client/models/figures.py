"""Metrics and figures."""

from datetime import datetime

from pydantic import Field

from trinetra.client.models.base import Granularity, Resource


class MetricInfo(Resource):
    """The definition of a metric: what it counts, what it leaves out, and its name in the trade."""

    name: str
    version: int
    title: str
    unit: str
    counts: str
    leaves_out: str
    trade: str = ""
    is_total: bool = True


class FigureValue(Resource):
    """One figure for the half-open span from ``start`` to ``end``.

    ``value`` is None if it is unknown. ``completeness`` is the share in 0..1 of the expected camera
    time that was watched, None if none was expected. ``low`` and ``high`` bound the true value with
    95 % confidence, None where no error was measured. ``imputed`` marks a value extrapolated over
    blind time. ``place`` is "" for the whole site. ``currency`` is that of an amount of money (ISO
    4217), in its main unit; None for other figures, and where several currencies were taken.
    """

    metric: str
    version: int
    place: str
    start: datetime
    end: datetime
    value: float | None
    completeness: float | None
    low: float | None = None
    high: float | None = None
    imputed: bool = False
    currency: str | None = None


class ChangeMark(Resource):
    """A change from which on figures may differ for another reason than the shop.

    ``what`` is ``geometry``, ``model``, ``threshold`` or ``definition``.
    """

    at: datetime
    what: str
    name: str


class FigureAnswer(Resource):
    """Figures by metric, place and time, and the changes of the setup in between."""

    site: str
    timezone: str
    granularity: Granularity
    start: datetime
    end: datetime
    figures: tuple[FigureValue, ...]
    marks: tuple[ChangeMark, ...] = ()

    def of(self, metric: str, place: str = "") -> list[FigureValue]:
        """Return the figures of one metric and place, in order of time."""
        return [f for f in self.figures if f.metric == metric and f.place == place]


class FigureRecord(Resource):
    """One figure as a flat record, as exports have it; ``period`` is ``this`` or a comparison."""

    site: str
    metric: str
    version: int
    unit: str
    place: str
    granularity: str
    period: str
    start: datetime
    end: datetime
    local_start: str = Field(description="The shop's wall clock, without an offset.")
    value: float | None
    low: float | None = None
    high: float | None = None
    completeness: float | None = None
    imputed: bool = False
    currency: str | None = None


class FigureChanges(Resource):
    """Figures that changed; ask again with ``next_since``, until there are none."""

    items: tuple[FigureRecord, ...]
    next_since: int
