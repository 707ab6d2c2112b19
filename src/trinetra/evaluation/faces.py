"""Whose faces could be compared: which walks through a view showed some, and how large.

Who never turns to a camera cannot be named by face, by whatever system. Scores of identity are
therefore also taken over those walks alone that showed usable faces.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from trinetra.evaluation.boxes import Boxes
from trinetra.evaluation.comparison import compare

_HEAD_SHARE = 0.45
"""A face's centre lies in the upper part of its body's box."""


class Shown(NamedTuple):
    """How many usable faces a walk showed, and the shorter side of the largest in pixels."""

    faces: int
    largest_px: float


def named_by_camera(camera: str, walks: Boxes) -> Boxes:
    """Return the boxes of a camera's walks under names that no other camera's walks have."""
    return replace(walks, names=tuple(f"{camera}/{name}" for name in walks.names))


def person_of(walk: str) -> str:
    """Return whose walk it is, given its name on all cameras (see ``Boxes.by_presence``)."""
    return walk.split("/", 1)[-1].rsplit("#", 1)[0]


def faces_shown(cameras: Iterable[tuple[Boxes, Boxes]], *, tolerance_us: int) -> dict[str, Shown]:
    """Return what walks showed; those without a usable face are left out.

    Each of ``cameras`` has true boxes named by walk, and the boxes of usable faces, scored by their
    size. A face is of the body whose head it is nearest to.
    """
    shown: dict[str, Shown] = {}
    for walks, faces in cameras:
        shown |= _shown(walks, faces, tolerance_us)
    return shown


def _shown(walks: Boxes, faces: Boxes, tolerance_us: int) -> dict[str, Shown]:
    sides = compare([(walks, faces)], tolerance_us=tolerance_us)
    body, face = sides.pairs.truth, sides.pairs.found
    box, head = sides.truth.xyxy[body], sides.found.xyxy[face]
    size = np.maximum(box[:, 2:] - box[:, :2], 1e-6)
    centre = (head[:, :2] + head[:, 2:]) / 2
    across, down = ((centre - box[:, :2]) / size).T
    inside = np.flatnonzero((across > 0) & (across < 1) & (np.abs(down) < _HEAD_SHARE))
    distance = np.abs(across - 0.5) + np.maximum(down, 0)
    order = inside[np.lexsort((distance[inside], face[inside]))]
    nearest = order[np.unique(face[order], return_index=True)[1]]
    walk, pixels = sides.truth.name[body[nearest]], sides.found.score[face[nearest]]
    return {
        sides.truth.names[code]: Shown(
            int(np.count_nonzero(walk == code)), float(pixels[walk == code].max())
        )
        for code in np.unique(walk).tolist()
    }
