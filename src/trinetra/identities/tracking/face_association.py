"""Associates faces with bodies within one frame."""

import math
from collections.abc import Sequence

from trinetra.events.schema import Box, DetectionEvent, FaceBox
from trinetra.identities.tracking.appearance import read_body, read_look
from trinetra.identities.tracking.assignment import best_pairs
from trinetra.identities.tracking.boxes import lies_at
from trinetra.identities.tracking.tracks import DetectionBatch

_BELOW_CROWN = 0.75
"""Expected distance of a face's center below the top of its body's box, in face heights.

On real clips, walking and seated, it is 0.66 to 1.17.
"""
_MAX_ASIDE, _MAX_OFF = 2.2, 1.25
"""Greatest offset from the expected position, in face widths across and face heights vertically."""
_FAR = 3.0
"""Exceeds the greatest possible distance, hypot(2.2, 1.25), so that every gain is positive."""
_BODY_WIDTHS, _BODY_HEIGHTS = 3.0, 7.5
"""Width and height of a standing body in units of its face (Drillis & Contini, 1966)."""


def observe(event: DetectionEvent) -> DetectionBatch:
    """Return the objects of a detection event with their faces.

    A face without a body (a close-up, a person missed by the detector) becomes a person whose box
    is estimated from the face; ``face_only`` has their indices. A face in or at a person's box that
    fits no person's head, such as that of a person who leans aside, becomes no person: it would
    double that person.
    """
    boxes = tuple(o.box for o in event.objects)
    scores = tuple(o.score for o in event.objects)
    labels = tuple(o.label for o in event.objects)
    looks = tuple(read_look(o.appearance, o.box, boxes) for o in event.objects)
    bodies = tuple(read_body(o.body) for o in event.objects)
    plates = tuple(o.plate for o in event.objects)
    if not event.faces:
        none = (None,) * len(boxes)
        return DetectionBatch(boxes, scores, labels, looks, none, bodies=bodies, plates=plates)
    owner = _owners(boxes, labels, event.faces)
    face: list[FaceBox | None] = [None] * len(labels)
    for index, body in owner.items():
        face[body] = event.faces[index]
    people = [box for box, label in zip(boxes, labels, strict=True) if label == "person"]
    orphans = tuple(
        f
        for i, f in enumerate(event.faces)
        if i not in owner and not any(lies_at(f.box, box) for box in people)
    )
    return DetectionBatch(
        boxes=(*boxes, *(_body_of(f, event.frame_width, event.frame_height) for f in orphans)),
        scores=(*scores, *(f.score for f in orphans)),
        labels=(*labels, *["person"] * len(orphans)),
        looks=(*looks, *[None] * len(orphans)),
        faces=(*face, *orphans),
        bodies=(*bodies, *[None] * len(orphans)),
        plates=(*plates, *[None] * len(orphans)),
        face_only=frozenset(range(len(labels), len(labels) + len(orphans))),
    )


def _owners(
    boxes: Sequence[Box], labels: Sequence[str], faces: Sequence[FaceBox]
) -> dict[int, int]:
    """Return face index -> person index, by the position of the head."""
    nearness = {
        (f, b): _FAR - distance
        for f, face in enumerate(faces)
        for b, (box, label) in enumerate(zip(boxes, labels, strict=True))
        if label == "person" and (distance := _from_head(face.box, box)) is not None
    }
    return best_pairs(nearness)


def _from_head(face: Box, body: Box) -> float | None:
    """Return the distance of a face from a body's expected face, in face sizes; None if too far."""
    wide, tall = max(face[2] - face[0], 1e-6), max(face[3] - face[1], 1e-6)
    middle = (face[0] + face[2]) / 2
    aside = abs(middle - (body[0] + body[2]) / 2) / wide
    off = abs(((face[1] + face[3]) / 2 - body[1]) / tall - _BELOW_CROWN)
    if aside > _MAX_ASIDE or off > _MAX_OFF:
        return None
    return math.hypot(aside, off)


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
