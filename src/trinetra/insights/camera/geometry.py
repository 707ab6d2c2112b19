"""Plane geometry of foot points, zones and lines.

Points are normalized image coordinates, ``(..., 2)`` float64; y grows DOWNWARD. "Left" and "right"
of a line from a to b are meant as seen from a, looking toward b on the image as displayed.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from trinetra.events.schema import Box, Point

Points = NDArray[np.float64]
_BOUNDARY = 1e-9


def foot_point(box: Box, width: int, height: int) -> Point:
    """Return the foot point of a box in pixels: bottom center, normalized, in 0..1."""
    left, _, right, low = box
    x, y = (left + right) / (2 * width), low / height
    return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)


class _Edge(NamedTuple):
    """An edge from a to b; ``x`` and ``y`` are its components."""

    ax: float
    ay: float
    by: float
    x: float
    y: float
    length_squared: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon, prepared to tell which points lie in it.

    It uses plain numbers: a view shows a handful of feet, for which NumPy is slower than Python.
    """

    edges: tuple[_Edge, ...]
    least: Point
    most: Point

    @classmethod
    def of(cls, polygon: Sequence[Point]) -> Self:
        """Return the polygon with these corners."""
        corners = [(float(x), float(y)) for x, y in polygon]
        pairs = zip(corners, (*corners[1:], *corners[:1]), strict=True)
        xs, ys = zip(*corners, strict=True)
        return cls(
            tuple(_edge(a, b) for a, b in pairs),
            (min(xs) - 2 * _BOUNDARY, min(ys) - 2 * _BOUNDARY),
            (max(xs) + 2 * _BOUNDARY, max(ys) + 2 * _BOUNDARY),
        )

    def holds(self, x: float, y: float) -> bool:
        """Return whether a point lies in the polygon or on its boundary.

        Even-odd ray casting with half-open edges (W. R. Franklin, PNPOLY), so that a ray through a
        corner is counted once; points within 1e-9 of an edge count as inside.
        """
        if not (self.least[0] <= x <= self.most[0] and self.least[1] <= y <= self.most[1]):
            return False
        odd = False
        for ax, ay, by, edge_x, edge_y, length_squared in self.edges:
            off_x, off_y = x - ax, y - ay
            along = min(max((off_x * edge_x + off_y * edge_y) / length_squared, 0.0), 1.0)
            if math.hypot(off_x - along * edge_x, off_y - along * edge_y) <= _BOUNDARY:
                return True
            # Corners are compared, not differences: those round differently for the two edges at a
            # corner, and the ray would cross one of them, or both, or none.
            if (y < ay) != (y < by):
                cross = edge_x * off_y - edge_y * off_x
                odd ^= cross > 0 if by > ay else cross < 0
        return odd


def _edge(a: Point, b: Point) -> _Edge:
    x, y = b[0] - a[0], b[1] - a[1]
    return _Edge(a[0], a[1], b[1], x, y, max(x * x + y * y, sys.float_info.min))


class Ruler(NamedTuple):
    """A line from a to b in a frame of one shape, prepared to measure distances to it.

    ``dx`` and ``dy`` are its components and ``length`` its length, in frame heights.
    """

    ax: float
    ay: float
    aspect: float
    dx: float
    dy: float
    length: float

    @classmethod
    def of(cls, a: Point, b: Point, aspect: float) -> Self:
        """Return the line in a frame whose width / height is ``aspect``."""
        dx, dy = (b[0] - a[0]) * aspect, b[1] - a[1]
        # Not math.hypot, which rounds otherwise: what is on record was measured with this one.
        return cls(a[0], a[1], aspect, dx, dy, float(np.hypot(dx, dy)))

    def distance(self, point: Point) -> float:
        """Return the distance of a point to the infinite line; positive = right of it.

        In frame heights. Zero is on the line.
        """
        x, y = (point[0] - self.ax) * self.aspect, point[1] - self.ay
        return (self.dx * y - self.dy * x) / self.length


def crossing(start: Point, end: Point, a: Point, b: Point) -> int:
    """Return +1 if the step from start to end crosses segment a-b left to right, -1 right to left.

    0 if it stays on one side or passes beside the segment; the segment includes its ends. A point
    on the line counts as right of it, so that the crossings of a path of many steps add up
    correctly even if a step ends on the line.
    """
    before, behind = _cross(a, b, start), _cross(a, b, end)
    if (before >= 0) == (behind >= 0):
        return 0
    share = before / (before - behind)
    hit = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
    if not 0.0 <= along(a, b, hit) <= 1.0:
        return 0
    return 1 if behind >= 0 else -1


def _cross(a: Point, b: Point, p: Point) -> float:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def along(a: Point, b: Point, p: Point) -> float:
    """Return the position of p's projection on the line: 0 at a, 1 at b."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    return ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy)


def polygon_area(polygon: Sequence[Point]) -> float:
    """Return the area of a simple polygon (shoelace formula), whatever its orientation."""
    x, y = np.asarray(polygon, np.float64).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def is_simple(polygon: Sequence[Point]) -> bool:
    """Return whether no two edges meet, except neighbors in their common corner."""
    if len(set(polygon)) < len(polygon):
        return False
    edges = list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))
    return not any(
        _edges_meet(edges[i], edges[j], neighbors=j - i in (1, len(edges) - 1))
        for i in range(len(edges))
        for j in range(i + 1, len(edges))
    )


def _edges_meet(one: tuple[Point, Point], two: tuple[Point, Point], *, neighbors: bool) -> bool:
    (a, b), (c, d) = one, two
    if neighbors:
        # They share a corner; they meet elsewhere only if the outer end of one lies on the other.
        return any(_on_segment(*one, p) for p in two if p not in one) or any(
            _on_segment(*two, p) for p in one if p not in two
        )
    if any(_on_segment(a, b, p) for p in two) or any(_on_segment(c, d, p) for p in one):
        return True
    apart = _cross(a, b, c) * _cross(a, b, d) < 0
    return apart and _cross(c, d, a) * _cross(c, d, b) < 0


def _on_segment(a: Point, b: Point, p: Point) -> bool:
    return abs(_cross(a, b, p)) <= _BOUNDARY and 0.0 <= along(a, b, p) <= 1.0
