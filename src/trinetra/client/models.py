"""Resources of the REST API, as the server writes and the client reads them."""

from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Item = TypeVar("Item")
Granularity = Literal["minute", "hour", "day", "week", "month", "range"]


class Resource(BaseModel):
    """Base of all resources; unknown fields of a newer server are ignored."""

    model_config = ConfigDict(frozen=True)


class Problem(Resource):
    """A failure (RFC 9457); ``request_id`` finds it in the server's log.

    Of a change to the site file that met another one (412): ``etag`` names the present file, and
    ``diff`` shows what the other one changed, None if that is not known. Of an invalid site file
    (422): ``findings``.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str | None = None
    etag: str | None = None
    diff: str | None = None
    findings: "tuple[SetupFinding, ...]" = ()


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


# --- setup --------------------------------------------------------------------------------------

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-10_000, le=10_000)]
Pair = tuple[tuple[Coordinate, Coordinate], tuple[Coordinate, Coordinate]]
Step = Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=0, le=10_000)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class SetupFinding(Resource):
    """Something to know about a site file, at its line and column (from 1).

    An ``error`` prevents that the file is used, a ``warning`` does not.
    """

    kind: Literal["error", "warning"]
    message: str
    hint: str = ""
    line: int | None = None
    column: int | None = None
    path: str = ""


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


# --- audits -------------------------------------------------------------------------------------


class Tap(Resource):
    """A person that the user saw crossing the line, and when, by the picture's own time."""

    at: AwareDatetime
    direction: Literal["in", "out"]


class NewAudit(Resource):
    """A count by hand of a line over a span of time, of at most two hours."""

    camera: Slug
    line: Slug
    start: AwareDatetime
    end: AwareDatetime
    taps: Annotated[tuple[Tap, ...], Field(max_length=5_000)] = ()
    tolerance_s: Annotated[float, Field(ge=0.5, le=10, allow_inf_nan=False)] = 3.0
    recording: Annotated[
        str | None,
        Field(max_length=64, description="The recording that was counted: it is erased."),
    ] = None


class NewRecording(Resource):
    """A recording to start, so that a line of this camera can be counted calmly afterwards."""

    camera: Slug
    minutes: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 10.0


class AuditRecording(Resource):
    """Pictures of a camera with unrecognizable heads, kept until its line is counted.

    It ends at ``ends_at`` at the latest, and is erased at ``erased_at`` at the latest. ``problem``
    tells why it ended early, or why pictures are missing.
    """

    id: str
    camera: str
    by: str
    started_at: datetime
    ends_at: datetime
    erased_at: datetime
    is_recording: bool
    pictures: int
    bytes: int
    first_at: datetime | None = None
    last_at: datetime | None = None
    problem: str | None = None


class RecordingIndex(Resource):
    """A recording, and when each of its pictures was taken, in their order."""

    recording: AuditRecording
    times: tuple[datetime, ...]


class AuditedDirection(Resource):
    """People of one direction: counted by hand and by the platform, and by both at one time.

    ``factor`` is what the platform's count is to be multiplied by, with its 95 % interval; None
    where too little was seen to tell.
    """

    direction: Literal["in", "out"]
    by_hand: int
    by_platform: int
    matched: int
    factor: float | None = None
    low: float | None = None
    high: float | None = None


class Audit(Resource):
    """A count by hand and what the platform counted in the same span.

    ``is_current`` is False if the line, the floor points or the model have changed since.
    """

    id: str
    camera: str
    line: str
    start: datetime
    end: datetime
    by: str
    made_at: datetime
    tolerance_s: float
    directions: tuple[AuditedDirection, ...]
    is_current: bool
    changed_since: str | None = None


class LineState(Resource):
    """A counting line, and whether its count should be audited (again), and why."""

    camera: str
    line: str
    kind: str
    last: Audit | None = None
    is_due: bool
    reason: str = ""


CustomerKind = Literal["enrolled", "vip", "staff", "watchlist", "opted_out"]


class Customer(Resource):
    """An enrolled person; ``photos`` is how many photos the network in use has read."""

    customer_id: str
    name: str | None
    kind: str
    consent: bool
    purpose: str | None
    enrolled_at: datetime
    photos: int


class Insight(Resource):
    """One insight on record: its type, and what that type tells besides, by name.

    The types and their fields are those of docs/events.schema.json. ``customer_id`` and ids of
    tracks are told only to callers who may read customers.
    """

    kind: str
    event_id: str
    camera_id: str
    captured_at: datetime
    fields: dict[str, Any] = {}


class CustomerDetails(Resource):
    """A person: ``customer`` if enrolled, other ids, and the latest that is on record.

    ``may_be`` are ids that may be the same person. ``recorded`` counts all insights on record, of
    which ``timeline`` has the latest, newest first.
    """

    customer_id: str
    customer: Customer | None
    also_known_as: tuple[str, ...] = ()
    may_be: tuple[str, ...] = ()
    last_seen: datetime | None = None
    visits: int = 0
    recorded: int = 0
    timeline: tuple[Insight, ...] = ()


class CustomerUpdate(Resource):
    """What to change of a customer; what is left out stays as it is."""

    name: str | None = Field(default=None, max_length=100)
    kind: CustomerKind | None = None
    consent: bool = Field(default=False, description="The person has agreed to this kind.")
    purpose: str | None = Field(default=None, max_length=500, description="Why the face is kept.")


class CustomerOther(Resource):
    """The other one of two identities."""

    customer_id: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")


class FaceMatch(Resource):
    """A person with a similar face; ``is_match`` tells whether the platform would recognize it."""

    customer_id: str
    kind: str
    score: float
    is_match: bool
    name: str | None = None


class FaceMatches(Resource):
    """What a search by photo found, most similar first; ``quality`` is that of the face."""

    items: tuple[FaceMatch, ...]
    quality: float
    size_px: float


class MergeCandidate(Resource):
    """Two identities that may be one person."""

    customer_id: str
    other: str
    score: float | None
    proposed_at: datetime
    name: str | None = None
    other_name: str | None = None


class StaffCandidate(Resource):
    """A customer who behaves like staff, with the reasons; nothing was changed."""

    customer_id: str
    reasons: tuple[str, ...]
    days: int
    visits: int
    present_s: float


class SignedReceipt(Resource):
    """A receipt of an erasure with its signature; `trinetra customers verify-receipt` checks it."""

    receipt: dict[str, Any]
    public_key: str
    signature: str


class ErasureProgress(Resource):
    """How far the erasure of a person is; its receipt is final once ``is_done``."""

    customer_id: str
    is_done: bool
    asked_at: datetime
    done_at: datetime | None
    awaited: tuple[str, ...]
    receipt: SignedReceipt


class Moment(Resource):
    """One step in the history of a track or customer."""

    at: datetime
    event_id: str
    camera: str
    told: str


class Explanation(Resource):
    """Why something was decided, and what would have changed it, in plain words."""

    subject: str
    headline: str
    because: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    story: tuple[Moment, ...] = ()


class InsightType(Resource):
    """A type of insight, and whether its insights name customers."""

    kind: str
    names_customers: bool


class Contribution(Resource):
    """One insight that a figure counts, and what it adds to which place."""

    event_id: str
    at: datetime
    told: str
    adds: int
    place: str = ""


class LeftOut(Resource):
    """One insight that a figure leaves out, and the reason."""

    event_id: str
    at: datetime
    told: str
    why: str


class Gap(Resource):
    """A span of opening hours in which a camera was not watched."""

    camera_id: str
    start: datetime
    end: datetime
    reason: str


class FigureExplanation(Resource):
    """What a figure is made of; lists are cut to the first ones, the counts are not.

    ``is_exact`` tells that the counted insights add up to the figure on record.
    """

    metric: MetricInfo
    figure: FigureValue
    counted: int
    left_out: int
    contributions: tuple[Contribution, ...] = ()
    omissions: tuple[LeftOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    is_exact: bool


class FigureRecord(Resource):
    """One figure as a flat record, as exports have it; ``period`` is ``this`` or a comparison."""

    site: str
    metric: str
    version: int
    unit: str
    place: str
    granularity: str
    period: str
    start: datetime
    end: datetime
    local_start: str = Field(description="The shop's wall clock, without an offset.")
    value: float | None
    low: float | None = None
    high: float | None = None
    completeness: float | None = None
    imputed: bool = False


class FigureChanges(Resource):
    """Figures that changed; ask again with ``next_since``, until there are none."""

    items: tuple[FigureRecord, ...]
    next_since: int


PeriodKind = Literal["day", "week", "month", "range"]
ExportName = Literal[
    "figures.csv",
    "figures.json",
    "figures.parquet",
    "report.html",
    "report.pdf",
    "report.xlsx",
]
Comparison = Literal["previous", "last-week", "last-year"]


class ReportPeriod(Resource):
    """A period of whole days by the shop's clock; ``name`` is ``this`` or a comparison."""

    name: str
    title: str
    first: date
    last: date
    start: datetime
    end: datetime


class ReportLine(Resource):
    """A metric over the whole period: its figure, and those of the periods for comparison.

    ``changes`` are relative, None where the two cannot be compared. ``place`` is "" for the site.
    """

    metric: str
    place: str
    figure: FigureValue | None
    compared: tuple[FigureValue | None, ...] = ()
    changes: tuple[float | None, ...] = ()


class ReportRow(Resource):
    """A metric in one part of the period, and in the same part of those for comparison."""

    metric: str
    label: str
    figure: FigureValue
    compared: tuple[float | None, ...] = ()


class Report(Resource):
    """The figures of a period, compared; ``notes`` say what to know before relying on them."""

    site: str
    timezone: str
    granularity: Granularity
    period: ReportPeriod
    compared: tuple[ReportPeriod, ...]
    metrics: tuple[MetricInfo, ...]
    lines: tuple[ReportLine, ...]
    rows: tuple[ReportRow, ...]
    marks: tuple[ChangeMark, ...] = ()
    notes: tuple[str, ...] = ()


class VehicleVisit(Resource):
    """A vehicle at the site. ``plate_id`` is a pseudonym; ``plate`` is told only if it is stored.

    Both need the permission to read customers.
    """

    event_id: str
    arrived_at: datetime
    left_at: datetime
    stay_s: float
    label: str
    cameras: tuple[str, ...]
    departed: bool
    plate_id: str | None = None
    plate: str | None = None


class RegularVehicle(Resource):
    """A vehicle that came on several days, by the pseudonym of its plate."""

    plate_id: str
    days: int
    visits: int
    first_at: datetime
    last_at: datetime


class ContextEntry(Resource):
    """What no camera sees: weather, staff hours, a promotion, a note or a target."""

    kind: str
    name: str
    starts_at: datetime
    ends_at: datetime
    value: float | None = None
    text: str = ""


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
