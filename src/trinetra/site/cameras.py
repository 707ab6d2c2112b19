"""A camera of the shop: what it is for, and the zones, lines and floor in its picture.

Coordinates in a picture are normalised: ``[0, 0]`` is the top left corner, ``[1, 1]`` the bottom
right one. Cameras take what they do not say from their role, see ``ROLE_DEFAULTS``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trinetra.errors import ConfigurationError
from trinetra.geometry import Pair, fit
from trinetra.site.fields import (
    Flag,
    FloorPlanPoint,
    Fps,
    Metres,
    Model,
    PicturePoint,
    Pixels,
    Seconds,
    Slug,
)
from trinetra.site.shapes import MAX_POLYGON_POINTS, Point, polygon_fault
from trinetra.site.sources import Source
from trinetra.values import CameraId, Role

Label = Literal["person", "bicycle", "car", "motorcycle", "bus", "truck"]
ZoneKind = Literal["table", "queue", "shelf", "area"]
_PEOPLE: frozenset[Label] = frozenset({"person"})
_VEHICLES: frozenset[Label] = frozenset({"bicycle", "car", "motorcycle", "bus", "truck"})


@dataclass(frozen=True, slots=True)
class RoleDefaults:
    """What a camera of one role does unless its entry says otherwise."""

    fps: float
    fps_floor: float
    fps_ceiling: float
    reads_faces: bool
    labels: frozenset[Label]


ROLE_DEFAULTS: Mapping[Role, RoleDefaults] = {
    Role.ENTRANCE: RoleDefaults(5.0, 1.0, 10.0, reads_faces=True, labels=_PEOPLE),
    Role.FACE: RoleDefaults(8.0, 2.0, 15.0, reads_faces=True, labels=_PEOPLE),
    Role.TRACKING: RoleDefaults(5.0, 1.0, 10.0, reads_faces=False, labels=_PEOPLE),
    Role.BILLING: RoleDefaults(5.0, 1.0, 10.0, reads_faces=True, labels=_PEOPLE),
    Role.VEHICLE: RoleDefaults(5.0, 1.0, 15.0, reads_faces=False, labels=_VEHICLES),
}


def _of_role(value: Callable[[RoleDefaults, dict[str, Any]], object]) -> Any:
    """Return a field whose default follows from the camera's role."""
    return lambda data: value(ROLE_DEFAULTS[data["role"]], data)


class Zone(Model):
    """An area of the picture in which people stay or wait."""

    id: Slug
    kind: ZoneKind = "area"
    polygon: Annotated[
        tuple[PicturePoint, ...],
        Field(
            min_length=3,
            max_length=MAX_POLYGON_POINTS,
            description="Corners in order, each [x, y] in 0..1; do not repeat the first one.",
        ),
    ]
    min_dwell_s: Annotated[Seconds, Field(description="Shorter stays are not counted.")] = 2.0

    @field_validator("polygon")
    @classmethod
    def _simple(cls, polygon: tuple[Point, ...]) -> tuple[Point, ...]:
        if fault := polygon_fault(polygon):
            raise PydanticCustomError("polygon", fault)
        return polygon


class Line(Model):
    """A line on the floor that people cross; ``in`` is from its left side to its right side.

    Left and right are yours when you walk over the picture from ``a`` to ``b``. With ``a`` at the
    bottom of the picture and ``b`` at the top, everyone who goes from the left half to the right
    half comes in. With ``a`` at the right edge and ``b`` at the left edge, everyone who goes from
    the lower half to the upper half comes in. Swap ``a`` and ``b`` to turn it round.
    """

    id: Slug
    a: PicturePoint
    b: PicturePoint

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.a == self.b:
            raise PydanticCustomError("line", "a and b are the same point")
        return self


class FloorPosition(Model):
    """Where a camera looks on the floor plan, in metres from any origin that all cameras share."""

    x_m: Metres
    y_m: Metres


class Camera(Model):
    """One camera. What is left out follows from the role."""

    id: Slug
    role: Role
    source: Source
    fps: Annotated[
        Fps,
        Field(description="Frames per second to look at while little happens (by role)."),
    ] = Field(default_factory=_of_role(lambda d, _: d.fps))
    fps_floor: Annotated[
        Fps,
        Field(description="Never fewer frames per second than this (by role)."),
    ] = Field(default_factory=_of_role(lambda d, data: min(d.fps_floor, data["fps"])))
    fps_ceiling: Annotated[
        Fps,
        Field(description="Never more frames per second than this (by role)."),
    ] = Field(default_factory=_of_role(lambda d, data: max(d.fps_ceiling, data["fps"])))
    frame_side: Annotated[
        Pixels,
        Field(multiple_of=32, description="Side of the square picture that detectors look at."),
    ] = 640
    native_max_side: Annotated[
        Pixels, Field(description="Longer side of the picture from which faces are cropped.")
    ] = 1920
    reads_faces: Annotated[
        Flag,
        Field(description="Whether faces are found and compared (by role)."),
    ] = Field(default_factory=_of_role(lambda d, _: d.reads_faces))
    labels: Annotated[
        frozenset[Label],
        Field(min_length=1, description="Which objects count (by role)."),
    ] = Field(default_factory=_of_role(lambda d, _: d.labels))
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    position: FloorPosition | None = None
    floor: Annotated[
        tuple[tuple[PicturePoint, FloorPlanPoint], ...],
        Field(
            max_length=100,
            description=(
                "Four or more spots on the floor, each as [[x, y] in the picture, 0..1, "
                "[x, y] on the floor plan, metres]: then it is known where people stand."
            ),
        ),
    ] = ()

    @field_validator("floor")
    @classmethod
    def _settles_the_floor(cls, floor: tuple[Pair, ...], info: ValidationInfo) -> tuple[Pair, ...]:
        try:
            if floor:
                fit(floor)
        except ConfigurationError as cause:
            camera = info.data.get("id", "?")
            raise PydanticCustomError(
                "floor", "camera {id}: {why}", {"id": camera, "why": str(cause)}
            ) from cause
        return floor

    @model_validator(mode="after")
    def _rates_in_order(self) -> Self:
        if not self.fps_floor <= self.fps <= self.fps_ceiling:
            raise PydanticCustomError("rates", "fps must lie between fps_floor and fps_ceiling")
        return self

    @property
    def camera_id(self) -> CameraId:
        """The id as the rest of the system knows it."""
        return CameraId(self.id)
