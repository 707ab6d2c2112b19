"""Figures: answers questions about metrics from the sums on record.

A figure is the value of a metric for a span and a place, with the share of the camera time that was
watched. What was not watched is unknown, never zero.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Span
from trinetra.events.figures import Figure, FigureTable, Granularity
from trinetra.events.rollups import Grain
from trinetra.insights.line_intervals import (
    is_counted,
    with_intervals,
    with_total_intervals,
)
from trinetra.insights.metrics.buckets import MONDAY, grain_of, spans_of
from trinetra.insights.metrics.catalog import metrics_named
from trinetra.insights.metrics.completeness import Watched
from trinetra.insights.metrics.coverage import SEEN_MS
from trinetra.insights.metrics.definition import Metric, Scope, Sums, total
from trinetra.insights.metrics.sales import currency_of
from trinetra.opening_hours import OpeningHours
from trinetra.ports import AuditStore, Clock, FigureStore
from trinetra.values import CameraId, Instant, SiteId, after

SITE = ""
"""The place of figures of the whole site."""
_NOT_YET_REPORTED_S = 120.0
"""Cameras report each minute how long they were watched; younger time is not expected yet."""
_BY_THE_HOUR = timedelta(days=62)
"""Up to this length completeness of days is computed from that of their hours."""
_GRANULARITY: Mapping[Grain, Granularity] = {
    Grain.MINUTE: "minute",
    Grain.HOUR: "hour",
    Grain.DAY: "day",
}
_LONGEST = {"minute": timedelta(days=2), "hour": timedelta(days=400)}


class FigureQuery(NamedTuple):
    """A question: all metrics without names, of the whole site unless ``by_place``.

    ``places`` restricts the figures to some places. ``impute`` extrapolates totals over blind time.
    """

    span: Span
    metrics: Sequence[str] = ()
    granularity: Granularity = "day"
    by_place: bool = False
    places: Collection[str] | None = None
    impute: bool = False


@dataclass(frozen=True, slots=True)
class FigureSite:
    """What figures need to know of a site; ``cameras`` are those that each scope depends on."""

    site_id: SiteId
    zone: ZoneInfo
    cameras: Mapping[Scope, frozenset[CameraId]] = field(default_factory=dict)
    hours: OpeningHours | None = None
    week_begins: int = MONDAY


_NOTHING: Sums = {}
_BySpan = dict[tuple[str, int], dict[str, Mapping[int, int]]]


class FigureReader:
    """Answers questions about one site."""

    def __init__(
        self,
        store: FigureStore,
        site: FigureSite,
        clock: Clock,
        audits: AuditStore | None = None,
    ) -> None:
        """Take what is read; with ``audits`` figures of audited lines have an interval."""
        self._store = store
        self._audits = audits
        self.site = site
        self._clock = clock

    async def read(self, query: FigureQuery) -> FigureTable:
        """Return the figures by metric, place and time.

        Raises ConfigurationError for an unknown metric or a span that is empty or too long for its
        granularity, StoreUnavailable.
        """
        [table] = await self.read_all([query])
        return table

    async def read_all(self, queries: Sequence[FigureQuery]) -> list[FigureTable]:
        """Return the answers to several questions; what they have in common is read once.

        Raises as ``read`` does.
        """
        watched: dict[_Units, Watched] = {}
        return [await self._table(query, watched) for query in queries]

    async def _table(self, query: FigureQuery, known: dict["_Units", Watched]) -> FigureTable:
        _check(query)
        site, span = self.site, query.span
        metrics = metrics_named(query.metrics)
        spans = spans_of(span, query.granularity, site.zone, site.week_begins)
        units = _units_of(spans, site.zone)
        if units not in known:
            known[units] = await self._watched(units)
        answer = _Answer(self, query, spans, known[units], await self._sums(metrics, query, spans))
        figures = [figure for metric in metrics for figure in answer.figures(metric)]
        figures = await self._with_intervals(figures, query, known)
        return FigureTable(
            site=site.site_id,
            timezone=site.zone.key,
            granularity=query.granularity,
            start=span.start,
            end=span.end,
            figures=tuple(figures),
            marks=tuple(await self._store.marks(span)),
        )

    async def _with_intervals(
        self, figures: list[Figure], query: FigureQuery, known: dict["_Units", Watched]
    ) -> list[Figure]:
        """Return the figures, those of audited lines with an interval."""
        counted = sorted({figure.metric for figure in figures if is_counted(figure.metric)})
        audits = await self._audits.audits() if self._audits and counted else []
        if not audits:
            return figures
        if query.by_place:
            return await with_intervals(figures, audits, self._store)
        of_lines = await self._table(query._replace(metrics=counted, by_place=True), known)
        return with_total_intervals(figures, of_lines.figures)

    async def _sums(
        self, metrics: Sequence[Metric], query: FigureQuery, spans: list[Span]
    ) -> _BySpan:
        """Return the sums by place and number of the span, and in it by series and bin."""
        series = sorted({name for metric in metrics for name in (*metric.series, *metric.needs)})
        grain = grain_of(spans, self.site.zone)
        found = await self._store.part_sums(
            series, grain, spans, query.places, by_place=query.by_place
        )
        sums: _BySpan = defaultdict(dict)
        for part, name, place, bins in found:
            sums[place, part][name] = bins
        return sums

    async def _watched(self, units: "_Units") -> Watched:
        """Return how much of each unit was watched."""
        spans = spans_of(units.whole, _GRANULARITY[units.grain], self.site.zone)
        sums = await self._store.part_sums([SEEN_MS], units.grain, spans, by_place=True)
        return Watched.of(spans, self.site.hours, self.expected_until(), sums)

    def expected_until(self) -> Instant:
        """Return the instant up to which cameras must have reported what they watched."""
        return after(self._clock.now(), -_NOT_YET_REPORTED_S)

    async def sums_of(self, metric: Metric, query: FigureQuery) -> dict[tuple[str, int], int]:
        """Return the sums on record of one metric over a whole span, by series and bin."""
        sums = await self._sums([metric], query, [query.span])
        return {
            (series, number): value
            for held in sums.values()
            for series, bins in held.items()
            for number, value in bins.items()
            if value and series in metric.series
        }

    def cameras_of(self, metric: Metric, place: str) -> frozenset[CameraId]:
        """Return the cameras that a figure depends on."""
        if metric.scope == "receipts":
            return frozenset()
        camera_id = CameraId(place.partition("/")[0])
        if camera_id in self.site.cameras.get("site", ()):
            return frozenset({camera_id})
        return self.site.cameras.get(metric.scope, frozenset())


class _Units(NamedTuple):
    """The minutes, hours or days of a span, by which its completeness is computed."""

    whole: Span
    grain: Grain


def _units_of(spans: list[Span], zone: ZoneInfo) -> _Units:
    whole = Span(spans[0].start, spans[-1].end)
    grain = grain_of(spans, zone)
    if grain is Grain.DAY and whole.end - whole.start <= _BY_THE_HOUR:
        grain = Grain.HOUR
    return _Units(whole, grain)


class _Answer:
    """Makes the figures of one question from the sums on record."""

    def __init__(
        self,
        reader: FigureReader,
        query: FigureQuery,
        spans: Sequence[Span],
        watched: Watched,
        sums: _BySpan,
    ) -> None:
        self._reader, self._query, self._spans = reader, query, spans
        self._watched, self._sums = watched, sums
        until = reader.expected_until()
        self._has_come = [span.start < until for span in spans]
        self._open_s = [watched.open_seconds(span) for span in spans]
        self._shares: dict[frozenset[CameraId], Sequence[float | None]] = {}
        self._series: dict[str, set[str]] = defaultdict(set)
        for (place, _), held in sums.items():
            self._series[place].update(held)

    def figures(self, metric: Metric) -> Iterator[Figure]:
        """Yield the figures of a metric by place and time."""
        for place in self._places(metric):
            cameras = self._reader.cameras_of(metric, place)
            shares = self._shares_of(cameras)
            # The source of a figure, if it needs one, may tell nothing of this place.
            is_told = not metric.needs or not self._series[place].isdisjoint(metric.needs)
            for number, span in enumerate(self._spans):
                if not is_told:
                    yield _figure(metric, place, span)
                    continue
                held = self._sums.get((place, number), _NOTHING)
                has_come, share = self._has_come[number], shares[number]
                is_watched = metric.scope == "receipts" or bool(cameras and share != 0)
                if (is_watched and has_come) or any(total(held, name) for name in metric.series):
                    yield self._known(metric, place, number, held, share)
                else:
                    yield _figure(metric, place, span, completeness=share)

    def _places(self, metric: Metric) -> Iterable[str]:
        if not self._query.by_place:
            return [SITE]
        series = set(metric.series)
        places = {place for place, told in self._series.items() if series & told}
        return sorted(places | set(self._query.places or ()))

    def _shares_of(self, cameras: frozenset[CameraId]) -> Sequence[float | None]:
        """Return which share of each span some cameras watched."""
        if cameras not in self._shares:
            self._shares[cameras] = [
                self._watched.share(span, cameras) if cameras else None for span in self._spans
            ]
        return self._shares[cameras]

    def _known(
        self, metric: Metric, place: str, number: int, held: Sums, share: float | None
    ) -> Figure:
        """Return a figure of which something is known."""
        span = self._spans[number]
        value = metric.value(held, self._open_s[number])
        currency = currency_of(held) if metric.unit == "money" else None
        if self._query.impute and metric.is_total and value and share and share < 1:
            return _figure(metric, place, span, value / share, share, True, currency)
        return _figure(metric, place, span, value, share, False, currency)


def _check(query: FigureQuery) -> None:
    start, end = query.span
    if end <= start:
        raise ConfigurationError(f"the end {end.isoformat()} is not after {start.isoformat()}")
    if any(edge.second or edge.microsecond for edge in query.span):
        raise ConfigurationError("figures are kept by the minute: begin and end at a whole minute")
    longest = _LONGEST.get(query.granularity)
    if longest and end - start > longest:
        raise ConfigurationError(
            f"figures by the {query.granularity} are given for at most {longest.days} days; "
            "ask for a shorter time or a coarser granularity"
        )


def _figure(
    metric: Metric,
    place: str,
    span: Span,
    value: float | None = None,
    completeness: float | None = None,
    imputed: bool = False,  # noqa: FBT001, FBT002
    currency: str | None = None,
) -> Figure:
    return Figure(
        metric=metric.name,
        version=metric.version,
        place=place,
        start=span.start,
        end=span.end,
        value=value,
        completeness=completeness,
        imputed=imputed,
        currency=currency,
    )
