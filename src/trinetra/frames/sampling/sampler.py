"""Adaptive frame sampling, and detection of idle cameras."""

from dataclasses import dataclass

from trinetra.values import Instant, after, seconds_between


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """The sample rates of one camera, and the thresholds of motion and lag.

    The rate rises from base to ceiling as the motion score goes from ``motion_low`` to
    ``motion_high``, and falls to the floor as the buffer's lag goes from ``lag_low`` to
    ``lag_high`` frames. A worker that keeps up has a few frames in hand; where workers are too slow
    for all cameras, frames become rarer instead of seconds old.
    """

    base_fps: float = 5.0
    floor_fps: float = 1.0
    ceiling_fps: float = 10.0
    motion_low: float = 0.002
    motion_high: float = 0.05
    lag_low: int = 4
    lag_high: int = 16

    def __post_init__(self) -> None:
        """Raise ValueError for rates that contradict each other."""
        if not 0.0 < self.floor_fps <= self.base_fps <= self.ceiling_fps:
            raise ValueError(
                "sampling needs 0 < floor_fps <= base_fps <= ceiling_fps, "
                f"not {self.floor_fps}, {self.base_fps}, {self.ceiling_fps}"
            )


def sample_rate_hz(config: SamplingConfig, *, motion: float, lag: int) -> float:
    """Return the rate for a motion score in [0, 1] and a lag in frames.

    The rate lies between floor and ceiling, never falls with motion and never rises with lag.
    """
    activity = _ramp(motion, config.motion_low, config.motion_high)
    wanted = config.base_fps + activity * (config.ceiling_fps - config.base_fps)
    overload = _ramp(lag, config.lag_low, config.lag_high)
    return max(config.floor_fps, wanted + overload * (config.floor_fps - wanted))


def _ramp(value: float, low: float, high: float) -> float:
    if value <= low:
        return 0.0
    return 1.0 if value >= high else (value - low) / (high - low)


class Sampler:
    """Selects frames of one camera so that their rate follows ``sample_rate_hz``.

    In any span of ``s`` seconds it selects at most ``ceiling_fps * s + 2`` frames. Consecutive
    selected frames are at most ``1 / floor_fps`` plus one frame apart.
    """

    def __init__(self, config: SamplingConfig) -> None:
        self._config = config
        self._slot: Instant | None = None
        self.rate_hz = config.base_fps

    def wants(self, captured_at: Instant, *, motion: float, lag: int) -> bool:
        """Return whether to keep the frame; frames must be passed in order of capture."""
        self.rate_hz = sample_rate_hz(self._config, motion=motion, lag=lag)
        if self._slot is None:
            self._slot = captured_at
            return True
        due = after(self._slot, 1.0 / self.rate_hz)
        if captured_at < due:
            return False
        # A frame rarely arrives exactly when it is due. Counting from the due time, not from the
        # arrival, keeps the mean rate; the carry is bounded so that a late frame after a gap is not
        # followed by a burst.
        self._slot = max(due, after(captured_at, -1.0 / self._config.ceiling_fps))
        return True


@dataclass(frozen=True, slots=True)
class IdleConfig:
    """Decode only key frames after ``after_s`` without a motion score of ``motion_level``.

    Off unless a camera asks for it: a person who passes between two key frames is not seen.
    """

    enabled: bool = False
    after_s: float = 5.0
    motion_level: float = 0.002


class IdleWatch:
    """Detects whether a camera has been still for long enough to decode only its key frames."""

    def __init__(self, config: IdleConfig) -> None:
        self._config = config
        self._moved_at: Instant | None = None
        self.is_idle = False

    def observe(self, captured_at: Instant, motion: float) -> bool:
        """Update with the motion score at an instant; return whether the camera is idle now."""
        if self._moved_at is None or motion >= self._config.motion_level:
            self._moved_at = captured_at
        still_s = seconds_between(self._moved_at, captured_at)
        self.is_idle = self._config.enabled and still_s >= self._config.after_s
        return self.is_idle
