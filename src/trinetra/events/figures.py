"""Figures: what a metric says about a span of time and a place, and how much of it is known."""

from typing import Literal

import msgspec

from trinetra.values import Instant

Granularity = Literal["minute", "hour", "day", "week", "month", "range"]
GRANULARITIES: tuple[Granularity, ...] = ("minute", "hour", "day", "week", "month", "range")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure for the half-open span from ``start`` to ``end``.

    ``value`` is None if it is unknown: nothing was watched, or there was nothing to take a mean of.
    ``completeness`` is the share in 0..1 of the expected camera time that was watched, None if none
    was expected (the shop was closed). ``low`` and ``high`` bound the true value with 95 %
    confidence, None where no error was measured. ``imputed`` marks a value that was extrapolated
    over blind time at the user's request. ``place`` is "" for the whole site. ``currency`` is that
    of an amount of money (ISO 4217), in its main unit.
    """

    metric: str
    version: int
    place: str
    start: Instant
    end: Instant
    value: float | None
    completeness: float | None
    low: float | None = None
    high: float | None = None
    imputed: bool = False
    currency: str | None = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A change from which on figures may differ for another reason than the shop.

    ``what`` is ``geometry``, ``model``, ``threshold`` or ``definition``; ``name`` says of what.
    """

    at: Instant
    what: str
    name: str


class FigureTable(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one question: figures by metric, place and time, and the changes in between."""

    site: str
    timezone: str
    granularity: Granularity
    start: Instant
    end: Instant
    figures: tuple[Figure, ...]
    marks: tuple[Mark, ...] = ()
