"""Figures as flat records, the same columns in CSV, Parquet and Excel."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from trinetra.events.figures import Figure, FigureTable
from trinetra.reports.document import MetricText
from trinetra.values import Instant


class Record(NamedTuple):
    """One figure; these names and their order are a contract with the readers of exports.

    ``start`` and ``end`` have the shop's offset from UTC, ``local_start`` is the shop's wall clock
    without one. ``period`` is ``this`` or the name of a comparison. What is unknown is None.
    """

    site: str
    metric: str
    version: int
    unit: str
    place: str
    granularity: str
    period: str
    start: datetime
    end: datetime
    local_start: datetime
    value: float | None
    low: float | None
    high: float | None
    completeness: float | None
    imputed: bool
    currency: str | None


def records(
    tables: Iterable[tuple[str, FigureTable]],
    metrics: Iterable[MetricText],
    now: Instant | None = None,
) -> Iterator[Record]:
    """Yield the figures of tables, each with the name of its period.

    What begins at ``now`` or later has not happened yet and is omitted.
    """
    units = {metric.name: metric.unit for metric in metrics}
    for period, table in tables:
        zone = ZoneInfo(table.timezone)
        for figure in table.figures:
            if now is None or figure.start < now:
                yield _record(figure, table, period, units, zone)


def _record(
    figure: Figure, table: FigureTable, period: str, units: Mapping[str, str], zone: ZoneInfo
) -> Record:
    start = figure.start.astimezone(zone)
    return Record(
        site=table.site,
        metric=figure.metric,
        version=figure.version,
        unit=units[figure.metric],
        place=figure.place,
        granularity=table.granularity,
        period=period,
        start=start,
        end=figure.end.astimezone(zone),
        local_start=start.replace(tzinfo=None, fold=0),
        value=figure.value,
        low=figure.low,
        high=figure.high,
        completeness=figure.completeness,
        imputed=figure.imputed,
        currency=figure.currency,
    )
