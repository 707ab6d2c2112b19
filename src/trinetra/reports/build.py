"""Builds the document of a report from figures."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from trinetra.events.figures import Figure, FigureTable, Granularity
from trinetra.reports.document import (
    Document,
    Headline,
    MetricText,
    NumberedMark,
    PeriodFigures,
    PlaceLine,
    ReportInput,
    Row,
    Section,
    Value,
)
from trinetra.reports.periods import Period
from trinetra.reports.wording import State, gap_label, mark_sentence, percent, time_label
from trinetra.values import Instant

COMPARABLE = 0.95
"""Least completeness at which a change in percent is given: below, blind time may explain it."""
_Offset = tuple[float, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """The figures of one period: by metric in order of time, and of all of it by metric and place.

    The place of figures of the whole site is "".
    """

    period: Period
    detail: Mapping[str, Sequence[Figure]]
    totals: Mapping[str, Mapping[str, Figure]]

    @classmethod
    def of(cls, period: Period, figures: PeriodFigures) -> "_Found":
        """Return the figures of a period by their metric."""
        detail: dict[str, list[Figure]] = defaultdict(list)
        totals: dict[str, dict[str, Figure]] = defaultdict(dict)
        for figure in figures.detail.figures:
            detail[figure.metric].append(figure)
        of_places = (figure for figure in figures.places.figures if figure.place)
        for figure in (*figures.total.figures, *of_places):
            totals[figure.metric][figure.place] = figure
        return cls(period, detail, totals)


def build(report: ReportInput) -> Document:
    """Return the document of a report; periods without any figure are not compared with."""
    period, detail = report.period, report.figures.detail
    compared = [one for one in report.compared if has_figures(one.figures.total)]
    marks = _marks(detail, period.zone)
    metrics = report.metrics if report.chosen else _with_figures(report)
    own = _Found.of(period, report.figures)
    others = [_Found.of(each.with_.period, each.figures) for each in compared]
    return Document(
        title=period.title,
        dates=period.dates,
        site=report.site,
        timezone=period.zone.key,
        granularity=detail.granularity,
        comparisons=tuple(one.with_.title for one in compared),
        sections=tuple(_section(metric, report, own, others) for metric in metrics),
        marks=marks,
        notes=tuple(_notes(report, marks)),
        left_out=tuple(metric.title for metric in report.metrics if metric not in metrics),
        made_at=report.now.astimezone(period.zone),
    )


def has_figures(table: FigureTable) -> bool:
    """Return whether anything is known: a value other than zero, or time that was watched."""
    return any(f.value or (f.completeness or 0) > 0 for f in table.figures)


def _with_figures(report: ReportInput) -> tuple[MetricText, ...]:
    """Return the metrics that are not zero or empty throughout; at least the first."""
    several = (report.figures, *(each.figures for each in report.compared))
    found = {f.metric for figures in several for f in figures.total.figures if f.value}
    return tuple(m for m in report.metrics if m.name in found) or report.metrics[:1]


def value_of(figure: Figure | None, now: Instant) -> Value:
    """Return a figure with the reason why it has no value, or not all of it."""
    if figure is None:
        return Value("absent")
    if figure.start >= now:
        return Value("later", figure)
    if figure.value is None:
        return Value(_missing(figure.completeness), figure)
    if figure.completeness is None and not figure.value:
        return Value("closed", figure)
    is_whole = figure.completeness is None or figure.completeness >= 1
    return Value("known" if is_whole else "partial", figure)


def _missing(completeness: float | None) -> State:
    if completeness is None:
        return "closed"
    return "none" if completeness > 0 else "unknown"


def _section(
    metric: MetricText, report: ReportInput, own: _Found, others: Sequence[_Found]
) -> Section:
    rows = _without_closed_ends(tuple(_rows(metric.name, report, own, others)))
    return Section(
        metric=metric,
        headline=_headline(metric.name, "", report, own, others),
        rows=rows,
        places=tuple(_places(metric.name, report, own, others)),
        notes=tuple(_gaps(rows, report.figures.detail.granularity)),
    )


def _headline(
    metric: str, place: str, report: ReportInput, own: _Found, others: Sequence[_Found]
) -> Headline:
    now, *before = (
        value_of(found.totals.get(metric, {}).get(place), report.now) for found in (own, *others)
    )
    is_over = report.period.end <= report.now
    changes = (relative_change(now, other) if is_over else None for other in before)
    return Headline(now, tuple(before), tuple(changes))


def relative_change(own: Value, other: Value) -> float | None:
    """Return the relative change from ``other``; None if either was not watched well enough."""
    new, old = own.number, other.number
    if new is None or not old or not (_is_comparable(own) and _is_comparable(other)):
        return None
    return new / old - 1


def _is_comparable(value: Value) -> bool:
    return value.figure is not None and (value.figure.completeness or 0) >= COMPARABLE


def _places(
    metric: str, report: ReportInput, own: _Found, others: Sequence[_Found]
) -> Iterator[PlaceLine]:
    places = [place for place in own.totals.get(metric, {}) if place]
    for place in places if len(places) > 1 else []:  # a single place is the whole shop
        yield PlaceLine(place, _headline(metric, place, report, own, others))


def _rows(metric: str, report: ReportInput, own: _Found, others: Sequence[_Found]) -> Iterator[Row]:
    zone, now = report.period.zone, report.now
    by_offset = [
        {_offset(f, found.period.start, zone): f for f in found.detail.get(metric, ())}
        for found in others
    ]
    for figure in own.detail.get(metric, ()):
        at = _offset(figure, report.period.start, zone)
        start, end = figure.start.astimezone(zone), figure.end.astimezone(zone)
        yield Row(
            label=time_label(start, end, report.figures.detail.granularity),
            start=start,
            end=end,
            value=value_of(figure, now),
            compared=tuple(value_of(other.get(at), now) for other in by_offset),
        )


def _without_closed_ends(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Leave out the hours before the shop opens and after it closes, unless it never opens."""
    open_ = [number for number, row in enumerate(rows) if row.value.state != "closed"]
    return rows[open_[0] : open_[-1] + 1] if open_ else rows


def _offset(figure: Figure, start: Instant, zone: ZoneInfo) -> _Offset:
    """Return how far into its period a row is by the wall clock, on which days are compared.

    The second part distinguishes the two equal hours of the night in which clocks go back.
    """
    local, origin = figure.start.astimezone(zone), start.astimezone(zone)
    wall = local.replace(tzinfo=None) - origin.replace(tzinfo=None)
    return wall.total_seconds(), local.fold


def _marks(table: FigureTable, zone: ZoneInfo) -> tuple[NumberedMark, ...]:
    ordered = sorted(table.marks, key=lambda mark: (mark.at, mark.what, mark.name))
    local: Iterable[tuple[datetime, str]] = (
        (mark.at.astimezone(zone), mark_sentence(mark, mark.at.astimezone(zone)))
        for mark in ordered
    )
    return tuple(NumberedMark(n, at, text) for n, (at, text) in enumerate(local, start=1))


def _gaps(rows: Sequence[Row], granularity: Granularity) -> Iterator[str]:
    """Yield one sentence for each time that is not known at all; closed days do not divide it."""
    awake = [row for row in rows if row.value.state != "closed"]
    for state, group in groupby(awake, key=lambda row: row.value.state):
        if state == "unknown":
            gap = list(group)
            span = gap_label(gap[0].start, gap[-1].end, granularity)
            yield f"Nothing was watched: {span}. These figures are unknown, not zero."


def _notes(report: ReportInput, marks: Sequence[NumberedMark]) -> Iterator[str]:
    """Yield what readers should know before they rely on the figures."""
    if report.period.end > report.now:
        yield "The period is not over yet: these are the figures so far."
    if not has_figures(report.figures.total):
        yield "Nothing is on record for this period."
        return
    share = least_completeness(report.figures.total)
    if share is not None and share < 1:
        yield (
            f"Cameras watched as little as {percent(share)} of the opening hours. A figure covers "
            "only the time that was watched: see the share beside it."
        )
    if marks:
        yield "The setup changed during the period: compare figures across a mark with care."


def least_completeness(table: FigureTable) -> float | None:
    """Return the least share of the expected time that was watched, over all figures."""
    shares = [f.completeness for f in table.figures if f.completeness is not None]
    return min(shares, default=None)
