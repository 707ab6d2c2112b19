"""Prints reports as tables on the terminal."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trinetra.reports.document import Document, Headline, Section, Value
from trinetra.reports.wording import (
    WORD_OF_STATE,
    Unit,
    change,
    interval_text,
    percent,
    place_name,
    quantity,
)


def print_report(document: Document, console: Console) -> None:
    """Print the summary, and each metric over time."""
    console.print(Text(f"{document.title}: {document.dates}", "bold"))
    console.print(Text(f"{document.site}, {document.timezone}", "dim"))
    for note in document.notes:
        console.print(Text(f"• {note}"), soft_wrap=True)
    for mark in document.marks:
        console.print(Text(f"• {mark.text}"), soft_wrap=True)
    console.print(_summary(document))
    for section in document.sections:
        if any(row.value.number is not None for row in section.rows):
            console.print(Text(section.metric.title, "bold"))
            console.print(_rows(section, document))
        for note in section.notes:
            console.print(Text(f"• {section.metric.title}: {note}"), soft_wrap=True)
    if document.left_out:
        names = ", ".join(document.left_out)
        console.print(Text(f"Left out, because nothing was counted: {names}", "dim"))


def _summary(document: Document) -> Table:
    table = _table("Metric", "Place", "Value", "Watched")
    for title in document.comparisons:
        table.add_column(f"vs {title}", justify="right")
    for section in document.sections:
        unit = section.metric.unit
        for place, headline in _headlines(section):
            title = "" if place else section.metric.title
            table.add_row(title, place_name(place), *_headline(headline, unit))
    return table


def _headlines(section: Section) -> Iterator[tuple[str, Headline]]:
    yield "", section.headline
    for line in section.places:
        yield line.place, line.headline


def _headline(headline: Headline, unit: Unit) -> Iterator[Text]:
    yield _value(headline.value, unit)
    yield _watched(headline.value)
    for other, ratio in zip(headline.compared, headline.changes, strict=True):
        text = _value(other, unit)
        yield Text.assemble((change(ratio), "bold"), " (", text, ")") if ratio is not None else text


def _rows(section: Section, document: Document) -> Table:
    unit = section.metric.unit
    bounded = any(row.value.figure and row.value.figure.low is not None for row in section.rows)
    heads = ["Time", "Value", *(["95 % range"] if bounded else []), "Watched"]
    table = _table(*heads, *(title.capitalize() for title in document.comparisons))
    for row in section.rows:
        table.add_row(
            row.label,
            _value(row.value, unit),
            *([_interval(row.value, unit)] if bounded else []),
            _watched(row.value),
            *(_value(other, unit) for other in row.compared),
        )
    return table


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        left = head in {"Metric", "Place", "Time"}
        table.add_column(head, justify="left" if left else "right")
    return table


def _value(value: Value, unit: Unit) -> Text:
    if value.number is None:
        return Text(WORD_OF_STATE.get(value.state, ""), "dim italic")
    estimated = value.figure is not None and value.figure.imputed
    currency = value.figure.currency if value.figure else None
    return Text(quantity(value.number, unit, currency) + (" est." if estimated else ""))


def _interval(value: Value, unit: Unit) -> Text:
    figure = value.figure
    if figure is None or figure.low is None or figure.high is None:
        return Text("–", "dim")
    return Text(interval_text(figure.low, figure.high, unit))


def _watched(value: Value) -> Text:
    share = value.figure.completeness if value.figure else None
    if share is None or value.state in {"closed", "later"}:
        return Text("–", "dim")
    return Text(percent(share), "" if share >= 1 else "yellow")
