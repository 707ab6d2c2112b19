"""Aligns ground truth and findings frame by frame.

Cameras are concatenated into one sequence. Every score of ``tracking`` is a sum over boxes, so the
score of the sequence is that of all cameras together, with equal weight for each box (as TrackEval
combines sequences).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from trinetra.evaluation.boxes import NAMELESS, Boxes, Floats, Ints, iou


@dataclass(frozen=True, slots=True)
class Side:
    """Boxes of one side: ``frame (n,)`` sorted, ``name (n,)``, ``xyxy (n, 4)``, ``score (n,)``."""

    frame: Ints
    name: Ints
    xyxy: Floats
    score: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, keep: NDArray[np.bool_]) -> "Side":
        """Return some of the boxes, under the same names."""
        columns = (self.frame[keep], self.name[keep], self.xyxy[keep], self.score[keep])
        return Side(*columns, self.names)

    @property
    def boxes_per_name(self) -> Ints:
        """Number of boxes of each name, ``(len(names),)``."""
        return np.bincount(self.name[self.name != NAMELESS], minlength=len(self.names))


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of a true box and a found box of the same frame.

    ``truth (p,)`` and ``found (p,)`` are rows, ``iou (p,)`` their overlap. The pairs of frame f are
    ``start[f]:start[f + 1]``, a matrix of true by found boxes in row-major order.
    """

    truth: Ints
    found: Ints
    iou: Floats
    start: Ints
    width: Ints

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """Yield start, end and number of columns of the frames that have pairs."""
        starts, widths = self.start.tolist(), self.width.tolist()
        for begin, end, width in zip(starts[:-1], starts[1:], widths, strict=True):
            if end > begin:
                yield begin, end, width


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ground truth and findings in the frames that both cover."""

    frames: int
    truth: Side
    found: Side
    pairs: Pairs
    unseen_frames: int
    """Number of frames of the ground truth that were not processed."""

    def where(self, truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> "Comparison":
        """Return the comparison of some of the boxes, in the same frames."""
        sides = self.truth.where(truth), self.found.where(found)
        return Comparison(self.frames, *sides, _pair_up(*sides, self.frames), self.unseen_frames)


def compare(
    cameras: Sequence[tuple[Boxes, Boxes]], *, tolerance_us: int, share_names: bool = False
) -> Comparison:
    """Align ground truth and findings of each camera.

    A frame is compared if a frame of the ground truth lies within ``tolerance_us`` of a processed
    one. With ``share_names`` a name means the same on every camera.
    """
    truth, found = _SideBuilder(share_names=share_names), _SideBuilder(share_names=share_names)
    unseen = 0
    for camera, (true_boxes, found_boxes) in enumerate(cameras):
        here, there = _common_frames(true_boxes.frames_us, found_boxes.frames_us, tolerance_us)
        truth.add(camera, true_boxes, here)
        found.add(camera, found_boxes, there)
        unseen += len(true_boxes.frames_us) - len(here)
    sides = truth.build(), found.build()
    return Comparison(truth.frames, *sides, _pair_up(*sides, truth.frames), unseen)


def assign(pairs: Pairs, score: Floats) -> Ints:
    """Return the one-to-one matching of boxes in each frame with the greatest total score."""
    chosen = [_assign_block(score, *block) for block in pairs.blocks()]
    return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)


def _assign_block(score: Floats, begin: int, end: int, width: int) -> Ints:
    block = score[begin:end]
    # One row or one column: the best pair is the optimal assignment, without the solver.
    if len(block) in {1, width} or width == 1:
        return np.array([begin + int(np.argmax(block))])
    rows, columns = scipy.optimize.linear_sum_assignment(block.reshape(-1, width), maximize=True)
    return np.asarray(begin + rows * width + columns, np.int64)


def _common_frames(truth_us: Ints, found_us: Ints, tolerance_us: int) -> tuple[Ints, Ints]:
    """Return the compared instants, as dated by the ground truth and by the findings."""
    if not len(truth_us) or not len(found_us):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    right = np.searchsorted(truth_us, found_us).clip(1, max(1, len(truth_us) - 1))
    right = np.minimum(right, len(truth_us) - 1)
    left = np.maximum(right - 1, 0)
    is_left = np.abs(found_us - truth_us[left]) <= np.abs(truth_us[right] - found_us)
    nearest = np.where(is_left, left, right)
    is_near = np.abs(truth_us[nearest] - found_us) <= tolerance_us
    rows, first = np.unique(nearest[is_near], return_index=True)
    return truth_us[rows], found_us[is_near][first]


class _SideBuilder:
    """Concatenates cameras."""

    def __init__(self, *, share_names: bool) -> None:
        self.frames = 0
        self._share_names = share_names
        self._codes: dict[tuple[int, str], int] = {}
        self._parts: list[tuple[Ints, Ints, Floats, Floats]] = []

    def add(self, camera: int, boxes: Boxes, instants_us: Ints) -> None:
        """Append a camera's boxes in these frames."""
        where = np.searchsorted(instants_us, boxes.at_us)
        is_in = where < len(instants_us)
        is_in[is_in] = instants_us[where[is_in]] == boxes.at_us[is_in]
        owner = -1 if self._share_names else camera
        codes = [self._codes.setdefault((owner, n), len(self._codes)) for n in boxes.names]
        table = np.array([*codes, NAMELESS], np.int64)
        self._parts.append(
            (
                where[is_in] + self.frames,
                table[boxes.name[is_in]],
                boxes.xyxy[is_in],
                boxes.score[is_in],
            )
        )
        self.frames += len(instants_us)

    def build(self) -> Side:
        """Return the sequence."""
        frame, name, xyxy, score = (
            np.concatenate([part[column] for part in self._parts]) for column in range(4)
        )
        return Side(frame, name, xyxy, score, tuple(name for _, name in self._codes))


def _pair_up(truth: Side, found: Side, frames: int) -> Pairs:
    height = np.bincount(truth.frame, minlength=frames)
    width = np.bincount(found.frame, minlength=frames)
    start = _starts(height * width)
    frame = np.repeat(np.arange(frames), height * width)
    place = np.arange(start[-1]) - start[frame]
    true_row = _starts(height)[frame] + place // width[frame]
    found_row = _starts(width)[frame] + place % width[frame]
    overlap = iou(truth.xyxy[true_row], found.xyxy[found_row])
    return Pairs(true_row, found_row, overlap, start, width)


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
