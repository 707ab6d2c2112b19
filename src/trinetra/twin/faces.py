"""Faces as a face reader would report them: landmarks, quality, and embeddings of the right spread.

A head is a plane of eyes and mouth with a nose before it, turned by where its owner looks. The
measures of quality are those of the inference-worker, taken from the same geometry.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import Camera
from trinetra.twin.people import Person
from trinetra.twin.sensing import Bodies, Rows, hidden_share
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Stay

Array = NDArray[np.float64]
Vectors = NDArray[np.float32]
_HEAD_WIDTH_M, _HEAD_HEIGHT_M = 0.15, 0.20
_HEAD_CENTRE_M = 0.12
"""How far the middle of the face lies below the crown."""
_LANDMARKS_M = np.array(
    [
        [-0.032, -0.035, 0.0],
        [0.032, -0.035, 0.0],
        [0.0, 0.005, 0.030],
        [-0.025, 0.035, 0.0],
        [0.025, 0.035, 0.0],
    ]
)
"""Left eye, right eye, nose, mouth corners as seen from before: right, down, forward."""
_MAX_YAW_RAD = 1.2
_LEAST_BOXED_PX = 7.0
_EXPOSURE_S = 1 / 60
_SIZE_PX = (16.0, 64.0)
_NOSE_HEIGHT, _NOSE_REACH = 0.55, 0.45
_DETECTOR_SIDE_PX = 640


@dataclass(frozen=True, slots=True)
class FacesSeen:
    """Faces found: ``row (n,)`` is the body's; measures as in ``FaceQuality``, each ``(n,)``."""

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
    """Return the faces found of the bodies; ``heights (n,)`` are those of the rows in metres."""
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
    points = _landmarks(u[seen], v[seen], px_per_m[seen], yaw[seen], pitch[seen])
    points += rng.normal(0, 0.012, points.shape) * (px_per_m[seen] * _HEAD_WIDTH_M)[:, None, None]
    blur_px = bodies.speed * px_per_m * _EXPOSURE_S
    sharpness = 0.95 - 1.6 * blur_px / np.maximum(size_px, 1) - np.abs(rng.normal(0, 0.12, n))
    exposure, is_bright = _exposure(n, rng)
    return _judged(seen, xyxy, points, size_px, np.clip(sharpness, 0, 1), exposure, is_bright, rng)


def _judged(
    seen: Rows,
    xyxy: Array,
    points: Array,
    size_px: Array,
    sharpness: Array,
    exposure: Array,
    is_bright: NDArray[np.bool_],
    rng: np.random.Generator,
) -> FacesSeen:
    frontality = frontality_of(points)
    size = size_px[seen].round(1)
    ramp = np.clip((size - _SIZE_PX[0]) / (_SIZE_PX[1] - _SIZE_PX[0]), 0, 1)
    total = (ramp * sharpness[seen] * frontality * exposure[seen]) ** 0.25
    score = np.clip(0.92 - 0.25 * (1 - frontality) + rng.normal(0, 0.03, len(seen)), 0.6, 0.99)
    return FacesSeen(
        row=seen,
        xyxy=xyxy[seen],
        landmarks=points,
        score=score,
        size_px=size,
        sharpness=sharpness[seen],
        frontality=frontality,
        exposure=exposure[seen],
        total=total,
        is_bright=is_bright[seen],
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
    """Return which faces the finder reports: turned to it, whole, uncovered and large enough."""
    xyxy, size_px = face
    width, height = xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]
    whole = width > 0.6 * height  # a face cut by the picture's edge is no face
    boxed_px = size_px * _DETECTOR_SIDE_PX / max(camera.view.width, camera.view.height)
    likely = 0.97 / (1 + np.exp(-(boxed_px - _LEAST_BOXED_PX)))
    chance = rng.random(len(yaw)) < likely
    return chance & whole & (height > 0) & (np.abs(yaw) < _MAX_YAW_RAD) & ~_covered(bodies, xyxy)


def _covered(bodies: Bodies, xyxy: Array) -> NDArray[np.bool_]:
    """Return which faces lie mostly behind a nearer body of the same frame."""
    covered = np.zeros(len(bodies), np.bool_)
    for lag in range(1, len(bodies)):
        far = np.flatnonzero(bodies.frame[lag:] == bodies.frame[:-lag]) + lag
        if not len(far):
            break
        covered[far] |= hidden_share(xyxy[far], bodies.xyxy[far - lag]) > 0.4
    return covered


def _exposure(n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
    """Return exposures 0..1 and whether they err on the bright side; one face in 50 is bad."""
    exposure = np.clip(1 - np.abs(rng.normal(0, 0.1, n)), 0, 1)
    bad = rng.random(n) < 0.02
    return np.where(bad, exposure * 0.15, exposure), rng.random(n) < 0.5


def _landmarks(u: Array, v: Array, px_per_m: Array, yaw: Array, pitch: Array) -> Array:
    """Return five points ``(n, 5, 2)`` of heads turned by yaw, seen from above by pitch."""
    x, y, z = _LANDMARKS_M.T
    across = np.cos(yaw)[:, None] * x + np.sin(yaw)[:, None] * z
    ahead = np.cos(yaw)[:, None] * z - np.sin(yaw)[:, None] * x
    down = np.cos(pitch)[:, None] * y + np.sin(pitch)[:, None] * ahead
    offset = np.stack([across, down], axis=2) * px_per_m[:, None, None]
    return np.asarray(np.stack([u, v], axis=1)[:, None, :] + offset)


def frontality_of(points: Array) -> Array:
    """Return 1 for faces that look into the camera, 0 for those seen from the side, ``(n,)``.

    The inference-worker's measure: how far the nose is from the middle of eyes and mouth, across
    and along; heads in the twin do not roll, so nothing has to be turned upright first.
    """
    left, right, nose, mouth_left, mouth_right = (points[:, i] for i in range(5))
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    half_width = np.maximum((right[:, 0] - left[:, 0]) / 2, 1e-6)
    height = np.maximum(mouth[:, 1] - eyes[:, 1], 1e-6)
    turned = np.abs(nose[:, 0] - (eyes[:, 0] + mouth[:, 0]) / 2) / half_width
    nodded = np.abs((nose[:, 1] - eyes[:, 1]) / height - _NOSE_HEIGHT) / _NOSE_REACH
    return np.minimum(np.clip(1 - turned, 0, 1), np.clip(1 - nodded, 0, 1))


def unusable_reasons(faces: FacesSeen, min_face_px: float) -> list[str | None]:
    """Return why each face cannot be recognised, as the inference-worker says it, or None."""
    dark_or_bright = np.where(faces.is_bright, "too_bright", "too_dark")
    verdicts = (
        (faces.size_px < min_face_px, "too_small"),
        (faces.exposure < 0.2, dark_or_bright),
        (faces.frontality < 0.25, "turned_away"),
        (faces.sharpness < 0.2, "blurred"),
        (faces.total < 0.3, "poor"),
    )
    reason = np.full(len(faces), "", dtype="U12")
    for fails, name in reversed(verdicts):
        reason = np.where(fails, name, reason)
    return [str(text) or None for text in reason]


def _wrapped(angle: Array) -> Array:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


# --- embeddings -------------------------------------------------------------------------------

DIMENSION = 512
_SPREAD_DIMENSIONS = 50.0
"""Variance falls off by e every so many dimensions: 100 effective ones, as impostors' cosines show."""
_DIFFERENT = 0.028
_OCCASION_SHARE = 0.5
"""Half of what changes between two photos changes only from one occasion to the next."""
_GOOD_COSINE = 0.71
_SIZES_PX = (16.0, 24.0, 32.0, 48.0)
_COSINES = (0.35, 0.51, 0.655, _GOOD_COSINE)
"""Mean cosine of two photos of one person by size of the face, from true accept rates at 0.45."""
_LIKENESS_DEVIATION = 0.055
_MAX_OCCASIONS = 10_000


def _spread() -> Vectors:
    variance = np.exp(-np.arange(DIMENSION) / _SPREAD_DIMENSIONS)
    return np.sqrt(variance / variance.sum()).astype(np.float32)


@dataclass(slots=True)
class FaceBank:
    """Everybody's face as a direction, and photos of it.

    A photo is ``q * face + sqrt(1 - q^2) * rest``: two photos of one person have cosine ``q^2`` on
    average. ``rest`` is drawn half per visit and camera, half per frame, so that the photos of one
    track resemble each other more than those of two days do.
    """

    seed: int
    people: tuple[Person, ...]
    look_alike_face: float
    _scale: Vectors = field(default_factory=_spread)
    _faces: dict[int, Vectors] = field(default_factory=dict)
    _occasions: dict[tuple[int, int], tuple[Vectors, float]] = field(default_factory=dict)
    _common: Vectors | None = None

    def photos(
        self, shown: list[tuple[Stay, int]], size_px: Array, rng: np.random.Generator
    ) -> NDArray[np.float16]:
        """Return unit embeddings ``(n, 512)`` of who is shown, on which camera by its index."""
        if not shown:
            return np.zeros((0, DIMENSION), np.float16)
        faces = np.stack([self.face(stay.person.index) for stay, _ in shown])
        occasions = [self._occasion(stay.index, camera) for stay, camera in shown]
        steady = np.stack([vector for vector, _ in occasions])
        luck = np.array([deviation for _, deviation in occasions])
        fresh = rng.standard_normal(faces.shape, np.float32) * self._scale
        likeness = np.sqrt(np.interp(size_px, _SIZES_PX, _COSINES)) + luck
        q = np.clip(likeness, 0.3, 0.97).astype(np.float32)[:, None]
        rest = np.float32(np.sqrt(_OCCASION_SHARE)) * steady
        rest += np.float32(np.sqrt(1 - _OCCASION_SHARE)) * fresh
        photos = q * faces + np.sqrt(1 - q * q) * rest
        norm = np.sqrt((photos * photos).sum(axis=1, keepdims=True))
        return np.asarray((photos / norm).astype("<f2"))

    def face(self, person: int) -> Vectors:
        """Return the direction ``(512,)`` of somebody's face."""
        if person not in self._faces:
            own = self._draw(stream(self.seed, Part.FACE, person))
            if (twin := self.people[person].look_alike_of) is not None:
                shared = np.float32(self.look_alike_face)
                base = self.face(twin) - np.float32(np.sqrt(_DIFFERENT)) * self._mean_face()
                own = np.sqrt(shared) * base / _norm(base) + np.sqrt(1 - shared) * own
            mixed = np.float32(np.sqrt(_DIFFERENT)) * self._mean_face()
            mixed = mixed + np.float32(np.sqrt(1 - _DIFFERENT)) * own
            self._faces[person] = mixed / _norm(mixed)
        return self._faces[person]

    def _mean_face(self) -> Vectors:
        """Return what all faces have in common: it gives strangers their mean cosine of 0.02."""
        if self._common is None:
            self._common = self._draw(stream(self.seed, Part.COMMON_FACE))
        return self._common

    def _occasion(self, stay: int, camera: int) -> tuple[Vectors, float]:
        key = (stay, camera)
        if key not in self._occasions:
            if len(self._occasions) >= _MAX_OCCASIONS:
                self._occasions.clear()  # they come out the same when drawn again
            rng = stream(self.seed, Part.OCCASION, stay, camera)
            luck = float(rng.normal(0, _LIKENESS_DEVIATION))
            self._occasions[key] = (self._draw(rng), luck)
        return self._occasions[key]

    def _draw(self, rng: np.random.Generator) -> Vectors:
        vector = rng.standard_normal(DIMENSION, np.float32) * self._scale
        return np.asarray(vector / _norm(vector))


def _norm(vector: Vectors) -> np.float32:
    return np.float32(np.sqrt((vector * vector).sum()))
