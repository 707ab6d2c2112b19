"""Which face belongs to which body, within one frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from trinetra.events.schema import DetectionEvent, FaceBox

_HEAD_SHARE = 0.45
"""A face's centre lies in the upper part of its body's box."""
_BODY_WIDTHS, _BODY_HEIGHTS = 3.0, 7.5
"""Width and height of a standing body in units of its face (Drillis & Contini, 1966)."""


@dataclass(frozen=True, slots=True)
class Observations:
    """The objects of one frame, struct-of-arrays; ``face`` is each object's face or None."""

    xyxy: NDArray[np.float64]
    score: NDArray[np.float64]
    labels: tuple[str, ...]
    face: tuple[FaceBox | None, ...]


def observe(event: DetectionEvent) -> Observations:
    """Return the objects of a detection event with their faces.

    A face without a body (a close-up, a person missed by the detector) becomes a person whose box
    is estimated from the face.
    """
    boxes = np.array([o.box for o in event.objects], np.float64).reshape(-1, 4)
    labels = [o.label for o in event.objects]
    owner = _owners(boxes, labels, event.faces)
    face: list[FaceBox | None] = [None] * len(labels)
    for index, body in owner.items():
        face[body] = event.faces[index]
    orphans = [f for i, f in enumerate(event.faces) if i not in owner]
    bodies = [_body_of(f, event.frame_width, event.frame_height) for f in orphans]
    return Observations(
        xyxy=np.concatenate([boxes, np.array(bodies, np.float64).reshape(-1, 4)]),
        score=np.array([o.score for o in event.objects] + [f.score for f in orphans]),
        labels=(*labels, *["person"] * len(orphans)),
        face=(*face, *orphans),
    )


def _owners(
    boxes: NDArray[np.float64], labels: list[str], faces: tuple[FaceBox, ...]
) -> dict[int, int]:
    """Return face index -> index of the person whose head is where the face is."""
    if not faces or not labels:
        return {}
    face_boxes = np.array([f.box for f in faces], np.float64)
    centre = (face_boxes[:, :2] + face_boxes[:, 2:]) / 2
    size = boxes[:, 2:] - boxes[:, :2]
    place = (centre[:, None] - boxes[None, :, :2]) / np.maximum(size, 1e-6)
    inside = (place[..., 0] > 0) & (place[..., 0] < 1) & (np.abs(place[..., 1]) < _HEAD_SHARE)
    eligible = inside & np.array([label == "person" for label in labels])
    distance = np.abs(place[..., 0] - 0.5) + place[..., 1].clip(0)
    cost = np.where(eligible, distance, 1e3)
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return {int(f): int(b) for f, b in pairs if eligible[f, b]}


def _body_of(face: FaceBox, width: int, height: int) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = face.box
    face_w, face_h = x2 - x1, y2 - y1
    middle, top = (x1 + x2) / 2, y1 - 0.3 * face_h
    half = face_w * _BODY_WIDTHS / 2
    return (
        max(0.0, middle - half),
        max(0.0, top),
        min(float(width), middle + half),
        min(float(height), top + face_h * _BODY_HEIGHTS),
    )
