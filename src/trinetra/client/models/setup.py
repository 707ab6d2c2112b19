"""The site file, and cameras that may be added to it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trinetra.client.models.base import Resource, SetupFinding
from trinetra.client.models.site import LineInfo, ZoneInfo

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-10_000, le=10_000)]
Pair = tuple[tuple[Coordinate, Coordinate], tuple[Coordinate, Coordinate]]
Step = Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=0, le=10_000)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class SetupLine(LineInfo):
    """A counting line, with the direction of ``in`` in the picture, like ``down to the left``."""

    arrow: str
    way_in: str


class SetupZone(ZoneInfo):
    """A zone; shorter stays than ``min_dwell_s`` do not count."""

    min_dwell_s: float


class SetupCamera(Resource):
    """A camera of the site file.

    ``source`` is what may be shown of its address. ``floor`` are pairs of a picture point and the
    same place on the floor plan in meters.
    """

    id: str
    role: str
    source: str
    username_env: str | None = None
    password_env: str | None = None
    lines: tuple[SetupLine, ...] = ()
    zones: tuple[SetupZone, ...] = ()
    floor: tuple[Pair, ...] = ()
    position_m: tuple[float, float] | None = None


class SetupEdge(Resource):
    """A walkable connection of two cameras' views."""

    a: str
    b: str
    distance_m: float
    one_way: bool = False


class SetupTakeover(Resource):
    """A change of the site file, and how running services take it over.

    ``live``: between two frames. ``reconnect``: this camera alone is connected anew. ``restart``:
    when the services are started the next time.
    """

    what: str
    how: Literal["live", "reconnect", "restart"]
    effect: str


class SetupRunning(Resource):
    """How the services of this process stand to the file.

    ``is_watching`` is False if they take changes over only at their next start. ``problems`` tell
    why the present file was not taken over; then the services go on with the last valid one.
    """

    is_watching: bool
    waiting: tuple[SetupTakeover, ...] = ()
    problems: tuple[SetupFinding, ...] = ()


class SetupFile(Resource):
    """The site file: as text, and what it says.

    ``text`` shows whole addresses of cameras only to those who may change the file.
    ``cannot_write`` tells why the server cannot change it, None if it can.
    """

    etag: str
    text: str
    is_valid: bool
    cannot_write: str | None = None
    findings: tuple[SetupFinding, ...] = ()
    cameras: tuple[SetupCamera, ...] = ()
    edges: tuple[SetupEdge, ...] = ()
    running: SetupRunning


class SetupEdit(Resource):
    """One edit of the site file: set or remove the value at a path.

    The path is like ``["cameras", "door", "lines", "main"]``: a step into a list is the id of an
    entry, or its position. ``put`` of an entry that is not there adds it.
    """

    op: Literal["put", "remove"] = "put"
    path: Annotated[tuple[Step, ...], Field(min_length=1, max_length=10)]
    value: Any = None


class SetupProposal(Resource):
    """A changed site file: ``edits`` of the present one, or of a whole new ``text``."""

    text: Annotated[str, Field(max_length=300_000)] | None = None
    edits: Annotated[tuple[SetupEdit, ...], Field(max_length=200)] = ()


class SetupReview(Resource):
    """What a proposal would do; ``etag`` names the file that it was compared with."""

    etag: str
    text: str
    diff: str
    is_valid: bool
    findings: tuple[SetupFinding, ...] = ()
    takeovers: tuple[SetupTakeover, ...] = ()


class LineEvidence(Resource):
    """Tracks near a line in recorded events, and what they tell about it.

    ``near`` came within a box height, ``through`` crossed it, ``beside`` passed its ends, ``born``
    and ``lost`` began or ended at it.
    """

    camera: str
    line: str
    near: int
    through: int
    beside: int
    born: int
    lost: int
    findings: tuple[str, ...] = ()


class DistanceEstimate(Resource):
    """The walking distance of two cameras' views as walks of recognized people suggest it.

    ``is_sure`` is False where most people stop on the way: then it is an upper bound.
    ``distance_in_file_m`` is None if the site file has none.
    """

    a: str
    b: str
    distance_m: float
    is_overlap: bool
    is_sure: bool
    walks: int
    median_s: float
    distance_in_file_m: float | None = None


class FloorPoints(Resource):
    """Places in the picture (0..1), and on the floor plan in meters."""

    pairs: Annotated[tuple[Pair, ...], Field(min_length=4, max_length=100)]


class FloorFit(Resource):
    """How well floor points agree, and a grid of the floor as it lies in the picture.

    ``step_m`` is the distance of the grid's lines, each given as points of the picture.
    """

    rms_m: float
    worst: int
    worst_m: float
    step_m: float
    grid: tuple[tuple[tuple[float, float], ...], ...]


class FoundCamera(Resource):
    """A camera that answered a search in the network (ONVIF WS-Discovery)."""

    address: str
    host: str
    name: str = ""
    hardware: str = ""
    location: str = ""
    is_in_site: bool = False


class CameraSearch(Resource):
    """The answer to a search; ``problems`` tell which answers or interfaces were unusable."""

    cameras: tuple[FoundCamera, ...]
    problems: tuple[str, ...] = ()


class OnvifLogin(Resource):
    """Address of a camera's ONVIF service, and its login, which is used once and never stored."""

    address: Annotated[str, Field(min_length=8, max_length=500)]
    username: Annotated[str, Field(max_length=100)] = ""
    password: Annotated[str, Field(max_length=200, repr=False)] = ""


class OnvifStream(Resource):
    """A stream that a camera offers."""

    name: str
    url: str
    codec: str = ""
    width: int = 0
    height: int = 0


class OnvifStreams(Resource):
    """The streams that a camera offers."""

    streams: tuple[OnvifStream, ...]


class CameraTry(Resource):
    """A camera to be tried: an address with a login, which is used once and never stored."""

    url: Annotated[str, Field(min_length=8, max_length=500)]
    username: Annotated[str, Field(max_length=100)] = ""
    password: Annotated[str, Field(max_length=200, repr=False)] = ""
    transport: Literal["tcp", "udp"] = "tcp"


class TriedCamera(Resource):
    """What a camera delivered, or the problem; ``picture`` is the path of its picture."""

    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    picture: str | None = None
    problem: str | None = None
