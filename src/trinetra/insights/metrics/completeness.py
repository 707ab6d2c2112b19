"""Completeness: how much of the camera time that a figure needs was watched."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trinetra.events.derivation import Span
from trinetra.events.rollups import PartSum
from trinetra.opening_hours import OpeningHours
from trinetra.values import CameraId, Instant, seconds_between


@dataclass(slots=True)
class Watched:
    """Watched and expected camera time in units of equal grain: minutes, hours or days.

    ``open_s`` is how long the shop was open in each unit. Watched time counts up to that: the sums
    do not tell which part of an hour was watched, so a camera that was blind for the open part of
    an hour, but not for the rest, appears more complete than it was.
    """

    units: Sequence[Span]
    open_s: Sequence[float]
    _starts: list[Instant]
    _seen_s: Mapping[tuple[str, int], float] = field(default_factory=dict)
    _known: dict[tuple[Span, frozenset[CameraId]], float | None] = field(default_factory=dict)
    _open: dict[Span, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        units: Sequence[Span],
        hours: OpeningHours | None,
        until: Instant,
        sums: Iterable[PartSum],
    ) -> "Watched":
        """Return the watched time from its sums, in milliseconds by camera and number of the unit.

        From ``until`` on none is expected yet.
        """
        whole = Span(units[0].start, min(units[-1].end, until))
        spans = [whole] if hours is None else hours.open_spans(*whole)
        seen = {(one.place, one.part): sum(one.bins.values()) / 1000 for one in sums}
        open_s = _open_seconds(units, [span for span in spans if span[0] < span[1]])
        return cls(units, open_s, [unit.start for unit in units], seen)

    def share(self, span: Span, cameras: frozenset[CameraId]) -> float | None:
        """Return the share of the expected time that was watched; None if none was expected.

        The edges of ``span`` are edges of units.
        """
        key = (span, cameras)
        if key not in self._known:
            self._known[key] = self._share(span, cameras)
        return self._known[key]

    def open_seconds(self, span: Span) -> float:
        """Return the seconds of a span, up to now, in which the shop was open."""
        if span not in self._open:
            first, last = (bisect_left(self._starts, edge) for edge in span)
            self._open[span] = sum(self.open_s[first:last])
        return self._open[span]

    def _share(self, span: Span, cameras: Collection[CameraId]) -> float | None:
        first, last = (bisect_left(self._starts, edge) for edge in span)
        expected_s = seen_s = 0.0
        for number in range(first, last):
            if open_s := self.open_s[number]:
                expected_s += open_s * len(cameras)
                for camera in cameras:
                    seen_s += min(open_s, self._seen_s.get((camera, number), 0.0))
        return seen_s / expected_s if expected_s else None


def _open_seconds(units: Sequence[Span], spans: Sequence[tuple[Instant, Instant]]) -> list[float]:
    """Return how many seconds of each unit lie in the spans, which are ordered and disjoint."""
    open_s = [0.0] * len(units)
    starts = [unit.start for unit in units]
    for opens, closes in spans:
        for number in range(max(0, bisect_right(starts, opens) - 1), bisect_left(starts, closes)):
            unit = units[number]
            inside_s = seconds_between(max(opens, unit.start), min(closes, unit.end))
            open_s[number] += max(0.0, inside_s)
    return open_s
