"""Built-in shop: 24 by 16 meters, three tills, a car park, and a camera of every role.

y=16 +-----------------------------------------------+
     |  [welcome]   [aisle-west >]     [< aisle-east]|
     |   camera      shelf    shelf   shelf    shelf |
     |     |           shelf             shelf       |
     |  [entrance]                                   |
     |   camera               queues                 |
     |     |               till  till  till          |
y=0  +---door--------------[till camera]-------------+
       street            x=24: [parking] and its gate to the east of the lane, south of the shop
"""

import math
from dataclasses import replace

import numpy as np

from trinetra.twin.camera import Camera
from trinetra.twin.plan import CarPark, FloorPlan, Line, Mount, Point, Spot, Till, View, Zone
from trinetra.values import CameraId, Role, SiteId

_SOUTH, _EAST, _NORTH, _WEST = -math.pi / 2, 0.0, math.pi / 2, math.pi
_VEHICLES = frozenset({"bicycle", "car", "motorcycle", "bus", "truck"})
_TILLS_X_M = (14.2, 16.4, 18.6)
_LANE_HALF_M = 1.05


def _mount(
    at_m: tuple[float, float, float],
    *,
    yaw_rad: float,
    tilt_deg: float,
    hfov_deg: float,
    reach_m: float,
) -> Mount:
    return Mount(*at_m, yaw_rad, math.radians(tilt_deg), math.radians(hfov_deg), reach_m)


def _in_picture(view: View, points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return the position of floor points in a view, 0..1; points outside move to its edge."""
    x, y = (np.array(axis, np.float64) for axis in zip(*points, strict=True))
    u, v, _ = Camera(view).project(x, y, np.zeros_like(x))
    near = np.clip(u / view.width, 0, 1), np.clip(v / view.height, 0, 1)
    return tuple((round(float(a), 4), round(float(b), 4)) for a, b in zip(*near, strict=True))


def _with_line(view: View, line_id: str, a: Point, b: Point) -> View:
    start, end = _in_picture(view, (a, b))
    return replace(view, lines=(*view.lines, Line(line_id, start, end)))


def with_zone(
    view: View, zone_id: str, kind: str, *corners: Point, tills: tuple[str, ...] = ()
) -> View:
    """Return the view with one more zone, given by its corners on the floor."""
    zone = Zone(zone_id, _in_picture(view, corners), kind, tills)
    return replace(view, zones=(*view.zones, zone))


def _entrance() -> View:
    mount = _mount((4.0, 7.5, 2.8), yaw_rad=_SOUTH, tilt_deg=17, hfov_deg=60, reach_m=8.5)
    view = View(CameraId("entrance"), Role.ENTRANCE, mount, reads_faces=True)
    # People who enter walk toward the camera, downward in its image: from left to right of a-b.
    return _with_line(view, "doorstep", (6.2, 1.0), (1.8, 1.0))


def _welcome() -> View:
    mount = _mount((4.0, 15.5, 2.2), yaw_rad=_SOUTH, tilt_deg=13, hfov_deg=50, reach_m=9.0)
    return View(CameraId("welcome"), Role.FACE, mount, fps=8.0, reads_faces=True)


def _aisle_west() -> View:
    mount = _mount((6.8, 13.0, 3.0), yaw_rad=_EAST, tilt_deg=28, hfov_deg=78, reach_m=7.2)
    view = View(CameraId("aisle-west"), Role.TRACKING, mount, 1280, 720)
    view = with_zone(
        view, "drinks", "shelf", (10.0, 10.9), (12.2, 10.9), (12.2, 12.4), (10.0, 12.4)
    )
    return with_zone(view, "fruit", "shelf", (11.4, 13.6), (13.6, 13.6), (13.6, 15.2), (11.4, 15.2))


def _aisle_east() -> View:
    mount = _mount((23.6, 13.0, 3.0), yaw_rad=_WEST, tilt_deg=28, hfov_deg=78, reach_m=7.2)
    view = View(CameraId("aisle-east"), Role.TRACKING, mount, 1280, 720)
    view = with_zone(view, "dairy", "shelf", (18.0, 10.9), (20.4, 10.9), (20.4, 12.4), (18.0, 12.4))
    return with_zone(view, "bread", "shelf", (17.0, 13.6), (19.2, 13.6), (19.2, 15.2), (17.0, 15.2))


def _till() -> View:
    mount = _mount((16.4, 0.2, 2.8), yaw_rad=_NORTH, tilt_deg=24, hfov_deg=78, reach_m=9.0)
    view = View(CameraId("till"), Role.BILLING, mount, reads_faces=True)
    for number, x in enumerate(_TILLS_X_M, start=1):
        west, east, till = x - _LANE_HALF_M, x + _LANE_HALF_M, (_till_id(number),)
        line = (west, 4.75), (east, 4.75), (east, 9.0), (west, 9.0)
        desk = (west, 3.7), (east, 3.7), (east, 4.7), (west, 4.7)
        view = with_zone(view, f"queue-{number}", "queue", *line, tills=till)
        view = with_zone(view, f"desk-{number}", "till", *desk, tills=till)
    return view


def _till_id(number: int) -> str:
    return f"till-{number}"


def _parking() -> View:
    mount = _mount((3.0, -9.0, 5.0), yaw_rad=_EAST, tilt_deg=18, hfov_deg=70, reach_m=26.0)
    view = View(CameraId("parking"), Role.VEHICLE, mount, labels=_VEHICLES)
    return _with_line(view, "gate", (24.0, -6.5), (24.0, -12.0))


def _spots() -> tuple[Spot, ...]:
    return (
        Spot("street", -6.0, -5.0),
        Spot("forecourt", 4.0, -4.0),
        Spot("lot", 8.0, -5.5),
        Spot("door", 4.0, 0.0),
        Spot("hall", 4.0, 4.8),
        Spot("welcome", 4.0, 9.6, "welcome", _NORTH),
        Spot("corner", 5.0, 11.4),
        Spot("west", 9.6, 13.0),
        Spot("drinks", 11.0, 11.7, "shelf", _SOUTH),
        Spot("fruit", 12.5, 14.3, "shelf", _NORTH),
        Spot("middle", 15.2, 13.0),
        Spot("east", 19.0, 13.0),
        Spot("dairy", 19.2, 11.7, "shelf", _SOUTH),
        Spot("bread", 18.2, 14.3, "shelf", _NORTH),
        Spot("tills", 15.2, 9.6),
        Spot("paid", 12.2, 3.0),
        Spot("way-out", 6.4, 2.4),
    )


_WAYS = (
    ("street", "forecourt"),
    ("lot", "forecourt"),
    ("forecourt", "door"),
    ("door", "hall"),
    ("hall", "welcome"),
    ("welcome", "corner"),
    ("corner", "west"),
    ("west", "drinks"),
    ("west", "fruit"),
    ("west", "middle"),
    ("drinks", "middle"),
    ("fruit", "middle"),
    ("middle", "east"),
    ("middle", "dairy"),
    ("middle", "bread"),
    ("east", "dairy"),
    ("east", "bread"),
    ("middle", "tills"),
    ("tills", "paid"),
    ("paid", "way-out"),
    ("way-out", "door"),
)


def built_in_shop() -> FloorPlan:
    """Return the shop that the twin simulates when no site file is given."""
    tills = tuple(
        Till(
            till_id=_till_id(number),
            desk=(x, 4.2),
            step=(0.0, 0.95),
            facing_rad=_SOUTH,
            cashier=(x + 0.9, 3.2),
            approach="tills",
            leave="paid",
        )
        for number, x in enumerate(_TILLS_X_M, start=1)
    )
    slots = tuple((x, -12.6) for x in (9.0, 12.0, 15.0, 18.0, 21.0))
    return FloorPlan(
        site_id=SiteId("twin-shop"),
        views=(_entrance(), _welcome(), _aisle_west(), _aisle_east(), _till(), _parking()),
        spots=_spots(),
        ways=_WAYS,
        street="street",
        entry=("door", "hall", "welcome", "corner"),
        exit=("way-out", "door"),
        tills=tills,
        car_park=CarPark(gate=(30.0, -9.0), lane_y_m=-9.0, slots=slots, walk="lot"),
    )
