"""Decodes the outputs of detectors and of YuNet, with non-maximum suppression.

Pure NumPy. Every decoder takes the raw tensors of a batch and returns the candidates of all images
as struct-of-arrays, with boxes in pixels of the network's input; ``suppress`` then keeps the best
of overlapping ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.errors import EngineFailure

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

STRIDES = (8, 16, 32)
_LANDMARKS = 5
_SCORE_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes above the score threshold, one row each.

    ``image (k,)`` is the row in the batch, ``xyxy (k, 4)``, ``score (k,)``, ``category (k,)`` the
    column among the wanted classes, ``landmarks (k, 5, 2)``, or ``(k, 0, 2)`` if there are none.
    """

    image: Indices
    xyxy: Floats
    score: Floats
    category: Indices
    landmarks: Floats

    def take(self, rows: Indices) -> "Candidates":
        """Return the given rows in the given order."""
        return Candidates(
            self.image[rows],
            self.xyxy[rows],
            self.score[rows],
            self.category[rows],
            self.landmarks[rows],
        )


@dataclass(frozen=True, slots=True)
class Head:
    """Shape of a network's head: the size of its input in pixels, and the number of classes."""

    width: int
    height: int
    classes: int = 1

    def cells(self, stride: int) -> int:
        """Return the number of cells in the grid of a stride."""
        return self.columns(stride) * -(-self.height // stride)

    def columns(self, stride: int) -> int:
        """Return the number of cells in a row of the grid."""
        return -(-self.width // stride)


def nanodet(outputs: Sequence[Floats], head: Head, wanted: Indices, min_score: float) -> Candidates:
    """Decode NanoDet's head (generalized focal loss, Li et al. 2020, arXiv:2006.04388).

    ``outputs``: class probabilities ``(n, cells, classes)`` for strides 8, 16, 32, then distance
    distributions ``(n, cells, 4 * bins)`` for the same strides. ``wanted`` are the class columns
    to use, in ascending order as for every decoder. Raises EngineFailure for outputs of other
    shapes or in another order.
    """
    _require(len(outputs) == 2 * len(STRIDES), "nanodet", outputs)
    levels = []
    for stride, scores, distances in zip(STRIDES, outputs[:3], outputs[3:], strict=True):
        expected = (len(scores), head.cells(stride), head.classes)
        distances_fit = distances.shape[:2] == expected[:2] and distances.shape[2] % 4 == 0
        _require(scores.shape == expected and distances_fit, "nanodet", outputs)
        image, cell, category, score = _best_class(scores[..., wanted], min_score)
        reach = _expected_distance(distances[image, cell]) * np.float32(stride)
        center = (_grid(cell, head.columns(stride)) + np.float32(0.5)) * np.float32(stride)
        xyxy = np.concatenate([center - reach[:, :2], center + reach[:, 2:]], axis=1)
        levels.append(Candidates(image, xyxy, score, category, _no_landmarks(len(image))))
    return _joined(levels)


def yolov8(
    outputs: Sequence[Floats], head: Head, wanted: Indices, min_score: float, *, normalized: bool
) -> Candidates:
    """Decode YOLOv8's head: one tensor ``(n, 4 + classes, anchors)``, boxes as cx, cy, w, h.

    The anchors are the cells of strides 8, 16 and 32. ``normalized`` boxes are relative to the
    sides of the input, not in pixels. Raises EngineFailure for outputs of another shape.
    """
    anchors = sum(head.cells(stride) for stride in STRIDES)
    shapes = [tensor.shape[1:] for tensor in outputs]
    _require(shapes == [(4 + head.classes, anchors)], "yolov8", outputs)
    tensor, unit = outputs[0], (head.width, head.height) if normalized else (1, 1)
    scores = tensor[:, 4 + wanted].transpose(0, 2, 1)
    image, anchor, category, score = _best_class(scores, min_score)
    boxes = tensor[image, :4, anchor] * np.array(unit * 2, np.float32)
    half = boxes[:, 2:] / 2
    xyxy = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return Candidates(image, xyxy, score, category, _no_landmarks(len(image)))


def detection_output(
    outputs: Sequence[Floats], head: Head, wanted: Indices, min_score: float
) -> Candidates:
    """Decode OpenVINO's DetectionOutput, which ends SSD networks (Liu et al., arXiv:1512.02325).

    ``outputs``: one tensor ``(n, 1, rows, 7)`` of image, class, score and corners in sides of the
    input; in each image, a row with a negative image ends the valid ones. Raises EngineFailure for
    outputs of another shape.
    """
    _require([tensor.shape[1::2] for tensor in outputs] == [(1, 7)], "detection_output", outputs)
    rows = outputs[0][:, 0]
    is_valid = np.logical_and.accumulate(rows[..., 0] >= 0, axis=1)
    score = np.where(is_valid, rows[..., 2], 0)
    sides = np.array([head.width, head.height] * 2, np.float32)
    return _listed(rows[..., 3:] * sides, score, rows[..., 1], wanted, min_score)


def boxes_and_labels(
    outputs: Sequence[Floats], head: Head, wanted: Indices, min_score: float
) -> Candidates:
    """Decode MMDetection's export with suppression inside, as of ATSS (arXiv:1912.02424).

    ``outputs``: ``(n, rows, 5)`` of corners in pixels and score, and classes ``(n, rows)``; rows of
    score 0 are empty. Raises EngineFailure for outputs of other shapes.
    """
    del head  # boxes are in pixels of the input already
    shapes = [tensor.shape for tensor in outputs]
    _require(len(shapes) == 2 and shapes[0] == (*shapes[1], 5), "boxes_and_labels", outputs)  # noqa: PLR2004 -- boxes and labels
    boxes, labels = outputs
    return _listed(boxes[..., :4], boxes[..., 4], labels, wanted, min_score)


def yunet(outputs: Sequence[Floats], head: Head, min_score: float) -> Candidates:
    """Decode YuNet's head (Wu et al. 2023, doi:10.1007/s11633-023-1423-y).

    ``outputs``: class probabilities ``(n, cells, 1)`` for strides 8, 16, 32, then objectness of the
    same shape, boxes ``(n, cells, 4)`` and landmarks ``(n, cells, 10)``, as in the published files.
    Raises EngineFailure for outputs of other shapes or in another order.
    """
    _require(len(outputs) == 4 * len(STRIDES), "yunet", outputs)
    levels = []
    for level, stride in enumerate(STRIDES):
        classes, objectness, boxes, points = outputs[level :: len(STRIDES)]
        shapes = [tensor.shape[1:] for tensor in (classes, objectness, boxes, points)]
        expected = [(head.cells(stride), columns) for columns in (1, 1, 4, 2 * _LANDMARKS)]
        _require(shapes == expected, "yunet", outputs)
        scores = np.sqrt(np.clip(classes, 0, 1) * np.clip(objectness, 0, 1))
        image, cell, category, score = _best_class(scores, min_score)
        grid, step = _grid(cell, head.columns(stride)), np.float32(stride)
        center = (grid + boxes[image, cell, :2]) * step
        half = np.exp(boxes[image, cell, 2:]) * (step / 2)
        xyxy = np.concatenate([center - half, center + half], axis=1)
        offsets = points[image, cell].reshape(-1, _LANDMARKS, 2)
        landmarks = (grid[:, None] + offsets) * step
        levels.append(Candidates(image, xyxy, score, category, landmarks))
    return _joined(levels)


def suppress(found: Candidates, max_iou: float, per_image: int = 300) -> list[Candidates]:
    """Return the remaining boxes of each image, best first, up to the last image with a candidate.

    Non-maximum suppression runs within one image and class. Only the ``per_image`` best candidates
    of an image are considered, which bounds time and memory on a picture full of noise.
    """
    images = int(found.image.max(initial=-1)) + 1
    kept = []
    for image in range(images):
        rows = np.flatnonzero(found.image == image)
        best = found.take(rows[np.argsort(-found.score[rows], kind="stable")[:per_image]])
        kept.append(best.take(nms(best.xyxy, best.score, best.category, max_iou)))
    return kept


def nms(xyxy: Floats, score: Floats, category: Indices, max_iou: float) -> Indices:
    """Return the rows that greedy non-maximum suppression keeps, best first.

    A row is suppressed if a kept row of its category has a higher score and overlaps it by more
    than ``max_iou``. Instead of visiting rows one by one, which is slow in NumPy, the rule is
    applied to all rows at once until nothing changes: after pass k the k best rows are final, so
    the result is that of the greedy algorithm, in practice after three or four passes.
    """
    order = np.argsort(-score, kind="stable")
    boxes, kinds = xyxy[order], category[order]
    rivals = (iou(boxes, boxes) > max_iou) & (kinds[:, None] == kinds[None])
    beats = np.triu(rivals, k=1)
    kept = np.ones(len(order), bool)
    while True:
        survivors = ~beats[kept].any(axis=0)
        if np.array_equal(survivors, kept):
            return order[kept]
        kept = survivors


def iou(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union ``(n, m)`` of boxes ``(n, 4)`` and ``(m, 4)``.

    A box without area overlaps nothing.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), axis=2)
    union = _area(first)[:, None] + _area(second)[None] - overlap
    ratio: Floats = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return ratio


def _area(xyxy: Floats) -> Floats:
    area: Floats = np.prod(np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None), axis=1)
    return area


def _best_class(scores: Floats, min_score: float) -> tuple[Indices, Indices, Indices, Floats]:
    """Return image, cell, class column and score where the best class reaches the threshold."""
    if scores.shape[2] == 0:
        nothing = np.zeros(0, np.intp)
        return nothing, nothing, nothing, np.zeros(0, np.float32)
    best = scores.max(axis=2)
    image, cell = np.nonzero(best >= max(min_score, _SCORE_FLOOR))
    category = scores[image, cell].argmax(axis=1)
    return image, cell, category, best[image, cell]


def _listed(
    xyxy: Floats, score: Floats, label: Floats, wanted: Indices, min_score: float
) -> Candidates:
    """Return the candidates among lists of detections ``(n, rows)``, one list per image."""
    image, row = np.nonzero((score >= max(min_score, _SCORE_FLOOR)) & np.isin(label, wanted))
    category = np.searchsorted(wanted, label[image, row])
    return Candidates(
        image, xyxy[image, row], score[image, row], category, _no_landmarks(len(image))
    )


def _expected_distance(distributions: Floats) -> Floats:
    """Return the expectation ``(k, 4)`` of the softmax over bins of ``(k, 4 * bins)``."""
    logits = distributions.reshape(len(distributions), 4, distributions.shape[1] // 4)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    bins = np.arange(logits.shape[2], dtype=np.float32)
    expected: Floats = (weights @ bins) / weights.sum(axis=2)
    return expected


def _grid(cell: Indices, columns: int) -> Floats:
    return np.stack([cell % columns, cell // columns], axis=1).astype(np.float32)


def _no_landmarks(rows: int) -> Floats:
    return np.zeros((rows, 0, 2), np.float32)


def _joined(levels: Sequence[Candidates]) -> Candidates:
    return Candidates(
        np.concatenate([level.image for level in levels]),
        np.concatenate([level.xyxy for level in levels]),
        np.concatenate([level.score for level in levels]),
        np.concatenate([level.category for level in levels]),
        np.concatenate([level.landmarks for level in levels]),
    )


def _require(fits: bool, head: str, outputs: Sequence[Floats]) -> None:  # noqa: FBT001 -- a check
    if not fits:
        shapes = ", ".join(str(tensor.shape) for tensor in outputs)
        raise EngineFailure(
            f"outputs of the shapes {shapes} do not fit a {head} network; "
            "correct the model's decoder or output names in the manifest"
        )
