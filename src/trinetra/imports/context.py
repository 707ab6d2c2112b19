"""Translates the rows of a table into context of the shop's figures."""

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from trinetra.events.context import CONTEXT_KINDS, ContextEntry, ContextKind
from trinetra.imports.fields import FieldFault, FieldMapping
from trinetra.retail_calendar.days import Dates, span_of
from trinetra.values import Instant, SiteId

CONTEXT_FIELDS = frozenset({"kind", "name", "from", "until", "value", "text"})
"""Fields that a mapping may name."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}|")
_MOST_TEXT = 500
_NEEDS_A_VALUE = ("weather", "staff_hours", "target")


def context_entry(
    values: Mapping[str, object], mapping: FieldMapping, site_id: SiteId, zone: ZoneInfo
) -> ContextEntry:
    """Return the entry of a row; a date without a time is the whole day of the shop's clock.

    ``until`` is the last day of a range of days, or the end of a span of time. Raises FieldFault.
    """
    kind = _kind(mapping.text("kind", values))
    name, text = mapping.text("name", values) or "", mapping.text("text", values) or ""
    if not _NAME.fullmatch(name):
        raise FieldFault(f"name: {name!r} needs 1 to 63 small letters, digits, _ or -")
    if len(text) > _MOST_TEXT:
        raise FieldFault(f"text: {len(text)} characters, at most {_MOST_TEXT}")
    value = mapping.number("value", values)
    if kind in _NEEDS_A_VALUE and (value is None or not name):
        raise FieldFault(f"value: {kind} needs a value and a name of what it is")
    if kind not in _NEEDS_A_VALUE and not (name or text):
        raise FieldFault(f"text: {kind} needs a text or a name")
    starts_at, ends_at = _span(values, mapping, zone)
    return ContextEntry(
        site_id=site_id,
        kind=kind,
        name=name,
        starts_at=starts_at,
        ends_at=ends_at,
        value=None if value is None else float(value),
        text=text,
    )


def _kind(text: str | None) -> ContextKind:
    for kind in CONTEXT_KINDS:
        if text == kind:
            return kind
    raise FieldFault(f"kind: {text!r} is not one of {', '.join(CONTEXT_KINDS)}")


def _span(
    values: Mapping[str, object], mapping: FieldMapping, zone: ZoneInfo
) -> tuple[Instant, Instant]:
    if mapping.has_time_of_day("from", values):
        start, end = mapping.instant("from", values), mapping.instant("until", values)
        if start is None or end is None:
            raise FieldFault("until: a span that begins at a time needs its end")
        if end <= start:
            raise FieldFault("until: not after from")
        return start, end
    first, last = mapping.day("from", values), mapping.day("until", values)
    if first is None:
        raise FieldFault("from: empty")
    if last is not None and last < first:
        raise FieldFault("until: before from")
    return span_of(Dates(first, last or first), zone)
