"""Computes the bodies in a camera's view at each frame, and simulates the detector's output.

Struct of arrays throughout: one row per body and frame, sorted by frame and then from near to far.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import MIN_DEPTH_M, Camera
from trinetra.twin.scenario import Sensing
from trinetra.twin.walks import Path
from trinetra.twin.world import Drive, Stay

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
_BODY_WIDTH_M = 0.52
_CAR_M = (4.3, 1.8, 1.5)
_MIN_KEPT = 0.4
"""Minimum fraction of a body's box within the image for the body to count as in view."""
_DETECTOR_SIDE_PX = 640
_BUCKETS_PER_S = 2
"""Detector errors are correlated: the score noise changes at this rate, not at every frame."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """All bodies in view over some frames.

    ``frame`` and ``who`` index frames and subjects; ``xyxy (n, 4)`` is the true box clipped to the
    image, in pixels, ``whole`` the same without clipping, ``visible`` the fraction that is not
    occluded by nearer bodies. ``facing`` in radians, ``depth`` in meters.
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

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: Rows | NDArray[np.bool_]) -> "Bodies":
        """Return some of the rows."""
        columns = (getattr(self, name) for name in self.__dataclass_fields__)
        return Bodies(*(column[rows] for column in columns))


@dataclass(frozen=True, slots=True)
class Found:
    """Detector output: ``frame (n,)``, ``xyxy (n, 4)`` and ``score (n,)``."""

    frame: Rows
    xyxy: Array
    score: Array


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
    kept = _area(xyxy) / np.maximum(_area(whole), 1e-9)
    rows = np.flatnonzero(seen & (kept >= _MIN_KEPT))
    order = rows[np.lexsort((depth[rows], places[0][rows]))]
    frame, who, x, y, facing, speed = places
    boxes = xyxy[order]
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
        visible=_visible(frame[order], boxes),
    )


def _area(xyxy: Array) -> Array:
    return np.asarray((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))


def hidden_share(inner: Array, outer: Array) -> Array:
    """Return the fraction of each inner box that the outer box of the same row covers."""
    low = np.maximum(inner[:, :2], outer[:, :2])
    high = np.minimum(inner[:, 2:], outer[:, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[:, 0] * sides[:, 1] / np.maximum(_area(inner), 1e-9))


def _visible(frame: Rows, xyxy: Array) -> Array:
    """Return the fraction of each box not covered by nearer bodies in the same frame."""
    visible = np.ones(len(frame))
    for lag in range(1, len(frame)):
        far = np.flatnonzero(frame[lag:] == frame[:-lag]) + lag
        if not len(far):
            break
        visible[far] *= 1 - hidden_share(xyxy[far], xyxy[far - lag])
    return visible


def detect(
    camera: Camera, bodies: Bodies, fps: float, sensing: Sensing, rng: np.random.Generator
) -> tuple[Found, Rows]:
    """Return the detections of the bodies, and their rows.

    Scores fall with occlusion and for small boxes, and vary in intervals of half a second; a body
    with a score below the detector's threshold is missed. Boxes jitter in proportion to their
    height.
    """
    n = len(bodies)
    scale = _DETECTOR_SIDE_PX / max(camera.view.width, camera.view.height)
    height_px = bodies.xyxy[:, 3] - bodies.xyxy[:, 1]
    score = 0.8 - 0.55 * (1 - bodies.visible) ** 1.5 - 0.5 * np.exp(-height_px * scale / 25)
    score += _spells(bodies, fps, rng) * 0.06 + rng.normal(0, 0.04, n)
    missed = rng.random(n) < sensing.miss_share
    kept = np.flatnonzero((score >= sensing.min_score) & ~missed)
    noise = rng.normal(0, sensing.jitter, (n, 4)) * height_px[:, None]
    xyxy = _within(camera, bodies.xyxy + noise)[kept]
    return Found(bodies.frame[kept], xyxy, np.clip(score[kept], 0, 0.99)), kept


def _spells(bodies: Bodies, fps: float, rng: np.random.Generator) -> Array:
    """Return noise that is constant for one body over about half a second."""
    bucket = (bodies.frame * _BUCKETS_PER_S / fps).astype(np.intp)
    _, which = np.unique(bodies.who * 100_000 + bucket, return_inverse=True)
    spells = rng.normal(0, 1, int(which.max()) + 1 if len(which) else 0)
    return np.asarray(spells[which])


def false_positives(
    camera: Camera, frames: int, sensing: Sensing, rng: np.random.Generator
) -> Found:
    """Return false positives: each lasts a few frames at about one place."""
    count = rng.poisson(sensing.false_per_frame * frames / 2)
    begin = np.sort(rng.integers(0, frames, count))
    length = rng.geometric(0.5, count)
    frame = np.concatenate(
        [np.arange(b, b + n) for b, n in zip(begin, length, strict=True)] or [np.zeros(0, np.intp)]
    )
    source = np.repeat(np.arange(count), length)
    height = rng.uniform(0.08, 0.35, count) * camera.view.height
    u, v = rng.uniform(0, camera.view.width, count), rng.uniform(0, camera.view.height, count)
    boxes = np.stack([u - height * 0.2, v - height, u + height * 0.2, v], axis=1)[source]
    boxes = _within(camera, boxes + rng.normal(0, 2.0, boxes.shape))
    score = rng.uniform(sensing.min_score, 0.62, len(source))
    real = (frame < frames) & (_area(boxes) > 1)
    return Found(frame[real].astype(np.intp), boxes[real], score[real])


def _within(camera: Camera, xyxy: Array) -> Array:
    """Return boxes clipped to the image, with their corners in order."""
    limits = np.array([camera.view.width, camera.view.height] * 2, np.float64)
    boxes = np.clip(xyxy, 0, limits)
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], axis=1)
