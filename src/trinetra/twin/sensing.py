"""Computes the bodies in a camera's view at each frame.

Struct of arrays throughout: one row per body and frame, sorted by frame and then from near to far.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import MIN_DEPTH_M, Camera
from trinetra.twin.walks import Path
from trinetra.twin.world import Drive, Stay

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
_BODY_WIDTH_M = 0.52
_CAR_M = (4.3, 1.8, 1.5)
_MIN_KEPT = 0.4
"""Minimum fraction of a body's box within the image for the body to count as in view."""
NO_ROW = -1


@dataclass(frozen=True, slots=True)
class Bodies:
    """All bodies in view over some frames.

    ``frame`` and ``who`` index frames and subjects; ``xyxy (n, 4)`` is the true box clipped to the
    image, in pixels, ``whole`` the same without clipping, ``visible`` the fraction that is not
    occluded by nearer bodies and ``hider`` the row of the body that occludes most of it, or NO_ROW.
    ``facing`` in radians, ``depth`` in meters.
    """

    frame: Rows
    who: Rows
    x: Array
    y: Array
    facing: Array
    speed: Array
    depth: Array
    xyxy: Array
    whole: Array
    visible: Array
    hider: Rows

    def __len__(self) -> int:
        return len(self.frame)


def people_in_view(camera: Camera, t: Array, stays: Sequence[Stay], heights: Array) -> Bodies:
    """Return the people in view at instants ``t``; ``who`` indexes ``stays``."""
    places = _places(t, [stay.path for stay in stays])
    frame, who, x, y, facing, speed = places
    u, foot, depth = camera.project(x, y, np.zeros_like(x))
    top_u, head, _ = camera.project(x, y, heights[who])
    half = camera.focal_px * _BODY_WIDTH_M / 2 / np.maximum(depth, MIN_DEPTH_M)
    middle = (u + top_u) / 2
    whole = np.stack([middle - half, head, middle + half, foot], axis=1)
    seen = (depth > MIN_DEPTH_M) & (foot >= camera.far_row_px)
    return _in_view(camera, (frame, who, x, y, facing, speed), depth, whole, seen)


def cars_in_view(camera: Camera, t: Array, drives: Sequence[Drive]) -> Bodies:
    """Return the cars in view at instants ``t``; ``who`` indexes ``drives``."""
    frame, who, x, y, facing, speed = _places(t, [drive.path for drive in drives])
    length, width, height = _CAR_M
    corners = [
        (a * length / 2, b * width / 2, z)
        for a in (-1.0, 1.0)
        for b in (-1.0, 1.0)
        for z in (0.0, height)
    ]
    cos, sin = np.cos(facing), np.sin(facing)
    points = [
        camera.project(x + a * cos - b * sin, y + a * sin + b * cos, np.full_like(x, z))
        for a, b, z in corners
    ]
    u, v, depths = (np.stack(axis) for axis in zip(*points, strict=True))
    whole = np.stack([u.min(axis=0), v.min(axis=0), u.max(axis=0), v.max(axis=0)], axis=1)
    _, foot, depth = camera.project(x, y, np.zeros_like(x))
    seen = (depths.min(axis=0) > MIN_DEPTH_M) & (foot >= camera.far_row_px)
    return _in_view(camera, (frame, who, x, y, facing, speed), depth, whole, seen)


_Places = tuple[Rows, Rows, Array, Array, Array, Array]


def _places(t: Array, paths: Sequence[Path]) -> _Places:
    """Return the position of each subject in the frames during its path."""
    empty = np.zeros(0)
    parts: list[tuple[Array, ...]] = []
    for number, path in enumerate(paths):
        first, last = np.searchsorted(t, [path.start_s, path.end_s])
        if last > first:
            at = path.at(t[first:last])
            frames = np.arange(first, last, dtype=np.float64)
            parts.append((frames, np.full(last - first, float(number)), *at))
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)] if parts else [empty] * 6
    frame, who, x, y, facing, speed = columns
    return frame.astype(np.intp), who.astype(np.intp), x, y, facing, speed


def _in_view(
    camera: Camera, places: _Places, depth: Array, whole: Array, seen: NDArray[np.bool_]
) -> Bodies:
    limits = np.array([camera.view.width, camera.view.height] * 2, np.float64)
    xyxy = np.clip(whole, 0, limits)
    kept = area_of(xyxy) / np.maximum(area_of(whole), 1e-9)
    rows = np.flatnonzero(seen & (kept >= _MIN_KEPT))
    order = rows[np.lexsort((depth[rows], places[0][rows]))]
    frame, who, x, y, facing, speed = places
    boxes = xyxy[order]
    visible, hider = _occlusion(frame[order], boxes)
    return Bodies(
        frame=frame[order],
        who=who[order],
        x=x[order],
        y=y[order],
        facing=facing[order],
        speed=speed[order],
        depth=depth[order],
        xyxy=boxes,
        whole=whole[order],
        visible=visible,
        hider=hider,
    )


def area_of(xyxy: Array) -> Array:
    """Return the areas ``(n,)`` of boxes."""
    return np.asarray((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))


def hidden_share(inner: Array, outer: Array) -> Array:
    """Return the fraction of each inner box that the outer box of the same row covers."""
    low = np.maximum(inner[:, :2], outer[:, :2])
    high = np.minimum(inner[:, 2:], outer[:, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[:, 0] * sides[:, 1] / np.maximum(area_of(inner), 1e-9))


def _occlusion(frame: Rows, xyxy: Array) -> tuple[Array, Rows]:
    """Return the fraction of each box that nearer bodies leave visible, and who hides most of it.

    Rows of a frame go from near to far.
    """
    visible, most = np.ones(len(frame)), np.zeros(len(frame))
    hider = np.full(len(frame), NO_ROW, np.intp)
    for lag in range(1, len(frame)):
        far = np.flatnonzero(frame[lag:] == frame[:-lag]) + lag
        if not len(far):
            break
        hidden = hidden_share(xyxy[far], xyxy[far - lag])
        visible[far] *= 1 - hidden
        more = hidden > most[far]
        hider[far[more]] = far[more] - lag
        most[far[more]] = hidden[more]
    return visible, hider
