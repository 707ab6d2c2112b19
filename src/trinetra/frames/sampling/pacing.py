"""Pacing of frame release, and backoff for lost cameras."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from trinetra.frames.sampling.clock_steps import STEP_S
from trinetra.values import CameraId, Instant, seconds_between


class Pacing(StrEnum):
    """The way in which a source's frames are released."""

    LIVE = "live"
    """As they arrive; frames that the consumers cannot process are dropped and counted."""
    REALTIME = "realtime"
    """A recording at its own speed: each frame at its ``captured_at`` on the wall clock."""
    LOCKSTEP = "lockstep"
    """A recording at the speed of the consumers: in order over all cameras, without loss."""


class Increasing:
    """Keeps a camera's capture times increasing within a session, also across reconnects."""

    def __init__(self) -> None:
        self._last: Instant | None = None

    def step_back_s(self, captured_at: Instant) -> float:
        """Return by how much an instant lies before the previous one, negative, or 0.0 if little.

        Little is what ``next`` may absorb, by letting the times stand still for as long.
        """
        forward_s = seconds_between(self._last, captured_at) if self._last else 0.0
        return forward_s if forward_s < -STEP_S else 0.0

    def next(self, captured_at: Instant) -> Instant:
        """Return the instant, but at least 1 ms after the previous one."""
        if self._last is not None:
            captured_at = max(captured_at, self._last + timedelta(milliseconds=1))
        self._last = captured_at
        return captured_at


def release_delay_s(captured_at: Instant, now: Instant) -> float:
    """Return how long a realtime recording delays a frame; 0 if it is due or overdue."""
    return max(0.0, seconds_between(now, captured_at))


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter, so that cameras behind one switch do not return at once.

    The first ``steady`` delays are all ``initial_s``.
    """

    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0
    jitter: float = 0.25
    steady: int = 1

    def delay_s(self, failures: int, random: float) -> float:
        """Return the delay after ``failures`` consecutive failures.

        ``random`` in [0, 1) spreads it evenly over ``1 - jitter`` to ``1 + jitter`` times its
        nominal length; ``max_s`` bounds the nominal length.
        """
        nominal_s = self.initial_s
        for _ in range(failures - self.steady):
            nominal_s = min(nominal_s * self.factor, self.max_s)
            if nominal_s == self.max_s:
                break
        return min(nominal_s, self.max_s) * (1.0 + self.jitter * (2.0 * random - 1.0))


class Lockstep:
    """Merges the frames of several recordings in capture order.

    A camera is a member until it leaves. The member whose offered frame is the oldest goes first,
    but only once every member has offered one, because any of them may have the next frame.
    """

    def __init__(self, cameras: list[CameraId]) -> None:
        self._members = set(cameras)
        self._offers: dict[CameraId, Instant] = {}

    def join(self, camera: CameraId) -> None:
        """Add a camera, for which the others wait from now on."""
        self._members.add(camera)

    def offer(self, camera: CameraId, captured_at: Instant) -> None:
        """Announce a camera's next frame."""
        self._offers[camera] = captured_at

    def turn(self) -> CameraId | None:
        """Return the camera that may release its frame, or None while a member has not offered."""
        if not self._offers or self._members - self._offers.keys():
            return None
        return min(self._offers, key=lambda camera: (self._offers[camera], camera))

    def release(self, camera: CameraId) -> None:
        """Record that the offered frame was released."""
        self._offers.pop(camera, None)

    def leave(self, camera: CameraId) -> None:
        """Remove a camera that has ended or is lost, so that the others do not wait for it."""
        self._members.discard(camera)
        self._offers.pop(camera, None)
