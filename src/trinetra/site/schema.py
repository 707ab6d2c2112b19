"""What a site file may say, as frozen Pydantic models.

Coordinates in a picture are normalised: ``[0, 0]`` is the top left corner, ``[1, 1]`` the bottom
right one. Cameras take what they do not say from their role, see ``ROLE_DEFAULTS``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from trinetra.errors import ConfigurationError
from trinetra.homography import Pair, fit
from trinetra.site.conflicts import find_conflicts
from trinetra.site.shapes import MAX_POLYGON_POINTS, Point, polygon_fault
from trinetra.values import CameraId, Role, SiteId

URL_SCHEMES = ("rtsp", "rtsps", "http", "https")
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


@cache
def timezones() -> frozenset[str]:
    """Return the names of every IANA time zone."""
    return frozenset(available_timezones())


def _known_timezone(name: str) -> str:
    if name not in timezones():
        raise PydanticCustomError("timezone", "not an IANA time zone")
    return name


Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["till-2"])]
EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", examples=["TILL_PASSWORD"])]
Unit = Annotated[float, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
Fps = Annotated[float, Field(strict=True, gt=0, le=60)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=86_400)]
Gap = Annotated[float, Field(strict=True, ge=0, le=60)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Days = Annotated[int, Field(strict=True, ge=1, le=3650)]
Pixels = Annotated[int, Field(strict=True, ge=16, le=7680)]
Metres = Annotated[float, Field(strict=True, ge=-10_000, le=10_000)]
FloorPlanPoint = tuple[Metres, Metres]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", examples=["09:00"])]
Timezone = Annotated[str, AfterValidator(_known_timezone), Field(examples=["Europe/Berlin"])]
PicturePoint = tuple[Unit, Unit]


class _Model(BaseModel):
    """Frozen, closed to unknown keys, and silent about the values it refuses."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


@dataclass(frozen=True, slots=True)
class Credentials:
    """A camera's user name and password, as the environment holds them."""

    username: str
    password: SecretStr


class StreamSource(_Model):
    """A network camera: RTSP over TCP, or MJPEG over HTTP."""

    url: Annotated[
        str,
        Field(
            description="rtsp://, rtsps://, http:// or https:// address, without user or password.",
            examples=["rtsp://192.168.1.20:554/stream1"],
        ),
    ]
    username_env: Annotated[
        EnvName | None, Field(description="Name of the environment variable with the user name.")
    ] = None
    password_env: Annotated[
        EnvName | None, Field(description="Name of the environment variable with the password.")
    ] = None
    timeout_s: Annotated[
        float,
        Field(
            strict=True,
            ge=1,
            le=120,
            description="Silence after which the camera counts as stalled.",
        ),
    ] = 5.0

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        if fault := _url_fault(url):
            raise PydanticCustomError("url", fault)
        return url

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password_env and not self.username_env:
            raise PydanticCustomError("credentials", "password_env needs username_env too")
        return self

    @property
    def shown(self) -> str:
        """The address as it may be printed: a path or query can hold secrets and is left out."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" + ("/…" if parts.path.strip("/") else "")

    def unset_variables(self, environ: Mapping[str, str]) -> list[str]:
        """Return the names of the credential variables that the environment lacks."""
        return [n for n in (self.username_env, self.password_env) if n and not environ.get(n)]

    def credentials(self, environ: Mapping[str, str]) -> Credentials | None:
        """Return the camera's credentials, or None where it needs none.

        Raises ConfigurationError naming the variables that are not set.
        """
        if unset := self.unset_variables(environ):
            names = " and ".join(unset)
            raise ConfigurationError(f"{self.shown} needs {names} in the environment: set it")
        if self.username_env is None:
            return None
        password = environ[self.password_env] if self.password_env else ""
        return Credentials(environ[self.username_env], SecretStr(password))


class _DiskSource(_Model):
    @field_validator("file", "images", check_fields=False)
    @classmethod
    def _absolute(cls, path: Path, info: ValidationInfo) -> Path:
        folder: Path | None = (info.context or {}).get("folder")
        return folder / path.expanduser() if folder else path

    loop: Annotated[Flag, Field(description="Start again at the end, for ever.")] = False


class FileSource(_DiskSource):
    """A video file, played once or looped; a relative path starts at the site file's folder."""

    file: Annotated[Path, Field(description="Path of a video file.", examples=["clips/till.mp4"])]

    @property
    def path(self) -> Path:
        """What has to be there."""
        return self.file

    @property
    def shown(self) -> str:
        """The source as it may be printed."""
        return f"{self.file}" + (" (looped)" if self.loop else "")


class FolderSource(_DiskSource):
    """A folder of pictures, shown in the order of their names."""

    images: Annotated[Path, Field(description="Path of a folder of JPEG or PNG pictures.")]
    fps: Annotated[Fps, Field(description="Pictures per second.")] = 5.0

    @property
    def path(self) -> Path:
        """What has to be there."""
        return self.images

    @property
    def shown(self) -> str:
        """The source as it may be printed."""
        return f"{self.images} at {self.fps:g}/s" + (" (looped)" if self.loop else "")


SOURCE_KEYS = ("url", "file", "images")


def _source_kind(source: object) -> str | None:
    if isinstance(source, Mapping):
        return next((key for key in SOURCE_KEYS if key in source), None)
    return next((key for key in SOURCE_KEYS if hasattr(source, key)), None)


Source = Annotated[
    Annotated[StreamSource, Tag("url")]
    | Annotated[FileSource, Tag("file")]
    | Annotated[FolderSource, Tag("images")],
    Discriminator(
        _source_kind,
        custom_error_type="source",
        custom_error_message="a source needs one of the keys url, file, images",
    ),
]


def _url_fault(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "not an address that can be read"
    if parts.scheme not in URL_SCHEMES:
        return "the address must start with rtsp://, rtsps://, http:// or https://"
    if "@" in parts.netloc:
        return "credentials do not belong into the address"
    if not parts.hostname or re.search(r"\s", url):
        return "not an address that can be read"
    return None


class Zone(_Model):
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


class Line(_Model):
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


class FloorPosition(_Model):
    """Where a camera looks on the floor plan, in metres from any origin that all cameras share."""

    x_m: Metres
    y_m: Metres


class OpeningSpan(_Model):
    """From when to when the shop is open on some days of the week, by its own clock."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)]
    opens: Annotated[TimeOfDay, Field(description="Like 09:00, in quotes.")]
    closes: Annotated[
        TimeOfDay, Field(description="Like 20:00; not after opens means: on the next day.")
    ]


class Camera(_Model):
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


class Edge(_Model):
    """A way on foot between what two cameras see."""

    from_camera: Annotated[str, Field(alias="from", description="Camera id.")]
    to_camera: Annotated[str, Field(alias="to", description="Camera id.")]
    distance_m: Annotated[
        float, Field(strict=True, gt=0, le=10_000, description="Shortest way on foot, in metres.")
    ]
    one_way: Annotated[
        Flag, Field(description="It can be walked from `from` to `to` only, like an escalator.")
    ] = False


class Topology(_Model):
    """How the cameras' views lie to each other; what is left out counts as not known."""

    edges: tuple[Edge, ...] = ()
    overlaps: Annotated[
        tuple[tuple[str, str], ...],
        Field(description="Pairs of cameras that can see one person at the same time."),
    ] = ()
    max_walking_speed_mps: Annotated[
        float, Field(strict=True, gt=0, le=15, description="Nobody here walks faster.")
    ] = 2.5
    clock_skew_s: Annotated[
        float, Field(strict=True, ge=0, le=60, description="How far camera clocks may differ.")
    ] = 0.5


class Matching(_Model):
    """When a face counts as that of a known customer; scores are on the scale (1 + cosine) / 2."""

    similarity: Annotated[Unit, Field(description="Least similarity of a match.")] = 0.72
    new_below: Annotated[
        Unit,
        Field(description="Below this it is a stranger; between this and similarity lies doubt."),
    ] = Field(default_factory=lambda data: min(0.66, data["similarity"]))
    margin: Annotated[Unit, Field(description="Least lead over the next best identity.")] = 0.03
    min_quality: Annotated[Unit, Field(description="Least quality of a face to be compared.")] = 0.3
    min_face_px: Annotated[
        int, Field(strict=True, ge=16, le=512, description="Shorter side of a usable face.")
    ] = 32
    enrol_after_faces: Annotated[
        int, Field(strict=True, ge=1, le=50, description="Good faces before a new identity.")
    ] = 3
    enrol_in_doubt_after_faces: Annotated[
        int, Field(strict=True, ge=1, le=100, description="The same where there is doubt.")
    ] = 8
    top_k: Annotated[int, Field(strict=True, ge=2, le=50, description="Candidates looked at.")] = 10

    @model_validator(mode="after")
    def _doubt_below_match(self) -> Self:
        if self.new_below > self.similarity:
            raise PydanticCustomError("doubt", "new_below lies above similarity")
        return self


class Consolidation(_Model):
    """When two identities are found to be one person; 1 and more never happens by itself."""

    merge_at: Annotated[
        float,
        Field(ge=0, le=1.01, description="Two fused faces this alike are merged; undone by split."),
    ] = 0.84
    propose_at: Annotated[
        float,
        Field(ge=0, le=1.01, description="This alike, a person is asked to say."),
    ] = 0.78


class Registry(_Model):
    """How long and how many identities stay in memory after they were last seen."""

    ttl_s: Annotated[Seconds, Field(gt=0)] = 1800.0
    max_identities: Count = 50_000


class Tracking(_Model):
    """How detections become tracks."""

    reorder_window_s: Annotated[
        float, Field(strict=True, ge=0, le=30, description="Wait for frames that come late.")
    ] = 1.0
    confirm_after_frames: Annotated[
        int, Field(strict=True, ge=1, le=50, description="Sightings before a track counts.")
    ] = 2
    lost_after_s: Annotated[
        float,
        Field(
            strict=True,
            gt=0,
            le=60,
            description="A track unseen for longer has ended; a person's, whose clothes tell who "
            "comes back, waits for 10 s if that is longer.",
        ),
    ] = 2.0


class Stays(_Model):
    """How presence in zones becomes stays and presence at the site becomes visits."""

    leave_after_s: Annotated[Gap, Field(description="Out of a zone for this long: left.")] = 1.5
    bridge_s: Annotated[Gap, Field(description="Gap in a track that one stay survives.")] = 3.0
    visit_gap_s: Annotated[Seconds, Field(gt=0, description="Away for longer: a new visit.")] = (
        1800.0
    )


class Retention(_Model):
    """After how many days unseen what is known is deleted; null keeps it until it is erased."""

    anonymous_days: Days | None = 30
    enrolled_days: Days | None = None
    vip_days: Days | None = None
    staff_days: Days | None = None
    watchlist_days: Days | None = None
    opted_out_days: Days | None = None
    insights_days: Days | None = 365
    detections_days: Annotated[
        Days,
        Field(description="How long the event log keeps detections, which carry embeddings."),
    ] = 1
    events_days: Annotated[
        Days, Field(description="How long the event log keeps what was derived from them.")
    ] = 7


class Alerts(_Model):
    """How often somebody is told."""

    cooldown_s: Annotated[
        Seconds, Field(gt=0, description="Before the same VIP or watched person is told of again.")
    ] = 300.0


class Policies(_Model):
    """The limits by which decisions are made; every one has a default."""

    matching: Matching = Matching()
    consolidation: Consolidation = Consolidation()
    registry: Registry = Registry()
    tracking: Tracking = Tracking()
    stays: Stays = Stays()
    retention: Retention = Retention()
    alerts: Alerts = Alerts()


class Site(_Model):
    """One shop: its cameras, how they lie to each other, and the policies in force."""

    model_config = ConfigDict(title="TRINETRA site file")

    site: Annotated[Slug, Field(description="Id of the site; it is part of every event.")]
    timezone: Annotated[Timezone, Field(description="IANA time zone of the shop's clock.")]
    opening_hours: Annotated[
        tuple[OpeningSpan, ...],
        Field(max_length=100, description="Left out: not known, and never closed."),
    ] = ()
    cameras: Annotated[tuple[Camera, ...], Field(min_length=1, max_length=1000)]
    topology: Topology = Topology()
    policies: Policies = Policies()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for conflict in find_conflicts(self.model_dump(mode="json")):
            raise PydanticCustomError("conflict", conflict.message)
        return self

    @property
    def site_id(self) -> SiteId:
        """The id as the rest of the system knows it."""
        return SiteId(self.site)
