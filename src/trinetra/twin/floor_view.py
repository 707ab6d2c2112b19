"""Renders the floor of the twin's shop from above."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from trinetra.twin.camera import Camera
from trinetra.twin.canvas import (
    INK,
    Color,
    draw_caption,
    draw_ellipse,
    draw_polygon,
    draw_text,
    shaded,
)
from trinetra.twin.figure import BODY_WIDTH_M
from trinetra.twin.scenery import CAR_M, Car, Figure, Rectangle, Scenery, coat_color, turned
from trinetra.values import ImageBgr

_PAPER: Color = (246, 246, 244)


@dataclass(frozen=True)
class FloorView:
    """Renders the whole floor from above, north up, with the cameras' fields of view."""

    scenery: Scenery
    cameras: tuple[Camera, ...]
    area: Rectangle
    longer_side: int = 1280

    @property
    def px_per_m(self) -> float:
        """Scale in pixels per meter, the same in both directions."""
        west, south, east, north = self.area
        return self.longer_side / max(east - west, north - south)

    @property
    def width(self) -> int:
        """Image width in pixels, an even number."""
        return math.ceil((self.area[2] - self.area[0]) * self.px_per_m / 2) * 2

    @property
    def height(self) -> int:
        """Image height in pixels, an even number."""
        return math.ceil((self.area[3] - self.area[1]) * self.px_per_m / 2) * 2

    def at(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Return the pixel position of a floor point."""
        return (x_m - self.area[0]) * self.px_per_m, (self.area[3] - y_m) * self.px_per_m

    @cached_property
    def background(self) -> ImageBgr:
        """The floor without people and cars."""
        canvas = np.full((self.height, self.width, 3), _PAPER, np.uint8)
        west, south, east, north = self.scenery.walls
        self._fill(canvas, [(west, south), (east, south), (east, north), (west, north)], (255,) * 3)
        for number, camera in enumerate(self.cameras):
            self._draw_field(canvas, camera, coat_color(number))
        for mark in self.scenery.marks:
            self._fill(canvas, mark, (206, 204, 200))
        for block in self.scenery.blocks:
            self._fill(canvas, block.footprint, block.goods[0] if block.goods else block.color)
        for a, b in self.scenery.wall_runs():
            self._line(canvas, a, b, INK, 3)
        for number, camera in enumerate(self.cameras):
            self._draw_mount(canvas, camera, coat_color(number))
        return canvas

    def draw(
        self, figures: Iterable[Figure], cars: Iterable[Car] = (), caption: str = ""
    ) -> ImageBgr:
        """Return one image: people as discs with a pointer in gaze direction, cars as boxes."""
        canvas = self.background.copy()
        for car in cars:
            color = coat_color(car.number * 3 + 1)
            self._fill(canvas, turned(car, CAR_M[0] / 2, CAR_M[1] / 2), color)
        for figure in figures:
            self._draw_disc(canvas, figure)
        draw_caption(canvas, caption)
        return canvas

    def _draw_disc(self, canvas: ImageBgr, figure: Figure) -> None:
        x, y = self.at(figure.x_m, figure.y_m)
        radius = max(4.0, BODY_WIDTH_M / 2 * self.px_per_m)
        color = coat_color(figure.number, is_staff=figure.is_staff)
        cos, sin = math.cos(figure.facing_rad), -math.sin(figure.facing_rad)
        nose = np.array(
            [
                (x + 1.7 * radius * cos, y + 1.7 * radius * sin),
                (x - radius * sin * 0.8, y + radius * cos * 0.8),
                (x + radius * sin * 0.8, y - radius * cos * 0.8),
            ]
        )
        draw_polygon(canvas, nose, shaded(color, 0.7))
        draw_ellipse(canvas, (x, y), (radius, radius), INK if figure.is_staff else (255, 255, 255))
        draw_ellipse(canvas, (x, y), (radius * 0.84, radius * 0.84), color)

    def _draw_field(self, canvas: ImageBgr, camera: Camera, color: Color) -> None:
        tinted = canvas.copy()
        self._fill(tinted, camera.field(), color)
        cv2.addWeighted(tinted, 0.16, canvas, 0.84, 0, dst=canvas)

    def _draw_mount(self, canvas: ImageBgr, camera: Camera, color: Color) -> None:
        mount = camera.view.mount
        x, y = self.at(mount.x_m, mount.y_m)
        draw_ellipse(canvas, (x, y), (8, 8), INK)
        draw_ellipse(canvas, (x, y), (5, 5), color)
        draw_text(canvas, camera.view.camera_id, (x + 11, y + 5), 0.45, INK)

    def _fill(self, canvas: ImageBgr, points: Iterable[tuple[float, float]], color: Color) -> None:
        draw_polygon(canvas, np.array([self.at(*point) for point in points]), color)

    def _line(
        self,
        canvas: ImageBgr,
        a: tuple[float, float],
        b: tuple[float, float],
        color: Color,
        thickness_px: int,
    ) -> None:
        ends = [tuple(round(value) for value in self.at(*point)) for point in (a, b)]
        cv2.line(canvas, ends[0], ends[1], color, thickness_px, cv2.LINE_AA)
