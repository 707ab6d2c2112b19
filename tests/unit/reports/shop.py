"""A shop's figures as the readers of reports get them, made by hand."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from trinetra.events.figures import Figure, FigureTable, Granularity, Mark
from trinetra.reports.document import Compared, MetricText, PeriodFigures, ReportInput
from trinetra.reports.periods import Period, compared_with
from trinetra.values import Instant

BERLIN = ZoneInfo("Europe/Berlin")
TRAFFIC = MetricText(
    "traffic_in",
    "Traffic in",
    "count",
    "Each time a person crosses a counting line inward. A person who comes twice counts twice.",
    "Staff, vehicles, and people who turn round.",
)
DWELL = MetricText(
    "dwell_median",
    "Dwell time (median)",
    "s",
    "The time that half of the stays do not exceed.",
    "Staff, and people who only pass.",
    is_total=False,
)
METRICS = (TRAFFIC, DWELL)
Change = Callable[[Figure], Figure]


def spans(period: Period, granularity: Granularity) -> list[tuple[Instant, Instant]]:
    """Return the rows of a period, counted on in UTC for hours and by the calendar for days."""
    if granularity == "range":
        return [(period.start, period.end)]
    step = timedelta(hours=1) if granularity == "hour" else timedelta(days=1)
    at = period.start.astimezone(UTC if granularity == "hour" else period.zone)
    found = []
    while at < period.end:
        found.append((at.astimezone(UTC), (at + step).astimezone(UTC)))
        at += step
    return found


def table(
    period: Period,
    granularity: Granularity,
    figures: Callable[[Instant, Instant], list[Figure]],
    marks: tuple[Mark, ...] = (),
) -> FigureTable:
    """Return a table with the figures of each row."""
    rows = spans(period, granularity)
    found = [figure for start, end in rows for figure in figures(start, end)]
    found.sort(key=lambda f: (f.metric, f.place, f.start))
    return FigureTable(
        site="shop",
        timezone=period.zone.key,
        granularity=granularity,
        start=period.start,
        end=period.end,
        figures=tuple(found),
        marks=marks,
    )


def figure(start: Instant, end: Instant, value: float | None, **rest: object) -> Figure:
    """Return a figure of traffic of the whole site, watched all the time."""
    given = {"metric": "traffic_in", "version": 1, "place": "", "completeness": 1.0, **rest}
    return Figure(start=start, end=end, value=value, **given)


def lively(seed: int = 1, blind: range = range(0)) -> Callable[[Instant, Instant], list[Figure]]:
    """Return a maker of figures of a shop that is open from 9 to 20, blind in some hours."""
    rng = random.Random(seed)

    def figures(start: Instant, end: Instant) -> list[Figure]:
        hour = start.astimezone(BERLIN).hour
        by_hour = end - start <= timedelta(hours=1)
        if by_hour and not 9 <= hour < 20:
            closed = {"completeness": None}
            return [
                figure(start, end, 0.0, **closed),
                figure(start, end, None, metric="dwell_median", **closed),
            ]
        if by_hour and hour in blind:
            return [
                figure(start, end, None, completeness=0.0),
                figure(start, end, None, metric="dwell_median", completeness=0.0),
            ]
        hours = (end - start) / timedelta(hours=1)
        busy = round((120 - 8 * abs(hour - 15) if by_hour else 60) * hours * rng.uniform(0.7, 1.3))
        share = 0.62 if by_hour and hour == 17 else 1.0
        return [
            figure(start, end, float(busy), completeness=share, low=busy * 0.94, high=busy * 1.05),
            figure(start, end, rng.uniform(60, 210), metric="dwell_median", completeness=share),
        ]

    return figures


def places(start: Instant, end: Instant) -> list[Figure]:
    """Return totals of two doors and two zones."""
    return [
        figure(start, end, 801.0, place="entrance/door"),
        figure(start, end, 204.0, place="side/door", completeness=0.8),
        figure(start, end, 95.0, metric="dwell_median", place="aisle/shelf"),
        figure(start, end, None, metric="dwell_median", place="till/queue", completeness=0.0),
    ]


def figures_of(
    period: Period, seed: int = 1, blind: range = range(0), marks: tuple[Mark, ...] = ()
) -> PeriodFigures:
    """Return the figures of a lively period."""
    make = lively(seed, blind)
    return PeriodFigures(
        table(period, period.granularity, make, marks),
        table(period, "range", make),
        table(period, "range", places),
    )


def report_of(
    period: Period,
    now: Instant | None = None,
    blind: range = range(0),
    marks: tuple[Mark, ...] = (),
    metrics: tuple[MetricText, ...] = METRICS,
) -> ReportInput:
    """Return all that a report about a lively period says, compared with those before."""
    return ReportInput(
        site="shop",
        period=period,
        metrics=metrics,
        figures=figures_of(period, 1, blind, marks),
        compared=tuple(
            Compared(each, figures_of(each.period, number))
            for number, each in enumerate(compared_with(period), start=2)
        ),
        now=now or datetime(2030, 1, 1, tzinfo=UTC),
    )
