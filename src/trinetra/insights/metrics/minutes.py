"""Splits a span of time into minutes."""

from collections.abc import Iterator
from datetime import timedelta

from trinetra.values import Instant, microseconds


def milliseconds_by_minute(start: Instant, end: Instant) -> Iterator[tuple[Instant, int]]:
    """Yield each minute of a span and how much of it the span covers; the parts add up to it."""
    at = start
    while at < end:
        minute = at.replace(second=0, microsecond=0)
        upto = min(minute + timedelta(minutes=1), end)
        # Differences of rounded times, so that rounding errors do not add up.
        yield minute, microseconds(upto) // 1000 - microseconds(at) // 1000
        at = upto
