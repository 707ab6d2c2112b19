"""Draws a person into an image: the box of the body, and its parts."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from trinetra.twin.camera import MIN_DEPTH_M, Camera
from trinetra.twin.canvas import INK, Array, Color, draw_ellipse, draw_polygon, shaded
from trinetra.twin.scenery import Figure, coat_color
from trinetra.values import ImageBgr

BODY_WIDTH_M = 0.52
_SKINS: tuple[Color, ...] = ((164, 190, 232), (120, 156, 210), (86, 120, 178), (58, 84, 128))
_HAIRS: tuple[Color, ...] = ((32, 36, 44), (44, 62, 92), (70, 110, 160), (120, 126, 132))


def person_box(camera: Camera, figure: Figure) -> Array | None:
    """Return ``xyxy`` of the whole body in pixels, unclipped; None for a body behind the lens."""
    x, y = np.array([figure.x_m, figure.x_m]), np.array([figure.y_m, figure.y_m])
    u, v, depth = camera.project(x, y, np.array([0.0, figure.height_m]))
    if depth.min() <= MIN_DEPTH_M:
        return None
    half = camera.focal_px * BODY_WIDTH_M / 2 / depth[0]
    middle = u.mean()
    return np.array([middle - half, v[1], middle + half, v[0]])


def draw_shadow(canvas: ImageBgr, box: Array) -> None:
    """Darken the floor under a person's feet."""
    width = box[2] - box[0]
    at = (float(box[0] + box[2]) / 2, float(box[3]))
    left, right = _span(at[0] - width, at[0] + width, canvas.shape[1])
    top, bottom = _span(at[1] - width, at[1] + width, canvas.shape[0])
    if left >= right or top >= bottom:
        return
    patch = canvas[top:bottom, left:right]
    shade = patch.copy()
    draw_ellipse(shade, (at[0] - left, at[1] - top), (width * 0.62, width * 0.2), (70, 70, 70))
    cv2.addWeighted(shade, 0.35, patch, 0.65, 0, dst=patch)


def draw_person(canvas: ImageBgr, box: Array, figure: Figure, frontality: float) -> None:
    """Draw a person who fills the box ``xyxy``, facing the camera (1) to looking away (-1)."""
    coat = coat_color(figure.number, is_staff=figure.is_staff)
    skin = _SKINS[figure.number * 7 % len(_SKINS)]
    hair = _HAIRS[figure.number * 5 % len(_HAIRS)]
    trousers = shaded((110, 84, 70), 0.6 + 0.15 * (figure.number % 4))
    swing = 0.14 * figure.stride

    def part(*shape: tuple[float, float], color: Color) -> None:
        draw_polygon(canvas, _in_box(box, shape), color)

    for side, lift in ((-1.0, max(0.0, swing)), (1.0, max(0.0, -swing))):
        foot, ankle = 0.5 + side * (0.19 + abs(swing)), 1.0 - lift
        hip = 0.5 + side * 0.2
        part(
            (hip - 0.2, 0.5),
            (hip + 0.2, 0.5),
            (foot + 0.15, ankle),
            (foot - 0.15, ankle),
            color=trousers,
        )
    for side in (-1.0, 1.0):
        hand, shoulder = 0.5 + side * 0.5, 0.5 + side * 0.36
        inner = 0.5 + side * 0.3
        part(
            (shoulder, 0.17),
            (hand, 0.26),
            (hand, 0.52 - side * swing / 2),
            (inner, 0.5),
            color=shaded(coat, 0.78),
        )
    part((0.2, 0.17), (0.8, 0.17), (0.86, 0.3), (0.76, 0.58), (0.24, 0.58), (0.14, 0.3), color=coat)
    _draw_head(canvas, box, skin, hair, frontality)


def _draw_head(canvas: ImageBgr, box: Array, skin: Color, hair: Color, frontality: float) -> None:
    height = float(box[3] - box[1])
    radius = height * 0.075
    x, y = float(box[0] + box[2]) / 2, float(box[1]) + radius
    draw_polygon(canvas, _in_box(box, ((0.4, 0.12), (0.6, 0.12), (0.6, 0.18), (0.4, 0.18))), skin)
    draw_ellipse(canvas, (x, y), (radius * 0.8, radius), hair)
    if frontality <= 0:
        return
    share = min(1.0, 0.35 + frontality)
    draw_ellipse(canvas, (x, y + radius * 0.2), (radius * 0.66 * share, radius * 0.74), skin)
    for side in (-1.0, 1.0):
        eye = (x + side * radius * 0.27 * share, y + radius * 0.08)
        draw_ellipse(canvas, eye, (radius * 0.09, radius * 0.09), INK)


def _in_box(box: Array, shape: Sequence[tuple[float, float]]) -> Array:
    """Return points given as fractions of a box's sides, in pixels."""
    return np.asarray(box[:2] + np.array(shape) * (box[2:] - box[:2]))


def _span(low: float, high: float, limit: int) -> tuple[int, int]:
    return max(0, math.floor(low)), min(limit, math.ceil(high))
