"""Queues at tills."""

import heapq
import itertools
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from trinetra.twin.tills import Hall, Ticket


@dataclass
class Till:
    """A hall with a clock: plays arrivals and their consequences in order of time."""

    tills: int
    lead: int = 2
    agenda: list = field(default_factory=list)
    ties: itertools.count = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.hall = Hall(self.tills, self.lead, lambda t, k: self._at(t, self.hall.finish, k))

    def _at(self, t: float, what, ticket: Ticket) -> None:
        heapq.heappush(self.agenda, (t, next(self.ties), what, ticket))

    def play(self, arrivals: list[tuple[float, Ticket]]) -> None:
        for t, ticket in arrivals:
            self._at(t, self._join, ticket)
        while self.agenda:
            t, _, what, ticket = heapq.heappop(self.agenda)
            what(t, ticket)

    def _join(self, t: float, ticket: Ticket) -> None:
        self.hall.join(t, ticket)
        if ticket.end is None:
            self._at(t + ticket.patience_s, self.hall.give_up, ticket)


def ticket(
    party: int, service: float = 60, patience: float = 1e6, balk: int = 99, *, jockeys: bool = True
) -> Ticket:
    return Ticket(party, balk, patience, service, jockeys)


def test_one_line_is_served_first_come_first_served() -> None:
    tickets = [ticket(i) for i in range(3)]
    Till(1).play([(float(i), t) for i, t in enumerate(tickets)])
    assert [t.served_s for t in tickets] == [0, 60, 120]
    assert [t.left_s for t in tickets] == [60, 120, 180]
    assert [p.rank for p in tickets[2].places] == [2, 1, 0]


def test_who_finds_the_line_too_long_balks() -> None:
    tickets = [ticket(0), ticket(1), ticket(2, balk=2)]
    Till(1).play([(0.0, t) for t in tickets])
    assert [t.end for t in tickets] == ["served", "served", "balked"]
    assert tickets[2].places == []


def test_who_waits_too_long_gives_up_and_the_others_move_up() -> None:
    tickets = [ticket(0, service=100), ticket(1, patience=30), ticket(2)]
    Till(1).play([(0.0, t) for t in tickets])
    assert [t.end for t in tickets] == ["served", "reneged", "served"]
    assert tickets[1].left_s == 30
    assert [(p.t, p.rank) for p in tickets[2].places] == [(0, 2), (30, 1), (100, 0)]


def test_the_last_of_a_long_line_changes_over_to_a_till_that_got_free() -> None:
    first, quick, stuck, next_one = ticket(0, 1000), ticket(1, 10), ticket(2), ticket(3)
    Till(2).play([(0.0, t) for t in (first, quick, stuck, next_one)])
    # At 10 s the other line is shorter by only one; at 70 s it is empty.
    assert [(p.t, p.till) for p in stuck.places] == [(0, 0), (70, 1)]
    assert stuck.changes == 1
    assert first.changes == quick.changes == next_one.changes == 0


def test_who_does_not_jockey_stays() -> None:
    tickets = [ticket(i, 1000 if i % 2 == 0 else 10, jockeys=False) for i in range(5)]
    Till(2).play([(0.0, t) for t in tickets])
    assert all(t.changes == 0 for t in tickets)


@given(
    tills=st.integers(1, 4),
    parties=st.lists(
        st.tuples(
            st.floats(0, 2000),
            st.floats(1, 300),
            st.floats(1, 600),
            st.integers(1, 5),
            st.booleans(),
        ),
        max_size=40,
    ),
)
def test_everybody_ends_once_and_no_till_serves_two_at_a_time(
    tills: int, parties: list[tuple[float, float, float, int, bool]]
) -> None:
    arrivals = [
        (t, ticket(i, service, patience, balk, jockeys=jockeys))
        for i, (t, service, patience, balk, jockeys) in enumerate(parties)
    ]
    Till(tills).play(arrivals)
    served: dict[int, list[tuple[float, float]]] = {}
    for t, one in arrivals:
        assert one.end is not None
        assert one.left_s is not None
        assert one.joined_s == t <= one.left_s
        assert (one.end == "served") == (one.served_s is not None)
        assert [p.t for p in one.places] == sorted(p.t for p in one.places)
        if one.served_s is not None:
            assert one.served_s - t <= one.patience_s + 1e-6  # times are large floats
            served.setdefault(one.places[-1].till, []).append((one.served_s, one.left_s))
    for spans in served.values():
        for (_, left), (begun, _) in itertools.pairwise(sorted(spans)):
            assert begun >= left
