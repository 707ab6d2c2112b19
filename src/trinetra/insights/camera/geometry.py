"""Plane geometry of foot points, zones and lines.

Points are normalized image coordinates, ``(..., 2)`` float64; y grows DOWNWARD. "Left" and "right"
of a line from a to b are meant as seen from a, looking toward b on the image as displayed.
"""

import math
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from trinetra.events.schema import Point

Points = NDArray[np.float64]
_BOUNDARY = 1e-9


def foot_points(xyxy: Points, width: float, height: float) -> Points:
    """Return the foot points of boxes ``(n, 4)`` in pixels: bottom center, normalized, in 0..1."""
    feet = np.empty((len(xyxy), 2))
    feet[:, 0] = (xyxy[:, 0] + xyxy[:, 2]) / (2 * width)
    feet[:, 1] = xyxy[:, 3] / height
    bounded: Points = np.minimum(np.maximum(feet, 0.0), 1.0)
    return bounded


def inside_polygon(points: Points, polygon: Sequence[Point] | Points) -> NDArray[np.bool_]:
    """Return for each of ``points (n, 2)`` whether it lies in the polygon or on its boundary.

    Even-odd ray casting with half-open edges (W. R. Franklin, PNPOLY), so that a ray through a
    corner is counted once; points within 1e-9 of an edge count as inside. It uses plain numbers: a
    view shows a handful of feet, for which NumPy is slower than Python.
    """
    corners = [(float(x), float(y)) for x, y in polygon]
    edges = list(zip(corners, (*corners[1:], *corners[:1]), strict=True))
    return np.array([_is_inside(x, y, edges) for x, y in points.tolist()], np.bool_)


def _is_inside(x: float, y: float, edges: Iterable[tuple[Point, Point]]) -> bool:
    odd = False
    for (ax, ay), (bx, by) in edges:
        edge_x, edge_y, off_x, off_y = bx - ax, by - ay, x - ax, y - ay
        length_squared = max(edge_x * edge_x + edge_y * edge_y, sys.float_info.min)
        along = min(max((off_x * edge_x + off_y * edge_y) / length_squared, 0.0), 1.0)
        if math.hypot(off_x - along * edge_x, off_y - along * edge_y) <= _BOUNDARY:
            return True
        # Corners are compared, not differences: those round differently for the two edges at a
        # corner, and the ray would cross one of them, or both, or none.
        if (y < ay) != (y < by):
            cross = edge_x * off_y - edge_y * off_x
            odd ^= cross > 0 if by > ay else cross < 0
    return odd


def signed_distance(points: Points, a: Point, b: Point, aspect: float = 1.0) -> Points:
    """Return distances ``(n,)`` to the infinite line through a and b; positive = right of it.

    In frame heights if ``aspect`` is the frame's width / height. Zero is on the line.
    """
    scale = np.array([aspect, 1.0])
    direction = (np.asarray(b) - np.asarray(a)) * scale
    offset = (points - np.asarray(a)) * scale
    cross = direction[0] * offset[:, 1] - direction[1] * offset[:, 0]
    distance: Points = cross / np.hypot(*direction)
    return distance


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
