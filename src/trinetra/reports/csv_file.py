"""CSV (RFC 4180, UTF-8): one row per figure, an empty field where a value is unknown."""

import csv
import io
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
