"""What the imports of tables have in common: mapping, open file, and the file of rejected lines."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from trinetra.commands.console import note, say
from trinetra.errors import ConfigurationError, StorageFull
from trinetra.imports.fields import FieldMapping
from trinetra.imports.tables import Row, Table, TableFormat, rejected_text
from trinetra.site.import_mapping import ImportMapping, load_mapping

_REPORTED = 20


@dataclass(slots=True)
class Source:
    """A file that is imported, and what was rejected of it."""

    path: Path
    mapping: ImportMapping
    fields: FieldMapping
    table: Table
    rejected: list[tuple[Row, str]] = field(default_factory=list)

    def reject(self, row: Row, reason: str) -> None:
        """Put a record aside, and report the first of them."""
        self.rejected.append((row, reason))
        if len(self.rejected) <= _REPORTED:
            say(f"{self.path}:{row.line}: {reason}")
        elif len(self.rejected) == _REPORTED + 1:
            note("more lines are rejected; the file of rejected lines has all of them")

    def write_rejected(self) -> Path | None:
        """Write the rejected records, each after its reason; return the file, None without any.

        No file is overwritten: it may be about to be mended. Raises StorageFull.
        """
        if not self.rejected:
            return None
        lines = rejected_text(self.table.header, sorted(self.rejected, key=lambda r: r[0].line))
        text = "".join(lines).encode(self.mapping.encoding, "surrogateescape")
        path = self.path.with_name(self.path.name + ".rejected")
        number = 1
        while path.exists():
            number += 1
            path = self.path.with_name(f"{self.path.name}.rejected-{number}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
        except OSError as cause:
            raise StorageFull(f"{path} cannot be written: {cause.strerror}") from cause
        return path


@contextmanager
def opened(
    path: Path, mapping_path: Path, fields: Collection[str], zone: ZoneInfo | None = None
) -> Iterator[Source]:
    """Open a table with its mapping; times without an offset are of its time zone, or of ``zone``.

    Raises ConfigurationError for a mapping or file that cannot be used.
    """
    mapping = load_mapping(mapping_path, fields)
    if mapping.timezone is not None:
        zone = ZoneInfo(mapping.timezone)
    form = TableFormat(mapping.format, mapping.encoding, mapping.delimiter)
    with _text_file(path, mapping.encoding) as file:
        table = Table(file, form)
        _need_columns(table, mapping, path)
        yield Source(
            path,
            mapping,
            FieldMapping(
                mapping.columns,
                mapping.constants,
                mapping.words,
                mapping.decimal,
                mapping.thousands,
                mapping.time_format,
                zone,
            ),
            table,
        )


@contextmanager
def _text_file(path: Path, encoding: str) -> Iterator[IO[str]]:
    try:
        # newline="\n": line ends within a record must stay as they are.
        file = path.open(encoding=encoding, errors="surrogateescape", newline="\n")
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise ConfigurationError(f"{path} cannot be read: {reason}") from cause
    with file:
        yield file


def _need_columns(table: Table, mapping: ImportMapping, path: Path) -> None:
    if mapping.format != "csv":
        return
    wanted = {column for columns in mapping.columns.values() for column in columns}
    if missing := sorted(wanted - set(table.columns)):
        raise ConfigurationError(
            f"{path}:1: there is no column {missing[0]!r}; the header has "
            f"{', '.join(table.columns)} (is the delimiter {mapping.delimiter!r}?)"
        )
