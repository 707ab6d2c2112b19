"""Estimation of a live frame's capture time from its arrival and its stream time. Pure."""

from trinetra.values import Instant, after, seconds_between


class CaptureTimes:
    """Estimates capture times from arrival times, which jitter, and stream times, which drift.

    The offset of the wall clock from the stream clock is estimated as the smallest one seen (that
    of the least delayed frame), and may rise by ``leak`` seconds per second to follow a real drift
    between the two clocks. A jump of more than ``gap_s`` resets the estimate. No result is later
    than the arrival; the ingestor ensures that results increase across reconnects.
    """

    def __init__(self, *, leak: float = 0.005, gap_s: float = 1.0) -> None:
        self._leak = leak
        self._gap_s = gap_s
        self._anchor: tuple[Instant, float] | None = None

    def stamp(self, arrived_at: Instant, stream_s: float | None) -> Instant:
        """Return the capture time of the next frame; its arrival if ``stream_s`` is None."""
        captured_at = arrived_at
        if stream_s is not None:
            captured_at = self._follow(arrived_at, stream_s)
            self._anchor = (captured_at, stream_s)
        return captured_at

    def _follow(self, arrived_at: Instant, stream_s: float) -> Instant:
        if self._anchor is None:
            return arrived_at
        anchor_at, anchor_s = self._anchor
        elapsed_s = stream_s - anchor_s
        predicted = after(anchor_at, elapsed_s)
        late_s = seconds_between(predicted, arrived_at)
        if abs(late_s) > self._gap_s or elapsed_s < 0:
            return arrived_at
        return after(predicted, min(late_s, self._leak * elapsed_s))
