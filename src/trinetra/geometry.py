"""From a camera's picture to the floor: a plane seen in perspective, from points known on both.

Picture points are normalised, ``[0, 0]`` top left and ``[1, 1]`` bottom right; floor points are in
metres on the floor plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
_MIN_SINGULAR = 1e-3
"""Of the largest: below it the points leave the mapping open, or a pixel moves it by metres."""


class FloorPoint(NamedTuple):
    """A place on the floor, and how far a step of 1 to the right and 1 down there would lead.

    A step of 1 is the picture's whole width or height; both are in metres, to first order.
    """

    x_m: float
    y_m: float
    right_m: float
    down_m: float


@dataclass(frozen=True, slots=True)
class Homography:
    """A mapping from a picture to the floor, and how well the points agree with it.

    ``rms_m`` is the root mean square distance between where the points should be and where they
    are mapped; ``worst_m`` the largest, of the pair with the number ``worst``, counted from 0. Four
    points always agree.
    """

    rows: Rows
    rms_m: float = 0.0
    worst_m: float = 0.0
    worst: int = 0

    def to_floor(self, x: float, y: float) -> FloorPoint | None:
        """Return the floor under a point of the picture, None at and above the horizon."""
        (a, b, c), (d, e, f), (g, h, i) = self.rows
        w = g * x + h * y + i
        if w <= 0:
            return None
        x_m, y_m = (a * x + b * y + c) / w, (d * x + e * y + f) / w
        right_m = float(np.hypot(a - g * x_m, d - g * y_m)) / w
        down_m = float(np.hypot(b - h * x_m, e - h * y_m)) / w
        return FloorPoint(x_m, y_m, right_m, down_m)


def fit(pairs: Sequence[Pair]) -> Homography:
    """Return the mapping that agrees best with all pairs.

    The normalised direct linear transformation (Hartley, In defense of the eight-point algorithm,
    IEEE PAMI 19(6), 1997). Raises ConfigurationError with the reason where the points do not settle
    a mapping, contradict each other, or cannot all lie on one floor.
    """
    if len(pairs) < LEAST_PAIRS:
        raise ConfigurationError(f"{len(pairs)} points do not fix a floor: give 4 or more")
    picture = np.array([pair[0] for pair in pairs], np.float64)
    floor = np.array([pair[1] for pair in pairs], np.float64)
    to_unit = _normalising(picture, "in the picture")
    from_unit = _normalising(floor, "on the floor")
    solved = _solve(_map(to_unit, picture), _map(from_unit, floor))
    matrix = np.linalg.inv(from_unit) @ solved @ to_unit
    w = picture @ matrix[2, :2] + matrix[2, 2]
    if not (np.all(w > 0) or np.all(w < 0)):
        raise ConfigurationError(
            "the points would lie on both sides of the horizon: two of them are swapped, or one "
            "does not lie on the floor"
        )
    matrix = matrix / w.mean()
    return _judged(matrix, np.linalg.norm(_map(matrix, picture) - floor, axis=1))


def _judged(matrix: NDArray[np.float64], apart_m: NDArray[np.float64]) -> Homography:
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
            "the points do not fix a floor: three of four lie on, or near, one straight line"
        )
    return np.asarray(vectors[-1].reshape(3, 3), np.float64)


def _normalising(points: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Return what moves the points' centre to 0 and their mean distance from it to sqrt(2)."""
    centre = points.mean(axis=0)
    apart = float(np.linalg.norm(points - centre, axis=1).mean())
    if apart == 0:
        raise ConfigurationError(f"all points are the same {where}")
    scale = np.sqrt(2) / apart
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def _map(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)
