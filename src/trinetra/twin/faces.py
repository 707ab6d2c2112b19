"""Simulated output of the face finder: boxes, landmarks and quality.

A head is modeled as a plane with eyes and mouth and a nose in front of it, rotated by the direction
of the gaze. Quality measures follow the inference-worker's definitions and use the same geometry.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import Camera
from trinetra.twin.sensing import Bodies, Rows, hidden_share

Array = NDArray[np.float64]
_HEAD_WIDTH_M, _HEAD_HEIGHT_M = 0.15, 0.20
_HEAD_CENTRE_M = 0.12
"""Distance of the face center below the crown."""
_LANDMARKS_M = np.array(
    [
        [-0.032, -0.035, 0.0],
        [0.032, -0.035, 0.0],
        [0.0, 0.005, 0.030],
        [-0.025, 0.035, 0.0],
        [0.025, 0.035, 0.0],
    ]
)
"""Left eye, right eye, nose and mouth corners seen from the front: right, down, forward."""
_TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Positions of these points in ArcFace's 112 x 112 pixel alignment (Deng et al., 2019)."""
_MAX_YAW_RAD = 1.2
_LEAST_BOXED_PX = 7.0
_EXPOSURE_S = 1 / 60
_SIZE_PX = (16.0, 64.0)
_NOSE_HEIGHT, _NOSE_REACH = 0.55, 0.45
_DETECTOR_SIDE_PX = 640
_COVERED_SHARE = 0.4
_BADLY_LIT_SHARE, _BADLY_LIT = 0.02, 0.15
"""Fraction of badly lit faces, and the fraction of the ideal exposure that they get."""
_LEAST = {"exposure": 0.2, "frontality": 0.25, "sharpness": 0.2, "total": 0.3}
"""The inference-worker computes no embedding for a face below any of these."""


@dataclass(frozen=True, slots=True)
class FacesSeen:
    """Faces found: ``row (n,)`` is the body's row; measures ``(n,)`` as in ``FaceQuality``."""

    row: Rows
    xyxy: Array
    landmarks: Array
    score: Array
    size_px: Array
    sharpness: Array
    frontality: Array
    exposure: Array
    total: Array
    is_bright: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)


def find_faces(
    camera: Camera, bodies: Bodies, heights: Array, rng: np.random.Generator
) -> FacesSeen:
    """Return the faces found on the bodies; ``heights (n,)`` are body heights in meters, by row."""
    n = len(bodies)
    mount = camera.view.mount
    dx, dy = mount.x_m - bodies.x, mount.y_m - bodies.y
    looks = bodies.facing + rng.normal(0, 0.2, n)
    yaw = _wrapped(looks - np.arctan2(dy, dx))
    above = mount.height_m - (heights - _HEAD_CENTRE_M)
    pitch = np.arctan2(above, np.hypot(dx, dy)) + rng.normal(0, 0.08, n)
    u, v, depth = camera.project(bodies.x, bodies.y, heights - _HEAD_CENTRE_M)
    px_per_m = camera.focal_px / np.maximum(depth, 0.3)
    xyxy, size_px = _boxes(camera, u, v, px_per_m * (1 + rng.normal(0, 0.03, n)))
    found = _found(camera, bodies, (xyxy, size_px), yaw, rng)
    seen = np.flatnonzero(found)
    points = landmarks_of(u[seen], v[seen], px_per_m[seen], yaw[seen], pitch[seen])
    points += rng.normal(0, 0.012, points.shape) * (px_per_m[seen] * _HEAD_WIDTH_M)[:, None, None]
    blur_px = bodies.speed * px_per_m * _EXPOSURE_S
    sharpness = 0.95 - 1.6 * blur_px / np.maximum(size_px, 1) - np.abs(rng.normal(0, 0.12, n))
    exposure, is_bright = _exposure(n, rng)
    shown = _ShownFaces(xyxy, size_px, np.clip(sharpness, 0, 1), exposure, is_bright)
    return _judged(shown, seen, points, rng)


class _ShownFaces(NamedTuple):
    """The faces of all bodies ``(n, ...)``, found or not."""

    xyxy: Array
    size_px: Array
    sharpness: Array
    exposure: Array
    is_bright: NDArray[np.bool_]


def _judged(shown: _ShownFaces, seen: Rows, points: Array, rng: np.random.Generator) -> FacesSeen:
    """Return the found faces, of bodies ``seen``, with landmarks ``points``, and their quality."""
    frontality = frontality_of(points)
    size = shown.size_px[seen].round(1)
    sharpness, exposure = shown.sharpness[seen], shown.exposure[seen]
    ramp = np.clip((size - _SIZE_PX[0]) / (_SIZE_PX[1] - _SIZE_PX[0]), 0, 1)
    total = (ramp * sharpness * frontality * exposure) ** 0.25
    score = np.clip(0.92 - 0.25 * (1 - frontality) + rng.normal(0, 0.03, len(seen)), 0.6, 0.99)
    return FacesSeen(
        row=seen,
        xyxy=shown.xyxy[seen],
        landmarks=points,
        score=score,
        size_px=size,
        sharpness=sharpness,
        frontality=frontality,
        exposure=exposure,
        total=total,
        is_bright=shown.is_bright[seen],
    )


def _boxes(camera: Camera, u: Array, v: Array, px_per_m: Array) -> tuple[Array, Array]:
    half_w, half_h = px_per_m * _HEAD_WIDTH_M / 2, px_per_m * _HEAD_HEIGHT_M / 2
    limits = np.array([camera.view.width, camera.view.height] * 2, np.float64)
    xyxy = np.clip(np.stack([u - half_w, v - half_h, u + half_w, v + half_h], axis=1), 0, limits)
    return xyxy, np.minimum(xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1])


def _found(
    camera: Camera,
    bodies: Bodies,
    face: tuple[Array, Array],
    yaw: Array,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return a mask of the faces found: facing the camera, whole, uncovered and large enough."""
    xyxy, size_px = face
    width, height = xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]
    whole = width > 0.6 * height  # a face cut by the image edge is not detected
    boxed_px = size_px * _DETECTOR_SIDE_PX / max(camera.view.width, camera.view.height)
    likely = 0.97 / (1 + np.exp(-(boxed_px - _LEAST_BOXED_PX)))
    chance = rng.random(len(yaw)) < likely
    return chance & whole & (height > 0) & (np.abs(yaw) < _MAX_YAW_RAD) & ~_covered(bodies, xyxy)


def _covered(bodies: Bodies, xyxy: Array) -> NDArray[np.bool_]:
    """Return a mask of the faces that are mostly covered by a nearer body of the same frame."""
    covered = np.zeros(len(bodies), np.bool_)
    for lag in range(1, len(bodies)):
        far = np.flatnonzero(bodies.frame[lag:] == bodies.frame[:-lag]) + lag
        if not len(far):
            break
        covered[far] |= hidden_share(xyxy[far], bodies.xyxy[far - lag]) > _COVERED_SHARE
    return covered


def _exposure(n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
    """Return exposures 0..1, and a mask of the overexposed ones."""
    exposure = np.clip(1 - np.abs(rng.normal(0, 0.1, n)), 0, 1)
    bad = rng.random(n) < _BADLY_LIT_SHARE
    is_bright = rng.integers(0, 2, n).astype(np.bool_)
    return np.where(bad, exposure * _BADLY_LIT, exposure), is_bright


def landmarks_of(u: Array, v: Array, px_per_m: Array, yaw: Array, pitch: Array) -> Array:
    """Return five points ``(n, 5, 2)`` of heads turned by yaw and seen from above by pitch."""
    x, y, z = _LANDMARKS_M.T
    across = np.cos(yaw)[:, None] * x + np.sin(yaw)[:, None] * z
    ahead = np.cos(yaw)[:, None] * z - np.sin(yaw)[:, None] * x
    down = np.cos(pitch)[:, None] * y + np.sin(pitch)[:, None] * ahead
    offset = np.stack([across, down], axis=2) * px_per_m[:, None, None]
    return np.asarray(np.stack([u, v], axis=1)[:, None, :] + offset)


def frontality_of(points: Array) -> Array:
    """Return 1 for faces that look into the camera and 0 for faces seen from the side, ``(n,)``.

    Same measure as in the inference-worker: the horizontal and vertical distance of the nose from
    the middle of eyes and mouth, after the face is rotated upright.
    """
    left, right, nose, mouth_left, mouth_right = np.moveaxis(_upright(points), 1, 0)
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    half_width = np.maximum((right[:, 0] - left[:, 0]) / 2, 1e-6)
    height = np.maximum(mouth[:, 1] - eyes[:, 1], 1e-6)
    turned = np.abs(nose[:, 0] - (eyes[:, 0] + mouth[:, 0]) / 2) / half_width
    nodded = np.abs((nose[:, 1] - eyes[:, 1]) / height - _NOSE_HEIGHT) / _NOSE_REACH
    return np.asarray(np.minimum(np.clip(1 - turned, 0, 1), np.clip(1 - nodded, 0, 1)))


def _upright(points: Array) -> Array:
    """Return faces rotated in the plane for the best fit to the template (Umeyama, 1991)."""
    centered = points - points.mean(axis=1, keepdims=True)
    target = _TEMPLATE - _TEMPLATE.mean(axis=0)
    along = (centered * target).sum(axis=(1, 2))
    across = (centered[..., 0] * target[:, 1] - centered[..., 1] * target[:, 0]).sum(axis=1)
    angle = np.arctan2(across, along)[:, None]
    x, y = centered[..., 0], centered[..., 1]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(np.stack([cos * x - sin * y, sin * x + cos * y], axis=2))


def unusable_reasons(faces: FacesSeen, min_face_px: float) -> list[str | None]:
    """Return the inference-worker's reason why each face cannot be recognized, or None."""
    dark_or_bright = np.where(faces.is_bright, "too_bright", "too_dark")
    verdicts = (
        (faces.size_px < min_face_px, "too_small"),
        (faces.exposure < _LEAST["exposure"], dark_or_bright),
        (faces.frontality < _LEAST["frontality"], "turned_away"),
        (faces.sharpness < _LEAST["sharpness"], "blurred"),
        (faces.total < _LEAST["total"], "poor"),
    )
    reason = np.full(len(faces), "", dtype="U12")
    for fails, name in reversed(verdicts):
        reason = np.where(fails, name, reason)
    return [str(text) or None for text in reason]


def _wrapped(angle: Array) -> Array:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)
