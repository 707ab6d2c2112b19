"""Simple pictures of the twin's shop: what a camera sees, and the floor from above.

Perspective is the camera's own, so a figure fills exactly the box that the truth gives it. People
and cars are drawn from far to near, over all furniture: the simulation has nobody hidden by a
shelf, and the pictures must not know better. Colours are blue-green-red.
"""

import colorsys
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import MIN_DEPTH_M, Camera
from trinetra.values import ImageBgr

Array = NDArray[np.float64]
Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]
"""West, south, east and north in metres."""

BODY_WIDTH_M = 0.52
CAR_M = (4.3, 1.8, 1.5)
_GOLDEN = 0.618034
_SUBPIXEL_BITS = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_NEAR_M = 0.2
_WALL_M = 2.8
_FADE_M = 45.0

_TILES = np.array([(206, 216, 222), (190, 201, 208)], np.float64)
_ASPHALT = np.array([(120, 118, 116), (114, 112, 110)], np.float64)
_HAZE = np.array((214, 210, 204), np.float64)
_WALL: Colour = (226, 230, 232)
_MARK: Colour = (222, 226, 228)
_GLASS: Colour = (150, 140, 128)
_INK: Colour = (60, 54, 48)
_PAPER: Colour = (246, 246, 244)
_STAFF_COAT: Colour = (92, 122, 24)
_SKINS: tuple[Colour, ...] = ((164, 190, 232), (120, 156, 210), (86, 120, 178), (58, 84, 128))
_HAIRS: tuple[Colour, ...] = ((32, 36, 44), (44, 62, 92), (70, 110, 160), (120, 126, 132))


@dataclass(frozen=True, slots=True)
class Figure:
    """Somebody on the floor: place and height in metres, where one looks, how far one strides.

    ``stride`` from -1 to 1 is which leg is in front, 0 standing. ``number`` chooses the colours.
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
    """A car on the ground; ``number`` chooses its colour."""

    x_m: float
    y_m: float
    facing_rad: float
    number: int


@dataclass(frozen=True, slots=True)
class Block:
    """Furniture: a convex footprint ``(n, 2)`` in metres, anticlockwise, as high as it is.

    ``goods`` are the colours of its shelves from the lowest, if it has any.
    """

    footprint: tuple[tuple[float, float], ...]
    height_m: float
    colour: Colour
    goods: tuple[Colour, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenery:
    """What does not move: the shop's walls with their door, its furniture, lines on the ground."""

    walls: Rectangle
    door: tuple[float, float]
    blocks: tuple[Block, ...] = ()
    marks: tuple[tuple[tuple[float, float], ...], ...] = ()
    door_width_m: float = 3.6

    def is_inside(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Return which points lie within the walls."""
        west, south, east, north = self.walls
        return np.asarray((x >= west) & (x <= east) & (y >= south) & (y <= north))

    def wall_runs(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """Return the walls as straight runs, parted where the door is."""
        west, south, east, north = self.walls
        corners = [(west, south), (east, south), (east, north), (west, north)]
        sides = zip(corners, [*corners[1:], corners[0]], strict=True)
        return [run for a, b in sides for run in _parted(a, b, self.door, self.door_width_m)]


def coat_colour(number: int, *, is_staff: bool = False) -> Colour:
    """Return the colour by which somebody is known in every picture of a run."""
    if is_staff:
        return _STAFF_COAT
    hue = (number * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.5 + 0.3 * (number % 3 / 2), 0.82)
    return round(blue * 255), round(green * 255), round(red * 255)


def person_box(camera: Camera, figure: Figure) -> Array | None:
    """Return ``xyxy`` of the whole body in pixels, beyond the picture too; None behind the lens."""
    x, y = np.array([figure.x_m, figure.x_m]), np.array([figure.y_m, figure.y_m])
    u, v, depth = camera.project(x, y, np.array([0.0, figure.height_m]))
    if depth.min() <= MIN_DEPTH_M:
        return None
    half = camera.focal_px * BODY_WIDTH_M / 2 / depth[0]
    middle = u.mean()
    return np.array([middle - half, v[1], middle + half, v[0]])


# --- what a camera sees ---------------------------------------------------------------------------


@dataclass(frozen=True)
class CameraView:
    """Draws what one camera sees."""

    camera: Camera
    scenery: Scenery

    @cached_property
    def background(self) -> ImageBgr:
        """The view without people and cars."""
        canvas = _ground(self.camera, self.scenery)
        for mark in self.scenery.marks:
            _face(canvas, self.camera, [(x, y, 0.0) for x, y in mark], _MARK)
        for (ax, ay), (bx, by) in self.scenery.wall_runs():
            quad = [(ax, ay, 0.0), (bx, by, 0.0), (bx, by, _WALL_M), (ax, ay, _WALL_M)]
            _face(canvas, self.camera, quad, _shaded(_WALL, 0.97 if ay == by else 0.9))
        for block in self._blocks_from_far_to_near():
            _draw_block(canvas, self.camera, block)
        return canvas

    def draw(
        self, figures: Iterable[Figure], cars: Iterable[Car] = (), caption: str = ""
    ) -> ImageBgr:
        """Return one picture of the camera's size, the caption in a corner."""
        canvas = self.background.copy()
        bodies: list[Figure | Car] = [*figures, *cars]
        for body in sorted(bodies, key=self._distance_m, reverse=True):
            if isinstance(body, Car):
                _draw_car(canvas, self.camera, body)
            elif (box := person_box(self.camera, body)) is not None and _is_seen(canvas, box):
                _draw_shadow(canvas, box)
                draw_person(canvas, box, body, self._frontality(body))
        _caption(canvas, caption)
        return canvas

    def _blocks_from_far_to_near(self) -> list[Block]:
        mount = self.camera.view.mount
        walls = self.scenery
        indoors = bool(walls.is_inside(np.array(mount.x_m), np.array(mount.y_m)))
        # From outside the walls hide the furniture.
        blocks = [b for b in walls.blocks if bool(walls.is_inside(*_centre(b))) == indoors]
        return sorted(blocks, key=lambda b: -math.dist((mount.x_m, mount.y_m), _centre_point(b)))

    def _distance_m(self, body: Figure | Car) -> float:
        mount = self.camera.view.mount
        return math.dist((mount.x_m, mount.y_m), (body.x_m, body.y_m))

    def _frontality(self, figure: Figure) -> float:
        """Return the cosine between where somebody looks and the way to the camera."""
        mount = self.camera.view.mount
        to_camera = math.atan2(mount.y_m - figure.y_m, mount.x_m - figure.x_m)
        return math.cos(figure.facing_rad - to_camera)


def _ground(camera: Camera, scenery: Scenery) -> ImageBgr:
    """Return tiles within the walls and asphalt outside, fading into haze; above them haze."""
    width, height = camera.view.width, camera.view.height
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = camera.to_floor(u, v)
        _, _, depth = camera.project(x, y, np.zeros_like(x))
    on_ground = np.isfinite(depth) & (depth > 0)
    x, y = np.where(on_ground, x, 0.0), np.where(on_ground, y, 0.0)
    odd = ((np.floor(x) + np.floor(y)) % 2).astype(np.intp)
    colours = np.where(scenery.is_inside(x, y)[..., None], _TILES[odd], _ASPHALT[odd])
    haze = np.where(on_ground, np.clip(np.where(on_ground, depth, 0.0) / _FADE_M, 0, 1), 1.0)
    blended = colours + (_HAZE - colours) * haze[..., None]
    return np.asarray(np.rint(blended), np.uint8)


def _draw_block(canvas: ImageBgr, camera: Camera, block: Block) -> None:
    mount = camera.view.mount
    edges = zip(block.footprint, [*block.footprint[1:], block.footprint[0]], strict=True)
    for (ax, ay), (bx, by) in edges:
        # The outer side of an anticlockwise footprint is to the right of its edges.
        normal = (by - ay, ax - bx)
        if normal[0] * (mount.x_m - ax) + normal[1] * (mount.y_m - ay) <= 0:
            continue
        shade = 0.84 + 0.1 * abs(normal[0]) / max(math.hypot(*normal), 1e-9)
        _draw_side(canvas, camera, block, (ax, ay), (bx, by), shade)
    if mount.height_m > block.height_m:
        _face(canvas, camera, [(x, y, block.height_m) for x, y in block.footprint], block.colour)


def _draw_side(
    canvas: ImageBgr,
    camera: Camera,
    block: Block,
    a: tuple[float, float],
    b: tuple[float, float],
    shade: float,
) -> None:
    def quad(low_m: float, high_m: float) -> list[tuple[float, float, float]]:
        return [(*a, low_m), (*b, low_m), (*b, high_m), (*a, high_m)]

    _face(canvas, camera, quad(0.0, block.height_m), _shaded(block.colour, shade))
    board_m = block.height_m / max(1, len(block.goods))
    for level, colour in enumerate(block.goods):
        low_m = level * board_m
        face = quad(low_m + 0.15 * board_m, low_m + 0.8 * board_m)
        _face(canvas, camera, face, _shaded(colour, shade))


def _face(
    canvas: ImageBgr,
    camera: Camera,
    corners: Sequence[tuple[float, float, float]],
    colour: Colour,
) -> None:
    """Draw a flat convex face in space, as far as it lies before the camera."""
    points = _before_lens(camera, np.array(corners, np.float64))
    if len(points):
        u, v, _ = camera.project(*points.T)
        _polygon(canvas, np.stack([u, v], axis=1), colour)


def _before_lens(camera: Camera, points: Array) -> Array:
    """Return a convex polygon ``(n, 3)`` without what lies behind the near plane.

    Sutherland and Hodgman, Communications of the ACM 17, 1974.
    """
    depth = camera.project(*points.T)[2] - _NEAR_M
    kept: list[Array] = []
    for i in range(len(points)):
        j = (i + 1) % len(points)
        if depth[i] >= 0:
            kept.append(points[i])
        if (depth[i] >= 0) != (depth[j] >= 0):
            share = depth[i] / (depth[i] - depth[j])
            kept.append(points[i] + share * (points[j] - points[i]))
    return np.array(kept).reshape(-1, 3)


def _is_seen(canvas: ImageBgr, box: Array) -> bool:
    height, width = canvas.shape[:2]
    return bool(box[2] > 0 and box[3] > 0 and box[0] < width and box[1] < height)


def _draw_shadow(canvas: ImageBgr, box: Array) -> None:
    """Darken the floor under somebody's feet."""
    width = box[2] - box[0]
    at = (float(box[0] + box[2]) / 2, float(box[3]))
    left, right = _span(at[0] - width, at[0] + width, canvas.shape[1])
    top, bottom = _span(at[1] - width, at[1] + width, canvas.shape[0])
    if left >= right or top >= bottom:
        return
    patch = canvas[top:bottom, left:right]
    shade = patch.copy()
    _ellipse(shade, (at[0] - left, at[1] - top), (width * 0.62, width * 0.2), (70, 70, 70))
    cv2.addWeighted(shade, 0.35, patch, 0.65, 0, dst=patch)


def draw_person(canvas: ImageBgr, box: Array, figure: Figure, frontality: float) -> None:
    """Draw somebody who fills the box ``xyxy``, facing the camera (1) to looking away (-1)."""
    coat = coat_colour(figure.number, is_staff=figure.is_staff)
    skin = _SKINS[figure.number * 7 % len(_SKINS)]
    hair = _HAIRS[figure.number * 5 % len(_HAIRS)]
    trousers = _shaded((110, 84, 70), 0.6 + 0.15 * (figure.number % 4))
    swing = 0.14 * figure.stride

    def part(*shape: tuple[float, float], colour: Colour) -> None:
        _polygon(canvas, _in_box(box, shape), colour)

    for side, lift in ((-1.0, max(0.0, swing)), (1.0, max(0.0, -swing))):
        foot, ankle = 0.5 + side * (0.19 + abs(swing)), 1.0 - lift
        hip = 0.5 + side * 0.2
        part(
            (hip - 0.2, 0.5),
            (hip + 0.2, 0.5),
            (foot + 0.15, ankle),
            (foot - 0.15, ankle),
            colour=trousers,
        )
    for side in (-1.0, 1.0):
        hand, shoulder = 0.5 + side * 0.5, 0.5 + side * 0.36
        inner = 0.5 + side * 0.3
        part(
            (shoulder, 0.17),
            (hand, 0.26),
            (hand, 0.52 - side * swing / 2),
            (inner, 0.5),
            colour=_shaded(coat, 0.78),
        )
    part(
        (0.2, 0.17), (0.8, 0.17), (0.86, 0.3), (0.76, 0.58), (0.24, 0.58), (0.14, 0.3), colour=coat
    )
    _draw_head(canvas, box, skin, hair, frontality)


def _draw_head(canvas: ImageBgr, box: Array, skin: Colour, hair: Colour, frontality: float) -> None:
    height = float(box[3] - box[1])
    radius = height * 0.075
    x, y = float(box[0] + box[2]) / 2, float(box[1]) + radius
    _polygon(canvas, _in_box(box, ((0.4, 0.12), (0.6, 0.12), (0.6, 0.18), (0.4, 0.18))), skin)
    _ellipse(canvas, (x, y), (radius * 0.8, radius), hair)
    if frontality <= 0:
        return
    share = min(1.0, 0.35 + frontality)
    _ellipse(canvas, (x, y + radius * 0.2), (radius * 0.66 * share, radius * 0.74), skin)
    for side in (-1.0, 1.0):
        eye = (x + side * radius * 0.27 * share, y + radius * 0.08)
        _ellipse(canvas, eye, (radius * 0.09, radius * 0.09), _INK)


def _draw_car(canvas: ImageBgr, camera: Camera, car: Car) -> None:
    """Draw a car as a body and a cabin."""
    length, width, height = CAR_M
    colour = coat_colour(car.number * 3 + 1)
    body = _turned(car, length / 2, width / 2)
    cabin = _turned(car, length * 0.28, width * 0.44)
    _draw_block(canvas, camera, Block(body, height * 0.55, colour))
    glass = [(150, 140, 128), colour]
    low, high = height * 0.55, height
    _draw_raised(
        canvas, camera, cabin, (low, high), (glass[0][0], glass[0][1], glass[0][2]), colour
    )


def _draw_raised(
    canvas: ImageBgr,
    camera: Camera,
    footprint: Sequence[tuple[float, float]],
    span_m: tuple[float, float],
    sides: Colour,
    top: Colour,
) -> None:
    mount = camera.view.mount
    for (ax, ay), (bx, by) in zip(footprint, [*footprint[1:], footprint[0]], strict=True):
        if (by - ay) * (mount.x_m - ax) + (ax - bx) * (mount.y_m - ay) > 0:
            quad = [
                (ax, ay, span_m[0]),
                (bx, by, span_m[0]),
                (bx, by, span_m[1]),
                (ax, ay, span_m[1]),
            ]
            _face(canvas, camera, quad, sides)
    if mount.height_m > span_m[1]:
        _face(canvas, camera, [(x, y, span_m[1]) for x, y in footprint], top)


# --- the floor from above -------------------------------------------------------------------------


@dataclass(frozen=True)
class FloorView:
    """Draws the whole floor from above, north up, cameras with what they see."""

    scenery: Scenery
    cameras: tuple[Camera, ...]
    area: Rectangle
    longer_side: int = 1280

    @property
    def px_per_m(self) -> float:
        """The scale, the same in both directions."""
        west, south, east, north = self.area
        return self.longer_side / max(east - west, north - south)

    @property
    def width(self) -> int:
        """The picture's width in pixels, an even number."""
        return math.ceil((self.area[2] - self.area[0]) * self.px_per_m / 2) * 2

    @property
    def height(self) -> int:
        """The picture's height in pixels, an even number."""
        return math.ceil((self.area[3] - self.area[1]) * self.px_per_m / 2) * 2

    def at(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Return where a place lies in the picture, in pixels."""
        return (x_m - self.area[0]) * self.px_per_m, (self.area[3] - y_m) * self.px_per_m

    @cached_property
    def background(self) -> ImageBgr:
        """The floor without people and cars."""
        canvas = np.full((self.height, self.width, 3), _PAPER, np.uint8)
        west, south, east, north = self.scenery.walls
        self._fill(canvas, [(west, south), (east, south), (east, north), (west, north)], (255,) * 3)
        for number, camera in enumerate(self.cameras):
            self._draw_field(canvas, camera, coat_colour(number))
        for mark in self.scenery.marks:
            self._fill(canvas, mark, (206, 204, 200))
        for block in self.scenery.blocks:
            self._fill(canvas, block.footprint, block.goods[0] if block.goods else block.colour)
        for a, b in self.scenery.wall_runs():
            self._line(canvas, a, b, _INK, 3)
        for number, camera in enumerate(self.cameras):
            self._draw_mount(canvas, camera, coat_colour(number))
        return canvas

    def draw(
        self, figures: Iterable[Figure], cars: Iterable[Car] = (), caption: str = ""
    ) -> ImageBgr:
        """Return one picture: people as discs that point where they look, cars as oblongs."""
        canvas = self.background.copy()
        for car in cars:
            colour = coat_colour(car.number * 3 + 1)
            self._fill(canvas, _turned(car, CAR_M[0] / 2, CAR_M[1] / 2), colour)
        for figure in figures:
            self._draw_disc(canvas, figure)
        _caption(canvas, caption)
        return canvas

    def _draw_disc(self, canvas: ImageBgr, figure: Figure) -> None:
        x, y = self.at(figure.x_m, figure.y_m)
        radius = max(4.0, BODY_WIDTH_M / 2 * self.px_per_m)
        colour = coat_colour(figure.number, is_staff=figure.is_staff)
        cos, sin = math.cos(figure.facing_rad), -math.sin(figure.facing_rad)
        nose = np.array(
            [
                (x + 1.7 * radius * cos, y + 1.7 * radius * sin),
                (x - radius * sin * 0.8, y + radius * cos * 0.8),
                (x + radius * sin * 0.8, y - radius * cos * 0.8),
            ]
        )
        _polygon(canvas, nose, _shaded(colour, 0.7))
        _ellipse(canvas, (x, y), (radius, radius), _INK if figure.is_staff else (255, 255, 255))
        _ellipse(canvas, (x, y), (radius * 0.84, radius * 0.84), colour)

    def _draw_field(self, canvas: ImageBgr, camera: Camera, colour: Colour) -> None:
        tinted = canvas.copy()
        self._fill(tinted, camera.field(), colour)
        cv2.addWeighted(tinted, 0.16, canvas, 0.84, 0, dst=canvas)

    def _draw_mount(self, canvas: ImageBgr, camera: Camera, colour: Colour) -> None:
        mount = camera.view.mount
        x, y = self.at(mount.x_m, mount.y_m)
        _ellipse(canvas, (x, y), (8, 8), _INK)
        _ellipse(canvas, (x, y), (5, 5), colour)
        _text(canvas, camera.view.camera_id, (x + 11, y + 5), 0.45, _INK)

    def _fill(
        self, canvas: ImageBgr, points: Iterable[tuple[float, float]], colour: Colour
    ) -> None:
        _polygon(canvas, np.array([self.at(*point) for point in points]), colour)

    def _line(
        self,
        canvas: ImageBgr,
        a: tuple[float, float],
        b: tuple[float, float],
        colour: Colour,
        thickness_px: int,
    ) -> None:
        ends = [tuple(round(value) for value in self.at(*point)) for point in (a, b)]
        cv2.line(canvas, ends[0], ends[1], colour, thickness_px, cv2.LINE_AA)


# --- shapes ---------------------------------------------------------------------------------------


def _turned(car: Car, half_length: float, half_width: float) -> tuple[tuple[float, float], ...]:
    """Return an oblong's corners, anticlockwise, in metres."""
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
    """Return a wall without the stretch within half the door's width of the door."""
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


def _centre_point(block: Block) -> tuple[float, float]:
    xs, ys = zip(*block.footprint, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def _centre(block: Block) -> tuple[Array, Array]:
    x, y = _centre_point(block)
    return np.array(x), np.array(y)


def _in_box(box: Array, shape: Sequence[tuple[float, float]]) -> Array:
    """Return points given as shares of a box's sides, in pixels."""
    return np.asarray(box[:2] + np.array(shape) * (box[2:] - box[:2]))


def _shaded(colour: Colour, factor: float) -> Colour:
    blue, green, red = (min(255, round(value * factor)) for value in colour)
    return blue, green, red


def _span(low: float, high: float, limit: int) -> tuple[int, int]:
    return max(0, math.floor(low)), min(limit, math.ceil(high))


def _fixed(values: Array) -> NDArray[np.int32]:
    """Return pixels in OpenCV's fixed point, pixel centres at whole numbers."""
    # Far outside the picture is as good as anywhere there, and has to fit into 32 bits.
    scaled = np.clip((values - 0.5) * (1 << _SUBPIXEL_BITS), -(2**26), 2**26)
    return np.asarray(np.rint(scaled), np.int32)


def _polygon(canvas: ImageBgr, points: Array, colour: Colour) -> None:
    cv2.fillPoly(canvas, [_fixed(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def _ellipse(
    canvas: ImageBgr, centre: tuple[float, float], axes: tuple[float, float], colour: Colour
) -> None:
    at = _fixed(np.array(centre)).tolist()
    size = [round(axis * (1 << _SUBPIXEL_BITS)) for axis in axes]
    cv2.ellipse(canvas, at, size, 0, 0, 360, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _caption(canvas: ImageBgr, text: str) -> None:
    """Write into the corner as cameras do, on a bar that keeps it legible on any ground."""
    if not text:
        return
    scale = canvas.shape[0] / 1500 + 0.2
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    cv2.rectangle(canvas, (0, 0), (width + 16, height + base + 12), _INK, -1)
    _text(canvas, text, (8, height + 6), scale, (255, 255, 255))


def _text(
    canvas: ImageBgr, text: str, at: tuple[float, float], scale: float, colour: Colour
) -> None:
    origin = (round(at[0]), round(at[1]))
    cv2.putText(canvas, text, origin, _FONT, scale, colour, 1, cv2.LINE_AA)
