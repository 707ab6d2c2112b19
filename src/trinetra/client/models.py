"""Resources of the REST API, as the server writes and the client reads them."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Item = TypeVar("Item")
Granularity = Literal["minute", "hour", "day", "week", "month", "range"]


class Resource(BaseModel):
    """Base of all resources; unknown fields of a newer server are ignored."""

    model_config = ConfigDict(frozen=True)


class Problem(Resource):
    """A failure (RFC 9457); ``request_id`` finds it in the server's log."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str | None = None


class Page(Resource, Generic[Item]):
    """A part of a list; ``next_cursor`` fetches the next one, None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


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


class MetricInfo(Resource):
    """The definition of a metric: what it counts, what it leaves out, and its name in the trade."""

    name: str
    version: int
    title: str
    unit: str
    counts: str
    leaves_out: str
    trade: str = ""
    is_total: bool = True


class FigureValue(Resource):
    """One figure for the half-open span from ``start`` to ``end``.

    ``value`` is None if it is unknown. ``completeness`` is the share in 0..1 of the expected camera
    time that was watched, None if none was expected. ``low`` and ``high`` bound the true value with
    95 % confidence, None where no error was measured. ``imputed`` marks a value extrapolated over
    blind time. ``place`` is "" for the whole site.
    """

    metric: str
    version: int
    place: str
    start: datetime
    end: datetime
    value: float | None
    completeness: float | None
    low: float | None = None
    high: float | None = None
    imputed: bool = False


class ChangeMark(Resource):
    """A change from which on figures may differ for another reason than the shop.

    ``what`` is ``geometry``, ``model``, ``threshold`` or ``definition``.
    """

    at: datetime
    what: str
    name: str


class FigureAnswer(Resource):
    """Figures by metric, place and time, and the changes of the setup in between."""

    site: str
    timezone: str
    granularity: Granularity
    start: datetime
    end: datetime
    figures: tuple[FigureValue, ...]
    marks: tuple[ChangeMark, ...] = ()

    def of(self, metric: str, place: str = "") -> list[FigureValue]:
        """Return the figures of one metric and place, in order of time."""
        return [f for f in self.figures if f.metric == metric and f.place == place]


class Session(Resource):
    """The authenticated caller: a user or a token, the role and what it permits."""

    name: str
    role: str
    permissions: tuple[str, ...]
    csrf_token: str | None = Field(
        default=None, description="To be sent as X-CSRF-Token with every change by a session."
    )


class Alert(Resource):
    """Something that needs attention; ``advice`` says what to do.

    ``count`` events of one rule about one subject are gathered in it. ``customer_id`` and
    ``private`` (such as a plate) are told only to callers who may read customers.
    """

    id: str
    rule: str
    subject: str
    severity: Literal["info", "warning", "critical"]
    state: Literal["open", "acknowledged", "closed"]
    title: str
    message: str
    advice: str
    raised_at: datetime
    last_at: datetime
    changed_at: datetime
    camera_id: str | None = None
    count: int = 1
    by: str = ""
    customer_id: str | None = None
    private: str = ""


class AlertDelivery(Resource):
    """A message about an alert to one channel, and what became of it."""

    id: str
    channel: str
    recipient: str
    step: str
    state: Literal["waiting", "sent", "skipped", "dead"]
    created_at: datetime
    due_at: datetime
    attempts: int
    problem: str = ""


class AlertMute(Resource):
    """Nothing is sent about a rule, or one subject of it, until an instant."""

    rule: str
    subject: str | None = None
    until: AwareDatetime
    by: str = ""


class AlertControls(Resource):
    """Whether alerts about intruders are sent, and the mutes in force."""

    armed: bool
    mutes: tuple[AlertMute, ...] = ()


class NewMute(Resource):
    """A mute to set; ``until`` in the past ends one."""

    rule: str = Field(max_length=40)
    subject: str | None = Field(default=None, max_length=200)
    until: AwareDatetime


class Armed(Resource):
    """Whether alerts about intruders are to be sent."""

    armed: bool


class UserInfo(Resource):
    """A user; ``sites`` are those the user may see, ``*`` stands for all."""

    id: str
    name: str
    role: str
    sites: tuple[str, ...]
    created_at: AwareDatetime
    is_disabled: bool = False
    has_password: bool = True
    uses_single_sign_on: bool = False


class UserDraft(Resource):
    """A user to be added; without a password the user logs in by single sign-on or a link."""

    name: str = Field(max_length=64)
    role: Literal["viewer", "operator", "privacy_officer", "admin"]
    password: str | None = Field(default=None, max_length=256, repr=False)
    sites: tuple[Annotated[str, Field(max_length=128)], ...] = Field(default=("*",), max_length=100)


class UserChange(Resource):
    """What to change of a user; the user's sessions end."""

    role: Literal["viewer", "operator", "privacy_officer", "admin"] | None = None
    sites: tuple[Annotated[str, Field(max_length=128)], ...] | None = Field(
        default=None, min_length=1, max_length=100
    )
    is_disabled: bool | None = None


class NewPassword(Resource):
    """A new password; ``current`` is needed for one's own."""

    password: str = Field(max_length=256, repr=False)
    current: str | None = Field(default=None, max_length=256, repr=False)


class TokenInfo(Resource):
    """An API token; ``prefix`` is its beginning, the rest is not kept."""

    id: str
    name: str
    prefix: str
    user: str
    scopes: tuple[str, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime
    used_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None


class TokenDraft(Resource):
    """An API token to be created for the caller; the scopes are permissions of the caller."""

    name: str = Field(min_length=1, max_length=100)
    scopes: tuple[Annotated[str, Field(max_length=40)], ...] = Field(min_length=1, max_length=50)
    days: int = Field(default=90, ge=1, le=366)


class NewToken(Resource):
    """A token that was created; ``token`` is shown only now."""

    token: str = Field(repr=False)
    info: TokenInfo


class TrailEntry(Resource):
    """A privileged operation; customers appear as digests."""

    number: int
    at: AwareDatetime
    by: str
    action: str
    subject: str
    detail: str = ""


class CameraState(Resource):
    """A camera now.

    ``state`` is connecting, streaming, stalled, backoff, disabled or ended, and unknown where this
    process cannot ask the ingestor. ``waiting`` frames are in the buffer; ``dropped`` counts lost
    frames by reason since the start of the ingestor; ``delay_s`` is the time from a frame to the
    boxes in it. ``people`` are in view. What is not known is None.
    """

    id: str
    role: str
    state: str
    since: datetime | None = None
    problem: str | None = None
    fps: float | None = None
    waiting: int | None = None
    dropped: dict[str, int] = {}
    last_frame_at: datetime | None = None
    width: int | None = None
    height: int | None = None
    delay_s: float | None = None
    people: int | None = None
    has_pictures: bool = False


class StreamedEvent(Resource):
    """An event of the stream; ``id`` resumes after it.

    ``type`` is ``reset`` if events before it were lost: what was read before must be read anew.
    """

    id: str
    type: str
    data: dict[str, Any]


class FloorPerson(Resource):
    """A person on the floor plan now; ``kind`` is set if the person is known."""

    x_m: float
    y_m: float
    camera: str
    kind: str | None = None


class FloorCamera(Resource):
    """A camera on the floor plan; ``people`` are in its view, None if that is not known."""

    id: str
    x_m: float | None
    y_m: float | None
    people: int | None
    is_calibrated: bool


class FloorArea(Resource):
    """A zone as a calibrated camera sees it, on the floor plan."""

    camera: str
    zone: str
    kind: str
    polygon_m: tuple[tuple[float, float], ...]


class FloorNow(Resource):
    """Where people are now, in meters on the floor plan."""

    at: datetime
    people: tuple[FloorPerson, ...] = ()
    cameras: tuple[FloorCamera, ...] = ()


class FloorPlan(Resource):
    """What stands still on the floor plan, and the people on it now."""

    now: FloorNow
    areas: tuple[FloorArea, ...] = ()


class WaitForecast(Resource):
    """The expected mean wait of the next parties; ``low_s`` to ``high_s`` holds 80 % of them.

    Without a range there were too few earlier forecasts to tell it.
    """

    horizon_s: float
    wait_s: float
    low_s: float | None = None
    high_s: float | None = None


class QueueNow(Resource):
    """A queue now: ``people`` in it, None while its camera does not see it.

    ``wait_s`` is the mean wait of the parties served in the last 30 minutes, None without any.
    """

    camera: str
    zone: str
    tills: tuple[str, ...]
    people: int | None
    wait_s: float | None
    served: int
    abandoned: int
    forecasts: tuple[WaitForecast, ...] = ()


class TillNow(Resource):
    """A till now; ``is_open`` is None if that is not known."""

    id: str
    is_open: bool | None


class QueuesNow(Resource):
    """The queues and tills of the site now."""

    at: datetime
    queues: tuple[QueueNow, ...] = ()
    tills: tuple[TillNow, ...] = ()


class JourneyFlow(Resource):
    """How often people went from one zone to the next, and how many people did.

    ``start`` is "" where journeys begin, ``end`` where they end; zones are ``camera/zone``.
    """

    start: str
    end: str
    times: int
    people: int


class JourneyStep(JourneyFlow):
    """A flow that is the ``step``-th of a journey, from 0."""

    step: int


class JourneyPath(Resource):
    """How often a sequence of zones was walked as a whole, and by how many people."""

    zones: tuple[str, ...]
    times: int
    people: int


class Journeys(Resource):
    """Journeys of customers; cells of fewer than ``least_people`` are left out, and counted.

    ``steps`` are the flows by their number in the journey, of the first six.
    """

    start: datetime
    end: datetime
    journeys: int
    least_people: int
    flows: tuple[JourneyFlow, ...] = ()
    flows_left_out: int = 0
    steps: tuple[JourneyStep, ...] = ()
    steps_left_out: int = 0
    paths: tuple[JourneyPath, ...] = ()
    paths_left_out: int = 0


class HeatmapCell(Resource):
    """Person-hours in a cell; ``x`` and ``y`` are its column and row."""

    x: int
    y: int
    hours: float


class HeatmapAnswer(Resource):
    """Where people were: cells of ``cell_m`` from the origin of the floor plan.

    Of a camera that is not calibrated, ``grid`` is ``picture``: 32 by 18 cells from its top left
    corner, and ``cell_m`` is None. ``left_out`` cells had too few people to be shown.
    """

    grid: Literal["floor", "picture"]
    cell_m: float | None
    start: datetime
    end: datetime
    cells: tuple[HeatmapCell, ...]
    left_out: int
    completeness: dict[str, float | None]


class StageHealth(Resource):
    """A stage of the platform: ``is_ready`` is None if its process cannot be asked."""

    name: str
    is_ready: bool | None
    detail: str = ""


class Latency(Resource):
    """Upper bounds of the median and of the 99th percentile of a time, in seconds.

    None if nothing was measured, or if it took longer than ``most_s``, the largest bound.
    """

    name: str
    most_s: float | None = None
    p50_s: float | None
    p99_s: float | None
    count: int


class ModelInUse(Resource):
    """A network in use, with its license and the SHA-256 of its file."""

    task: str
    name: str
    version: str
    license: str
    sha256: str | None = None


class HealthReport(Resource):
    """The platform now."""

    at: datetime
    version: str
    stages: tuple[StageHealth, ...]
    latencies: tuple[Latency, ...] = ()
    lag: dict[str, int] = {}
    models: tuple[ModelInUse, ...] = ()
