"""The shop: its cameras, lines, zones and opening hours."""

from pydantic import AwareDatetime

from trinetra.client.models.base import Resource


class LineInfo(Resource):
    """A counting line: normalized picture points; ``in`` is from its left to its right side."""

    id: str
    a: tuple[float, float]
    b: tuple[float, float]
    kind: str


class ZoneInfo(Resource):
    """A zone: normalized picture points."""

    id: str
    kind: str
    polygon: tuple[tuple[float, float], ...]
    tills: tuple[str, ...] = ()


class CameraInfo(Resource):
    """A camera of the site file; its address and credentials are not told."""

    id: str
    role: str
    lines: tuple[LineInfo, ...] = ()
    zones: tuple[ZoneInfo, ...] = ()
    position_m: tuple[float, float] | None = None
    has_floor: bool = False


class OpenHours(Resource):
    """One opening period on a weekday (0 is Monday), in minutes after midnight."""

    weekday: int
    opens_min: int
    closes_min: int


class SiteInfo(Resource):
    """The shop: its cameras, time zone and opening hours (None: not given)."""

    id: str
    timezone: str
    version: str
    now: AwareDatetime
    cameras: tuple[CameraInfo, ...]
    opening_hours: tuple[OpenHours, ...] | None = None
