"""Labeled footage beside what a detector found in it, compared box by box.

Written for measuring noise, and independent of both the tracker and the twin: neither its matching
nor any of its limits is shared with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rect = tuple[float, float, float, float]

_LEAST_IOU = 0.3
"""A found box that overlaps a labeled one less than this is not that person's."""
_PART = 0.5
"""A surplus box of which this fraction lies on a labeled person shows a part of that person."""
_BETTER_IOU = 0.05
"""A box fits two people together if it overlaps their union by this much more than either."""
_EDGE_PX = 3.0


@dataclass(frozen=True, slots=True)
class LabeledFootage:
    """One labeled sequence: ``true_*`` are the labels and ``found_*`` the detections, by frame.

    ``*_frame (n,)`` count from 0, ``*_xyxy (n, 4)`` are pixels, ``who (n,)`` are person numbers,
    ``stripes (n, 18)`` are clothing descriptors with NaN where a detection has none. ``ignored``
    are areas 0..1 whose people are not labeled.
    """

    name: str
    fps: float
    frames: int
    size: tuple[int, int]
    true_frame: Ints
    who: Ints
    true_xyxy: Floats
    found_frame: Ints
    found_xyxy: Floats
    score: Floats
    stripes: Floats
    ignored: tuple[Rect, ...] = ()

    def thinned(self, fps: float) -> "LabeledFootage":
        """Return the sequence at a lower frame rate, a divisor of its own."""
        step = round(self.fps / fps)
        true, found = self.true_frame % step == 0, self.found_frame % step == 0
        return replace(
            self,
            fps=self.fps / step,
            frames=-(-self.frames // step),
            true_frame=self.true_frame[true] // step,
            who=self.who[true],
            true_xyxy=self.true_xyxy[true],
            found_frame=self.found_frame[found] // step,
            found_xyxy=self.found_xyxy[found],
            score=self.score[found],
            stripes=self.stripes[found],
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """Labels with the detection of each: ``match (n,)`` is its row, or -1 where it was missed.

    ``height (n,)`` is in units of the longer side of the picture; ``visible (n,)`` is the fraction
    that no nearer person covers. ``hidden_by (n,)`` is the row of the person who covers most of a
    label, or -1. ``surplus`` maps a detection that is no person's to the label that it shows a part
    of, or to -1 for a ghost.
    """

    footage: LabeledFootage
    match: Ints
    height: Floats
    visible: Floats
    hidden_by: Ints
    merged: NDArray[np.bool_]
    surplus: dict[int, int] = field(default_factory=dict)

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """Mask of the labels that were found, one by one or merged with a neighbor."""
        return self.match >= 0


def compare(footage: LabeledFootage) -> Compared:
    """Match detections with labels in every frame, for the largest sum of overlaps."""
    count = len(footage.who)
    tall = footage.true_xyxy[:, 3] - footage.true_xyxy[:, 1]
    compared = Compared(
        footage,
        match=np.full(count, -1, np.int64),
        height=tall / max(footage.size),
        visible=np.ones(count),
        hidden_by=np.full(count, -1, np.int64),
        merged=np.zeros(count, np.bool_),
    )
    for frame in range(footage.frames):
        true = np.flatnonzero(footage.true_frame == frame)
        found = np.flatnonzero(footage.found_frame == frame)
        _see(compared, true)
        _assign(compared, true, found)
    return compared


def _see(compared: Compared, true: Ints) -> None:
    """Fill in what each person hides of the others; a nearer person stands lower in the picture."""
    boxes = compared.footage.true_xyxy[true]
    for i, row in enumerate(true):
        near = [j for j in range(len(true)) if boxes[j, 3] > boxes[i, 3]]
        covers = [float(shared(boxes[i], boxes[j]) / area(boxes[i])) for j in near]
        compared.visible[row] = np.prod([1 - cover for cover in covers])
        if covers and max(covers) > 0:
            compared.hidden_by[row] = true[near[int(np.argmax(covers))]]


def _assign(compared: Compared, true: Ints, found: Ints) -> None:
    footage = compared.footage
    labels, boxes = footage.true_xyxy[true], footage.found_xyxy[found]
    overlap = np.array([[iou(a, b) for b in boxes] for a in labels]).reshape(len(true), len(found))
    rows, columns = scipy.optimize.linear_sum_assignment(
        np.where(overlap >= _LEAST_IOU, overlap, 0), maximize=True
    )
    taken = set()
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        if overlap[i, j] >= _LEAST_IOU:
            compared.match[true[i]] = found[j]
            taken.add(j)
    for row in true.tolist():
        compared.merged[row] = _is_merged(compared, row)
    for j in set(range(len(found))) - taken:
        if not _is_ignored(footage, boxes[j]):
            on = [float(shared(label, boxes[j]) / area(boxes[j])) for label in labels]
            part = int(np.argmax(on)) if on else -1
            owner = int(true[part]) if on and on[part] > _PART else -1
            if owner >= 0 or not _at_edge(footage, boxes[j]):
                compared.surplus[int(found[j])] = owner


def _is_merged(compared: Compared, row: int) -> bool:
    """Return whether one box covers a hidden person and the nearer one together."""
    other = compared.hidden_by[row]
    matches = {int(compared.match[row]), int(compared.match[other])} - {-1}
    if other < 0 or len(matches) != 1:
        return False
    footage = compared.footage
    box = footage.found_xyxy[matches.pop()]
    a, b = footage.true_xyxy[row], footage.true_xyxy[other]
    both = np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])
    return iou(both, box) > max(iou(a, box), iou(b, box)) + _BETTER_IOU


def _is_ignored(footage: LabeledFootage, box: Floats) -> bool:
    x = (box[0] + box[2]) / 2 / footage.size[0]
    y = (box[1] + box[3]) / 2 / footage.size[1]
    return any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in footage.ignored)


def _at_edge(footage: LabeledFootage, box: Floats) -> bool:
    """Return whether a box touches the picture's edge, where people are often not labeled."""
    width, height = footage.size
    return bool(box[0] < _EDGE_PX or box[2] > width - _EDGE_PX or box[3] > height - _EDGE_PX)


def iou(a: Floats, b: Floats) -> float:
    """Return the intersection over union of two boxes."""
    both = shared(a, b)
    return float(both / (area(a) + area(b) - both))


def shared(a: Floats, b: Floats) -> float:
    """Return the area that two boxes share."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(np.prod(np.maximum(sides, 0)))


def area(box: Floats) -> float:
    """Return the area of a box, at least a tiny one."""
    return max(float((box[2] - box[0]) * (box[3] - box[1])), 1e-9)


def spells(frames: Sequence[int], gap: int) -> list[tuple[int, int]]:
    """Return first and last of each run of sorted frame numbers with no gap above ``gap``."""
    if not len(frames):
        return []
    at = np.asarray(frames)
    cuts = np.flatnonzero(np.diff(at) > gap)
    firsts, lasts = at[[0, *(cuts + 1)]], at[[*cuts, -1]]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
