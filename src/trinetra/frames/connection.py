"""State machine of a camera's connection, with counters."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trinetra.values import Instant, seconds_between


class CameraState(StrEnum):
    """State of a camera's connection."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    STALLED = "stalled"
    """Connected, but no frame for a while."""
    BACKOFF = "backoff"
    """Lost or refused; waiting before the next attempt."""
    DISABLED = "disabled"
    """Given up: a recording that cannot be read will not become readable."""
    ENDED = "ended"
    """A recording was read to its end, or the ingestor was stopped."""


WORKING = frozenset({CameraState.STREAMING, CameraState.ENDED})
"""States of a camera that delivers, or has delivered all that its recording has."""

_LEGAL: Mapping[CameraState, frozenset[CameraState]] = {
    CameraState.CONNECTING: frozenset(
        {CameraState.STREAMING, CameraState.BACKOFF, CameraState.DISABLED, CameraState.ENDED}
    ),
    CameraState.STREAMING: frozenset(
        {CameraState.STALLED, CameraState.BACKOFF, CameraState.DISABLED, CameraState.ENDED}
    ),
    CameraState.STALLED: frozenset(
        {CameraState.STREAMING, CameraState.BACKOFF, CameraState.DISABLED, CameraState.ENDED}
    ),
    CameraState.BACKOFF: frozenset({CameraState.CONNECTING, CameraState.ENDED}),
    CameraState.DISABLED: frozenset(),
    CameraState.ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """Status of one camera, for operators.

    ``dropped`` counts lost frames by reason; ``frames_left_to_other`` those that were not sent
    because another ingestor reads the camera, and this one stands by; ``sample_fps`` is measured
    over the last samples on the capture clock; ``problem`` is the current failure, if any.
    ``clock_steps`` counts how often the ingestor's clock was stepped, ``last_clock_step_s`` by how
    much last (negative: back).
    """

    state: CameraState
    since: Instant
    frames_read: int
    frames_sampled: int
    dropped: Mapping[str, int]
    frames_left_to_other: int
    failures: int
    last_frame_at: Instant | None
    width: int
    height: int
    sample_fps: float
    key_frames_only: bool
    problem: str | None
    clock_steps: int = 0
    last_clock_step_s: float | None = None


class Connection:
    """One camera's state machine; illegal transitions are rejected."""

    def __init__(self, now: Instant) -> None:
        self.state = CameraState.CONNECTING
        self.since = now
        self.frames_read = 0
        self.frames_sampled = 0
        self.dropped: Counter[str] = Counter()
        self.frames_left_to_other = 0
        self.failures = 0
        self._failures_in_a_row: Counter[str] = Counter()
        self.last_frame_at: Instant | None = None
        self.width = 0
        self.height = 0
        self.key_frames_only = False
        self.problem: str | None = None
        self.clock_steps = 0
        self.last_clock_step_s: float | None = None
        self._sampled_at: deque[Instant] = deque(maxlen=16)

    def to(self, state: CameraState, now: Instant) -> None:
        """Change the state. Raises ValueError for an illegal transition."""
        if state not in _LEGAL[self.state]:
            raise ValueError(f"a camera cannot go from {self.state} to {state}")
        self.state = state
        self.since = now

    def read(self, captured_at: Instant, width: int, height: int) -> None:
        """Count a decoded frame."""
        self.frames_read += 1
        self.last_frame_at = captured_at
        self.width, self.height = width, height

    def sampled(self, captured_at: Instant) -> None:
        """Count a frame that was appended to the buffer."""
        self.frames_sampled += 1
        if self._sampled_at and captured_at <= self._sampled_at[-1]:
            self._sampled_at.clear()  # the clock was set back: no rate spans that
        self._sampled_at.append(captured_at)

    def clock_stepped(self, step_s: float) -> None:
        """Count a step of the clock."""
        self.clock_steps += 1
        self.last_clock_step_s = step_s

    def failed(self, kind: str, *, is_steady: bool) -> int:
        """Count a failed connection; return how often in a row it failed in this way.

        Each kind is counted by itself: a camera that starts is first away, then without its stream,
        and may then refuse its password. ``is_steady`` means that the connection was stable before,
        so all counts restart.
        """
        self.failures += 1
        if is_steady:
            self._failures_in_a_row.clear()
        self._failures_in_a_row[kind] += 1
        return self._failures_in_a_row[kind]

    def sample_rate_hz(self) -> float:
        """Return the rate of the last samples, on the capture clock."""
        return mean_rate_hz(tuple(self._sampled_at))

    def status(self) -> CameraStatus:
        """Return an immutable snapshot."""
        return CameraStatus(
            state=self.state,
            since=self.since,
            frames_read=self.frames_read,
            frames_sampled=self.frames_sampled,
            dropped=dict(self.dropped),
            frames_left_to_other=self.frames_left_to_other,
            failures=self.failures,
            last_frame_at=self.last_frame_at,
            width=self.width,
            height=self.height,
            sample_fps=self.sample_rate_hz(),
            key_frames_only=self.key_frames_only,
            problem=self.problem,
            clock_steps=self.clock_steps,
            last_clock_step_s=self.last_clock_step_s,
        )


def mean_rate_hz(instants: tuple[Instant, ...]) -> float:
    """Return the mean rate of ordered instants, or 0.0 if there are too few."""
    if len(instants) <= 1 or instants[-1] <= instants[0]:
        return 0.0
    return (len(instants) - 1) / seconds_between(instants[0], instants[-1])
