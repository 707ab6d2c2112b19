"""Checks of counting lines and zones that need only the site file: can they count, and what."""

from collections.abc import Iterator
from itertools import combinations
from math import atan2, hypot, pi

from trinetra.geometry import fit
from trinetra.site.cameras import Camera, Line, Zone
from trinetra.site.schema import Site
from trinetra.site.shapes import Point, Segment, contains, segments_meet

_BORDER = 0.02
"""Feet this near to the border of the picture are cut off, or those of people half outside."""
_SHORT = 0.05
_HIGH = 0.1
"""A person whose feet are above this is smaller than a tenth of the picture."""
_CLOSE = 0.05
_FAR_M = 40.0
_WAYS = (
    ("→", "to the right"),
    ("↘", "down to the right"),
    ("↓", "down"),
    ("↙", "down to the left"),
    ("←", "to the left"),
    ("↖", "up to the left"),
    ("↑", "up"),
    ("↗", "up to the right"),
)


def line_warnings(site: Site) -> Iterator[str]:
    """Yield lines that cannot count or count wrongly, and zones that overlap."""
    for camera in site.cameras:
        for line in camera.lines:
            told = f"camera {camera.id}, line {line.id}"
            yield from (f"{told}: {problem}" for problem in _problems(camera, line))
        yield from (f"camera {camera.id}: {problem}" for problem in _pairs(camera))


def line_directions(site: Site) -> Iterator[str]:
    """Yield which way is ``in`` at each line, as seen in the picture."""
    for camera in site.cameras:
        for line in camera.lines:
            arrow, words = way_in(line)
            yield f"camera {camera.id}, line {line.id}: in is {words} in the picture ({arrow})"


def way_in(line: Line) -> tuple[str, str]:
    """Return the direction of ``in`` in the picture, as an arrow and in words."""
    (ax, ay), (bx, by) = line.a, line.b
    angle = atan2(bx - ax, -(by - ay))  # rows of a picture go down: right of a-b is (-dy, dx)
    return _WAYS[round(angle / (pi / 4)) % len(_WAYS)]


def _problems(camera: Camera, line: Line) -> Iterator[str]:
    (ax, ay), (bx, by) = line.a, line.b
    if border := _border_of(line):
        yield (
            f"it runs along the {border} border of the picture, where feet are cut off: no one is "
            "seen on its other side. Move it inward by a step"
        )
    if hypot(bx - ax, by - ay) < _SHORT:
        yield "it is shorter than a step: people pass beside it. Draw it across the whole way"
    if max(ay, by) < _HIGH:
        yield (
            "feet that high in the picture are those of people too small to be detected. Move it "
            "down, or turn the camera"
        )
    yield from _on_floor(camera, line)
    for zone in camera.zones:
        if zone.kind == "queue" and _crosses(line, zone):
            yield (
                f"it crosses queue zone {zone.id}: people who wait on it are counted as they step "
                "about. Move one of them"
            )


def _border_of(line: Line) -> str | None:
    ends = line.a, line.b
    borders = {
        "left": all(x <= _BORDER for x, _ in ends),
        "right": all(x >= 1 - _BORDER for x, _ in ends),
        "upper": all(y <= _BORDER for _, y in ends),
        "lower": all(y >= 1 - _BORDER for _, y in ends),
    }
    return next((name for name, holds in borders.items() if holds), None)


def _on_floor(camera: Camera, line: Line) -> Iterator[str]:
    if not camera.floor:
        return
    floor = fit(camera.floor)
    places = [floor.to_floor(*end) for end in (line.a, line.b)]
    if None in places:
        yield "by the camera's floor points, no floor is seen there: feet never are. Move it down"
        return
    known = [(p.x_m, p.y_m) for p in places if p]
    given = [point for _, point in camera.floor]
    apart_m = min(hypot(x - gx, y - gy) for x, y in known for gx, gy in given)
    if apart_m > _FAR_M:
        yield f"by the camera's floor points it lies {apart_m:.0f} m away: check them, or the line"


def _pairs(camera: Camera) -> Iterator[str]:
    for one, two in combinations(camera.lines, 2):
        if segments_meet((one.a, one.b), (two.a, two.b)):
            yield (
                f"lines {one.id} and {two.id} cross: whoever passes there is counted at both. If "
                "they are one doorway, draw one line"
            )
        elif one.kind == two.kind == "entrance" and _are_close(one, two):
            yield (
                f"lines {one.id} and {two.id} run side by side: everyone is counted twice. Remove "
                "one, or put both into one entry of `doors`"
            )
    for first, second in combinations(camera.zones, 2):
        if first.kind == second.kind and _overlap(first, second):
            yield (
                f"zones {first.id} and {second.id} of kind {first.kind} overlap: whoever is in "
                "both counts in both"
            )


def _are_close(one: Line, two: Line) -> bool:
    return all(
        min(hypot(p[0] - q[0], p[1] - q[1]) for q in (two.a, two.b)) <= _CLOSE
        for p in (one.a, one.b)
    )


def _crosses(line: Line, zone: Zone) -> bool:
    edges = _edges(zone)
    is_inside = contains(zone.polygon, line.a) or contains(zone.polygon, line.b)
    return is_inside or any(segments_meet((line.a, line.b), edge) for edge in edges)


def _overlap(one: Zone, two: Zone) -> bool:
    """Return whether two zones share more than an edge: a corner or the middle of one is inside."""
    middles = (_inner_points(one), two), (_inner_points(two), one)
    return any(contains(zone.polygon, p) for points, zone in middles for p in points)


def _inner_points(zone: Zone) -> list[Point]:
    """Return points a little inside of the corners, and the middle."""
    xs, ys = zip(*zone.polygon, strict=True)
    cx, cy = sum(xs) / len(xs), sum(ys) / len(ys)
    near = [(x + (cx - x) * _CLOSE, y + (cy - y) * _CLOSE) for x, y in zone.polygon]
    return [*near, (cx, cy)]


def _edges(zone: Zone) -> list[Segment]:
    corners = zone.polygon
    return list(zip(corners, (*corners[1:], corners[0]), strict=True))
