"""Passages: one per person and walk through a door, however many cameras and lines saw it.

Crossings of one body back and forth within ``turn_s`` that stay near the line cancel out: people
who turn round at it, or dance over it, count once or not at all. What remains is joined over the
lines of a door: at most one crossing of each line, in the same direction within ``within_s``, and
not of two customers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import msgspec

from trinetra.events.derivation import Span
from trinetra.events.schema import AgeGroup, InsightEvent, LineCrossing, Passage
from trinetra.insights.footfall.doors import Door, LineRef
from trinetra.values import CustomerId, EventId, IdentityKind, derive_id, seconds_between

_TURN_BOXES = 0.1
"""Whoever goes further beyond a line than this, in box heights, has passed it."""
CHILD_BELOW_M = 1.45
"""Half of all children of eleven are shorter (CDC growth charts, 2000), and of adult women three in
a hundred (NHANES III)."""


@dataclass(frozen=True, slots=True)
class Passages:
    """The derivation of passages; ``within_s`` is the largest time between two lines of a door."""

    doors: tuple[Door, ...]
    within_s: float = 2.0
    turn_s: float = 4.0
    name: str = "passages"
    version: int = 1
    inputs: frozenset[str] = frozenset({"line_crossing"})
    outputs: frozenset[str] = frozenset({"passage"})
    window_s: float = 3600.0
    margin_s: float = 60.0

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> list[InsightEvent]:
        """Return the passages that begin in a span."""
        crossings = [event for event in inputs if isinstance(event, LineCrossing)]
        made = passages_of(crossings, self.doors, self.within_s, self.turn_s)
        return [passage for passage in made if span.start <= passage.captured_at < span.end]


def passages_of(
    crossings: Iterable[LineCrossing], doors: Iterable[Door], within_s: float, turn_s: float
) -> list[Passage]:
    """Return the passages that follow from crossings, in order; the order of these is no matter."""
    door_of = {line: door for door in doors for line in door.lines}
    ordered = sorted(crossings, key=lambda c: (c.captured_at, c.event_id))
    of_door: dict[str, list[LineCrossing]] = defaultdict(list)
    for crossing in _without_turns(ordered, turn_s):
        if door := door_of.get(_line(crossing)):
            of_door[door.door_id].append(crossing)
    by_id = {door.door_id: door for door in doors}
    made = [
        _passage(by_id[door_id], walk.crossings)
        for door_id, found in of_door.items()
        for walk in _walks(found, within_s)
    ]
    return sorted(made, key=lambda passage: (passage.captured_at, passage.event_id))


def age_of(heights_m: Iterable[float]) -> AgeGroup | None:
    """Return whether a person is a child or an adult, None without a height."""
    known = list(heights_m)
    if not known:
        return None
    return "child" if median(known) < CHILD_BELOW_M else "adult"


@dataclass(slots=True)
class _Walk:
    """The crossings of one walk through a door, at most one of each line."""

    crossings: list[LineCrossing] = field(default_factory=list)

    def fits(self, crossing: LineCrossing, within_s: float) -> bool:
        first = self.crossings[0]
        if (first.direction, first.label) != (crossing.direction, crossing.label):
            return False
        if seconds_between(first.captured_at, crossing.captured_at) > within_s:
            return False
        lines = {_line(each) for each in self.crossings}
        customers = {each.customer_id for each in self.crossings} - {None}
        is_other = crossing.customer_id and customers and crossing.customer_id not in customers
        return _line(crossing) not in lines and not is_other


def _line(crossing: LineCrossing) -> LineRef:
    return LineRef(crossing.camera_id, crossing.line_id)


def _without_turns(ordered: Sequence[LineCrossing], turn_s: float) -> list[LineCrossing]:
    """Return the crossings that no crossing of the same body back over the line follows soon."""
    last: dict[tuple[LineRef, str], LineCrossing] = {}
    turned: set[EventId] = set()
    for crossing in ordered:
        key = _line(crossing), str(crossing.body_id or crossing.track_id)
        before = last.pop(key, None)
        is_turn = (
            before is not None
            and before.direction != crossing.direction
            and seconds_between(before.captured_at, crossing.captured_at) <= turn_s
            and (crossing.reach or 0.0) <= _TURN_BOXES
        )
        if before is not None and is_turn:
            turned |= {before.event_id, crossing.event_id}
        else:
            last[key] = crossing
    return [crossing for crossing in ordered if crossing.event_id not in turned]


def _walks(ordered: Iterable[LineCrossing], within_s: float) -> list[_Walk]:
    """Return the crossings by walk: the earliest that fits, because people keep their order."""
    walks: list[_Walk] = []
    for crossing in ordered:
        recent = [walk for walk in walks[-_RECENT:] if walk.fits(crossing, within_s)]
        named = [walk for walk in recent if _is_of(walk, crossing.customer_id)]
        if walk := next(iter(named or recent), None):
            walk.crossings.append(crossing)
        else:
            walks.append(_Walk([crossing]))
    return walks


_RECENT = 64
"""Walks that may still be joined: more people do not pass a door within two seconds."""


def _is_of(walk: _Walk, customer_id: CustomerId | None) -> bool:
    return customer_id is not None and any(c.customer_id == customer_id for c in walk.crossings)


def _passage(door: Door, crossings: Sequence[LineCrossing]) -> Passage:
    first = crossings[0]
    named = next((c for c in crossings if c.customer_id), None)
    is_staff = any(c.kind is IdentityKind.STAFF for c in crossings)
    kind = IdentityKind.STAFF if is_staff else named.kind if named else msgspec.UNSET
    ids = tuple(sorted(c.event_id for c in crossings))
    heights_m = [c.height_m for c in crossings if isinstance(c.height_m, float)]
    return Passage(
        event_id=EventId(derive_id("passage", first.site_id, door.door_id, *ids)),
        site_id=first.site_id,
        camera_id=first.camera_id,
        captured_at=first.captured_at,
        door_id=door.door_id,
        door_kind=door.kind,
        direction=first.direction,
        label=first.label,
        crossings=ids,
        customer_id=named.customer_id if named else None,
        kind=kind,
        age=age_of(heights_m) or msgspec.UNSET,
    )


def along_of(crossings: Mapping[EventId, LineCrossing], passage: Passage) -> dict[LineRef, float]:
    """Return where a passage met each line, in box heights from its end."""
    found = (crossings[each] for each in passage.crossings if each in crossings)
    return {_line(c): c.along for c in found if isinstance(c.along, float)}
