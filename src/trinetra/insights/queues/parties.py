"""Counts people who came to the tills together as one party: they wait once and pay once.

People who are at one till at the same time are one party. So are people who joined a queue together
with one of them and left it when they were called, or when they left; and people who joined and
gave up together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from trinetra.insights.queues.errands import Errand
from trinetra.insights.queues.plan import QueuePlan
from trinetra.values import Instant, after, seconds_between

_LEAST_SHARED = 0.5
"""Share of the shorter service that must be at the same time: parties follow each other closely."""


def parties_of(errands: Iterable[Errand], plan: QueuePlan) -> list[Errand]:
    """Return one errand for each party, by the time they left."""
    found = sorted(errands, key=lambda errand: (errand.came_at, errand.track_id))
    served = _behind_others([_party(members) for members in _served_together(found)])
    rest: list[Errand] = []
    for errand in (errand for errand in found if errand.end != "served"):
        served, joined = _with_companion(served, errand, plan)
        rest, joined = (rest, joined) if joined else _with_companion(rest, errand, plan)
        if not joined:
            rest.append(errand)
    return sorted([*served, *rest], key=lambda errand: (errand.left_at, errand.track_id))


def _served_together(errands: Iterable[Errand]) -> list[list[Errand]]:
    groups: list[list[Errand]] = []
    latest: dict[str | None, int] = {}
    served = [errand for errand in errands if errand.served_at is not None]
    for errand in sorted(served, key=lambda errand: (errand.served_at, errand.track_id)):
        group = latest.get(errand.till_id)
        if group is not None and _is_at_once(groups[group], errand):
            groups[group].append(errand)
        else:
            latest[errand.till_id] = len(groups)
            groups.append([errand])
    return groups


def _is_at_once(group: Sequence[Errand], errand: Errand) -> bool:
    since, until = _service(group)
    began, ended = _service([errand])
    shared_s = seconds_between(max(since, began), min(until, ended))
    shorter_s = min(seconds_between(since, until), seconds_between(began, ended))
    return shared_s > _LEAST_SHARED * shorter_s


def _service(group: Sequence[Errand]) -> tuple[Instant, Instant]:
    began = min(errand.served_at for errand in group if errand.served_at)
    return began, max(errand.left_at for errand in group)


def _party(members: Sequence[Errand]) -> Errand:
    """Return the errand of the member seen longest at the till, with the party's service."""
    served_at, left_at = _service(members)
    known = [member for member in members if member.waited_since is not None]
    first = max(
        known or members,
        key=lambda m: seconds_between(m.served_at or m.left_at, m.left_at),
    )
    waited_since = first.waited_since
    if waited_since is not None:
        waited_since = served_at if first.waited_since == first.served_at else waited_since
        waited_since = min(waited_since, served_at)
    return replace(
        first,
        came_at=min(first.came_at, served_at),
        waited_since=waited_since,
        served_at=served_at,
        left_at=left_at,
        persons=len(members),
    )


def _behind_others(parties: Sequence[Errand]) -> list[Errand]:
    """Return the parties, of which those waited that came while another was still served.

    Others who were in the queue as briefly walked through it to a free till.
    """
    until: dict[str | None, Instant] = {}
    found = []
    for party in parties:
        busy_until = until.get(party.till_id)
        if party.waited_since == party.served_at and busy_until and busy_until > party.came_at:
            found.append(replace(party, waited_since=party.came_at))
        else:
            found.append(party)
        until[party.till_id] = max(party.left_at, busy_until or party.left_at)
    return found


def _with_companion(
    parties: list[Errand], one: Errand, plan: QueuePlan
) -> tuple[list[Errand], bool]:
    """Return the parties with this person in the first one that came and left with the person."""
    for row, party in enumerate(parties):
        if _came_along(party, one, plan):
            together = replace(party, persons=party.persons + 1)
            return [*parties[:row], together, *parties[row + 1 :]], True
    return parties, False


def _came_along(party: Errand, one: Errand, plan: QueuePlan) -> bool:
    if party.queue_id != one.queue_id or party.camera_id != one.camera_id:
        return False
    if abs(seconds_between(party.came_at, one.came_at)) > plan.party_s:
        return False
    called_at = after(party.served_at or party.left_at, -plan.party_s)
    return called_at <= one.left_at <= after(party.left_at, plan.party_s)
