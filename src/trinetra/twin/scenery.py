"""Objects in the twin's images: people and cars, the shop's walls and furniture."""

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.canvas import Array, Color

Rectangle = tuple[float, float, float, float]
"""West, south, east and north in meters."""

CAR_M = (4.3, 1.8, 1.5)
_GOLDEN = 0.618034
_STAFF_COAT: Color = (92, 122, 24)


@dataclass(frozen=True, slots=True)
class Figure:
    """A person on the floor: position and height in meters, gaze direction, stride.

    ``stride`` from -1 to 1 tells which leg is in front, 0 is standing. ``number`` selects the
    colors.
    """

    x_m: float
    y_m: float
    height_m: float
    facing_rad: float
    number: int
    stride: float = 0.0
    is_staff: bool = False


@dataclass(frozen=True, slots=True)
class Car:
    """A car on the ground; ``number`` selects its color."""

    x_m: float
    y_m: float
    facing_rad: float
    number: int


@dataclass(frozen=True, slots=True)
class Block:
    """Furniture: a convex footprint ``(n, 2)`` in meters, counterclockwise, and its height.

    ``goods`` are the colors of its shelves from the lowest up, if it has any.
    """

    footprint: tuple[tuple[float, float], ...]
    height_m: float
    color: Color
    goods: tuple[Color, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenery:
    """Everything that does not move: walls with their door, furniture, lines on the ground."""

    walls: Rectangle
    door: tuple[float, float]
    blocks: tuple[Block, ...] = ()
    marks: tuple[tuple[tuple[float, float], ...], ...] = ()
    door_width_m: float = 3.6

    def is_inside(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Return a mask of the points within the walls."""
        west, south, east, north = self.walls
        return np.asarray((x >= west) & (x <= east) & (y >= south) & (y <= north))

    def wall_runs(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """Return the walls as straight segments, with a gap at the door."""
        west, south, east, north = self.walls
        corners = [(west, south), (east, south), (east, north), (west, north)]
        sides = zip(corners, [*corners[1:], corners[0]], strict=True)
        return [run for a, b in sides for run in _parted(a, b, self.door, self.door_width_m)]


def coat_color(number: int, *, is_staff: bool = False) -> Color:
    """Return the color that identifies a person in every image of a run."""
    if is_staff:
        return _STAFF_COAT
    hue = (number * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.5 + 0.3 * (number % 3 / 2), 0.82)
    return round(blue * 255), round(green * 255), round(red * 255)


def turned(car: Car, half_length: float, half_width: float) -> tuple[tuple[float, float], ...]:
    """Return the corners of a rotated rectangle, counterclockwise, in meters."""
    cos, sin = math.cos(car.facing_rad), math.sin(car.facing_rad)
    return tuple(
        (
            car.x_m + a * half_length * cos - b * half_width * sin,
            car.y_m + a * half_length * sin + b * half_width * cos,
        )
        for a, b in ((1, -1), (1, 1), (-1, 1), (-1, -1))
    )


def _parted(
    a: tuple[float, float], b: tuple[float, float], door: tuple[float, float], width_m: float
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return a wall without the segment within half the door's width of the door."""
    length = math.dist(a, b)
    along = ((b[0] - a[0]) / length, (b[1] - a[1]) / length)
    offset = (door[0] - a[0], door[1] - a[1])
    aside_m = abs(offset[0] * along[1] - offset[1] * along[0])
    at_m = offset[0] * along[0] + offset[1] * along[1]
    if aside_m > width_m / 2:
        return [(a, b)]
    cuts = [(0.0, at_m - width_m / 2), (at_m + width_m / 2, length)]
    return [
        ((a[0] + p * along[0], a[1] + p * along[1]), (a[0] + q * along[0], a[1] + q * along[1]))
        for p, q in ((max(0.0, p), min(length, q)) for p, q in cuts)
        if q > p
    ]
