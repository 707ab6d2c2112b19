"""Queues at tills: joining, jockeying, reneging and service, event by event.

Each till has its own queue, first come first served. Arrivals join the shortest queue, or balk if
it is too long for them. The last party of a queue that is longer than another by some places may
jockey. A party that has waited beyond its patience reneges.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

QueueEnd = Literal["served", "balked", "reneged"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a till's queue from ``t`` on; rank 0 is being served."""

    t: float
    till: int
    rank: int


@dataclass(slots=True, eq=False)
class Ticket:
    """One party at the tills: the limits of its patience, and the outcome."""

    party: int
    balk_at: int
    patience_s: float
    service_s: float
    jockeys: bool
    places: list[Place] = field(default_factory=list)
    joined_s: float = 0.0
    served_s: float | None = None
    left_s: float | None = None
    end: QueueEnd | None = None
    changes: int = 0


class Hall:
    """Queues of all tills.

    The caller passes the time; ``finish_at`` schedules the end of service.
    """

    def __init__(
        self, tills: int, jockey_lead: int, finish_at: Callable[[float, Ticket], None]
    ) -> None:
        self._lines: list[list[Ticket]] = [[] for _ in range(tills)]
        self._jockey_lead = jockey_lead
        self._finish_at = finish_at

    def join(self, t: float, ticket: Ticket) -> None:
        """Add a party to the shortest queue, or let it balk."""
        ticket.joined_s = t
        till = min(range(len(self._lines)), key=lambda i: (len(self._lines[i]), i))
        if len(self._lines[till]) >= ticket.balk_at:
            ticket.end, ticket.left_s = "balked", t
            return
        self._enter(t, till, ticket)

    def finish(self, t: float, ticket: Ticket) -> None:
        """Remove a party that has paid, and move up everyone behind it."""
        ticket.end, ticket.left_s = "served", t
        self._depart(t, ticket)

    def give_up(self, t: float, ticket: Ticket) -> bool:
        """Let a party leave unserved if it still waits; return whether it did."""
        if ticket.end is not None or ticket.served_s is not None:
            return False
        ticket.end, ticket.left_s = "reneged", t
        self._depart(t, ticket)
        return True

    def _enter(self, t: float, till: int, ticket: Ticket) -> None:
        line = self._lines[till]
        line.append(ticket)
        ticket.places.append(Place(t, till, len(line) - 1))
        if len(line) == 1:
            self._serve(t, ticket)

    def _serve(self, t: float, ticket: Ticket) -> None:
        ticket.served_s = t
        self._finish_at(t + ticket.service_s, ticket)

    def _depart(self, t: float, ticket: Ticket) -> None:
        till = ticket.places[-1].till
        line = self._lines[till]
        first = line.index(ticket)
        line.remove(ticket)
        self._move_up(t, till, first)
        self._jockey(t, till)

    def _move_up(self, t: float, till: int, first: int) -> None:
        line = self._lines[till]
        for rank in range(first, len(line)):
            line[rank].places.append(Place(t, till, rank))
        if first == 0 and line:
            self._serve(t, line[0])

    def _jockey(self, t: float, till: int) -> None:
        """Let the last party of the longest queue switch over if this queue is enough shorter."""
        longest = max(range(len(self._lines)), key=lambda i: (len(self._lines[i]), -i))
        line = self._lines[longest]
        if len(line) - len(self._lines[till]) < self._jockey_lead or not line[-1].jockeys:
            return
        ticket = line.pop()
        ticket.changes += 1
        self._enter(t, till, ticket)
