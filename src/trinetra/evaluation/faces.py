"""Determines which walks through a view showed usable faces, and how large they were.

A person who never faces a camera cannot be identified by face, whatever the system. Identity scores
are therefore also computed over only the walks that showed usable faces.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from trinetra.evaluation.boxes import Boxes, Floats
from trinetra.evaluation.comparison import assign, compare

_HEAD_SHARE = 0.45
"""The center of a face lies in the upper part of its body's box, within this fraction."""
_BODY_WIDTHS = 3.0
"""Width of a standing body in units of its face (Drillis & Contini, 1966)."""
_FAR = 100.0
"""Larger than any distance between a face and the head that it may belong to."""


class Shown(NamedTuple):
    """Number of usable faces in a walk, and the shorter side of the largest in pixels."""

    faces: int
    largest_px: float


def named_by_camera(camera: str, walks: Boxes) -> Boxes:
    """Return the boxes of a camera's walks under names that are unique over cameras."""
    return replace(walks, names=tuple(f"{camera}/{name}" for name in walks.names))


def person_of(walk: str) -> str:
    """Return the person of a walk, given its name over all cameras (see ``Boxes.by_presence``)."""
    return walk.split("/", 1)[-1].rsplit("#", 1)[0]


def faces_shown(cameras: Iterable[tuple[Boxes, Boxes]], *, tolerance_us: int) -> dict[str, Shown]:
    """Return the faces shown in each walk; walks without a usable face are left out.

    Each of ``cameras`` has true boxes named by walk, and the boxes of usable faces, with their size
    as score. In each frame a body gets at most one face, the one that fits its head best in
    position and size.
    """
    shown: dict[str, Shown] = {}
    for walks, faces in cameras:
        shown |= _shown(walks, faces, tolerance_us)
    return shown


def _shown(walks: Boxes, faces: Boxes, tolerance_us: int) -> dict[str, Shown]:
    sides = compare([(walks, faces)], tolerance_us=tolerance_us)
    body, face = sides.pairs.truth, sides.pairs.found
    near = _nearness(sides.truth.xyxy[body], sides.found.xyxy[face])
    chosen = assign(sides.pairs, near)
    chosen = chosen[near[chosen] > 0]
    walk, pixels = sides.truth.name[body[chosen]], sides.found.score[face[chosen]]
    return {
        sides.truth.names[code]: Shown(
            int(np.count_nonzero(walk == code)), float(pixels[walk == code].max())
        )
        for code in np.unique(walk).tolist()
    }


def _nearness(body: Floats, face: Floats) -> Floats:
    """Return how well faces ``(n, 4)`` fit the heads of bodies ``(n, 4)``, row by row; 0: not."""
    size = np.maximum(body[:, 2:] - body[:, :2], 1e-6)
    across, down = (((face[:, :2] + face[:, 2:]) / 2 - body[:, :2]) / size).T
    ratio = _BODY_WIDTHS * np.maximum(face[:, 2] - face[:, 0], 1e-6) / size[:, 0]
    distance = np.abs(across - 0.5) + np.maximum(down, 0) + np.abs(np.log(ratio))
    inside = (across > 0) & (across < 1) & (np.abs(down) < _HEAD_SHARE)
    return np.where(inside, np.maximum(_FAR - distance, 1e-6), 0.0)
