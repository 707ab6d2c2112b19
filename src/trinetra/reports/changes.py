"""Changed since: sums that were changed after a cursor, for programs that load increments.

A cursor is the number of the store's write that was read last. Late and corrected insights change
sums of the past, which then appear again, with their value as it is now.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from trinetra.events.rollups import BucketSum


class ChangedSum(NamedTuple):
    """A sum as it is now; its first six fields are its key, under which it replaces the former."""

    site: str
    series: str
    place: str
    granularity: str
    start: datetime
    bin: int
    local_start: datetime
    value: int
    change: int


def changed_rows(sums: Iterable[BucketSum], site: str, zone: ZoneInfo) -> Iterator[ChangedSum]:
    """Yield sums as rows, their times by the shop's clock."""
    for each in sums:
        start = each.start.astimezone(zone)
        yield ChangedSum(
            site=site,
            series=each.series,
            place=each.place,
            granularity=each.grain.name.lower(),
            start=start,
            bin=each.bin,
            local_start=start.replace(tzinfo=None, fold=0),
            value=each.value,
            change=each.change,
        )


def changes_csv(rows: Iterable[ChangedSum]) -> str:
    """Return rows as CSV with a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(ChangedSum._fields)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue()


def changes_jsonl(rows: Iterable[ChangedSum]) -> str:
    """Return rows as one JSON object per line."""
    objects = ({name: _plain(value) for name, value in row._asdict().items()} for row in rows)
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)


def _plain(value: str | int | datetime) -> str | int:
    return value.isoformat() if isinstance(value, datetime) else value
