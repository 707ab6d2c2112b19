"""Reads from the insight store what a report says."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from trinetra.adapters.clock import SystemClock
from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Span
from trinetra.events.figures import FigureTable, Granularity
from trinetra.events.rollups import Grain, bucket_start
from trinetra.insights.figures import FigureQuery, FigureReader
from trinetra.insights.metrics.catalog import metrics_named
from trinetra.insights.metrics.coverage import COVERAGE
from trinetra.insights.metrics.definition import Metric
from trinetra.ports import Clock, SiteStore
from trinetra.reports.changes import Changes
from trinetra.reports.document import Compared, MetricText, PeriodFigures, ReportInput
from trinetra.reports.periods import ComparedPeriod, Period
from trinetra.reports.records import Record, records
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import EPOCH
from trinetra.wiring.figures import figure_reader
from trinetra.wiring.stores import open_store

Tables = list[tuple[str, FigureTable]]
_GRAINS = {"minute": Grain.MINUTE, "hour": Grain.HOUR, "day": Grain.DAY}
_AFTER: dict[Grain, timedelta] = {
    Grain.MINUTE: timedelta(minutes=1),
    Grain.HOUR: timedelta(hours=1),
    Grain.DAY: timedelta(hours=26),
}
"""From the start of a bucket this leads into the next one, also on a day of 25 hours."""
THIS = "this"
"""Period of the figures that a report is about, as against those for comparison."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A report that was asked for; all metrics without names.

    With ``rows_of`` only these metrics are given by time, too.
    """

    period: Period
    granularity: Granularity
    metrics: tuple[str, ...] = ()
    compared: tuple[ComparedPeriod, ...] = ()
    impute: bool = False
    rows_of: tuple[str, ...] = ()


class ReportReader:
    """Reads the reports of one site."""

    def __init__(self, store: SiteStore, site: Site, clock: Clock) -> None:
        self._store, self._site, self._clock = store, site, clock
        self._reader: FigureReader = figure_reader(site, store, clock)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, site: Site) -> AsyncIterator["ReportReader"]:
        """Open the insight store for the block.

        Raises ConfigurationError if there is none yet, StoreUnavailable.
        """
        file = settings.data_dir / "insights.db"
        if settings.store_url is None and settings.event_log == "memory" and not file.exists():
            raise ConfigurationError(
                f"there are no figures yet: {file} does not exist. Start `trinetra run`, or set "
                "TRINETRA_DATA_DIR or TRINETRA_STORE_URL as the running platform has it"
            )
        async with open_store(settings) as store:
            yield cls(store, site, SystemClock())

    async def report(self, request: ReportRequest) -> ReportInput:
        """Return all that a report says. Raises ConfigurationError, StoreUnavailable."""
        own = await self._figures(request.period, request)
        compared = [
            Compared(each, await self._figures(each.period, request)) for each in request.compared
        ]
        return ReportInput(
            site=self._site.site,
            period=request.period,
            metrics=metric_texts(request.metrics),
            figures=own,
            compared=tuple(compared),
            now=self._clock.now(),
            chosen=bool(request.metrics),
        )

    async def records(self, request: ReportRequest) -> list[Record]:
        """Return the figures of a report as flat records: of the site, of places, and compared."""
        tables: Tables = []
        compared = ((each.name, each.period) for each in request.compared)
        for name, period in [(THIS, request.period), *compared]:
            span = Span(period.start, period.end)
            found = await self._tables(span, request.granularity, request.metrics, request.impute)
            tables += [(name, table) for table in found]
        return list(records(tables, metric_texts(request.metrics), self._clock.now()))

    async def changed(
        self, granularity: Granularity, cursor: int, metrics: Sequence[str], most: int
    ) -> tuple[list[Record], int]:
        """Return figures whose sums changed after a cursor, and the next cursor.

        About ``most`` changed sums are taken into account; if there are none, the cursor stays.
        """
        grain = _GRAINS[granularity]
        changes = Changes.of(await self._store.changed_sums(grain, cursor, most), cursor)
        tables: Tables = []
        for first, last in changes.parts():
            zone = ZoneInfo(self._site.timezone)
            span = Span(first, bucket_start(last + _AFTER[grain], grain, zone))
            tables += [(THIS, t) for t in await self._tables(span, granularity, metrics)]
        texts = metric_texts(metrics)
        affected = [(name, _affected(table, changes, texts)) for name, table in tables]
        return list(records(affected, texts, self._clock.now())), changes.cursor

    async def days_on_record(self) -> tuple[date, date] | None:
        """Return the first and last day of which anything is on record, by the shop's clock."""
        series = sorted({name for metric in metrics_named(()) for name in metric.series})
        until = self._clock.now() + timedelta(days=1)
        sums = await self._store.sums(series, Grain.DAY, (EPOCH, until))
        zone = ZoneInfo(self._site.timezone)
        days = [one.start.astimezone(zone).date() for one in sums if one.value]
        return (min(days), max(days)) if days else None

    async def _figures(self, period: Period, request: ReportRequest) -> PeriodFigures:
        span = Span(period.start, period.end)
        total = FigureQuery(span, request.metrics, "range", impute=request.impute)
        rows_of = request.rows_of or request.metrics
        detail = total._replace(granularity=request.granularity, metrics=rows_of)
        places = total._replace(by_place=True)
        return PeriodFigures(*await self._reader.read_all([detail, total, places]))

    async def _tables(
        self,
        span: Span,
        granularity: Granularity,
        metrics: Sequence[str],
        impute: bool = False,  # noqa: FBT001, FBT002
    ) -> list[FigureTable]:
        """Return the figures of the whole site and those of its places."""
        query = FigureQuery(span, metrics, granularity, impute=impute)
        whole, places = await self._reader.read_all([query, query._replace(by_place=True)])
        # Metrics that know no places are in both.
        own = tuple(figure for figure in places.figures if figure.place)
        return [whole, replace(places, figures=own)]


def metric_texts(names: Sequence[str] = ()) -> tuple[MetricText, ...]:
    """Return the metrics with these names. Raises ConfigurationError for an unknown one."""
    return tuple(_text(metric) for metric in metrics_named(names))


def _affected(table: FigureTable, changes: Changes, metrics: Sequence[MetricText]) -> FigureTable:
    by_name = {metric.name: metric for metric in metrics}
    figures = (f for f in table.figures if changes.affect(f, by_name[f.metric], COVERAGE.series))
    return replace(table, figures=tuple(figures))


def _text(metric: Metric) -> MetricText:
    return MetricText(
        name=metric.name,
        title=metric.title,
        unit=metric.unit,
        counts=metric.counts,
        leaves_out=metric.leaves_out,
        is_total=metric.is_total,
        series=metric.series,
    )
