"""Geometry of boxes in the image, in plain numbers: a view shows a handful of objects."""

from collections.abc import Sequence

from trinetra.events.schema import Box

_NO_AREA = 1e-9


def widened(box: Box, margin_px: float) -> Box:
    """Return a box made wider by ``margin_px`` on each side."""
    x1, y1, x2, y2 = box
    return x1 - margin_px, y1 - margin_px, x2 + margin_px, y2 + margin_px


def height(box: Box) -> float:
    """Return the height of a box, at least one pixel."""
    return max(box[3] - box[1], 1.0)


def are_disjoint(a: Box, b: Box) -> bool:
    """Return whether two boxes share no area; a cheap test that settles most pairs."""
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def iou(a: Box, b: Box) -> float:
    """Return the shared area of two boxes over that of their union."""
    shared = _shared_area(a, b)
    return shared / max(_area(a) + _area(b) - shared, _NO_AREA)


def covered_share(a: Box, b: Box) -> float:
    """Return the shared area of two boxes over that of the smaller one."""
    return _shared_area(a, b) / max(min(_area(a), _area(b)), _NO_AREA)


def share_hidden(index: int, boxes: Sequence[Box]) -> float:
    """Return the share of a body that the nearer one which covers it most hides.

    On a floor, a nearer body is lower in the image.
    """
    box = boxes[index]
    nearer = [o for o in boxes if o[3] > box[3] and not are_disjoint(o, box)]
    return max([_shared_area(box, o) / max(_area(box), _NO_AREA) for o in nearer], default=0.0)


def lies_at(face: Box, body: Box) -> bool:
    """Return whether the center of a face lies in a body's box, or less than half a face beside."""
    x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    wide, tall = (face[2] - face[0]) / 2, (face[3] - face[1]) / 2
    return body[0] - wide <= x <= body[2] + wide and body[1] - tall <= y <= body[3] + tall


def _shared_area(a: Box, b: Box) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    return across * down if across > 0 and down > 0 else 0.0


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
