"""Changed since: the figures to load again after a cursor, because their sums have changed.

A cursor is the number of the last write of the store that was taken into account. Late and
corrected insights change figures of the past, which then appear again as they are now.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from trinetra.events.figures import Figure
from trinetra.events.rollups import BucketSum
from trinetra.reports.document import MetricText
from trinetra.values import Instant

_NEIGHBORS = timedelta(days=7)
"""Changed buckets that are no further apart are read together."""
_LONGEST = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Changes:
    """Changed sums, by series, place and start; ``cursor`` is that of the last of them."""

    sums: frozenset[tuple[str, str, Instant]]
    cursor: int

    @classmethod
    def of(cls, sums: Iterable[BucketSum], cursor: int) -> Self:
        """Return the changes among sums that were read after a cursor."""
        found = list(sums)
        keys = {
            key for s in found for key in ((s.series, s.place, s.start), (s.series, "", s.start))
        }
        return cls(frozenset(keys), max((s.change for s in found), default=cursor))

    def parts(self) -> Iterator[tuple[Instant, Instant]]:
        """Yield first and last start of the buckets, in parts that are short and dense."""
        starts = sorted({start for _, _, start in self.sums})
        part: list[Instant] = []
        for start in starts:
            if part and (start - part[-1] > _NEIGHBORS or start - part[0] > _LONGEST):
                yield part[0], part[-1]
                part = []
            part.append(start)
        if part:
            yield part[0], part[-1]

    def affect(self, figure: Figure, metric: MetricText, coverage: Sequence[str]) -> bool:
        """Return whether a figure may have changed: its value, or its completeness.

        ``coverage`` are the series of the time that cameras were watched.
        """
        camera = figure.place.partition("/")[0]
        return any(
            (series, place, figure.start) in self.sums
            for place, several in ((figure.place, metric.series), (camera, coverage))
            for series in several
        )
