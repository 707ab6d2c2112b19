"""Numbers, times and places in words, the same in every format that people read."""

from datetime import datetime, timedelta
from math import ceil, floor
from typing import Literal

from trinetra.events.currencies import DECIMALS
from trinetra.events.figures import Granularity, Mark

Unit = Literal["count", "s", "share", "money", "people"]
State = Literal["known", "partial", "unknown", "none", "closed", "later", "absent"]
WORD_OF_STATE: dict[State, str] = {
    "unknown": "unknown",
    "none": "none",
    "closed": "closed",
    "later": "not yet",
    "absent": "–",
}
"""Shown in the place of a value that is not there; ``absent``: there is no such hour or day."""
_CHANGES = {
    "geometry": "A line or zone was redrawn",
    "model": "Another recognition model",
    "threshold": "A setting was changed",
    "definition": "A new definition",
}
_MINUTE_S, _HOUR_S = 60, 3600
_TEN = 10


def quantity(value: float, unit: Unit, currency: str | None = None) -> str:
    """Return a value with its unit, such as ``1,234``, ``2 min 05 s`` or ``12.50 EUR``."""
    match unit:
        case "count":
            return f"{round(value):,}" if float(value).is_integer() else f"{value:,.1f}"
        case "s":
            return _duration(value)
        case "share":
            return f"{100 * value:.1f} %"
        case "money":
            decimals = DECIMALS.get(currency or "", 2)
            return f"{value:,.{decimals}f}" + (f" {currency}" if currency else "")
        case "people":
            return f"{value:,.1f}"


def interval_text(low: float, high: float, unit: Unit) -> str:
    """Return the bounds of a value; those of a count are rounded outward to whole numbers."""
    if unit == "count":
        low, high = floor(low), ceil(high)
    return f"{quantity(low, unit)} – {quantity(high, unit)}"


def _duration(seconds: float) -> str:
    if abs(seconds) < _TEN:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    return f"{whole // _HOUR_S:,} h {whole % _HOUR_S // _MINUTE_S:02d} min"


def percent(share: float) -> str:
    """Return a share of 0..1 in whole percent; less than everything is never shown as 100 %."""
    return f"{min(99, round(100 * share)) if share < 1 else 100} %"


def change(ratio: float) -> str:
    """Return a relative change with its sign, such as ``+12 %``."""
    whole = round(100 * ratio)
    return f"{'+' if whole > 0 else '−' if whole < 0 else '±'}{abs(whole):,} %"


def place_name(place: str) -> str:
    """Return a place as people read it: ``door › entrance``; ``Whole shop`` for the site."""
    return place.replace("/", " › ") or "Whole shop"


def time_label(start: datetime, end: datetime, granularity: Granularity) -> str:
    """Return the name of a bucket from its local start and end."""
    if granularity in {"minute", "hour"}:
        # The second of two equal hours, when the clocks go back.
        return f"{start:%H:%M}{' again' if start.fold else ''}"
    if granularity == "month":
        return f"{start:%B %Y}"
    if granularity == "day":
        return f"{start:%a} {start.day} {start:%b}"
    last = (end - timedelta(seconds=1)).date()
    return f"{start.day} {start:%b} – {last.day} {last:%b}"


def gap_label(start: datetime, end: datetime, granularity: Granularity) -> str:
    """Return when a time without figures was, from its local start and end."""
    if granularity in {"minute", "hour"}:
        return f"{start:%H:%M} to {end:%H:%M}"
    last = end - timedelta(seconds=1)
    days = [f"{day:%a} {day.day} {day:%b}" for day in (start, last)]
    return days[0] if start.date() == last.date() else " to ".join(days)


def axis_label(start: datetime, granularity: Granularity) -> str:
    """Return the short name of a bucket for the axis of a chart."""
    if granularity in {"minute", "hour"}:
        return f"{start:%H:%M}"
    return f"{start:%b %Y}" if granularity == "month" else f"{start.day} {start:%b}"


def mark_sentence(mark: Mark, at: datetime) -> str:
    """Return what changed and when, for a mark and its local time."""
    return f"{at.day} {at:%B, %H:%M}: {_CHANGES.get(mark.what, mark.what)} ({mark.name})"
