"""Parquet: a data set in folders ``site=/metric=/year=/month=``, as query engines expect it.

Year and month are those of the shop's clock. An export replaces what the data set holds of the same
time and granularity and keeps the rest, so that repeated and overlapping exports count nothing
twice.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trinetra.errors import ConfigurationError
from trinetra.reports.records import Record
from trinetra.values import Instant

_INSTANT = pa.timestamp("us", tz="UTC")
_REQUIRED: Mapping[str, pa.DataType] = {
    "version": pa.int32(),
    "unit": pa.string(),
    "place": pa.string(),
    "granularity": pa.string(),
    "start": _INSTANT,
    "end": _INSTANT,
    "local_start": pa.timestamp("us"),
    "imputed": pa.bool_(),
}
_OPTIONAL = ("value", "low", "high", "completeness")
SCHEMA = pa.schema(
    [
        *(pa.field(name, kind, nullable=False) for name, kind in _REQUIRED.items()),
        *(pa.field(name, pa.float64()) for name in _OPTIONAL),
        pa.field("currency", pa.string()),
    ]
)
"""Columns of the files; site, metric, year and month are in the names of their folders."""
_Folder = tuple[str, str, int, int]


_ONE_FILE = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("site", "metric", "period")),
        *SCHEMA,
    ]
)


def parquet_bytes(records: Iterable[Record]) -> bytes:
    """Return records as one file, which also has the columns that a data set has as folders."""
    rows = [{name: getattr(record, name) for name in _ONE_FILE.names} for record in records]
    written = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=_ONE_FILE), written)
    content: bytes = written.getvalue().to_pybytes()
    return content


def write_parquet(
    folder: Path, records: Iterable[Record], start: Instant, end: Instant
) -> list[Path]:
    """Write the records of ``[start, end)`` into the data set; return the files.

    Raises ConfigurationError for a file that is not one of this data set.
    """
    by_folder: dict[_Folder, list[Record]] = defaultdict(list)
    for record in records:
        year, month = record.local_start.year, record.local_start.month
        by_folder[record.site, record.metric, year, month].append(record)
    return [
        _replace(folder / _path(at, found[0].granularity), found, start, end)
        for at, found in sorted(by_folder.items())
    ]


def _path(folder: _Folder, granularity: str) -> Path:
    site, metric, year, month = folder
    parts = f"site={site}", f"metric={metric}", f"year={year:04d}", f"month={month:02d}"
    return Path(*parts, f"{granularity}.parquet")


def _replace(file: Path, records: list[Record], start: Instant, end: Instant) -> Path:
    rows = [{name: getattr(record, name) for name in SCHEMA.names} for record in records]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    if file.exists():
        table = pa.concat_tables([_kept(file, start, end), table])
    file.parent.mkdir(parents=True, exist_ok=True)
    # Readers see the former file or the new one, never a part.
    unfinished = file.with_suffix(".unfinished")
    pq.write_table(table.sort_by([("start", "ascending"), ("place", "ascending")]), unfinished)
    os.replace(unfinished, file)  # noqa: PTH105 - the same
    return file


def _kept(file: Path, start: Instant, end: Instant) -> pa.Table:
    """Return the rows of a file that are not of ``[start, end)``."""
    try:
        table = pq.ParquetFile(file).read().select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, KeyError) as cause:
        raise ConfigurationError(
            f"{file} is not a file of this TRINETRA's reports: {cause}; remove it, or export to "
            "another folder"
        ) from cause
    begin, until = (pa.scalar(edge, _INSTANT) for edge in (start, end))
    outside = pc.or_(pc.less(table["start"], begin), pc.greater_equal(table["start"], until))
    return table.filter(outside)
