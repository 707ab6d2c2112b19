"""Times that users give: instants with an offset, or days by the shop's clock."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from trinetra.errors import ConfigurationError
from trinetra.events.derivation import Span
from trinetra.insights.metrics.buckets import midnight
from trinetra.values import Instant

When = datetime | date
"""An instant with an offset from UTC, or a date: the shop's midnight at which it begins."""


def span_of(start: When, end: When, zone: ZoneInfo) -> Span:
    """Return a half-open span. Raises ConfigurationError for a naive time or an empty span."""
    span = Span(_instant("start", start, zone), _instant("end", end, zone))
    if span.end <= span.start:
        raise ConfigurationError(f"the end {end} is not after the start {start}; it is exclusive")
    return span


def _instant(name: str, when: When, zone: ZoneInfo) -> Instant:
    if not isinstance(when, datetime):
        if not isinstance(when, date):
            raise ConfigurationError(
                f"{name}={when!r} is not a time; write date(2026, 11, 27), or a datetime with "
                "tzinfo=shop.zone"
            )
        return midnight(when, zone)
    return aware(name, when)


def aware(name: str, when: datetime) -> Instant:
    """Return a time in UTC, as a plain datetime also if it is that of another library.

    Raises ConfigurationError if it has no offset.
    """
    if when.utcoffset() is None:
        parts = ", ".join(map(str, when.timetuple()[:5]))
        raise ConfigurationError(
            f"{name}={when.isoformat(' ')} has no offset from UTC; write datetime({parts}, "
            "tzinfo=shop.zone) for the shop's clock, or tzinfo=UTC"
        )
    utc = when.astimezone(UTC)
    return datetime.combine(utc.date(), utc.time(), UTC)
