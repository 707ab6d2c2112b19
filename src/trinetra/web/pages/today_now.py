"""What Today shows of this minute: people in the shop and in queues, and open alerts."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from trinetra.client import ApiProblem
from trinetra.client.models import QueuesNow
from trinetra.web.access import Permission
from trinetra.web.pages.page import Page

T = TypeVar("T")
_OCCUPANCY = "occupancy_mean"
_BACK = timedelta(minutes=15)
"""Occupancy is known only as late as people have passed a line or a camera has told its time."""
_MOST_ALERTS = 100
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Now:
    """What is so at present; None is unknown.

    ``queues`` is None where none is drawn or this process does not see the cameras, and ``alerts``
    where the caller may not read them; ``has_more_alerts`` than 100.
    """

    people: float | None = None
    queues: QueuesNow | None = None
    alerts: int | None = None
    urgent_alerts: int = 0
    has_more_alerts: bool = False

    @property
    def waiting(self) -> int | None:
        """People in all queues that are seen; None if none is."""
        queues = self.queues.queues if self.queues else ()
        seen = [queue.people for queue in queues if queue.people is not None]
        return sum(seen) if seen else None

    @property
    def longest_wait_s(self) -> float | None:
        """The longest of the queues' mean waits in the last half hour."""
        queues = self.queues.queues if self.queues else ()
        return max((q.wait_s for q in queues if q.wait_s is not None), default=None)


async def now_of(page: Page, at: datetime) -> Now:
    """Return what is so at an instant, the present one."""
    people = await page.client.figures(_OCCUPANCY, at - _BACK, at, granularity="minute")
    known = [one.value for one in people.of(_OCCUPANCY) if one.value is not None]
    queues = await _if_there(page.client.queues())
    alerts = None
    if page.caller.may(Permission.READ_ALERTS):
        alerts = await _if_there(page.client.alerts("open", limit=_MOST_ALERTS))
    return Now(
        people=known[-1] if known else None,
        queues=queues if queues and queues.queues else None,
        alerts=len(alerts.items) if alerts else None,
        urgent_alerts=sum(one.severity == "critical" for one in alerts.items) if alerts else 0,
        has_more_alerts=bool(alerts and alerts.next_cursor),
    )


async def _if_there(answer: Awaitable[T]) -> T | None:
    """Return an answer; None from a process without that part of the platform."""
    try:
        return await answer
    except ApiProblem as problem:
        if problem.status == _NOT_FOUND:
            return None
        raise
