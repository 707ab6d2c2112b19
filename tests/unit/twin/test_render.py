"""Images of the twin: everything is drawn where the world and the camera geometry put it."""

import math
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trinetra.commands.twin_render import render
from trinetra.errors import ConfigurationError
from trinetra.twin.camera import Camera
from trinetra.twin.camera_view import CameraView
from trinetra.twin.figure import BODY_WIDTH_M, draw_person, person_box
from trinetra.twin.film import Films, area_of, scenery_of
from trinetra.twin.floor_view import FloorView
from trinetra.twin.people import Person
from trinetra.twin.plan import FloorPlan, Mount, View
from trinetra.twin.scenario import Scenario
from trinetra.twin.scenery import Block, Car, Figure, Scenery, coat_color
from trinetra.twin.sensing import people_in_view
from trinetra.twin.shop import built_in_shop
from trinetra.twin.store import simulate
from trinetra.twin.walks import Path as Walk
from trinetra.twin.world import Stay, World
from trinetra.values import CameraId, Role

SHOP = built_in_shop()
WIDTH, HEIGHT = 320, 240
LINE_PX = 3.0  # reach of an antialiased edge

mounts = st.builds(
    Mount,
    x_m=st.floats(-5, 5),
    y_m=st.floats(-5, 5),
    height_m=st.floats(2.2, 5.0),
    yaw_rad=st.floats(-math.pi, math.pi),
    tilt_rad=st.floats(0.15, 0.5),
    hfov_rad=st.floats(0.8, 1.5),
    reach_m=st.just(15.0),
)


def camera_at(mount: Mount) -> Camera:
    return Camera(View(CameraId("c"), Role.TRACKING, mount, WIDTH, HEIGHT))


def ahead(mount: Mount, distance_m: float, aside_m: float = 0.0) -> tuple[float, float]:
    """Return the floor point at these distances ahead of a camera and to its right."""
    cos, sin = math.cos(mount.yaw_rad), math.sin(mount.yaw_rad)
    return (
        mount.x_m + distance_m * cos + aside_m * sin,
        mount.y_m + distance_m * sin - aside_m * cos,
    )


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the box ``xyxy`` around the pixels that differ."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


# --- people in a camera's picture


@given(
    st.floats(8, 120),
    st.floats(2.5, 4.5),
    st.floats(3, WIDTH - 124),
    st.integers(0, 50),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_somebody_drawn_fills_the_box(
    width_px: float, slimness: float, left: float, number: int, stride: float, frontality: float
) -> None:
    box = np.array([left, 3.0, left + width_px, 3.0 + width_px * slimness])
    blank = np.full((600, WIDTH, 3), 255, np.uint8)
    canvas = blank.copy()
    draw_person(canvas, box, Figure(0.0, 0.0, 1.7, 0.0, number, stride), frontality)
    assert np.abs(changed(blank, canvas) - box).max() <= LINE_PX


@given(mounts, st.floats(3, 12), st.floats(-1, 1), st.floats(1.0, 2.0))
def test_the_box_of_somebody_drawn_is_the_box_of_the_truth(
    mount: Mount, distance_m: float, aside_m: float, height_m: float
) -> None:
    camera, (x, y) = camera_at(mount), ahead(mount, distance_m, aside_m)
    still = Walk(np.array([-1.0, 1.0]), *(np.array([at, at]) for at in (x, y, 0.0, 0.0)))
    stay = stay_of(still, height_m)
    bodies = people_in_view(camera, np.zeros(1), [stay], np.array([height_m]))
    assume(len(bodies) == 1)
    box = person_box(camera, Figure(x, y, height_m, 0.0, 1))
    assume(box is not None)
    limits = np.array([WIDTH, HEIGHT] * 2)
    assert np.allclose(np.clip(box, 0, limits), bodies.xyxy[0], atol=1e-6)


def stay_of(path: Walk, height_m: float) -> Stay:
    return Stay(0, Person(0, "shopper", False, height_m), 0, path, "browsed", None)


@given(mounts, st.floats(2, 8), st.floats(0.5, 4))
def test_who_is_farther_away_is_smaller_and_stands_higher_in_the_picture(
    mount: Mount, distance_m: float, farther_m: float
) -> None:
    camera = camera_at(mount)
    near = person_box(camera, Figure(*ahead(mount, distance_m), 1.7, 0.0, 1))
    far = person_box(camera, Figure(*ahead(mount, distance_m + farther_m), 1.7, 0.0, 1))
    assume(near is not None and far is not None)
    assert far[2] - far[0] < near[2] - near[0]
    assert far[3] < near[3]


@given(mounts, st.floats(0.5, 20))
def test_somebody_behind_the_camera_is_not_drawn(mount: Mount, distance_m: float) -> None:
    figure = Figure(*ahead(mount, -distance_m - 5 * mount.height_m), 1.7, 0.0, 1)
    assert person_box(camera_at(mount), figure) is None


def test_who_is_beside_the_picture_changes_nothing_in_it() -> None:
    mount = Mount(0.0, 0.0, 2.5, 0.0, 0.3, 1.2, 20.0)
    view = CameraView(camera_at(mount), Scenery((-1, -9, 30, 9), (-1, 0)))
    people = [Figure(*ahead(mount, *place), 1.7, 0.0, 1) for place in ((4, 9), (4, -9), (-20, 0))]
    assert np.array_equal(view.draw(people), view.background)


def test_the_nearer_of_two_people_hides_the_farther_one() -> None:
    mount = Mount(0.0, 0.0, 2.5, 0.0, 0.3, 1.2, 20.0)
    view = CameraView(camera_at(mount), Scenery((-1, -9, 30, 9), (-1, 0)))
    near, far = (Figure(*ahead(mount, meters), 1.75, 0.0, n) for meters, n in ((3.5, 1), (4.0, 2)))
    box = person_box(view.camera, near)
    chest = int(box[0] + box[2]) // 2, int(box[1] * 0.65 + box[3] * 0.35)
    for order in ([near, far], [far, near]):
        assert tuple(view.draw(order)[chest[1], chest[0]]) == coat_color(1)


def test_faces_show_only_to_a_camera_before_them() -> None:
    box = np.array([20.0, 10.0, 80.0, 220.0])
    pictures = []
    for frontality in (1.0, -1.0):
        canvas = np.zeros((HEIGHT, 100, 3), np.uint8)
        draw_person(canvas, box, Figure(0, 0, 1.7, 0.0, 3), frontality)
        pictures.append(canvas)
    difference = changed(*pictures)
    assert difference[3] < 10 + 0.2 * 210  # within the head
    assert difference[0] > 20


def test_a_look_behind_the_lens_costs_no_picture() -> None:
    """Walls, shelves, cars and people around and under a camera extend behind it."""
    scenery = scenery_of(SHOP)
    for view in SHOP.views:
        mount = view.mount
        near = [
            Figure(mount.x_m + dx, mount.y_m + dy, 2.0, 0.0, 1)
            for dx in (-0.6, 0.0, 0.6)
            for dy in (-0.6, 0.0, 0.6)
        ]
        drawn = CameraView(Camera(view), scenery).draw(near, [Car(mount.x_m, mount.y_m, 0.3, 1)])
        assert drawn.shape == (view.height, view.width, 3)


@given(st.floats(-1, 1), st.floats(2.5, 9), st.floats(0, 2 * math.pi))
def test_furniture_and_cars_are_drawn_within_their_projection(
    aside_m: float, distance_m: float, turn: float
) -> None:
    mount = Mount(0.0, 0.0, 3.0, 0.0, 0.45, 1.2, 20.0)
    camera = camera_at(mount)
    x, y = ahead(mount, distance_m, aside_m)
    corners = tuple(
        (x + 0.5 * math.cos(turn + k * math.pi / 2), y + 0.5 * math.sin(turn + k * math.pi / 2))
        for k in range(4)
    )
    block = Block(corners, 1.2, (10, 200, 10), goods=((200, 10, 10), (10, 10, 200)))
    empty = CameraView(camera, Scenery((-1, -9, 30, 9), (-1, 0))).background
    full = CameraView(camera, Scenery((-1, -9, 30, 9), (-1, 0), (block,))).background
    points = np.array([(cx, cy, z) for cx, cy in corners for z in (0.0, 1.2)])
    u, v, _ = camera.project(*points.T)
    extent = np.array([u.min(), v.min(), u.max(), v.max()])
    limits = np.array([WIDTH, HEIGHT] * 2)
    assume(bool((extent[:2] < limits[:2] - 8).all() and (extent[2:] > 8).all()))
    assert np.abs(changed(empty, full) - np.clip(extent, 0, limits)).max() <= LINE_PX


# --- the floor from above


@given(st.floats(-3, 25), st.floats(-3, 15), st.floats(0, 2 * math.pi), st.integers(0, 20))
def test_a_disc_lies_where_somebody_stands_and_points_where_he_looks(
    x: float, y: float, facing: float, number: int
) -> None:
    floor = FloorView(scenery_of(SHOP), (), (-5.0, -5.0, 27.0, 17.0), longer_side=640)
    picture = floor.draw([Figure(x, y, 1.7, facing, number)])
    u, v = floor.at(x, y)
    assert tuple(picture[int(v), int(u)]) == coat_color(number)
    middle = np.array([u, v])
    nose = middle + 1.7 * BODY_WIDTH_M / 2 * floor.px_per_m * np.array(
        [math.cos(facing), -math.sin(facing)]
    )
    box = changed(floor.background, picture)
    assert (box[:2] - LINE_PX <= nose).all()
    assert (nose <= box[2:] + LINE_PX).all()


def test_the_view_from_above_holds_everybody_and_has_even_sides() -> None:
    area = area_of(SHOP, scenery_of(SHOP))
    floor = FloorView(scenery_of(SHOP), (), area)
    assert floor.width % 2 == floor.height % 2 == 0
    for spot in SHOP.spots:
        u, v = floor.at(spot.x_m, spot.y_m)
        assert 0 < u < floor.width
        assert 0 < v < floor.height


def test_the_built_in_shop_stands_around_its_people_with_the_door_in_its_south_wall() -> None:
    scenery = scenery_of(SHOP)
    west, south, east, north = scenery.walls
    assert south == 0.0
    indoors = [s for s in SHOP.spots if s.kind != "way"]
    assert all(west < s.x_m < east and south < s.y_m < north for s in indoors)
    runs = [run for run in scenery.wall_runs() if run[0][1] == run[1][1] == south]
    assert len(runs) == 2
    assert all(abs(x - 4.0) >= scenery.door_width_m / 2 - 1e-9 for run in runs for x, _ in run)


# --- films


@pytest.fixture(scope="module")
def world() -> World:
    small = [
        View(view.camera_id, view.role, view.mount, 160, 90, 2.0, view.labels)
        for view in (SHOP.views[0], SHOP.views[-1])
    ]
    plan = FloorPlan(
        SHOP.site_id,
        tuple(small),
        SHOP.spots,
        SHOP.ways,
        SHOP.street,
        SHOP.entry,
        SHOP.exit,
        SHOP.tills,
        SHOP.car_park,
    )
    return simulate(plan, Scenario(3, 400.0, 0.01))


def test_a_film_shows_everybody_who_is_there_and_nobody_else(world: World) -> None:
    for _, figures, cars in Films(world)._moments(0.2):
        assert len({figure.number for figure in figures}) == len(figures)
        assert len({(car.x_m, car.y_m) for car in cars}) == len(cars)
    last_s = world.scenario.windows()[0][1]
    moments = list(Films(world)._moments(0.2))
    assert len(moments) == math.ceil(last_s * 0.2)
    there = {s.person.index for s in world.stays if s.path.start_s <= 30.0 <= s.path.end_s}
    assert {figure.number for figure in moments[6][1]} == there


def test_films_have_the_rate_the_size_and_the_length_of_their_cameras(
    world: World, tmp_path: Path
) -> None:
    paths = render(world, tmp_path / "new" / "films")
    assert [path.name for path in paths] == ["entrance.mp4", "parking.mp4", "top.mp4"]
    for path in paths[:2]:
        with av.open(str(path)) as film:
            stream = film.streams.video[0]
            assert (stream.width, stream.height, float(stream.average_rate)) == (160, 90, 2.0)
            assert stream.frames == 36 * 2


def test_two_films_of_one_run_are_the_same(world: World) -> None:
    one, two = Films(world), Films(simulate(world.plan, world.scenario))
    for first, second in zip(one.camera(0), two.camera(0), strict=True):
        assert np.array_equal(first, second)


def test_a_folder_that_cannot_be_made_is_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be created"):
        render(world, tmp_path / "file" / "films")
