"""HTML: one file without scripts and without anything to load, with charts as inline SVG."""

from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from trinetra.reports.build import COMPARABLE
from trinetra.reports.chart import NARROW, WIDE, Chart, chart_of
from trinetra.reports.document import Document, Headline, Section, Value
from trinetra.reports.wording import (
    WORD_OF_STATE,
    change,
    interval_text,
    percent,
    place_name,
    quantity,
)

_ROW_TITLES = {"minute": "Time", "hour": "Hour", "day": "Day", "week": "Week", "month": "Month"}
_PERIODS = {"Daily report": "day", "Weekly report": "week", "Monthly report": "month"}


def html_text(document: Document) -> str:
    """Return a report as one HTML document."""
    template = _environment(document).get_template("report.html")
    return template.render(
        document=document,
        drawings={
            section.metric.name: list(_charts(section, document)) for section in document.sections
        },
        period=_PERIODS.get(document.title, "period"),
        row_title=_ROW_TITLES.get(document.granularity, "Time"),
        made_at=f"{document.made_at.day} {document.made_at:%B %Y at %H:%M}",
        comparable=COMPARABLE,
    )


def html_bytes(document: Document) -> bytes:
    """Return a report as an HTML file."""
    return html_text(document).encode()


def _environment(document: Document) -> Environment:
    environment = Environment(
        loader=PackageLoader("trinetra.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    environment.globals.update(
        word=_word,
        tile_line=lambda headline: _tile_line(headline, document),
        quantity=quantity,
        interval_text=interval_text,
        percent=percent,
        change=change,
        place_name=place_name,
        has_partial=_has_partial,
        has_interval=_has_interval,
    )
    return environment


def _charts(section: Section, document: Document) -> Iterator[tuple[str, Chart]]:
    """Yield a chart for screens and paper and one for phones, on which it keeps its letters."""
    for kind, size in (("wide", WIDE), ("narrow", NARROW)):
        if chart := chart_of(section, document.granularity, document.marks, size):
            yield kind, chart


def _word(value: Value) -> str:
    return WORD_OF_STATE.get(value.state, "")


def _tile_line(headline: Headline, document: Document) -> str:
    """Return the most important remark on a headline: how much is known, or how it compares."""
    if headline.value.state == "partial" and headline.value.figure:
        return f"{percent(headline.value.figure.completeness or 0)} watched"
    changes = zip(document.comparisons, headline.changes, strict=True)
    return next((f"{change(c)} vs {title}" for title, c in changes if c is not None), "")


def _has_partial(section: Section) -> bool:
    return any(row.value.state == "partial" for row in section.rows)


def _has_interval(section: Section) -> bool:
    figures = (row.value.figure for row in section.rows)
    return any(f and f.low is not None and f.high is not None for f in figures)
