"""Property tests of the camera geometry."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.twin.camera import Camera
from trinetra.twin.plan import Mount, View
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, Role

MOUNTS = st.builds(
    Mount,
    x_m=st.floats(-50, 50),
    y_m=st.floats(-50, 50),
    height_m=st.floats(1.8, 8),
    yaw_rad=st.floats(-math.pi, math.pi),
    tilt_rad=st.floats(0.2, 1.2),
    hfov_rad=st.floats(0.6, 1.6),
    reach_m=st.floats(8, 30),
)


def camera(mount: Mount) -> Camera:
    return Camera(View(CameraId("c"), Role.TRACKING, mount))


@given(mount=MOUNTS, u=st.floats(0, 1), v=st.floats(0, 1))
def test_a_pixel_of_the_floor_maps_to_metres_and_back(mount: Mount, u: float, v: float) -> None:
    eye = camera(mount)
    row = eye.far_row_px + v * (eye.view.height - eye.far_row_px)
    column = u * eye.view.width
    x, y = eye.to_floor(np.array([column]), np.array([row]))
    back_u, back_v, depth = eye.project(x, y, np.zeros(1))
    assert (back_u[0], back_v[0]) == pytest.approx((column, row), abs=1e-4)
    assert depth[0] > 0


@given(mount=MOUNTS, ahead=st.floats(1, 20), aside=st.floats(-5, 5))
def test_the_homography_and_the_projection_agree_on_the_floor(
    mount: Mount, ahead: float, aside: float
) -> None:
    eye = camera(mount)
    cos, sin = math.cos(mount.yaw_rad), math.sin(mount.yaw_rad)
    x = mount.x_m + ahead * cos - aside * sin
    y = mount.y_m + ahead * sin + aside * cos
    u, v, depth = eye.project(np.array([x]), np.array([y]), np.zeros(1))
    hu, hv, hw = (float(row @ [x, y, 1.0]) for row in eye.floor_to_image)
    assert hw == pytest.approx(depth[0], rel=1e-6, abs=1e-9)
    if depth[0] > 0.5:
        assert (hu / hw, hv / hw) == pytest.approx((u[0], v[0]), rel=1e-6, abs=1e-4)


@given(mount=MOUNTS, near=st.floats(3, 8), step=st.floats(0.5, 5))
def test_who_is_farther_away_looks_smaller_and_stands_higher_in_the_picture(
    mount: Mount, near: float, step: float
) -> None:
    eye = camera(mount)
    distance = np.array([near, near + step])
    x = mount.x_m + distance * math.cos(mount.yaw_rad)
    y = mount.y_m + distance * math.sin(mount.yaw_rad)
    _, foot, _ = eye.project(x, y, np.zeros(2))
    assert foot[1] < foot[0]
    reach = eye.focal_px / eye.project(x, y, np.zeros(2))[2]
    assert reach[1] < reach[0]


def test_the_corners_of_a_field_lie_on_the_edge_of_what_is_seen() -> None:
    for view in built_in_shop().views:
        eye = Camera(view)
        corners = np.array(eye.field())
        inwards = corners + 0.02 * (corners.mean(axis=0) - corners)
        outwards = corners - 0.02 * (corners.mean(axis=0) - corners)
        assert eye.sees_floor(inwards[:, 0], inwards[:, 1]).all(), view.camera_id
        assert not eye.sees_floor(outwards[:, 0], outwards[:, 1]).any(), view.camera_id
