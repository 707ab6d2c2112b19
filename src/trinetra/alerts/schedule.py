"""When a recipient may be disturbed: hours by weekday, and quiet hours of every day."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from trinetra.opening_hours import OpeningHours
from trinetra.values import Instant

_HORIZON = timedelta(days=9)
_INSTANT = timedelta(microseconds=1)
_MOST_STEPS = 40


@dataclass(frozen=True, slots=True)
class Schedule:
    """Messages go out within ``hours`` and outside ``quiet``; None: no such limit."""

    hours: OpeningHours | None = None
    quiet: OpeningHours | None = None

    def allows(self, at: Instant) -> bool:
        """Return whether a message may go out at an instant."""
        return _within(self.hours, at, default=True) and not _within(self.quiet, at, default=False)

    def next_allowed(self, at: Instant) -> Instant | None:
        """Return the first instant from ``at`` on at which a message may go out.

        None if there is none within the next days.
        """
        at = at.astimezone(UTC)
        last, beyond = at + _HORIZON, at + 2 * _HORIZON  # so that no span ends at ``last``
        for _ in range(_MOST_STEPS):
            if at > last:
                break
            if not _within(self.hours, at, default=True):
                spans = self.hours.open_spans(at, beyond) if self.hours else []
                if not spans:
                    break
                at = spans[0][0]
            elif quiet := self.quiet.open_spans(at, beyond) if self.quiet else []:
                if quiet[0][0] > at:
                    return at
                at = quiet[0][1]
            else:
                return at
        return None


def _within(hours: OpeningHours | None, at: Instant, *, default: bool) -> bool:
    at = at.astimezone(UTC)  # as an instant: a time of day comes twice when summer time ends
    return bool(hours.open_spans(at, at + _INSTANT)) if hours else default


def start_of_day(at: Instant, timezone: str) -> Instant:
    """Return the midnight of the shop's clock before an instant."""
    zone = ZoneInfo(timezone)
    return datetime.combine(at.astimezone(zone).date(), time(), zone).astimezone(UTC)
