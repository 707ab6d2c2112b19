"""Parses instants as users give them: ``10m`` ago, ``2h`` ago, or ``2026-11-22T12:00Z``."""

import re
from datetime import datetime, timedelta

from trinetra.errors import ConfigurationError
from trinetra.values import Instant

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def instant_of(option: str, text: str, now: Instant) -> Instant:
    """Return the instant that an option names. Raises ConfigurationError."""
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        except OverflowError as cause:
            raise ConfigurationError(f"{option} {text}: that is too long ago") from cause
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as cause:
        raise ConfigurationError(
            f"{option} {text}: write how long ago, like 10m, 2h or 1d, or an instant, like "
            "2026-11-22T12:00Z"
        ) from cause
    if instant.tzinfo is None:
        raise ConfigurationError(f"{option} {text} needs its offset from UTC: end it with Z")
    return instant
