"""Availability of the frame buffer, and the schedule of attempts during an outage. Pure."""


class Outage:
    """An outage of the frame buffer, shared by all cameras; the caller passes the time.

    During an outage one frame per ``retry_s`` is attempted; all others are not delayed by a server
    that does not answer.
    """

    def __init__(self, retry_s: float) -> None:
        self.problem: str | None = None
        self._retry_s = retry_s
        self._next_try_s = 0.0

    def may_try(self, now_s: float) -> bool:
        """Return whether to try the buffer now; during an outage the caller must then do so."""
        if self.problem is None:
            return True
        if now_s < self._next_try_s:
            return False
        self._next_try_s = now_s + self._retry_s
        return True

    def failed(self, problem: str, now_s: float) -> bool:
        """Record that the buffer did not answer; return True at the start of an outage."""
        is_news = self.problem is None
        self.problem = problem
        self._next_try_s = now_s + self._retry_s
        return is_news

    def untried_s(self, now_s: float) -> float:
        """Return how long the next attempt is overdue, because no camera had a frame to append."""
        return 0.0 if self.problem is None else max(0.0, now_s - self._next_try_s)

    def answered(self) -> bool:
        """Record that the buffer answered; return True at the end of an outage."""
        is_news = self.problem is not None
        self.problem = None
        return is_news
