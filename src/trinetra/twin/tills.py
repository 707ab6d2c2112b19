"""Queues at tills: who waits where, changes over, gives up and is served, event by event.

Each till has its own line, first come first served. Arrivals join the shortest line, or balk when
it is too long for them; who waits at the end of a line that is longer by some places than another
may jockey; who has waited beyond their patience reneges.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

QueueEnd = Literal["served", "balked", "reneged"]


@dataclass(frozen=True, slots=True)
class Place:
    """From ``t`` on someone stands at a till's line, ``rank`` 0 being served."""

    t: float
    till: int
    rank: int


@dataclass(slots=True, eq=False)
class Ticket:
    """One party at the tills, with the limits of its patience, and what became of it."""

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
    """The lines of all tills. Times come from outside; ``finish_at`` is told when service ends."""

    def __init__(
        self, tills: int, jockey_lead: int, finish_at: Callable[[float, Ticket], None]
    ) -> None:
        self._lines: list[list[Ticket]] = [[] for _ in range(tills)]
        self._jockey_lead = jockey_lead
        self._finish_at = finish_at

    def join(self, t: float, ticket: Ticket) -> None:
        """Let a party take its place in the shortest line, or turn away from all of them."""
        ticket.joined_s = t
        till = min(range(len(self._lines)), key=lambda i: (len(self._lines[i]), i))
        if len(self._lines[till]) >= ticket.balk_at:
            ticket.end, ticket.left_s = "balked", t
            return
        self._enter(t, till, ticket)

    def finish(self, t: float, ticket: Ticket) -> None:
        """Let a party that has paid go, and everybody behind it move up."""
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
        """Let the last of the longest line come over, if that is worth it."""
        longest = max(range(len(self._lines)), key=lambda i: (len(self._lines[i]), -i))
        line = self._lines[longest]
        if len(line) - len(self._lines[till]) < self._jockey_lead or not line[-1].jockeys:
            return
        ticket = line.pop()
        ticket.changes += 1
        self._enter(t, till, ticket)
