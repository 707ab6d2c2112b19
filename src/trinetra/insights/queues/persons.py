"""Joins stays at the tills into persons.

Waiting people hide each other, so one wait often is several stays. Stays of one customer or one
track are one person. A person whose stay ends without either may be seen again shortly after: such
ends and beginnings are joined one to one, the shortest gap first. If two people of one queue are
confused by that, the sum of their waits remains the same.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trinetra.events.schema import ZoneStay
from trinetra.insights.queues.plan import QueuePlan, TillZone, ZonePlace
from trinetra.values import CustomerId, Instant, seconds_between


class TillStay(NamedTuple):
    """A stay in a queue or at a till."""

    entered_at: Instant
    left_at: Instant
    zone: TillZone
    event: ZoneStay

    @property
    def dwell_s(self) -> float:
        """Seconds of the stay."""
        return seconds_between(self.entered_at, self.left_at)


@dataclass(slots=True)
class Person:
    """The stays of one person at the tills, in the order of entering."""

    stays: list[TillStay]

    @property
    def began_at(self) -> Instant:
        """When the first stay began."""
        return self.stays[0].entered_at

    @property
    def ended_at(self) -> Instant:
        """When the last stay ended."""
        return max(stay.left_at for stay in self.stays)

    @property
    def last(self) -> TillStay:
        """The stay that ended last."""
        return max(self.stays, key=lambda stay: (stay.left_at, stay.event.event_id))

    @property
    def customer_id(self) -> CustomerId | None:
        """The customer, if one of the stays is known to be a customer's."""
        return next((s.event.customer_id for s in self.stays if s.event.customer_id), None)


def persons_of(events: Iterable[ZoneStay], plan: QueuePlan) -> list[Person]:
    """Return the persons of these stays, by their beginning; other zones are left out."""
    stays = []
    for event in events:
        zone = plan.zones.get(ZonePlace(event.camera_id, event.zone_id))
        if zone is not None:
            stays.append(TillStay(event.entered_at, event.captured_at, zone, event))
    stays.sort(key=lambda stay: (stay.entered_at, stay.event.event_id))
    return _joined(_known(stays, plan), plan)


def _known(stays: Sequence[TillStay], plan: QueuePlan) -> list[Person]:
    """Return the stays grouped by track and customer, each group without a long gap."""
    group: dict[int, int] = {row: row for row in range(len(stays))}
    last: dict[str, int] = {}
    for row, stay in enumerate(stays):
        event = stay.event
        for name in filter(None, (event.track_id, event.customer_id)):
            before = last.get(name)
            if before is not None and _gap_s(stays[before], stay) <= plan.same_person_s:
                _unite(group, before, row)
            last[name] = row
    groups: dict[int, list[TillStay]] = defaultdict(list)
    for row, stay in enumerate(stays):
        groups[_root(group, row)].append(stay)
    return [Person(of_one) for of_one in groups.values()]


def _gap_s(earlier: TillStay, later: TillStay) -> float:
    return seconds_between(earlier.left_at, later.entered_at)


def _root(group: dict[int, int], row: int) -> int:
    while group[row] != row:
        group[row] = row = group[group[row]]
    return row


def _unite(group: dict[int, int], one: int, two: int) -> None:
    first, second = sorted((_root(group, one), _root(group, two)))
    group[second] = first


def _joined(persons: Sequence[Person], plan: QueuePlan) -> list[Person]:
    """Return the persons with those joined that may be one, the shortest gap first."""
    after: dict[int, int] = {}
    before: dict[int, int] = {}
    for _, earlier, later in sorted(_breaks(persons, plan)):
        if earlier in after or later in before:
            continue
        chain = [*_back(before, earlier), *_forth(after, later)]
        if len({persons[row].customer_id for row in chain} - {None}) <= 1:
            after[earlier], before[later] = later, earlier
    heads = [row for row in range(len(persons)) if row not in before]
    joined = [Person([s for row in _forth(after, h) for s in persons[row].stays]) for h in heads]
    for person in joined:
        person.stays.sort(key=lambda stay: (stay.entered_at, stay.event.event_id))
    return sorted(joined, key=lambda person: (person.began_at, person.stays[0].event.event_id))


def _back(before: dict[int, int], row: int) -> Iterator[int]:
    yield row
    while row in before:
        row = before[row]
        yield row


def _forth(after: dict[int, int], row: int) -> Iterator[int]:
    yield row
    while row in after:
        row = after[row]
        yield row


def _breaks(persons: Sequence[Person], plan: QueuePlan) -> Iterator[tuple[float, int, int]]:
    """Yield the size of a gap, and the rows of the persons before and after it."""
    starts = sorted((person.began_at, row) for row, person in enumerate(persons))
    first = 0
    for ended_at, earlier in sorted((person.ended_at, r) for r, person in enumerate(persons)):
        while first < len(starts) and seconds_between(starts[first][0], ended_at) > plan.overlap_s:
            first += 1
        for began_at, later in starts[first:]:
            gap_s = seconds_between(ended_at, began_at)
            if gap_s > plan.break_s:
                break
            if earlier < later and _may_continue(persons[earlier].last, persons[later].stays[0]):
                yield abs(gap_s), earlier, later


def _may_continue(earlier: TillStay, later: TillStay) -> bool:
    """Return whether a person may have gone on from one stay to the other.

    The served do not go back to the queue.
    """
    is_back = earlier.zone.kind == "till" and later.zone.kind == "queue"
    return not is_back and bool(earlier.zone.tills & later.zone.tills)
