"""Whether the frame buffer answers, and when it is worth trying. Pure."""


class Outage:
    """The frame buffer's absence, seen by all cameras together; the caller brings the time.

    While it lasts, one frame in ``retry_s`` is tried, and all others need not wait for an answer.
    """

    def __init__(self, retry_s: float) -> None:
        self.problem: str | None = None
        self._retry_s = retry_s
        self._next_try_s = 0.0

    def may_try(self, now_s: float) -> bool:
        """Return whether to try the buffer now; the one who is told so during an outage does."""
        if self.problem is None:
            return True
        if now_s < self._next_try_s:
            return False
        self._next_try_s = now_s + self._retry_s
        return True

    def failed(self, problem: str, now_s: float) -> bool:
        """Note that the buffer did not answer; return whether that is news."""
        is_news = self.problem is None
        self.problem = problem
        self._next_try_s = now_s + self._retry_s
        return is_news

    def untried_s(self, now_s: float) -> float:
        """Return for how long the next try has been due: nobody had a frame to try."""
        return 0.0 if self.problem is None else max(0.0, now_s - self._next_try_s)

    def answered(self) -> bool:
        """Note that the buffer answered; return whether that is news."""
        is_news = self.problem is not None
        self.problem = None
        return is_news
