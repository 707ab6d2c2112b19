"""Which face belongs to which body, within one frame."""

from collections.abc import Sequence
from dataclasses import dataclass

from trinetra.events.schema import Box, DetectionEvent, FaceBox
from trinetra.identities.assignment import best_pairs

_HEAD_SHARE = 0.45
"""A face's centre lies in the upper part of its body's box."""
_BODY_WIDTHS, _BODY_HEIGHTS = 3.0, 7.5
"""Width and height of a standing body in units of its face (Drillis & Contini, 1966)."""
_FAR = 1e3
"""More than any distance of a face from the middle of its body's head."""


@dataclass(frozen=True, slots=True)
class Observations:
    """The objects of one frame, struct-of-arrays; ``face`` is each object's face or None.

    Plain tuples: a frame shows a handful of objects, for which NumPy is slower than Python.
    """

    boxes: tuple[Box, ...]
    scores: tuple[float, ...]
    labels: tuple[str, ...]
    face: tuple[FaceBox | None, ...]


def observe(event: DetectionEvent) -> Observations:
    """Return the objects of a detection event with their faces.

    A face without a body (a close-up, a person missed by the detector) becomes a person whose box
    is estimated from the face.
    """
    boxes = tuple(o.box for o in event.objects)
    scores = tuple(o.score for o in event.objects)
    labels = tuple(o.label for o in event.objects)
    if not event.faces:
        return Observations(boxes, scores, labels, (None,) * len(boxes))
    owner = _owners(boxes, labels, event.faces)
    face: list[FaceBox | None] = [None] * len(labels)
    for index, body in owner.items():
        face[body] = event.faces[index]
    orphans = tuple(f for i, f in enumerate(event.faces) if i not in owner)
    return Observations(
        boxes=(*boxes, *(_body_of(f, event.frame_width, event.frame_height) for f in orphans)),
        scores=(*scores, *(f.score for f in orphans)),
        labels=(*labels, *["person"] * len(orphans)),
        face=(*face, *orphans),
    )


def _owners(
    boxes: Sequence[Box], labels: Sequence[str], faces: Sequence[FaceBox]
) -> dict[int, int]:
    """Return face index -> index of the person whose head is where the face is."""
    nearness = {
        (f, b): _FAR - distance
        for f, face in enumerate(faces)
        for b, (box, label) in enumerate(zip(boxes, labels, strict=True))
        if label == "person" and (distance := _from_head(face.box, box)) is not None
    }
    return best_pairs(nearness)


def _from_head(face: Box, body: Box) -> float | None:
    """Return how far a face is from the top middle of a body, in its sizes; None if outside."""
    x1, y1, x2, y2 = body
    across = ((face[0] + face[2]) / 2 - x1) / max(x2 - x1, 1e-6)
    down = ((face[1] + face[3]) / 2 - y1) / max(y2 - y1, 1e-6)
    if not (0 < across < 1 and abs(down) < _HEAD_SHARE):
        return None
    return abs(across - 0.5) + max(down, 0.0)


def _body_of(face: FaceBox, width: int, height: int) -> Box:
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
