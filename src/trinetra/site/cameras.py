"""A camera of the shop: its role, and the zones, lines and floor points in its picture.

Coordinates in a picture are normalized: ``[0, 0]`` is the top left corner, ``[1, 1]`` the bottom
right one. Fields that a camera leaves out are set by its role, see ``ROLE_DEFAULTS``.
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
    Meters,
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
ZoneKind = Literal["table", "queue", "till", "shelf", "area", "counter"]
LineKind = Literal["entrance", "passby", "inner"]
_PEOPLE: frozenset[Label] = frozenset({"person"})
_VEHICLES: frozenset[Label] = frozenset({"bicycle", "car", "motorcycle", "bus", "truck"})


@dataclass(frozen=True, slots=True)
class RoleDefaults:
    """Default settings of a role's cameras, used unless a camera's entry overrides them."""

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
    """Return a field whose default depends on the camera's role."""
    return lambda data: value(ROLE_DEFAULTS[data["role"]], data)


class Zone(Model):
    """An area of the picture in which people stay or wait."""

    id: Slug
    kind: Annotated[
        ZoneKind, Field(description="counter: behind a till or counter, where only staff stand.")
    ] = "area"
    polygon: Annotated[
        tuple[PicturePoint, ...],
        Field(
            min_length=3,
            max_length=MAX_POLYGON_POINTS,
            description="Corners in order, each [x, y] in 0..1; do not repeat the first one.",
        ),
    ]
    min_dwell_s: Annotated[Seconds, Field(description="Shorter stays are not counted.")] = 2.0
    engaged_after_s: Annotated[
        Seconds,
        Field(
            description=(
                "Who stays for less time only passes: does not wait in a queue, is not served at "
                "a till (default: 5 at a till, otherwise 10)."
            )
        ),
    ] = Field(default_factory=lambda data: 5.0 if data["kind"] == "till" else 10.0)
    tills: Annotated[
        tuple[Slug, ...],
        Field(
            max_length=100,
            description=(
                "Ids of the tills that people in a zone of kind queue wait for, or of the one till "
                "at which they are served in a zone of kind till."
            ),
        ),
    ] = ()

    @field_validator("polygon")
    @classmethod
    def _simple(cls, polygon: tuple[Point, ...]) -> tuple[Point, ...]:
        if fault := polygon_fault(polygon):
            raise PydanticCustomError("polygon", fault)
        return polygon


class Line(Model):
    """A counting line on the floor; ``in`` is from its left side to its right side.

    Left and right are as seen when walking over the picture from ``a`` to ``b``. With ``a`` at the
    bottom of the picture and ``b`` at the top, everyone who goes from the left half to the right
    half comes in. With ``a`` at the right edge and ``b`` at the left edge, everyone who goes from
    the lower half to the upper half comes in. Swap ``a`` and ``b`` to reverse the direction.
    """

    id: Slug
    a: PicturePoint
    b: PicturePoint
    kind: Annotated[
        LineKind,
        Field(
            description="entrance: its traffic is the shop's footfall; passby: people outside who "
            "walk past the shop; inner: between parts of the shop."
        ),
    ] = "entrance"

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.a == self.b:
            raise PydanticCustomError("line", "a and b are the same point")
        return self


class FloorPosition(Model):
    """Place that a camera looks at on the floor plan, in meters from an origin common to all."""

    x_m: Meters
    y_m: Meters


class Camera(Model):
    """One camera. Fields that are left out are set by the role."""

    id: Slug
    role: Role
    source: Source
    fps: Annotated[
        Fps,
        Field(description="Frames per second to process while little happens (default: by role)."),
    ] = Field(default_factory=_of_role(lambda d, _: d.fps))
    fps_floor: Annotated[
        Fps,
        Field(description="Minimum frames per second (default: by role)."),
    ] = Field(default_factory=_of_role(lambda d, data: min(d.fps_floor, data["fps"])))
    fps_ceiling: Annotated[
        Fps,
        Field(description="Maximum frames per second (default: by role)."),
    ] = Field(default_factory=_of_role(lambda d, data: max(d.fps_ceiling, data["fps"])))
    frame_side: Annotated[
        Pixels,
        Field(multiple_of=32, description="Side of the square picture that detectors get."),
    ] = 640
    native_max_side: Annotated[
        Pixels, Field(description="Longer side of the picture from which faces are cropped.")
    ] = 1920
    reads_faces: Annotated[
        Flag,
        Field(description="Detect and compare faces (default: by role)."),
    ] = Field(default_factory=_of_role(lambda d, _: d.reads_faces))
    labels: Annotated[
        frozenset[Label],
        Field(min_length=1, description="Object classes to detect (default: by role)."),
    ] = Field(default_factory=_of_role(lambda d, _: d.labels))
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    key_frames_while_idle: Annotated[
        Flag,
        Field(
            description=(
                "Once nothing has moved for 5 s, decode key frames only until something moves: "
                "saves most of the camera's decoding, but a person who passes between two key "
                "frames, or enters and leaves quickly, is not seen. Not allowed at an entrance, "
                "with counting lines or with faces."
            )
        ),
    ] = False
    position: FloorPosition | None = None
    floor: Annotated[
        tuple[tuple[PicturePoint, FloorPlanPoint], ...],
        Field(
            max_length=100,
            description=(
                "Four or more points on the floor, each as [[x, y] in the picture, 0..1, "
                "[x, y] on the floor plan, meters]: they map people's feet to the floor plan."
            ),
        ),
    ] = ()

    @field_validator("key_frames_while_idle")
    @classmethod
    def _misses_nothing_that_counts(cls, only_key_frames: Flag, info: ValidationInfo) -> Flag:
        needs = {
            "is an entrance": info.data.get("role") is Role.ENTRANCE,
            "counts at lines": bool(info.data.get("lines")),
            "reads faces": bool(info.data.get("reads_faces")),
        }
        if only_key_frames and (why := " and ".join(n for n, holds in needs.items() if holds)):
            raise PydanticCustomError(
                "key_frames",
                "this camera {why}: people between key frames are missed",
                {"why": why},
            )
        return only_key_frames

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
        """The id, as used in the rest of the system."""
        return CameraId(self.id)
