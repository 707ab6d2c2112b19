"""Excel workbook: a summary, one sheet per metric, and the notes.

Texts are written as strings, never as formulas, whatever they begin with. Times are real dates by
the shop's clock, and what is unknown is an empty cell.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from xlsxwriter import Workbook

from trinetra.reports.document import Document, MetricText, Section, Value
from trinetra.reports.wording import WORD_OF_STATE, Unit, place_name

_SHEET_NAME = 31
_FORBIDDEN = str.maketrans(dict.fromkeys("[]:*?/\\'", "-"))
_FORMATS: dict[Unit, str] = {
    "count": "#,##0",
    "s": "[h]:mm:ss",
    "share": "0.0%",
    "money": "#,##0.00",
    "people": "#,##0.0",
}
_DAY_S = 86_400
_Cell = tuple[object, str]
"""A value and the name of its format."""


def workbook_bytes(document: Document) -> bytes:
    """Return a report as an Excel file."""
    file = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with Workbook(file, options) as book:
        book.set_properties({"title": f"{document.title}, {document.dates}", "author": "TRINETRA"})
        writer = _Writer(book)
        names = _SheetNames()
        writer.sheet(names.take("Summary"), _summary(document))
        for section in document.sections:
            writer.sheet(names.take(section.metric.title), _section(section, document))
        writer.sheet(names.take("Notes"), _notes(document))
    return file.getvalue()


class _SheetNames:
    """Names that Excel accepts, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """Return the nearest free name."""
        clean = wanted.translate(_FORBIDDEN)[:_SHEET_NAME]
        name, number = clean, 2
        while name.lower() in self._taken:
            suffix = f" {number}"
            name, number = clean[: _SHEET_NAME - len(suffix)] + suffix, number + 1
        self._taken.add(name.lower())
        return name


class _Writer:
    """Writes sheets whose first row is the header."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        common = {"font_name": "Arial", "font_size": 10}
        styles: dict[str, dict[str, Any]] = {
            "text": {},
            "head": {"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"},
            "time": {"num_format": "yyyy-mm-dd hh:mm", "align": "left"},
            "percent": {"num_format": "0%"},
            "change": {"num_format": "+0%;-0%;0%"},
            "word": {"italic": True, "font_color": "#596675", "align": "right"},
            **{unit: {"num_format": text} for unit, text in _FORMATS.items()},
        }
        self._formats = {name: book.add_format({**common, **s}) for name, s in styles.items()}

    def sheet(self, name: str, rows: Sequence[Sequence[_Cell]]) -> None:
        """Write one sheet; columns are as wide as their longest cell."""
        sheet = self._book.add_worksheet(name)
        for number, row in enumerate(rows):
            for column, (value, style) in enumerate(row):
                self._write(sheet, (number, column), value, "head" if number == 0 else style)
        widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
        for column, width in enumerate(widths):
            sheet.set_column(column, column, min(60, width + 2))
        sheet.freeze_panes(1, 1)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)

    def _write(self, sheet: Any, at: tuple[int, int], value: object, style: str) -> None:
        form = self._formats[style]
        match value:
            case None:
                sheet.write_blank(*at, None, form)
            case datetime():
                sheet.write_datetime(*at, value.replace(tzinfo=None), form)
            case int() | float():
                sheet.write_number(*at, value, form)
            case _:
                sheet.write_string(*at, str(value), form)


def _width(cell: _Cell) -> int:
    value, style = cell
    if isinstance(value, str):
        return len(value)
    return 16 if style == "time" else 11


def _text(value: str) -> _Cell:
    return value, "text"


def _number(value: float | None, unit: Unit) -> _Cell:
    return (value / _DAY_S if unit == "s" and value is not None else value), unit


def _value(value: Value, unit: Unit) -> _Cell:
    """Return the number of a value; an empty cell where it is unknown, so that sums skip it."""
    return _number(value.number, unit)


def _state(value: Value) -> _Cell:
    return WORD_OF_STATE.get(value.state, ""), "word"


def _watched(value: Value) -> _Cell:
    return (value.figure.completeness if value.figure else None), "percent"


def _summary(document: Document) -> list[list[_Cell]]:
    head = ["Metric", "Place", "Value", "Note", "Watched"]
    for title in document.comparisons:
        head += [title.capitalize(), f"Change vs {title}"]
    rows = [[_text(title) for title in head]]
    for section in document.sections:
        places = ("", *(line.place for line in section.places))
        rows += [_summary_row(section, place) for place in places]
    return rows


def _summary_row(section: Section, place: str) -> list[_Cell]:
    lines = {line.place: line.headline for line in section.places}
    headline, unit = lines.get(place, section.headline), section.metric.unit
    row = [
        _text(section.metric.title),
        _text(place_name(place)),
        _value(headline.value, unit),
        _state(headline.value),
        _watched(headline.value),
    ]
    for other, change in zip(headline.compared, headline.changes, strict=True):
        row += [_value(other, unit), (change, "change")]
    return row


def _section(section: Section, document: Document) -> list[list[_Cell]]:
    unit = section.metric.unit
    head = ["From", "To", _title(section.metric), "Low (95 %)", "High (95 %)", "Watched", "Note"]
    rows = [[_text(title) for title in (*head, *map(str.capitalize, document.comparisons))]]
    for row in section.rows:
        figure = row.value.figure
        rows.append(
            [
                (row.start, "time"),
                (row.end, "time"),
                _value(row.value, unit),
                _number(figure.low if figure else None, unit),
                _number(figure.high if figure else None, unit),
                _watched(row.value),
                _state(row.value),
                *(_value(other, unit) for other in row.compared),
            ]
        )
    return rows


def _title(metric: MetricText) -> str:
    return f"{metric.title} (h:mm:ss)" if metric.unit == "s" else metric.title


def _notes(document: Document) -> list[list[_Cell]]:
    pairs = [
        ("Report", f"{document.title}, {document.dates}"),
        ("Shop", document.site),
        ("Time zone", document.timezone),
        ("Made", f"{document.made_at:%Y-%m-%d %H:%M}"),
        *(("Note", note) for note in document.notes),
        *(("Change", mark.text) for mark in document.marks),
        *(("Left out, because nothing was counted", title) for title in document.left_out),
        *((s.metric.title, note) for s in document.sections for note in s.notes),
        *(
            (s.metric.title, f"{s.metric.counts} Left out: {s.metric.leaves_out}")
            for s in document.sections
        ),
    ]
    return [[_text(a), _text(b)] for a, b in [("About", "Text"), *pairs]]
