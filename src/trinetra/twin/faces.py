"""Computes whose face a camera sees, and how: size, motion blur and place in the picture.

What a worker makes of such a face comes from photos of real people (``twin/portraits.py``) or, for
people without photos, from statistics of them (``twin/embeddings.py``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import Camera
from trinetra.twin.sensing import Bodies, Rows, hidden_share

Array = NDArray[np.float64]
_FACE_WIDTH_M, _FACE_HEIGHT_M = 0.15, 0.20
_BELOW_CROWN_M = 0.12
"""Distance of the face center below the crown."""
_LOOK_AROUND_RAD = 0.2
_MOST_TURNED_RAD = 0.7
"""A face turned further away is not seen: the photos show none that are."""
_EXPOSURE_S = 1 / 60
_WHOLE = 0.9
"""A face of which the picture's edge leaves less is not seen."""
_MOST_COVERED = 0.4


@dataclass(frozen=True, slots=True)
class Heads:
    """Faces that look at the camera: ``row (n,)`` is the body's row.

    ``center (n, 2)`` and ``size_px (n,)``, the width, in pixels; ``blur (n,)`` is the way that the
    face moves during the exposure, in units of its width.
    """

    row: Rows
    center: Array
    size_px: Array
    blur: Array

    def __len__(self) -> int:
        return len(self.row)


def heads_in_view(
    camera: Camera, bodies: Bodies, heights: Array, rng: np.random.Generator
) -> Heads:
    """Return the faces that a camera sees; ``heights (n,)`` are body heights in meters, by row."""
    mount, count = camera.view.mount, len(bodies)
    dx, dy = mount.x_m - bodies.x, mount.y_m - bodies.y
    eyes = heights - _BELOW_CROWN_M
    turn = _wrapped(bodies.facing + rng.normal(0, _LOOK_AROUND_RAD, count) - np.arctan2(dy, dx))
    above = np.arctan2(mount.height_m - eyes, np.hypot(dx, dy))
    u, v, depth = camera.project(bodies.x, bodies.y, eyes)
    px_per_m = camera.focal_px / np.maximum(depth, 0.3)
    half = np.stack([px_per_m * _FACE_WIDTH_M, px_per_m * _FACE_HEIGHT_M], axis=1) / 2
    center = np.stack([u, v], axis=1)
    boxes = np.concatenate([center - half, center + half], axis=1)
    seen = (np.abs(turn) < _MOST_TURNED_RAD) & _is_whole(camera, boxes) & ~_covered(bodies, boxes)
    # Only motion across the line of sight blurs.
    across = bodies.speed * np.hypot(np.sin(turn), np.cos(turn) * np.sin(above))
    rows = np.flatnonzero(seen)
    return Heads(
        row=rows,
        center=center[rows],
        size_px=(px_per_m * _FACE_WIDTH_M)[rows],
        blur=(across * _EXPOSURE_S / _FACE_WIDTH_M)[rows],
    )


def _is_whole(camera: Camera, boxes: Array) -> NDArray[np.bool_]:
    picture = np.tile(np.array([0.0, 0.0, camera.view.width, camera.view.height]), (len(boxes), 1))
    return np.asarray(hidden_share(boxes, picture) >= _WHOLE)


def _covered(bodies: Bodies, boxes: Array) -> NDArray[np.bool_]:
    """Return a mask of the faces that are mostly covered by a nearer body of the same frame."""
    covered = np.zeros(len(bodies), np.bool_)
    for lag in range(1, len(bodies)):
        far = np.flatnonzero(bodies.frame[lag:] == bodies.frame[:-lag]) + lag
        if not len(far):
            break
        covered[far] |= hidden_share(boxes[far], bodies.xyxy[far - lag]) > _MOST_COVERED
    return covered


def _wrapped(angle: Array) -> Array:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)
