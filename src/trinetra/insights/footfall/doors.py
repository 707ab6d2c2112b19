"""Doors: which counting lines see the same doorway, as the site file says or the floor shows."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import dist
from typing import NamedTuple

from trinetra.events.schema import DoorKind, Point
from trinetra.geometry import Homography
from trinetra.values import CameraId

_STEP = 0.01
_SAME_DOOR_M = 1.0
"""Lines whose middles are at most this far apart on the floor cross the same doorway."""


class LineRef(NamedTuple):
    """A counting line of a camera."""

    camera_id: CameraId
    line_id: str


@dataclass(frozen=True, slots=True)
class Door:
    """A doorway, and all lines that count people at it; ``in`` means the same for each."""

    door_id: str
    kind: DoorKind
    lines: frozenset[LineRef]


@dataclass(frozen=True, slots=True)
class FloorLine:
    """A line on the floor plan, in meters; ``way`` is a step of 1 m to its ``in`` side."""

    a: Point
    b: Point
    way: Point


def doors_of(
    declared: Iterable[Door],
    kinds: Mapping[LineRef, DoorKind],
    on_floor: Mapping[LineRef, FloorLine],
) -> tuple[Door, ...]:
    """Return the doors of a site; every line belongs to exactly one.

    Lines that no door declares are joined where they lie in the same place on the floor and lead
    the same way; every other line is a door of its own.
    """
    doors = list(declared)
    known = {ref for door in doors for ref in door.lines}
    rest = sorted(ref for ref in kinds if ref not in known)
    groups = _together(rest, kinds, on_floor)
    doors += [Door(_name(refs), kinds[refs[0]], frozenset(refs)) for refs in groups]
    return tuple(doors)


def floor_line(floor: Homography, a: Point, b: Point) -> FloorLine | None:
    """Return where a line of the picture lies on the floor; None if it is above the horizon."""
    middle = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    # To the right of a-b, as the rows of a picture go down: a short step, lengthened on the floor.
    beyond = middle[0] - (b[1] - a[1]) * _STEP, middle[1] + (b[0] - a[0]) * _STEP
    places = [floor.to_floor(*point) for point in (a, b, middle, beyond)]
    on_floor = [(place.x_m, place.y_m) for place in places if place]
    if len(on_floor) < len(places):
        return None
    start, end, (x, y), (x2, y2) = on_floor
    step_m = max(dist((x, y), (x2, y2)), sys.float_info.min)
    return FloorLine(start, end, ((x2 - x) / step_m, (y2 - y) / step_m))


def is_same_door(one: FloorLine, two: FloorLine) -> bool:
    """Return whether two lines lie in the same place and lead the same way."""
    middles = (((line.a[0] + line.b[0]) / 2, (line.a[1] + line.b[1]) / 2) for line in (one, two))
    leads = one.way[0] * two.way[0] + one.way[1] * two.way[1]
    return dist(*middles) <= _SAME_DOOR_M and leads > 0


def _together(
    refs: Sequence[LineRef],
    kinds: Mapping[LineRef, DoorKind],
    on_floor: Mapping[LineRef, FloorLine],
) -> list[list[LineRef]]:
    groups = {ref: [ref] for ref in refs}
    for one, two in combinations(refs, 2):
        is_pair = one in on_floor and two in on_floor and one.camera_id != two.camera_id
        if not is_pair or kinds[one] != kinds[two] or groups[one] is groups[two]:
            continue
        if is_same_door(on_floor[one], on_floor[two]):
            joined = groups[one] + groups[two]
            groups |= dict.fromkeys(joined, joined)
    return list({id(group): group for group in groups.values()}.values())


def _name(refs: Sequence[LineRef]) -> str:
    return "+".join("/".join(ref) for ref in sorted(refs))
