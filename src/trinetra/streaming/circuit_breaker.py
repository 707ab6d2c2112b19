"""Circuit breaker and retry budget for calls to a server that may fail."""


class CircuitBreaker:
    """Closed while calls succeed; open for a while after consecutive failures; then one probe.

    While it is open, callers do not wait for a server that does not answer, and the server gets no
    load. It is open for ``first_open_s``, and twice as long after each failed probe, up to
    ``most_open_s``. The pattern is M. Nygard's (Release It!). Times are seconds of a monotonic
    clock.
    """

    def __init__(self, *, failures_to_open: int, first_open_s: float, most_open_s: float) -> None:
        self._failures_to_open = failures_to_open
        self._first_open_s = first_open_s
        self._most_open_s = most_open_s
        self._open_s = first_open_s
        self._failures = 0
        self._open_until_s: float | None = None
        self._probing = False

    @property
    def is_closed(self) -> bool:
        """True while all calls are admitted."""
        return self._open_until_s is None

    def admits(self, now_s: float) -> bool:
        """Return whether a call may be made; if so, the caller must report its outcome."""
        if self._open_until_s is None:
            return True
        if self._probing or now_s < self._open_until_s:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Record a success: close the circuit."""
        self._failures, self._open_until_s, self._probing = 0, None, False
        self._open_s = self._first_open_s

    def failed(self, now_s: float) -> None:
        """Record a failure; open after ``failures_to_open``, and at once after a failed probe."""
        self._failures += 1
        if self._probing or self._failures >= self._failures_to_open:
            self._open_until_s = now_s + self._open_s
            self._open_s = min(self._most_open_s, 2 * self._open_s)
        self._probing = False

    def abandoned(self) -> None:
        """Record that a call was cancelled before its outcome was known, so the next may probe."""
        self._probing = False


class RetryBudget:
    """Limits retries to a share of the calls, so that they never multiply the load in an outage.

    Every call adds ``share`` of a retry to the budget, up to ``most_saved``; a retry takes one.
    gRPC throttles its own retries in the same way (proposal A6).
    """

    def __init__(self, *, share: float, most_saved: float) -> None:
        self._share = share
        self._most_saved = most_saved
        self._saved = most_saved

    def note_call(self) -> None:
        """Add ``share`` of a retry to the budget."""
        self._saved = min(self._most_saved, self._saved + self._share)

    def spend(self) -> bool:
        """Take one retry from the budget; return False if there is none."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
