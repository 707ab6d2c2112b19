"""Pinhole camera model: projects floor points and heights into the image and back.

Floor points map to the image by a homography (Hartley and Zisserman, Multiple View Geometry, 2nd
ed. 2004, sections 6.1 and 8.1.1); points above the floor need the full projection. Sums are written
out instead of calling a linear algebra library, so that results are bit-identical for any number of
threads.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.plan import View

Array = NDArray[np.float64]
MIN_DEPTH_M = 0.5


@dataclass(frozen=True)
class Camera:
    """Geometry of one view."""

    view: View

    @cached_property
    def focal_px(self) -> float:
        """Focal length in pixels, the same for both axes."""
        return float(self.view.width / 2 / np.tan(self.view.mount.hfov_rad / 2))

    @cached_property
    def _axes(self) -> Array:
        """Unit vectors of the image's right, down and forward directions, in floor coordinates."""
        mount = self.view.mount
        yaw, tilt = mount.yaw_rad, mount.tilt_rad
        forward = (np.cos(tilt) * np.cos(yaw), np.cos(tilt) * np.sin(yaw), -np.sin(tilt))
        right = (np.sin(yaw), -np.cos(yaw), 0.0)
        return np.array([right, np.cross(forward, right), forward])

    @cached_property
    def floor_to_image(self) -> Array:
        """Homography ``(3, 3)`` from floor meters to pixels."""
        view, mount = self.view, self.view.mount
        center = np.array([mount.x_m, mount.y_m, mount.height_m])
        rows = np.column_stack([self._axes, -(self._axes * center).sum(axis=1)])
        f, cx, cy = self.focal_px, view.width / 2, view.height / 2
        # Points on the floor have z = 0: dropping the z column of the 3 x 4 projection matrix
        # leaves the 3 x 3 homography.
        projection = np.stack([f * rows[0] + cx * rows[2], f * rows[1] + cy * rows[2], rows[2]])
        return projection[:, [0, 1, 3]]

    @cached_property
    def image_to_floor(self) -> Array:
        """Homography ``(3, 3)`` from pixels to floor meters."""
        return np.asarray(np.linalg.inv(self.floor_to_image), np.float64)

    @cached_property
    def far_row_px(self) -> float:
        """Image row at which the floor is ``reach_m`` ahead of the camera."""
        mount = self.view.mount
        x = mount.x_m + mount.reach_m * np.cos(mount.yaw_rad)
        y = mount.y_m + mount.reach_m * np.sin(mount.yaw_rad)
        _, v, _ = self.project(np.array([x]), np.array([y]), np.zeros(1))
        return float(np.clip(v[0], 0.0, self.view.height - 1.0))

    def project(self, x_m: Array, y_m: Array, z_m: Array) -> tuple[Array, Array, Array]:
        """Return column and row in pixels, and depth in meters, of points in space."""
        mount = self.view.mount
        dx, dy, dz = x_m - mount.x_m, y_m - mount.y_m, z_m - mount.height_m
        right, down, depth = (a[0] * dx + a[1] * dy + a[2] * dz for a in self._axes)
        scale = self.focal_px / np.maximum(depth, 1e-6)
        return self.view.width / 2 + right * scale, self.view.height / 2 + down * scale, depth

    def to_floor(self, u_px: Array, v_px: Array) -> tuple[Array, Array]:
        """Return the floor points in meters under pixels, which must lie below the horizon."""
        h = self.image_to_floor
        x, y, w = (row[0] * u_px + row[1] * v_px + row[2] for row in h)
        return x / w, y / w

    def sees_floor(self, x_m: Array, y_m: Array) -> NDArray[np.bool_]:
        """Return a mask of the floor points that are in the image and within reach."""
        u, v, depth = self.project(x_m, y_m, np.zeros_like(x_m))
        inside = (u >= 0) & (u <= self.view.width) & (v >= self.far_row_px)
        return np.asarray(inside & (v <= self.view.height) & (depth > MIN_DEPTH_M))

    def field(self) -> list[tuple[float, float]]:
        """Return the corners of the visible floor in meters, near left first, then around."""
        width, height = float(self.view.width), float(self.view.height)
        u = np.array([0.0, width, width, 0.0])
        v = np.array([height, height, self.far_row_px, self.far_row_px])
        x, y = self.to_floor(u, v)
        return [(round(a, 3), round(b, 3)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
