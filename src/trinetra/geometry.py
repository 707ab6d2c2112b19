"""Homography from a camera's picture to the floor, estimated from point correspondences.

Picture points are normalized, ``[0, 0]`` top left and ``[1, 1]`` bottom right; floor points are in
meters on the floor plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trinetra.errors import ConfigurationError

Point = tuple[float, float]
Pair = tuple[Point, Point]
"""The same place in the picture and on the floor."""
Rows = tuple[tuple[float, float, float], ...]

LEAST_PAIRS = 4
_MAX_RMS_M = 1.0
_LEAST_FOCAL, _MOST_FOCAL = 0.25, 3.0
"""Focal lengths of lenses in shops, in frame widths: fields of view of 127 and 19 degrees."""
_MIN_SINGULAR = 1e-3
"""Minimum ratio of the eighth to the largest singular value.

Below it the points do not determine the mapping, or one pixel moves it by meters.
"""


class FloorPoint(NamedTuple):
    """A place on the floor, and the length on the floor of a picture step of 1 right and 1 down.

    A step of 1 is the picture's whole width or height; both lengths are in meters, to first order.
    """

    x_m: float
    y_m: float
    right_m: float
    down_m: float


@dataclass(frozen=True, slots=True)
class Homography:
    """A mapping from a picture to the floor, and its residual errors.

    ``rms_m`` is the root mean square distance between the given floor points and the mapped picture
    points; ``worst_m`` is the largest distance, of the pair with index ``worst``. Four points
    always fit exactly.
    """

    rows: Rows
    rms_m: float = 0.0
    worst_m: float = 0.0
    worst: int = 0

    def to_floor(self, x: float, y: float) -> FloorPoint | None:
        """Return the floor point under a picture point, or None at and above the horizon."""
        (a, b, c), (d, e, f), (g, h, i) = self.rows
        w = g * x + h * y + i
        if w <= 0:
            return None
        x_m, y_m = (a * x + b * y + c) / w, (d * x + e * y + f) / w
        right_m = float(np.hypot(a - g * x_m, d - g * y_m)) / w
        down_m = float(np.hypot(b - h * x_m, e - h * y_m)) / w
        return FloorPoint(x_m, y_m, right_m, down_m)


@dataclass(frozen=True, slots=True)
class UprightScale:
    """Measures the heights of people who stand on the floor; see ``upright_scale``.

    ``rows`` is the projection ``(3, 4)`` of space to the picture, in frame heights from its center.
    """

    rows: tuple[tuple[float, float, float, float], ...]
    floor: Homography

    def height_m(self, foot: Point, box_height: float) -> float | None:
        """Return the height of a person from the foot point and the height of the box.

        ``foot`` is normalized, ``box_height`` in frame heights. None where the floor is not seen.
        """
        place = self.floor.to_floor(*foot)
        if place is None:
            return None
        at = (place.x_m, place.y_m, 1.0)
        _, (a, b, up_v, c), (d, e, up_w, f) = self.rows
        v, w = sum(map(mul, (a, b, c), at)), sum(map(mul, (d, e, f), at))
        head = foot[1] - box_height - 0.5
        rise = up_v - head * up_w
        return (head * w - v) / rise if rise else None

    def foot_of(self, middle: Point, foot_y: float, aspect: float) -> Point:
        """Return where a person stands, from the middle and the lower edge of the box.

        All are normalized. In the picture people lean away from the point below the camera, so that
        the middle of the lower edge is beside their feet. The axis of an upright person runs
        through the middle of the box to the vanishing point of what is upright.
        """
        u, v = (middle[0] - 0.5) * aspect, middle[1] - 0.5
        up_u, up_v, up_w = (row[2] for row in self.rows)
        right, down = up_u - u * up_w, up_v - v * up_w
        if abs(right) >= abs(down):  # seen from above, where boxes do not tell how people lean
            return middle[0], foot_y
        return middle[0] + (foot_y - middle[1]) * right / down / aspect, foot_y


def upright_scale(floor: Homography, aspect: float) -> UprightScale | None:
    """Return the scale of heights of a camera, from its view of the floor alone.

    It assumes square pixels, no distortion, and the optical axis in the middle of the picture;
    ``aspect`` is the frame's width / height. Focal length and pose then follow from the homography
    (Zhang, A flexible new technique for camera calibration, IEEE PAMI 22(11), 2000, section 3.1).
    None if they do not, as for a camera that looks straight down.
    """
    center = np.array([[aspect, 0.0, -aspect / 2], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
    g = center @ np.linalg.inv(np.array(floor.rows))
    focal = _focal_length(g, aspect)
    if focal is None:
        return None
    axes = g / np.array([[focal], [focal], [1.0]])
    axes = axes / np.sqrt(np.linalg.norm(axes[:, 0]) * np.linalg.norm(axes[:, 1]))
    up = np.cross(axes[:, 0], axes[:, 1])
    # The floor plan may be drawn with y up or down; the camera is above the floor in any case.
    height_m = -float(up @ axes[:, 2])
    up = up if height_m > 0 else -up
    columns = np.column_stack([axes[:, 0], axes[:, 1], up, axes[:, 2]])
    rows = columns * np.array([[focal], [focal], [1.0]])
    a, b, c = (tuple(map(float, row)) for row in rows)
    return UprightScale((_four(a), _four(b), _four(c)), floor)


def _focal_length(g: NDArray[np.float64], aspect: float) -> float | None:
    """Return the focal length in frame heights: the floor's two axes are at right angles."""
    part = np.array([2 * (g[0, 0] * g[0, 1] + g[1, 0] * g[1, 1]), _squares(g, 0) - _squares(g, 1)])
    rest = np.array([2 * g[2, 0] * g[2, 1], g[2, 0] ** 2 - g[2, 1] ** 2])
    size = float(part @ part)
    # From straight above, the floor's axes are at right angles in the picture at any focal length.
    inverse = -float(part @ rest) / size if size > 0 else 0.0
    if inverse <= 0:
        return None
    focal = 1 / np.sqrt(inverse)
    return float(focal) if _LEAST_FOCAL <= focal / aspect <= _MOST_FOCAL else None


def _squares(g: NDArray[np.float64], column: int) -> float:
    return float(g[0, column] ** 2 + g[1, column] ** 2)


def _four(row: tuple[float, ...]) -> tuple[float, float, float, float]:
    a, b, c, d = row
    return a, b, c, d


def fit(pairs: Sequence[Pair]) -> Homography:
    """Return the homography that fits all pairs best.

    The normalized direct linear transformation (Hartley, In defense of the eight-point algorithm,
    IEEE PAMI 19(6), 1997). Raises ConfigurationError with the reason if the points do not determine
    a mapping, contradict each other, or cannot all lie on one floor.
    """
    if len(pairs) < LEAST_PAIRS:
        raise ConfigurationError(f"{len(pairs)} points do not determine the floor: give 4 or more")
    picture = np.array([pair[0] for pair in pairs], np.float64)
    floor = np.array([pair[1] for pair in pairs], np.float64)
    # Without normalization the equations mix terms of very different size, and the solution is
    # numerically unstable (Hartley, 1997).
    to_unit = _normalization(picture, "in the picture")
    from_unit = _normalization(floor, "on the floor")
    solved = _solve(_map(to_unit, picture), _map(from_unit, floor))
    matrix = np.linalg.inv(from_unit) @ solved @ to_unit
    # w is the depth up to a common factor: points before the camera all have the same sign.
    w = picture @ matrix[2, :2] + matrix[2, 2]
    if not (np.all(w > 0) or np.all(w < 0)):
        raise ConfigurationError(
            "the points would lie on both sides of the horizon: two of them are swapped, or one "
            "does not lie on the floor"
        )
    matrix = matrix / w.mean()
    return _checked(matrix, np.linalg.norm(_map(matrix, picture) - floor, axis=1))


def _checked(matrix: NDArray[np.float64], apart_m: NDArray[np.float64]) -> Homography:
    rms_m, worst = float(np.sqrt(np.mean(apart_m**2))), int(apart_m.argmax())
    if rms_m > _MAX_RMS_M:
        raise ConfigurationError(
            f"the points disagree by {rms_m:.1f} m, most of all point {worst + 1} "
            f"({apart_m[worst]:.1f} m): measure again"
        )
    rows: Rows = tuple((float(a), float(b), float(c)) for a, b, c in matrix)
    return Homography(rows, rms_m, float(apart_m[worst]), worst)


def _solve(picture: NDArray[np.float64], floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least-squares solution of ``floor x (H picture) = 0`` with ``|H| = 1``."""
    ones, zeros = np.ones((len(picture), 1)), np.zeros((len(picture), 3))
    p = np.hstack([picture, ones])
    equations = np.concatenate(
        [np.hstack([zeros, -p, floor[:, 1:] * p]), np.hstack([p, zeros, -floor[:, :1] * p])]
    )
    _, singular, vectors = np.linalg.svd(equations)
    if singular[7] < _MIN_SINGULAR * singular[0]:
        raise ConfigurationError(
            "the points do not determine the floor: three of four lie on or near one straight line"
        )
    return np.asarray(vectors[-1].reshape(3, 3), np.float64)


def _normalization(points: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Return the transform that moves the centroid to 0 and the mean distance to sqrt(2)."""
    center = points.mean(axis=0)
    apart = float(np.linalg.norm(points - center, axis=1).mean())
    if apart == 0:
        raise ConfigurationError(f"all points are the same {where}: choose different ones")
    scale = np.sqrt(2) / apart
    return np.array([[scale, 0, -scale * center[0]], [0, scale, -scale * center[1]], [0, 0, 1]])


def _map(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)
