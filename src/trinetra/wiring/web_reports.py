"""Reports and exports, as the API sees them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec

from trinetra.client.models import (
    ChangeMark,
    ExportName,
    FigureChanges,
    FigureRecord,
    FigureValue,
    Report,
    ReportLine,
    ReportPeriod,
    ReportRow,
)
from trinetra.events.figures import Figure
from trinetra.insights.metrics.catalog import metrics_named
from trinetra.ports import Clock
from trinetra.reports.build import build
from trinetra.reports.document import Document, Headline, ReportInput, Section
from trinetra.reports.files import DataFormat, DocumentFormat, data_bytes, document_bytes
from trinetra.reports.periods import Period, chosen_comparisons, period_with
from trinetra.reports.records import Record
from trinetra.site import Site
from trinetra.web.backend import ChangeGranularity, Exported, ReportQuestion
from trinetra.web.etags import tag_of
from trinetra.web.problems import Invalid
from trinetra.wiring.reports import THIS, ReportReader, ReportRequest
from trinetra.wiring.web_insights import metric_info

_DATA: Mapping[str, DataFormat] = {
    "figures.csv": "csv",
    "figures.json": "json",
    "figures.parquet": "parquet",
}
_DOCUMENTS: Mapping[str, DocumentFormat] = {
    "report.html": "html",
    "report.pdf": "pdf",
    "report.xlsx": "xlsx",
}
_MOST_ROWS = 50_000
"""Rows of one metric in a report: a minute of a month has 44,640."""


class ReportDesk:
    """The Reports of the web, from the insight store."""

    def __init__(self, reader: Callable[[], ReportReader], site: Site, clock: Clock) -> None:
        self._reader, self._site, self._clock = reader, site, clock
        self._zone = ZoneInfo(site.timezone)

    async def report(self, wanted: ReportQuestion) -> Report:
        """Return the figures of a period. Raises Invalid, ConfigurationError, StoreUnavailable."""
        found = await self._reader().report(self._request(wanted))
        return _report(found, build(found))

    async def export(self, name: ExportName, wanted: ReportQuestion) -> Exported:
        """Return a report as a file. Raises as ``report`` does."""
        request = self._request(wanted)
        file_name = f"{self._site.site_id}-{request.period.file_part}.{name.rpartition('.')[2]}"
        if name in _DATA:
            records = await self._reader().records(request)
            content = await asyncio.to_thread(data_bytes, records, _DATA[name])
            return Exported(content, tag_of(name.encode(), repr(records).encode()), file_name)
        document = build(await self._reader().report(request))
        content = await asyncio.to_thread(document_bytes, document, _DOCUMENTS[name])
        return Exported(content, _tag(name, document), file_name)

    async def changes(
        self, granularity: ChangeGranularity, since: int, metrics: Sequence[str], most: int
    ) -> FigureChanges:
        """Return the figures that changed after a cursor, and the next cursor."""
        found, following = await self._reader().changed(granularity, since, metrics, most)
        return FigureChanges(items=tuple(map(_record, found)), next_since=following)

    def _request(self, wanted: ReportQuestion) -> ReportRequest:
        now = self._clock.now()
        today = now.astimezone(self._zone).date()
        try:
            period = period_with(wanted.kind, wanted.first, wanted.last, today, self._zone)
            compared = chosen_comparisons(period, wanted.compared) if wanted.compared else ()
            granularity = wanted.granularity or period.granularity
            _need_few_rows(period, granularity)
            if period.start > now:
                raise Invalid(f"first: {period.first} is in the future; here it is {today}")
        except (ValueError, OverflowError) as cause:
            raise Invalid(f"first, last: {cause}") from cause
        metrics, rows_of = tuple(wanted.metrics), tuple(wanted.rows_of)
        return ReportRequest(period, granularity, metrics, compared, wanted.impute, rows_of)


def _need_few_rows(period: Period, granularity: str) -> None:
    per_day = {"minute": 1440, "hour": 24}.get(granularity, 1)
    if period.days * per_day > _MOST_ROWS:
        raise Invalid(
            f"granularity: {period.days} days by the {granularity} are more than {_MOST_ROWS:,} "
            "rows: take a longer granularity or a shorter range"
        )


def _tag(name: str, document: Document) -> str:
    """Return what identifies a document, whenever it was made."""
    said = {f: getattr(document, f) for f in document.__dataclass_fields__ if f != "made_at"}
    return tag_of(name.encode(), repr(said).encode())


def _report(found: ReportInput, document: Document) -> Report:
    compared = [one.with_ for one in found.compared]
    shown = {section.metric.name for section in document.sections}
    described = metrics_named([m.name for m in found.metrics if m.name in shown])
    return Report(
        site=found.site,
        timezone=document.timezone,
        granularity=document.granularity,
        period=_period(THIS, found.period.title, found.period),
        compared=tuple(
            _period(one.name, one.title, one.period)
            for one in compared
            if one.title in document.comparisons
        ),
        metrics=tuple(map(metric_info, described)) if shown else (),
        lines=tuple(line for section in document.sections for line in _lines(section)),
        rows=tuple(row for section in document.sections for row in _rows(section)),
        marks=tuple(
            ChangeMark(at=mark.at, what=mark.what, name=mark.name)
            for mark in found.figures.detail.marks
        ),
        notes=document.notes,
    )


def _lines(section: Section) -> list[ReportLine]:
    places = [("", section.headline), *((p.place, p.headline) for p in section.places)]
    return [_line(section.metric.name, place, headline) for place, headline in places]


def _line(metric: str, place: str, headline: Headline) -> ReportLine:
    return ReportLine(
        metric=metric,
        place=place,
        figure=_value(headline.value.figure),
        compared=tuple(_value(value.figure) for value in headline.compared),
        changes=headline.changes,
    )


def _rows(section: Section) -> list[ReportRow]:
    return [
        ReportRow(
            metric=section.metric.name,
            label=row.label,
            figure=figure,
            compared=tuple(value.number for value in row.compared),
        )
        for row in section.rows
        if (figure := _value(row.value.figure)) is not None and row.value.state != "later"
    ]


def _value(figure: Figure | None) -> FigureValue | None:
    return None if figure is None else FigureValue(**msgspec.structs.asdict(figure))


def _period(name: str, title: str, period: Period) -> ReportPeriod:
    return ReportPeriod(
        name=name,
        title=title,
        first=period.first,
        last=period.last,
        start=period.start,
        end=period.end,
    )


def _record(record: Record) -> FigureRecord:
    return FigureRecord(**record._asdict() | {"local_start": record.local_start.isoformat()})
