"""Counts by hand of a counting line, and what the platform counted in the same span."""

from typing import Literal

import msgspec

from trinetra.values import CameraId, Instant

Way = Literal["in", "out"]


class SeenCrossing(msgspec.Struct, frozen=True, array_like=True):
    """One crossing of the line: when, and in which direction."""

    at: Instant
    direction: Way


class CountAudit(msgspec.Struct, frozen=True, kw_only=True):
    """A count by hand over the half-open span from ``start`` to ``end``.

    ``taps`` are the crossings that a person saw, ``crossings`` those that the platform recorded.
    Two are the same if they are at most ``tolerance_s`` apart. ``by`` is the user who counted.
    """

    audit_id: str
    camera_id: CameraId
    line_id: str
    start: Instant
    end: Instant
    by: str
    made_at: Instant
    tolerance_s: float
    taps: tuple[SeenCrossing, ...]
    crossings: tuple[SeenCrossing, ...]
