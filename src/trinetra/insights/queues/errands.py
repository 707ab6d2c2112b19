"""Finds when a person at the tills waited and was served.

A person is first in the queue and then at the till. Stays show it with errors: a box that is too
short or too long puts the foot into the other zone for a while. Service begins at the instant that
contradicts the fewest seconds of stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trinetra.insights.queues.persons import Person, TillStay
from trinetra.values import CameraId, CustomerId, Instant, TrackId

End = Literal["served", "abandoned", "moved"]
Run = Sequence[TillStay]
"""Stays of one person in queues of the same tills, or at one till."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A wait in one queue and, unless ``served_at`` is None, the service after it.

    ``came_at`` is when the queue was entered. ``waited_since`` is when the wait began, in this
    queue or in one before it; it is ``served_at`` for a person who went straight to the till, and
    None for one who was not seen to come. ``changes`` counts the queues left before.
    """

    camera_id: CameraId
    queue_id: str | None
    till_id: str | None
    came_at: Instant
    waited_since: Instant | None
    served_at: Instant | None
    left_at: Instant
    end: End
    track_id: TrackId
    customer_id: CustomerId | None
    changes: int = 0
    persons: int = 1


def errands_of(person: Person) -> list[Errand]:
    """Return the queues that a person waited in, each with its end; empty if the person passed."""
    service = _service(person.stays)
    runs = _runs(person.stays, service[0].entered_at if service else None)
    leads_there = bool(service and runs and service[0].zone.tills & runs[-1][0].zone.tills)
    legs = [run for run in runs if _waits(run) or (leads_there and run is runs[-1])]
    if service and not leads_there:
        legs.append([])
    return [_errand(person, legs, row, service, came=bool(runs)) for row in range(len(legs))]


def _errand(person: Person, legs: Sequence[Run], row: int, service: Run, *, came: bool) -> Errand:
    leg, is_last = legs[row], row == len(legs) - 1
    served = service if is_last else []
    first, at = (leg or served)[0], [*leg, *served]
    served_at = served[0].entered_at if served else None
    began = legs[0][0].entered_at if legs[0] else None
    tills = (served or leg)[0].zone.tills
    return Errand(
        camera_id=first.event.camera_id,
        queue_id=leg[0].event.zone_id if leg else None,
        till_id=min(tills) if len(tills) == 1 else None,
        came_at=first.entered_at,
        waited_since=began if row or (leg and _waits(leg)) else served_at if came else None,
        served_at=served_at,
        left_at=max(stay.left_at for stay in at),
        end="served" if served else "abandoned" if is_last else "moved",
        track_id=first.event.track_id,
        customer_id=person.customer_id,
        changes=row,
    )


def _waits(run: Run) -> bool:
    return _dwell_s(run) >= run[0].zone.engaged_after_s


def _service(stays: Run) -> Run:
    """Return the stays at the till from the beginning of the service on; empty if there is none."""
    best_s, balance_s, first = 0.0, 0.0, len(stays)
    for row in reversed(range(len(stays))):
        is_at_till = stays[row].zone.kind == "till"
        balance_s += stays[row].dwell_s if is_at_till else -stays[row].dwell_s
        if is_at_till and balance_s >= best_s:
            best_s, first = balance_s, row
    at_tills = [stay for stay in stays[first:] if stay.zone.kind == "till"]
    tills = sorted({min(stay.zone.tills) for stay in at_tills})
    longest = max(
        ([s for s in at_tills if t in s.zone.tills] for t in tills), key=_dwell_s, default=[]
    )
    return longest if longest and _waits(longest) else []


def _runs(stays: Run, until: Instant | None) -> list[Run]:
    """Return the stays in queues until then, grouped into runs in queues of the same tills."""
    runs: list[list[TillStay]] = []
    for stay in stays:
        if stay.zone.kind != "queue" or (until and stay.entered_at >= until):
            continue
        if runs and runs[-1][-1].zone.tills & stay.zone.tills:
            runs[-1].append(stay)
        else:
            runs.append([stay])
    return list(runs)


def _dwell_s(stays: Iterable[TillStay]) -> float:
    return sum(stay.dwell_s for stay in stays)
