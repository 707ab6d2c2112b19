"""Renders the image of one camera of the twin.

The perspective is that of the camera model, so a figure exactly fills the box in the ground truth.
People and cars are drawn from far to near and over all furniture: in the simulation shelves never
occlude a person, and the images must agree with it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trinetra.twin.camera import Camera
from trinetra.twin.canvas import Array, Color, draw_caption, draw_polygon, shaded
from trinetra.twin.figure import draw_person, draw_shadow, person_box
from trinetra.twin.scenery import CAR_M, Block, Car, Figure, Scenery, coat_color, turned
from trinetra.values import ImageBgr

_NEAR_M = 0.2
_WALL_M = 2.8
_FADE_M = 45.0

_TILES = np.array([(206, 216, 222), (190, 201, 208)], np.float64)
_ASPHALT = np.array([(120, 118, 116), (114, 112, 110)], np.float64)
_HAZE = np.array((214, 210, 204), np.float64)
_WALL: Color = (226, 230, 232)
_MARK: Color = (222, 226, 228)
_GLASS: Color = (150, 140, 128)


@dataclass(frozen=True)
class CameraView:
    """Renders the image of one camera."""

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
            _face(canvas, self.camera, quad, shaded(_WALL, 0.97 if ay == by else 0.9))
        for block in self._blocks_from_far_to_near():
            _draw_block(canvas, self.camera, block)
        return canvas

    def draw(
        self, figures: Iterable[Figure], cars: Iterable[Car] = (), caption: str = ""
    ) -> ImageBgr:
        """Return one image of the camera's size, with the caption in a corner."""
        canvas = self.background.copy()
        bodies: list[Figure | Car] = [*figures, *cars]
        for body in sorted(bodies, key=self._distance_m, reverse=True):
            if isinstance(body, Car):
                _draw_car(canvas, self.camera, body)
            elif (box := person_box(self.camera, body)) is not None and _is_seen(canvas, box):
                draw_shadow(canvas, box)
                draw_person(canvas, box, body, self._frontality(body))
        draw_caption(canvas, caption)
        return canvas

    def _blocks_from_far_to_near(self) -> list[Block]:
        mount = self.camera.view.mount
        walls = self.scenery
        indoors = bool(walls.is_inside(np.array(mount.x_m), np.array(mount.y_m)))
        # From outside, the walls hide the furniture.
        blocks = [b for b in walls.blocks if bool(walls.is_inside(*_center(b))) == indoors]
        return sorted(blocks, key=lambda b: -math.dist((mount.x_m, mount.y_m), _center_point(b)))

    def _distance_m(self, body: Figure | Car) -> float:
        mount = self.camera.view.mount
        return math.dist((mount.x_m, mount.y_m), (body.x_m, body.y_m))

    def _frontality(self, figure: Figure) -> float:
        """Return the cosine between the figure's gaze and the direction to the camera."""
        mount = self.camera.view.mount
        to_camera = math.atan2(mount.y_m - figure.y_m, mount.x_m - figure.x_m)
        return math.cos(figure.facing_rad - to_camera)


def _ground(camera: Camera, scenery: Scenery) -> ImageBgr:
    """Return tiles within the walls and asphalt outside, fading into haze toward the horizon."""
    width, height = camera.view.width, camera.view.height
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = camera.to_floor(u, v)
        _, _, depth = camera.project(x, y, np.zeros_like(x))
    on_ground = np.isfinite(depth) & (depth > 0)
    x, y = np.where(on_ground, x, 0.0), np.where(on_ground, y, 0.0)
    odd = ((np.floor(x) + np.floor(y)) % 2).astype(np.intp)
    colors = np.where(scenery.is_inside(x, y)[..., None], _TILES[odd], _ASPHALT[odd])
    haze = np.where(on_ground, np.clip(np.where(on_ground, depth, 0.0) / _FADE_M, 0, 1), 1.0)
    blended = colors + (_HAZE - colors) * haze[..., None]
    return np.asarray(np.rint(blended), np.uint8)


def _draw_block(canvas: ImageBgr, camera: Camera, block: Block) -> None:
    mount = camera.view.mount
    edges = zip(block.footprint, [*block.footprint[1:], block.footprint[0]], strict=True)
    for (ax, ay), (bx, by) in edges:
        # The outer side of a counterclockwise footprint is to the right of its edges.
        normal = (by - ay, ax - bx)
        if normal[0] * (mount.x_m - ax) + normal[1] * (mount.y_m - ay) <= 0:
            continue
        shade = 0.84 + 0.1 * abs(normal[0]) / max(math.hypot(*normal), 1e-9)
        _draw_side(canvas, camera, block, (ax, ay), (bx, by), shade)
    if mount.height_m > block.height_m:
        _face(canvas, camera, [(x, y, block.height_m) for x, y in block.footprint], block.color)


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

    _face(canvas, camera, quad(0.0, block.height_m), shaded(block.color, shade))
    board_m = block.height_m / max(1, len(block.goods))
    for level, color in enumerate(block.goods):
        low_m = level * board_m
        face = quad(low_m + 0.15 * board_m, low_m + 0.8 * board_m)
        _face(canvas, camera, face, shaded(color, shade))


def _face(
    canvas: ImageBgr,
    camera: Camera,
    corners: Sequence[tuple[float, float, float]],
    color: Color,
) -> None:
    """Draw a flat convex polygon in space, clipped to the part in front of the camera."""
    points = _before_lens(camera, np.array(corners, np.float64))
    if len(points):
        u, v, _ = camera.project(*points.T)
        draw_polygon(canvas, np.stack([u, v], axis=1), color)


def _before_lens(camera: Camera, points: Array) -> Array:
    """Return a convex polygon ``(n, 3)`` clipped at the near plane.

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


def _draw_car(canvas: ImageBgr, camera: Camera, car: Car) -> None:
    """Draw a car as a body and a cabin."""
    length, width, height = CAR_M
    color = coat_color(car.number * 3 + 1)
    body = turned(car, length / 2, width / 2)
    cabin = turned(car, length * 0.28, width * 0.44)
    _draw_block(canvas, camera, Block(body, height * 0.55, color))
    _draw_raised(canvas, camera, cabin, (height * 0.55, height), _GLASS, color)


def _draw_raised(
    canvas: ImageBgr,
    camera: Camera,
    footprint: Sequence[tuple[float, float]],
    span_m: tuple[float, float],
    sides: Color,
    top: Color,
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


def _center_point(block: Block) -> tuple[float, float]:
    xs, ys = zip(*block.footprint, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def _center(block: Block) -> tuple[Array, Array]:
    x, y = _center_point(block)
    return np.array(x), np.array(y)
