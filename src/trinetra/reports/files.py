"""Files of reports in every format; the libraries of a format are imported when it is wanted."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from trinetra.errors import ConfigurationError
from trinetra.reports.document import Document
from trinetra.reports.records import Record
from trinetra.reports.text import csv_text, json_text
from trinetra.values import Instant

DocumentFormat = Literal["html", "pdf", "xlsx"]
DataFormat = Literal["csv", "json", "parquet"]
DOCUMENT_FORMATS: tuple[DocumentFormat, ...] = get_args(DocumentFormat)
_PANGO = "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"


def document_bytes(document: Document, format_: DocumentFormat) -> bytes:
    """Return a report as a file. Raises ConfigurationError if a library is missing."""
    return _renderer(format_)(document)


def _renderer(format_: DocumentFormat) -> Callable[[Document], bytes]:
    with _explained(format_):
        if format_ == "xlsx":
            from trinetra.reports.workbook import workbook_bytes  # noqa: PLC0415

            return workbook_bytes
        if format_ == "pdf":
            from trinetra.reports.pdf import pdf_bytes  # noqa: PLC0415

            return pdf_bytes
        from trinetra.reports.html import html_bytes  # noqa: PLC0415

        return html_bytes


def data_bytes(records: Sequence[Record], format_: DataFormat) -> bytes:
    """Return records as one file. Raises ConfigurationError if a library is missing."""
    if format_ == "csv":
        return csv_text(records).encode()
    if format_ == "json":
        return json_text(records).encode()
    with _explained(format_):
        from trinetra.reports.parquet import parquet_bytes  # noqa: PLC0415

        return parquet_bytes(records)


def write_data_set(
    folder: Path, records: Sequence[Record], start: Instant, end: Instant
) -> list[Path]:
    """Write records into a Parquet data set; return its changed files.

    Raises ConfigurationError if a library is missing or the folder cannot be written to.
    """
    with _explained("parquet"):
        from trinetra.reports.parquet import write_parquet  # noqa: PLC0415
    with _writing(folder):
        return write_parquet(folder, records, start, end)


def write_file(file: Path, content: bytes) -> None:
    """Write a file at once, so that no reader finds half of it. Raises ConfigurationError."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    with _writing(file):
        unfinished.write_bytes(content)
        os.replace(unfinished, file)  # noqa: PTH105


@contextmanager
def _explained(format_: str) -> Iterator[None]:
    """Turn a missing library into what to install."""
    try:
        yield
    except ModuleNotFoundError as cause:
        raise ConfigurationError(
            f"the format {format_} needs the package {cause.name}: "
            "pip install 'trinetra[reports]' (CSV and the terminal need nothing)"
        ) from cause
    except OSError as cause:  # WeasyPrint found no Pango
        raise ConfigurationError(
            f"the format {format_} needs Pango, a system library: {_PANGO}; or write html and "
            f"print that ({str(cause).splitlines()[0]})"
        ) from cause


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise ConfigurationError(
            f"{path} cannot be written: {(cause.strerror or str(cause)).lower()}; choose another "
            "--output"
        ) from cause
