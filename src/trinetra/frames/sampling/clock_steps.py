"""Detection of steps of the host's wall clock, by comparison with its monotonic clock. Pure."""

from typing import NamedTuple

from trinetra.values import Instant, seconds_between

STEP_S = 0.5
"""Smaller corrections are absorbed by the camera's capture times, which never go backwards."""
_DRIFT = 0.001
"""Largest rate at which a time service slews the clock (adjtimex: 500 ppm), with a margin."""


class ClockReading(NamedTuple):
    """The wall clock, and the monotonic clock just before and just after it was read.

    The two clocks cannot be read at once. A thread that is interrupted in between must not mistake
    its own pause for a step.
    """

    before_s: float
    now: Instant
    after_s: float


def step_s(earlier: ClockReading, later: ClockReading) -> float:
    """Return the seconds by which the wall clock was stepped between two readings, 0.0 if not.

    Positive if it was set forward, or the machine was suspended; negative if it was set back.
    """
    wall_s = seconds_between(earlier.now, later.now)
    least_s, most_s = later.before_s - earlier.after_s, later.after_s - earlier.before_s
    tolerance_s = STEP_S + _DRIFT * most_s
    if wall_s > most_s + tolerance_s:
        return wall_s - most_s
    if wall_s < least_s - tolerance_s:
        return wall_s - least_s
    return 0.0
