"""Visits per person: visits that were recorded under several ids of one person, combined.

A visit is stored under the id that was current when it was seen, and never rewritten. Merges are
applied here, when visits are read: so a merge takes effect at once for all recorded visits, and its
reversal leaves no trace.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from trinetra.events.schema import (
    Group,
    InsightEvent,
    Journey,
    LineCrossing,
    Occupancy,
    Passage,
    Purchase,
    QueueVisit,
    Receipt,
    SiteOccupancy,
    UnpaidStay,
    Visit,
    ZoneStay,
)
from trinetra.values import CustomerId, IdentityKind, Instant, seconds_between

_LAST_COUNTS = (Group, Journey, Occupancy, Passage, Purchase, QueueVisit, SiteOccupancy, UnpaidStay)


def is_older(one: InsightEvent, two: InsightEvent) -> bool:
    """Return whether ``one`` is an older state than ``two`` of the same insight.

    Visits may shrink, but only with the next revision. Stays only grow, and each correction of a
    stay or crossing of the same extent is the next revision. A receipt is replaced only by a higher
    revision. Occupancy is never changed, and of what is derived anew the last counts. Of all others
    the one that ends later counts.
    """
    if isinstance(one, _LAST_COUNTS) or isinstance(two, _LAST_COUNTS):
        return False
    if isinstance(one, Receipt) and isinstance(two, Receipt):
        return (one.revision or 0) <= (two.revision or 0)
    if isinstance(one, Visit) and isinstance(two, Visit):
        return (one.revision or 0, one.captured_at) < (two.revision or 0, two.captured_at)
    if isinstance(one, LineCrossing | ZoneStay) and isinstance(two, LineCrossing | ZoneStay):
        return (one.captured_at, one.revision or 0) < (two.captured_at, two.revision or 0)
    return one.captured_at < two.captured_at


def unite(
    visits: Iterable[Visit],
    canonical: Callable[[CustomerId], CustomerId],
    gap_s: float,
    kind_of: Callable[[CustomerId], IdentityKind | None] = lambda _: None,
) -> list[Visit]:
    """Return the visits of people in order of their end; ``canonical`` maps ids to people.

    Withdrawn visits are left out. Visits under several ids of one person are combined if the gap
    between them is at most ``gap_s``. The visits of such a person are renumbered, so pass all of
    them, and get the kind that ``kind_of`` returns for one of the ids; visits of other people stay
    unchanged.
    """
    of_person: dict[CustomerId, list[Visit]] = defaultdict(list)
    for visit in (visit for visit in visits if not visit.withdrawn):
        of_person[canonical(visit.customer_id)].append(visit)
    united: list[Visit] = []
    for person, own in of_person.items():
        kind = next((kind for v in own if (kind := kind_of(v.customer_id))), None)
        united += _of_one(person, own, gap_s, kind)
    return sorted(united, key=lambda v: (v.captured_at, v.event_id))


def _of_one(
    person: CustomerId, visits: Sequence[Visit], gap_s: float, kind: IdentityKind | None
) -> Sequence[Visit]:
    if {v.customer_id for v in visits} == {person}:
        return visits
    first_number: dict[CustomerId, int] = {}
    parts: list[list[Visit]] = []
    for visit in sorted(visits, key=lambda v: (v.started_at, v.event_id)):
        known = first_number.get(visit.customer_id, visit.visit_number)
        first_number[visit.customer_id] = min(known, visit.visit_number)
        if parts and seconds_between(_end(parts[-1]), visit.started_at) <= gap_s:
            parts[-1].append(visit)
        else:
            parts.append([visit])
    # For visits before the first retained one, only their number is known.
    before = sum(number - 1 for number in first_number.values())
    joined = [_joined(person, part, before + n) for n, part in enumerate(parts, 1)]
    return [replace(visit, kind=kind or visit.kind) for visit in joined]


def _end(part: Iterable[Visit]) -> Instant:
    return max(visit.captured_at for visit in part)


def _joined(person: CustomerId, part: Sequence[Visit], number: int) -> Visit:
    """Return one visit combined from visits in order of start, with the id of the first."""
    last = max(part, key=lambda v: v.captured_at)
    return replace(
        part[0],
        customer_id=person,
        kind=last.kind,
        captured_at=last.captured_at,
        cameras=tuple(dict.fromkeys(camera for visit in part for camera in visit.cameras)),
        visit_number=number,
    )
