"""When frames are let go and when a lost camera is tried again."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from trinetra.values import CameraId, Instant, seconds_between


class Pacing(StrEnum):
    """How a source's frames are released."""

    LIVE = "live"
    """As they arrive; what the consumers cannot take is dropped and counted."""
    REALTIME = "realtime"
    """A recording at its own speed: each frame at its ``captured_at`` on the wall clock."""
    LOCKSTEP = "lockstep"
    """A recording as fast as the consumers go: in order over all cameras, and nothing is lost."""


class Increasing:
    """Keeps a camera's capture times increasing, also when it reconnects and when clocks step."""

    def __init__(self) -> None:
        self._last: Instant | None = None

    def next(self, captured_at: Instant) -> Instant:
        """Return the instant, or one just after the last where that would not be an advance."""
        if self._last is not None:
            captured_at = max(captured_at, self._last + timedelta(milliseconds=1))
        self._last = captured_at
        return captured_at


def release_delay_s(captured_at: Instant, now: Instant) -> float:
    """Return how long a realtime recording holds a frame back, 0 when it is due or overdue."""
    return max(0.0, seconds_between(now, captured_at))


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits with jitter, so that cameras behind one switch do not return in step."""

    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0
    jitter: float = 0.25

    def delay_s(self, failures: int, random: float) -> float:
        """Return the wait after the n-th failure in a row.

        ``random`` in [0, 1) spreads it evenly over ``1 - jitter`` to ``1 + jitter`` times its
        nominal length; ``max_s`` bounds the nominal length.
        """
        nominal_s = self.initial_s
        for _ in range(failures - 1):
            nominal_s = min(nominal_s * self.factor, self.max_s)
            if nominal_s == self.max_s:
                break
        return min(nominal_s, self.max_s) * (1.0 + self.jitter * (2.0 * random - 1.0))


class Lockstep:
    """Whose turn it is when several recordings are replayed as one.

    A camera is a member until it leaves. The member whose offered frame is the oldest goes first,
    but only once every member has offered one: the next may come from any of them.
    """

    def __init__(self, cameras: list[CameraId]) -> None:
        self._members = set(cameras)
        self._offers: dict[CameraId, Instant] = {}

    def join(self, camera: CameraId) -> None:
        """Make the others wait for this camera (again)."""
        self._members.add(camera)

    def offer(self, camera: CameraId, captured_at: Instant) -> None:
        """Announce a camera's next frame."""
        self._offers[camera] = captured_at

    def turn(self) -> CameraId | None:
        """Return the camera that may release its frame, None while some member has none yet."""
        if not self._offers or self._members - self._offers.keys():
            return None
        return min(self._offers, key=lambda camera: (self._offers[camera], camera))

    def release(self, camera: CameraId) -> None:
        """Note that the offered frame has gone out."""
        self._offers.pop(camera, None)

    def leave(self, camera: CameraId) -> None:
        """Note that a camera has ended or is away, so that nobody waits for it."""
        self._members.discard(camera)
        self._offers.pop(camera, None)
