"""Cuts pictures into overlapping tiles, in which small people are large enough for a detector.

Detectors shrink a picture to 416 pixels or less; a tile is shrunk less, or not at all. The whole
picture is looked at too, because people who are larger than a tile's overlap are cut off in it. A
larger input of the network was measured as well and helped less (docs/cameras.md). Like Akyon,
Altinuc and Temizel, Slicing aided hyper inference (ICIP 2022), but with plain non-maximum
suppression: merging boxes of which one covers the other joined people who stand behind each other.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trinetra.detections.vision.decode import nms
from trinetra.values import Detections, ImageBgr

OVERLAP = 0.2
"""Share of a tile that it has in common with the next one."""
_CUT_OFF = 0.02
"""A box this close to the inner border of a tile, as a share of the tile, is cut off by it."""
_SAME = 0.45
"""Boxes that overlap by more are of one object."""


class Tile(NamedTuple):
    """A part of a picture in whole pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, image: ImageBgr) -> ImageBgr:
        """Return the pixels of the tile, as a view of the picture's."""
        return image[self.top : self.bottom, self.left : self.right]


def grid(width: int, height: int, along: int) -> tuple[int, int]:
    """Return the columns and rows of about square tiles, ``along`` of them on the longer side."""
    across = max(1, round(along * min(width, height) / max(width, height)))
    return (along, across) if width >= height else (across, along)


def passes(width: int, height: int, along: int) -> int:
    """Return how often a detector runs on a picture: on the whole of it, and on each tile."""
    columns, rows = grid(width, height, along)
    return 1 if along == 1 else 1 + columns * rows


def magnification(along: int) -> float:
    """Return how many times larger objects are in a tile than in the whole picture."""
    return along - (along - 1) * OVERLAP


def tiles(width: int, height: int, along: int) -> list[Tile]:
    """Return the tiles of a picture after the whole of it; ``along`` 1 is the whole alone."""
    whole = Tile(0, 0, width, height)
    if along == 1:
        return [whole]
    columns, rows = grid(width, height, along)
    return [
        whole,
        *(
            Tile(left, top, right, bottom)
            for top, bottom in _spans(height, rows)
            for left, right in _spans(width, columns)
        ),
    ]


def _spans(length: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield equal, overlapping spans that cover a length; each has at least one pixel."""
    side = length / magnification(count)
    for index in range(count):
        start = round(index * side * (1 - OVERLAP))
        yield start, max(start + 1, min(length, round(index * side * (1 - OVERLAP) + side)))


def join(parts: Sequence[Tile], found: Sequence[Detections]) -> Detections:
    """Return what was found in the tiles of a picture, the whole first, in its pixels, best first.

    Of an object that was found more than once, the best box remains. Boxes that a tile cuts off are
    left out: the object is whole in the next tile, or in the picture.
    """
    if len(parts) == 1:
        return found[0]
    kept = [_not_cut_off(part, parts[0], each) for part, each in zip(parts, found, strict=True)]
    offsets = [np.array([part.left, part.top] * 2, np.float32) for part in parts]
    xyxy = np.concatenate(
        [each.xyxy[rows] + at for each, rows, at in zip(found, kept, offsets, strict=True)]
    )
    score = np.concatenate([each.score[rows] for each, rows in zip(found, kept, strict=True)])
    label = [each.label[row] for each, rows in zip(found, kept, strict=True) for row in rows]
    kinds = np.array([sorted(set(label)).index(each) for each in label], np.intp)
    best = nms(xyxy, score, kinds, _SAME)
    return Detections(xyxy[best], score[best], tuple(label[row] for row in best))


def _not_cut_off(part: Tile, whole: Tile, found: Detections) -> NDArray[np.intp]:
    """Return the rows of the boxes that do not reach an inner border of their tile."""
    size = np.array([part.right - part.left, part.bottom - part.top], np.float32)
    margin = size * np.float32(_CUT_OFF)
    begins_inside = np.array([part.left > whole.left, part.top > whole.top])
    ends_inside = np.array([part.right < whole.right, part.bottom < whole.bottom])
    low = (found.xyxy[:, :2] < margin) & begins_inside
    high = (found.xyxy[:, 2:] > size - margin) & ends_inside
    return np.flatnonzero(~(low | high).any(axis=1))
