"""Floor plan: the ways people walk, the spots where they stop, and the views of the cameras.

Meters on the floor, ``x`` to the east and ``y`` to the north of any origin; angles in radians,
counterclockwise from east. Lines and zones are those of the site file: image points, 0..1.
"""

from dataclasses import dataclass
from typing import Literal

from trinetra.values import CameraId, Role, SiteId

Point = tuple[float, float]
SpotKind = Literal["way", "shelf", "welcome"]


@dataclass(frozen=True, slots=True)
class Line:
    """A counting line in the image; ``in`` is from its left side to its right side."""

    line_id: str
    a: Point
    b: Point


@dataclass(frozen=True, slots=True)
class Zone:
    """An area of the image in which stays are measured; ``tills`` are those of a queue or till."""

    zone_id: str
    polygon: tuple[Point, ...]
    kind: str = "area"
    tills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """Position and direction of a camera; nothing beyond ``reach_m`` ahead of it is detected."""

    x_m: float
    y_m: float
    height_m: float
    yaw_rad: float
    tilt_rad: float
    hfov_rad: float
    reach_m: float


@dataclass(frozen=True, slots=True)
class View:
    """One camera: its mount, its image, and what is detected in it."""

    camera_id: CameraId
    role: Role
    mount: Mount
    width: int = 1920
    height: int = 1080
    fps: float = 5.0
    labels: frozenset[str] = frozenset({"person"})
    reads_faces: bool = False
    min_face_px: float = 32.0
    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()


@dataclass(frozen=True, slots=True)
class Spot:
    """A named place; people who stop there look in the direction ``facing_rad``."""

    name: str
    x_m: float
    y_m: float
    kind: SpotKind = "way"
    facing_rad: float = 0.0


@dataclass(frozen=True, slots=True)
class Till:
    """A till: customers stand at ``desk`` and queue along ``step`` (meters per place) behind it.

    They come from the spot ``approach`` and continue to the spot ``leave``.
    """

    till_id: str
    desk: Point
    step: Point
    facing_rad: float
    cashier: Point
    approach: str
    leave: str


@dataclass(frozen=True, slots=True)
class CarPark:
    """A car park: cars enter at ``gate``, drive along the lane (``lane_y_m``) and turn into a slot.

    People who get out of a car walk on from the spot ``walk``.
    """

    gate: Point
    lane_y_m: float
    slots: tuple[Point, ...]
    walk: str


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """A shop: its views, its spots and the ways between them.

    Everyone starts at ``street`` and passes the spots of ``entry`` in order; on leaving, they pass
    those of ``exit``. Staff stand at tills and walk between shelves.
    """

    site_id: SiteId
    views: tuple[View, ...]
    spots: tuple[Spot, ...]
    ways: tuple[tuple[str, str], ...]
    street: str
    entry: tuple[str, ...]
    exit: tuple[str, ...]
    tills: tuple[Till, ...]
    car_park: CarPark | None = None

    def of_kind(self, kind: SpotKind) -> tuple[Spot, ...]:
        """Return the spots of one kind."""
        return tuple(spot for spot in self.spots if spot.kind == kind)
