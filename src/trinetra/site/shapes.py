"""Plane geometry: checks whether a polygon can be used as a zone."""

from collections.abc import Sequence
from itertools import combinations

Point = tuple[float, float]
Segment = tuple[Point, Point]
MAX_POLYGON_POINTS = 64
_MIN_AREA = 1e-6


def polygon_fault(polygon: Sequence[Point]) -> str | None:
    """Return why the polygon is unusable, or None if it is simple and encloses an area."""
    if polygon[0] == polygon[-1]:
        return "the last corner repeats the first one"
    if len(set(polygon)) < len(polygon):
        return "two corners are the same point"
    if _crosses_itself(polygon):
        return "the polygon's edges cross or touch each other"
    if abs(signed_area(polygon)) < _MIN_AREA:
        return "the polygon encloses no area"
    return None


def contains(polygon: Sequence[Point], point: Point) -> bool:
    """Return whether a point lies within a polygon; on its edge, either may be returned."""
    x, y = point
    return bool(
        sum(
            (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay)
            for (ax, ay), (bx, by) in _edges(polygon)
        )
        % 2
    )


def signed_area(polygon: Sequence[Point]) -> float:
    """Return the area by the shoelace formula; its sign is the orientation of the corners."""
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in _edges(polygon)) / 2


def _edges(polygon: Sequence[Point]) -> list[Segment]:
    return list(zip(polygon, [*polygon[1:], polygon[0]], strict=True))


def _crosses_itself(polygon: Sequence[Point]) -> bool:
    pairs = combinations(enumerate(_edges(polygon)), 2)
    return any(_in_conflict(e, f, neighbors=_adjacent(i, j, polygon)) for (i, e), (j, f) in pairs)


def _adjacent(i: int, j: int, polygon: Sequence[Point]) -> bool:
    return j - i == 1 or j - i == len(polygon) - 1


def _in_conflict(e: Segment, f: Segment, *, neighbors: bool) -> bool:
    if not neighbors:
        return segments_meet(e, f)
    # Adjacent edges share one corner; they conflict only if one folds back over the other.
    (shared,) = set(e) & set(f)
    tip_e, tip_f = (next(p for p in segment if p != shared) for segment in (e, f))
    return _turn(tip_e, shared, tip_f) == 0 and _ahead(shared, tip_e, tip_f)


def segments_meet(e: Segment, f: Segment) -> bool:
    """Return whether two segments have a point in common, ends included."""
    turns = (_turn(*e, f[0]), _turn(*e, f[1]), _turn(*f, e[0]), _turn(*f, e[1]))
    if turns[0] != turns[1] and turns[2] != turns[3]:
        return True
    ends = ((e, f[0]), (e, f[1]), (f, e[0]), (f, e[1]))
    return any(t == 0 and _within(*end) for t, end in zip(turns, ends, strict=True))


def _turn(a: Point, b: Point, c: Point) -> int:
    """Return the side of the line from ``a`` to ``b`` on which ``c`` lies: -1, 0 or 1."""
    cross = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (cross > 0) - (cross < 0)


def _within(segment: Segment, point: Point) -> bool:
    """Return whether a point known to be on the segment's line lies between its ends."""
    (ax, ay), (bx, by) = segment
    return min(ax, bx) <= point[0] <= max(ax, bx) and min(ay, by) <= point[1] <= max(ay, by)


def _ahead(origin: Point, p: Point, q: Point) -> bool:
    """Return whether two points lie in the same direction from the origin."""
    return (p[0] - origin[0]) * (q[0] - origin[0]) + (p[1] - origin[1]) * (q[1] - origin[1]) > 0
