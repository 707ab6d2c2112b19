"""CSV (RFC 4180, UTF-8) and JSON lines: one row per figure.

What is unknown is an empty field or null, never zero.
"""

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime

from trinetra.reports.records import Record


def csv_text(records: Iterable[Record]) -> str:
    """Return records with a header, lines ended by CR and LF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(Record._fields)
    for record in records:
        writer.writerow([_field(value) for value in record])
    return text.getvalue()


def _field(value: str | float | datetime | None) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case float():
            # The shortest text that reads back as the same number.
            return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def json_lines(records: Iterable[Record]) -> str:
    """Return records as one JSON object per line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in map(_row, records))


def json_text(records: Iterable[Record]) -> str:
    """Return records as one JSON array of objects."""
    return json.dumps([_row(record) for record in records], ensure_ascii=False)


def _row(record: Record) -> dict[str, str | float | None]:
    return {name: _plain(value) for name, value in record._asdict().items()}


def _plain(value: str | float | datetime | None) -> str | float | None:
    return value.isoformat() if isinstance(value, datetime) else value
