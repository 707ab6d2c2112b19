"""Counts crossings and stays in labels, for lines and zones without hand counts.

The point of a person is the center of the lower edge of the box. A crossing is counted when it goes
from clearly on one side of a line to clearly on the other, through the segment. It is not the
product's rule (``insights/camera``), which must bear jitter and gaps that labels do not have.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Boxes, Floats, Ints
from trinetra.evaluation.footage import CountedLine, CountedZone, HandCounts

_MARGIN = 0.01
"""Clearly on a side: at this distance from the line, as a share of the picture's height."""
_BEYOND = 0.02
"""A path may pass the ends of a segment by this share of its length."""
_GAP_US = 1_000_000
"""A shorter absence from a zone does not end a stay."""


def counted_in_labels(
    counts: HandCounts, labels: Boxes, size: tuple[int, int], start_us: int
) -> HandCounts:
    """Return the counts with those of the labels where there are no hand counts.

    ``size`` is that of the picture, ``start_us`` the time of the first frame.
    """
    paths = list(_paths(labels, start_us))
    return replace(
        counts,
        lines=tuple(
            line if line.into_us is not None else _crossed(line, paths, size)
            for line in counts.lines
        ),
        zones=tuple(
            zone if zone.stays_us is not None else _stayed(zone, paths, size)
            for zone in counts.zones
        ),
    )


_Path = tuple[Ints, Floats]
"""Times ``(n,)`` from the start and feet ``(n, 2)`` in pixels of one person."""


def _paths(labels: Boxes, start_us: int) -> Iterator[_Path]:
    for code in range(len(labels.names)):
        mine = labels.name == code
        xyxy = labels.xyxy[mine]
        feet = np.stack([(xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 3]], axis=1)
        yield labels.at_us[mine] - start_us, feet


def _crossed(line: CountedLine, paths: Sequence[_Path], size: tuple[int, int]) -> CountedLine:
    found = [event for path in paths for event in _crossings(line, path, size)]
    into, out = (tuple(sorted(at_us for at_us, way in found if way == side)) for side in (1, -1))
    return replace(line, into_us=into, out_us=out)


def _crossings(line: CountedLine, path: _Path, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield time and side (1 right, -1 left, of a to b) of every crossing of one person."""
    a, b = (np.array(point) * size for point in (line.a, line.b))
    along = b - a
    length = float(np.linalg.norm(along))
    at_us, feet = path
    offset = feet - a
    away = (along[0] * offset[:, 1] - along[1] * offset[:, 0]) / length
    share = offset @ along / length**2
    side = np.where(np.abs(away) > _MARGIN * size[1], np.sign(away), 0).astype(int)
    clear = np.flatnonzero(side)
    for before, now in pairwise(clear):
        if side[now] != side[before] and -_BEYOND <= share[now] <= 1 + _BEYOND:
            yield int(at_us[now]), int(side[now])


def _stayed(zone: CountedZone, paths: Sequence[_Path], size: tuple[int, int]) -> CountedZone:
    spans = [span for path in paths for span in _stays(zone, path, size)]
    return replace(zone, stays_us=tuple(sorted(spans)))


def _stays(zone: CountedZone, path: _Path, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    at_us, feet = path
    there = at_us[_inside(np.array(zone.polygon), feet / size)]
    if len(there):
        for span in np.split(there, np.flatnonzero(np.diff(there) > _GAP_US) + 1):
            yield int(span[0]), int(span[-1])


def _inside(polygon: Floats, points: Floats) -> NDArray[np.bool_]:
    """Return which points lie in a polygon, by the even-odd rule."""
    x, y = points[:, 0], points[:, 1]
    inside = np.zeros(len(points), np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, 1, axis=0), strict=True):
        if y1 != y2:
            crosses = (y1 > y) != (y2 > y)
            inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside
