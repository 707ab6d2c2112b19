"""When to leave a failing server alone, and how often to ask it twice."""


class CircuitBreaker:
    """Closed while calls succeed; open for a while after so many failures in a row; then one probe.

    While it is open nobody waits for a server that does not answer, and the server is spared. It is
    open for ``first_open_s``, and twice as long after each probe that fails, up to ``most_open_s``.
    The pattern is M. Nygard's (Release It!). Instants are seconds of a monotonic clock.
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
        """Whether calls are admitted freely."""
        return self._open_until_s is None

    def admits(self, now_s: float) -> bool:
        """Return whether a call may be made; whoever is told so reports how it went."""
        if self._open_until_s is None:
            return True
        if self._probing or now_s < self._open_until_s:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Close: the server answers."""
        self._failures, self._open_until_s, self._probing = 0, None, False
        self._open_s = self._first_open_s

    def failed(self, now_s: float) -> None:
        """Count a failure; open after enough of them, and at once after a failed probe."""
        self._failures += 1
        if self._probing or self._failures >= self._failures_to_open:
            self._open_until_s = now_s + self._open_s
            self._open_s = min(self._most_open_s, 2 * self._open_s)
        self._probing = False

    def abandoned(self) -> None:
        """Forget a call that was given up before its outcome was known: the next may probe."""
        self._probing = False


class RetryBudget:
    """Bounds retries to a share of the calls, so that they never multiply the load of an outage.

    Every call saves ``share`` of a retry, up to ``most_saved``; a retry spends one. It is how gRPC
    throttles its own retries (proposal A6).
    """

    def __init__(self, *, share: float, most_saved: float) -> None:
        self._share = share
        self._most_saved = most_saved
        self._saved = most_saved

    def note_call(self) -> None:
        """Save a little."""
        self._saved = min(self._most_saved, self._saved + self._share)

    def spend(self) -> bool:
        """Return whether one more retry is affordable, and take it if so."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
