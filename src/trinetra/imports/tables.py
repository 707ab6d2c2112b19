"""Reads tables line by line: a line that is broken is reported, and the rest is read.

Lines keep their bytes, so that the rejected ones can be written to a file, mended and read again.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from itertools import chain, islice
from typing import IO, Literal, NamedTuple

import msgspec

from trinetra.errors import ConfigurationError

_MOST_LINES = 20
"""Lines of one CSV record: a quote that is never closed must not swallow the rest of the file."""
_MOST_CHARACTERS = 1_000_000
REMARK = "# line "
"""Begins a line of a file of rejected lines that tells why the next one was rejected."""
Format = Literal["csv", "jsonl"]


@dataclass(frozen=True, slots=True)
class TableFormat:
    """How a table is written; ``encoding`` is one that Python knows and contains ASCII."""

    format: Format = "csv"
    encoding: str = "utf-8-sig"
    delimiter: str = ","


class Row(NamedTuple):
    """One record: the number of its first line, the text as it was, and its values by column.

    ``fault`` says why there are no values.
    """

    line: int
    text: str
    values: Mapping[str, object] = {}
    fault: str | None = None


@dataclass(slots=True)
class Table:
    """The records of an open file, read once; ``header`` is the text of the columns' names.

    Raises ConfigurationError if the file has no header, or is in an encoding that it is not.
    """

    file: IO[str]
    format: TableFormat
    header: str = field(init=False, default="")
    columns: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        self._lines = _Lines(self.file)
        if self.format.format == "csv":
            self._read_header()

    def rows(self) -> Iterator[Row]:
        """Yield the records in order; empty lines and remarks are left out."""
        read = self._csv_row if self.format.format == "csv" else _json_row
        while (text := self._lines.take()) is not None:
            line = self._lines.number
            if not text.strip() or text.startswith(REMARK):
                continue
            if _is_undecodable(text):
                yield Row(line, text, fault=f"not {self.format.encoding} text")
            else:
                yield read(line, text)

    _lines: "_Lines" = field(init=False, repr=False)

    def _read_header(self) -> None:
        text = self._lines.take()
        while text is not None and (not text.strip() or text.startswith(REMARK)):
            text = self._lines.take()
        names = _fields(text or "", self.format.delimiter) if text else None
        if not names:
            raise ConfigurationError(
                f"{self.file.name}:1: there is no header with the names of the columns"
            )
        columns = tuple(name.strip() for name in names)
        if len(set(columns)) < len(columns):
            twice = next(name for name in columns if columns.count(name) > 1)
            raise ConfigurationError(f"{self.file.name}:1: two columns are named {twice!r}")
        self.header, self.columns = text or "", columns

    def _csv_row(self, line: int, text: str) -> Row:
        """Read a record that may continue on the next lines, within a quoted field."""
        whole, more = text, list[str]()
        values = _fields(whole, self.format.delimiter)
        for following in self._lines.peek(_MOST_LINES - 1):
            if values is not None or '"' not in whole or _is_undecodable(following):
                break
            more.append(following)
            whole = text + "".join(more)
            values = _fields(whole, self.format.delimiter)
        if values is None:
            return Row(line, text, fault="the quotes of a field are not closed or not doubled")
        self._lines.skip(len(more))
        if len(values) != len(self.columns):
            fault = f"{len(values)} fields, but the header has {len(self.columns)}"
            return Row(line, whole, fault=fault)
        return Row(line, whole, dict(zip(self.columns, values, strict=True)))


class _Lines:
    """Lines of a file with a look ahead."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._ahead: list[str] = []
        self.number = 0

    def take(self) -> str | None:
        """Return the next line, or None at the end."""
        ahead = list(self.peek(1))
        if not ahead:
            return None
        self.skip(1)
        return ahead[0]

    def peek(self, number: int) -> Iterator[str]:
        """Yield the next lines without taking them."""
        for index in range(number):
            if index >= len(self._ahead):
                text = self._file.readline()
                if not text:
                    return
                self._ahead.append(text)
            yield self._ahead[index]

    def skip(self, number: int) -> None:
        """Take lines that were peeked at."""
        del self._ahead[:number]
        self.number += number


def _fields(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of one CSV record; None if it is not a whole one."""
    if len(text) > _MOST_CHARACTERS:
        return None
    try:
        records = list(islice(csv.reader(StringIO(text), delimiter=delimiter, strict=True), 2))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None


def _json_row(line: int, text: str) -> Row:
    try:
        values = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as cause:
        return Row(line, text, fault=f"not valid JSON: {cause}")
    if not isinstance(values, dict):
        return Row(line, text, fault="not a JSON object")
    return Row(line, text, values)


def _is_undecodable(text: str) -> bool:
    """Return whether a line has bytes that are no text; they are kept as lone surrogates."""
    return any("\udc80" <= sign <= "\udcff" for sign in text)


def rejected_text(header: str, rejected: Iterable[tuple[Row, str]]) -> Iterator[str]:
    """Yield the lines of a file of rejected lines: the header, and each record after its reason."""
    if header:
        yield header if header.endswith("\n") else header + "\n"
    for row, reason in rejected:
        text = row.text if row.text.endswith("\n") else row.text + "\n"
        yield from chain([f"{REMARK}{row.line}: {' '.join(reason.split())}\n"], [text])
