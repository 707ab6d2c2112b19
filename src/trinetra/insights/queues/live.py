"""Queues and tills right now: people in each queue, and which tills are open.

The latest occupancy of a zone tells how many people are in it. A till is open while people are at
it, while known staff is, and for a while after its last service.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from trinetra.events.schema import Occupancy, QueueVisit
from trinetra.insights.queues.plan import QueuePlan, ZonePlace
from trinetra.values import Instant, seconds_between

OPEN_AFTER_SERVICE_S = 300.0


class LiveQueue(NamedTuple):
    """People in a queue zone; None while its camera does not see it, or has not told yet."""

    tills: frozenset[str]
    people: int | None


class LiveTills(NamedTuple):
    """The queues by zone, and whether each till is open; None if that is not known."""

    queues: Mapping[ZonePlace, LiveQueue]
    is_open: Mapping[str, bool | None]


def live(
    plan: QueuePlan,
    at: Instant,
    occupancy: Mapping[ZonePlace, Occupancy],
    visits: Iterable[QueueVisit],
    staffed: Iterable[str] = (),
) -> LiveTills:
    """Return the queues and tills at an instant.

    ``occupancy`` is the latest of each zone, ``visits`` are those that ended recently, ``staffed``
    the tills at which known staff is.
    """
    last: dict[str, float] = {}
    for visit in visits:
        if visit.till_id and visit.end == "served" and visit.captured_at <= at:
            ago_s = seconds_between(visit.captured_at, at)
            last[visit.till_id] = min(ago_s, last.get(visit.till_id, ago_s))
    people = {place: _people(occupancy.get(place)) for place in plan.zones}
    staffed = frozenset(staffed)
    return LiveTills(
        {p: LiveQueue(z.tills, people[p]) for p, z in plan.zones.items() if z.kind == "queue"},
        {
            min(zone.tills): _is_open(
                people[place], last.get(min(zone.tills)), zone.tills & staffed
            )
            for place, zone in plan.zones.items()
            if zone.kind == "till"
        },
    )


def longest(visits: Iterable[QueueVisit]) -> int:
    """Return the highest number of parties that waited at the same time."""
    changes: list[tuple[Instant, int]] = []
    for visit in visits:
        if visit.wait_s:
            changes += [(visit.joined_at, 1), (visit.served_at or visit.captured_at, -1)]
    length, most = 0, 0
    for _, change in sorted(changes):  # at one instant, those who leave come first
        length += change
        most = max(most, length)
    return most


def _people(occupancy: Occupancy | None) -> int | None:
    return None if occupancy is None or occupancy.unseen is True else occupancy.persons


def _is_open(people: int | None, served_ago_s: float | None, staff: frozenset[str]) -> bool | None:
    if people or staff or (served_ago_s is not None and served_ago_s <= OPEN_AFTER_SERVICE_S):
        return True
    return None if people is None else False
