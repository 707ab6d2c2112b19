"""Opening hours of a shop in its local time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from trinetra.values import Instant

_DAYS = 7
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """One opening period on a weekday (0 is Monday), in minutes after midnight.

    ``closes_min`` exceeds 24 hours if the shop closes after midnight.
    """

    weekday: int
    opens_min: int
    closes_min: int


@dataclass(frozen=True)
class OpeningHours:
    """All opening periods of a week, in a time zone."""

    spans: tuple[OpenSpan, ...]
    timezone: str

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def closed_between(self, start: Instant, end: Instant) -> bool:
        """Return whether the shop was closed at any moment from ``start`` to ``end``."""
        at = start.astimezone(self._zone)
        for _ in range(_DAYS * len(self.spans) + 1):
            closes = self._closes_after(at)
            if closes is None:
                return True
            if closes >= end:
                return False
            at = closes
        return False  # open round the clock

    def open_spans(self, start: Instant, end: Instant) -> list[tuple[Instant, Instant]]:
        """Return the parts of a span in which the shop was open, in order, joined, in UTC."""
        first = start.astimezone(self._zone).date() - timedelta(days=2)
        last = end.astimezone(self._zone).date()
        found: list[tuple[Instant, Instant]] = []
        for number in range((last - first).days + 1):
            day = datetime.combine(first + timedelta(days=number), time(), self._zone)
            found += [
                (max(_clock(day, s.opens_min), start), min(_clock(day, s.closes_min), end))
                for s in self.spans
                if s.weekday == day.weekday()
            ]
        return _joined([(a.astimezone(UTC), b.astimezone(UTC)) for a, b in found])

    def _closes_after(self, at: datetime) -> datetime | None:
        """Return the end of the opening period that contains ``at``; None if closed then."""
        ends = [closes for opens, closes in self._around(at) if opens <= at < closes]
        return max(ends, default=None)

    def _around(self, at: datetime) -> Sequence[tuple[datetime, datetime]]:
        """Return the opening periods that began on this day or the day before."""
        today = datetime.combine(at.date(), time(), self._zone)
        return [
            (_clock(day, span.opens_min), _clock(day, span.closes_min))
            for day in (today, today - timedelta(days=1))
            for span in self.spans
            if span.weekday == day.weekday()
        ]


def _joined(spans: Sequence[tuple[Instant, Instant]]) -> list[tuple[Instant, Instant]]:
    joined: list[tuple[Instant, Instant]] = []
    for opens, closes in sorted(span for span in spans if span[0] < span[1]):
        if joined and opens <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], closes)
        else:
            joined.append((opens, closes))
    return joined


def _clock(day: datetime, minutes: int) -> datetime:
    """Return the wall-clock time ``minutes`` after midnight.

    The time of day is replaced rather than added, so that a change to or from daylight saving time
    in between does not shift the result.
    """
    days, rest = divmod(minutes, _DAY_MIN)
    return day.replace(hour=rest // 60, minute=rest % 60) + timedelta(days=days)
