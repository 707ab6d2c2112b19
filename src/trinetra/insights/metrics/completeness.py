"""Completeness: how much of the camera time that a figure needs was watched."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from trinetra.events.derivation import Span
from trinetra.events.rollups import PartSum
from trinetra.opening_hours import OpeningHours
from trinetra.values import CameraId, Instant, seconds_between


@dataclass(slots=True)
class Watched:
    """Watched and expected camera time in units of equal grain: minutes, hours or days.

    The time that a camera watched in a unit counts up to that for which the shop was open in it:
    the sums do not tell which part of an hour was watched, so a camera that was blind for the open
    part of an hour, but not for the rest, appears more complete than it was. What is kept are the
    milliseconds before each unit, and in all of them.
    """

    starts: Sequence[Instant]
    _open_until: Sequence[int]
    _seen_until: Mapping[str, Sequence[int]]

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
        open_ms = _open_ms(units, [span for span in spans if span[0] < span[1]])
        seen_ms: dict[str, list[int]] = {}
        for part, _, place, bins in sums:
            if open_ms[part]:
                if place not in seen_ms:
                    seen_ms[place] = [0] * len(units)
                seen_ms[place][part] = min(open_ms[part], sum(bins.values()))
        seen_until = {place: _until(seen) for place, seen in seen_ms.items()}
        return cls([unit.start for unit in units], _until(open_ms), seen_until)

    def share(self, span: Span, cameras: Collection[CameraId]) -> float | None:
        """Return the share of the expected time that was watched; None if none was expected.

        The edges of ``span`` are edges of units.
        """
        first, last = self._numbers(span)
        expected_ms = (self._open_until[last] - self._open_until[first]) * len(cameras)
        known = (self._seen_until[camera] for camera in cameras if camera in self._seen_until)
        seen_ms = sum(until[last] - until[first] for until in known)
        return seen_ms / expected_ms if expected_ms else None

    def open_seconds(self, span: Span) -> float:
        """Return the seconds of a span, up to now, in which the shop was open."""
        first, last = self._numbers(span)
        return (self._open_until[last] - self._open_until[first]) / 1000

    def _numbers(self, span: Span) -> tuple[int, int]:
        return bisect_left(self.starts, span.start), bisect_left(self.starts, span.end)


def _until(parts: Iterable[int]) -> list[int]:
    """Return the sums of the parts before each one, and of all."""
    return list(accumulate(parts, initial=0))


def _open_ms(units: Sequence[Span], spans: Sequence[tuple[Instant, Instant]]) -> list[int]:
    """Return how long of each unit lies in the spans, which are ordered and disjoint."""
    open_ms = [0] * len(units)
    starts = [unit.start for unit in units]
    for opens, closes in spans:
        for number in range(max(0, bisect_right(starts, opens) - 1), bisect_left(starts, closes)):
            unit = units[number]
            inside_s = seconds_between(max(opens, unit.start), min(closes, unit.end))
            open_ms[number] += max(0, round(inside_s * 1000))
    return open_ms
