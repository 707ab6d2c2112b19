"""Groups: people who pass a door together, as families, couples and friends do.

Members of a group walk side by side or closely behind each other (Moussaid et al., The walking
behaviour of pedestrian social groups, PLoS ONE 5(4), 2010: 0.5 to 1 m apart). Two people belong
together if they pass within ``gap_s`` and, where it is known, within ``apart_boxes`` of each other
along the line; whoever belongs to a member belongs to the group.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from trinetra.events.derivation import Span
from trinetra.events.schema import Group, InsightEvent, LineCrossing, Passage
from trinetra.insights.config import PERSON
from trinetra.insights.footfall.doors import LineRef
from trinetra.insights.footfall.passages import along_of
from trinetra.values import EventId, IdentityKind, derive_id, seconds_between

MOST_PEOPLE = 12
"""Larger groups are a crowd: who belongs together is unknown."""


@dataclass(frozen=True, slots=True)
class _Passer:
    passage: Passage
    along: dict[LineRef, float]


@dataclass(frozen=True, slots=True)
class Groups:
    """The derivation of groups from passages, and from where on the lines these were."""

    gap_s: float = 1.2
    apart_boxes: float = 1.2
    name: str = "groups"
    version: int = 1
    inputs: frozenset[str] = frozenset({"passage", "line_crossing"})
    outputs: frozenset[str] = frozenset({"group"})
    window_s: float = 3600.0
    margin_s: float = 60.0

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> list[InsightEvent]:
        """Return the groups whose first member passes in a span."""
        crossings = {e.event_id: e for e in inputs if isinstance(e, LineCrossing)}
        passages = [e for e in inputs if isinstance(e, Passage) and counts(e)]
        by_way: dict[tuple[str, str], list[_Passer]] = defaultdict(list)
        for each in sorted(passages, key=lambda e: (e.captured_at, e.event_id)):
            by_way[each.door_id, each.direction].append(_Passer(each, along_of(crossings, each)))
        groups = [_group(part) for passers in by_way.values() for part in self._parts(passers)]
        made = [group for group in groups if span.start <= group.captured_at < span.end]
        return sorted(made, key=lambda group: (group.captured_at, group.event_id))

    def _parts(self, passers: Sequence[_Passer]) -> list[list[_Passer]]:
        parts: list[list[_Passer]] = []
        for passer in passers:
            open_parts = (
                part
                for part in reversed(parts[-MOST_PEOPLE:])
                if len(part) < MOST_PEOPLE and any(self._are_together(o, passer) for o in part)
            )
            if part := next(open_parts, None):
                part.append(passer)
            else:
                parts.append([passer])
        return parts

    def _are_together(self, one: _Passer, two: _Passer) -> bool:
        gap_s = seconds_between(one.passage.captured_at, two.passage.captured_at)
        if gap_s > self.gap_s:
            return False
        apart = [abs(one.along[line] - two.along[line]) for line in one.along.keys() & two.along]
        return not apart or min(apart) <= self.apart_boxes


def counts(passage: Passage) -> bool:
    """Return whether a passage is that of a customer through an entrance."""
    return is_customer(passage) and passage.door_kind == "entrance"


def is_customer(passage: Passage) -> bool:
    """Return whether a passage is of a person who is not known to be staff."""
    return passage.label == PERSON and passage.kind is not IdentityKind.STAFF


def _group(members: Sequence[_Passer]) -> Group:
    passages = [member.passage for member in members]
    first = passages[0]
    ids = tuple(sorted(passage.event_id for passage in passages))
    return Group(
        event_id=EventId(derive_id("group", first.site_id, first.door_id, *ids)),
        site_id=first.site_id,
        camera_id=first.camera_id,
        captured_at=first.captured_at,
        door_id=first.door_id,
        direction=first.direction,
        passages=ids,
        people=len(passages),
        children=sum(passage.age == "child" for passage in passages),
        last_at=passages[-1].captured_at,
    )
