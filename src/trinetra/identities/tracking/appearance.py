"""What people look like, as a second cue for associating detections with tracks.

The inference worker describes a body by the mean colors of six horizontal stripes, and where it has
the network for it, by an embedding (a person of another look has a cosine near 0). A stripe that a
nearer body covers is ignored. Stripes are divided by the standard deviation of one person's
stripes from frame to frame on some clips; on other cameras they vary more or less, which
``adapted_unit`` learns.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.events.schema import Box

_TAG = 1
_STRIPES, _CHANNELS = 6, 3
_STRAYING = (
    *(12.8, 5.2, 1.3),
    *(14.6, 7.5, 2.4),
    *(14.2, 9.6, 3.1),
    *(11.4, 8.9, 2.5),
    *(14.9, 12.3, 2.4),
    *(21.4, 12.6, 2.6),
)
"""Standard deviations from a person's own mean, measured on real clips: see docs/twin.md."""
_COVERED = 0.25
"""A stripe is occluded if a nearer body covers more than this fraction of its middle."""
_MIDDLE = 0.5
_ENOUGH_STRIPES = 2
_ALL_CLEAR = (True,) * _STRIPES
_UNIT_STEP, _UNIT_BOUNDS = 0.05, (0.5, 8.0)

Body = bytes
"""The unit vector of a body embedding as little-endian float16 values; a snapshot keeps it so."""


class Look(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The stripes of one body, three scaled numbers each, and which of them are unoccluded."""

    values: tuple[float, ...]
    clear: tuple[bool, ...]


def read_look(packed: bytes | None, box: Box, others: Sequence[Box]) -> Look | None:
    """Return the appearance of a body, given the other boxes in the frame; None if unknown."""
    if packed is None or len(packed) != 1 + _STRIPES * _CHANNELS or packed[0] != _TAG:
        return None
    values = tuple([value / stray for value, stray in zip(packed[1:], _STRAYING, strict=True)])
    return Look(values, _clear(box, others))


def difference(a: Look | None, b: Look | None) -> float | None:
    """Return the mean squared difference of two looks, 1 being expected for one person.

    None if a look is missing or fewer than two stripes are clear in both.
    """
    if a is None or b is None:
        return None
    total, stripes = 0.0, 0
    mine, theirs = a.values, b.values
    for stripe in range(_STRIPES):
        if a.clear[stripe] and b.clear[stripe]:
            at = stripe * _CHANNELS
            x, y, z = (
                mine[at] - theirs[at],
                mine[at + 1] - theirs[at + 1],
                mine[at + 2] - theirs[at + 2],
            )
            total += x * x + y * y + z * z
            stripes += 1
    return total / (stripes * _CHANNELS) if stripes >= _ENOUGH_STRIPES else None


def blended(known: Look | None, seen: Look | None, share: float) -> Look | None:
    """Return the running average of a look with weight ``share``; new stripes are copied."""
    if known is None or seen is None:
        return known or seen
    values = list(known.values)
    for stripe in range(_STRIPES):
        if seen.clear[stripe]:
            weight = share if known.clear[stripe] else 1.0
            for at in range(stripe * _CHANNELS, (stripe + 1) * _CHANNELS):
                values[at] += weight * (seen.values[at] - values[at])
    clear = tuple([a or b for a, b in zip(known.clear, seen.clear, strict=True)])
    return Look(tuple(values), clear)


def adapted_unit(unit: float, differs: float) -> float:
    """Return the unit after one more difference of the same person, who stood alone.

    A step up or down per observation makes it follow the median, which outliers do not move
    (stochastic approximation, Robbins and Monro, 1951).
    """
    step = _UNIT_STEP if differs > unit else -_UNIT_STEP
    low, high = _UNIT_BOUNDS
    return min(max(unit * math.exp(step), low), high)


def read_body(packed: bytes | None) -> Body | None:
    """Return a body embedding of an event as a unit vector; None if there is none."""
    if not packed:
        return None
    vector = np.frombuffer(packed, np.int8).astype(np.float32)
    return _packed(vector)


def body_cosine(a: Body | None, b: Body | None) -> float | None:
    """Return the cosine of two bodies; None if one is unknown or they are of two networks."""
    if a is None or b is None or len(a) != len(b):
        return None
    return float(np.dot(_vector(a), _vector(b)))


def blended_body(known: Body | None, seen: Body | None, share: float) -> Body | None:
    """Return the running average of a body with weight ``share``."""
    if known is None or seen is None or len(known) != len(seen):
        return seen or known
    mine = _vector(known)
    return _packed(mine + np.float32(share) * (_vector(seen) - mine))


def _vector(body: Body) -> NDArray[np.float32]:
    return np.frombuffer(body, "<f2").astype(np.float32)


def _packed(vector: NDArray[np.float32]) -> Body | None:
    norm = float(np.linalg.norm(vector))
    return (vector / np.float32(norm)).astype("<f2").tobytes() if norm > 0 else None


def _clear(box: Box, others: Sequence[Box]) -> tuple[bool, ...]:
    """Return which stripes are unoccluded; on a floor, a nearer body is lower in the image."""
    x1, y1, x2, y2 = box
    half = max((x2 - x1) * _MIDDLE / 2, 1e-6)
    left, right = (x1 + x2) / 2 - half, (x1 + x2) / 2 + half
    over = [o for o in others if o[3] > y2 and o[0] < right and o[2] > left and o[1] < y2]
    if not over:
        return _ALL_CLEAR
    tall = max((y2 - y1) / _STRIPES, 1e-6)
    clear = [True] * _STRIPES
    for ox1, oy1, ox2, _ in over:
        wide = (min(ox2, right) - max(ox1, left)) / (2 * half)
        for stripe in range(_STRIPES):
            deep = y1 + (stripe + 1) * tall - oy1
            if wide * min(deep / tall, 1.0) > _COVERED:
                clear[stripe] = False
    return tuple(clear)
