"""Requests of the REST API as data: pure functions that both clients share.

Each function returns the request; the method of the same name of a client returns its answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from trinetra.client.models import (
    Alert,
    AlertControls,
    AlertDelivery,
    AlertMute,
    Armed,
    Audit,
    AuditRecording,
    CameraSearch,
    CameraState,
    CameraTry,
    Comparison,
    ContextEntry,
    Customer,
    CustomerDetails,
    CustomerKind,
    CustomerOther,
    CustomerUpdate,
    DistanceEstimate,
    ErasureProgress,
    Explanation,
    ExportName,
    FaceMatches,
    FigureAnswer,
    FigureChanges,
    FigureExplanation,
    FloorFit,
    FloorPlan,
    FloorPoints,
    Granularity,
    HealthReport,
    HeatmapAnswer,
    Insight,
    InsightType,
    Journeys,
    LineEvidence,
    LineState,
    MergeCandidate,
    MetricInfo,
    NewAudit,
    NewMute,
    NewPassword,
    NewRecording,
    NewToken,
    OnvifLogin,
    OnvifStreams,
    Page,
    PeriodKind,
    QueuesNow,
    RecordingIndex,
    RegularVehicle,
    Report,
    Session,
    SetupFile,
    SetupProposal,
    SetupReview,
    SiteInfo,
    StaffCandidate,
    TokenDraft,
    TokenInfo,
    TrailEntry,
    TriedCamera,
    UserChange,
    UserDraft,
    UserInfo,
    VehicleVisit,
)

Answer = TypeVar("Answer")
When = datetime | date
"""An instant with an offset from UTC, or a date: the shop's midnight at which it begins."""


class Photo(NamedTuple):
    """A photo to send: the name by which messages call it, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request and the type of its answer; with ``photos`` it is sent as a form."""

    method: str
    path: str
    answer: type[Answer]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    photos: Sequence["Photo"] = ()
    form: Mapping[str, Any] = field(default_factory=dict)


def site() -> Call[SiteInfo]:
    """Return the site."""
    return Call("GET", "/v1/site", SiteInfo)


def session() -> Call[Session]:
    """Return who the caller is, and what the caller may do."""
    return Call("GET", "/v1/session", Session)


def metrics() -> Call[Page[MetricInfo]]:
    """Return the definitions of all metrics."""
    return Call("GET", "/v1/metrics", Page[MetricInfo])


def figures(
    metrics: str | Sequence[str],
    start: When,
    end: When,
    *,
    granularity: Granularity = "day",
    by_place: bool = False,
    places: Sequence[str] = (),
    impute: bool = False,
) -> Call[FigureAnswer]:
    """Return figures of the whole site, with ``by_place`` of each line or zone.

    ``[]`` stands for all metrics. ``places`` restricts the figures to some places; ``impute``
    extrapolates totals over time not watched, and marks them.
    """
    params = {
        "metric": [metrics] if isinstance(metrics, str) else list(metrics),
        "start": start.isoformat(),
        "end": end.isoformat(),
        "granularity": granularity,
        "by_place": by_place,
        "place": list(places),
        "impute": impute,
    }
    return Call("GET", "/v1/figures", FigureAnswer, params)


def alerts(
    state: str | None = None,
    since: datetime | None = None,
    *,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[Page[Alert]]:
    """Return alerts, newest first."""
    params = {
        "state": state,
        "since": since.isoformat() if since else None,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", "/v1/alerts", Page[Alert], params)


def acknowledge_alert(alert_id: str) -> Call[Alert]:
    """Note that the caller takes care of an alert; return it."""
    return Call("POST", f"/v1/alerts/{_part(alert_id)}/acknowledge", Alert)


def alert_deliveries(alert_id: str) -> Call[Page[AlertDelivery]]:
    """Return what was sent about an alert."""
    return Call("GET", f"/v1/alerts/{_part(alert_id)}/deliveries", Page[AlertDelivery])


def alert_controls() -> Call[AlertControls]:
    """Return whether alerts about intruders are sent, and the mutes."""
    return Call("GET", "/v1/alert-controls", AlertControls)


def mute_alerts(rule: str, until: datetime, subject: str | None = None) -> Call[AlertMute]:
    """Send nothing about a rule, or one subject of it, until an instant."""
    body = NewMute(rule=rule, subject=subject, until=until)
    return Call("POST", "/v1/alert-controls/mutes", AlertMute, body=body)


def arm_alerts(*, armed: bool) -> Call[AlertControls]:
    """Send alerts about intruders from now on, or only list them."""
    return Call("PUT", "/v1/alert-controls/armed", AlertControls, body=Armed(armed=armed))


def customers(
    *,
    kind: CustomerKind | None = None,
    text: str = "",
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Page[Customer]]:
    """Return enrolled customers in the order of enrollment, of a kind, with a text in the name."""
    params = {"kind": kind, "text": text, "limit": limit, "cursor": cursor}
    return Call("GET", "/v1/customers", Page[Customer], params)


def customer(customer_id: str) -> Call[CustomerDetails]:
    """Return a person with the latest crossings, stays and visits."""
    return Call("GET", _customer(customer_id), CustomerDetails)


def search_by_photo(photo: Photo, *, largest: bool = False) -> Call[FaceMatches]:
    """Return the people whose faces are most similar to the one in a photo, which is not kept."""
    form = {"largest": largest}
    return Call("POST", "/v1/customers/search", FaceMatches, photos=[photo], form=form)


def enroll_customer(
    name: str,
    photos: Sequence[Photo],
    *,
    kind: CustomerKind = "enrolled",
    consent: bool = False,
    purpose: str | None = None,
    allow_duplicate: bool = False,
    largest: bool = False,
) -> Call[Customer]:
    """Enroll a person from one to five photos, which are not kept; needs consent or a purpose."""
    form = {
        "name": name,
        "kind": kind,
        "consent": consent,
        "allow_duplicate": allow_duplicate,
        "largest": largest,
        **({"purpose": purpose} if purpose else {}),
    }
    return Call("POST", "/v1/customers", Customer, photos=photos, form=form)


def update_customer(
    customer_id: str,
    *,
    name: str | None = None,
    kind: CustomerKind | None = None,
    consent: bool = False,
    purpose: str | None = None,
) -> Call[CustomerDetails]:
    """Change name or kind of a customer; another kind needs a basis of its own."""
    body = CustomerUpdate(name=name, kind=kind, consent=consent, purpose=purpose)
    return Call("PATCH", _customer(customer_id), CustomerDetails, body=body)


def merge_customers(customer_id: str, into: str) -> Call[CustomerDetails]:
    """Merge an identity into another: both are one person, known by the other's id."""
    body = CustomerOther(customer_id=into)
    return Call("POST", f"{_customer(customer_id)}/merge", CustomerDetails, body=body)


def split_customer(customer_id: str) -> Call[CustomerDetails]:
    """Undo a merge."""
    return Call("POST", f"{_customer(customer_id)}/split", CustomerDetails)


def merge_candidates() -> Call[Page[MergeCandidate]]:
    """Return pairs of identities that may be one person, most similar first."""
    return Call("GET", "/v1/customers/merge-candidates", Page[MergeCandidate])


def dismiss_merge_candidate(customer_id: str, other: str) -> Call[None]:
    """Note that a pair of merge candidates are two people."""
    body = CustomerOther(customer_id=other)
    return Call("POST", f"{_customer(customer_id)}/dismiss", type(None), body=body)


def staff_candidates(days: int = 7) -> Call[Page[StaffCandidate]]:
    """Return customers who behaved like staff; to accept one, change the kind to ``staff``."""
    path = "/v1/customers/staff-candidates"
    return Call("GET", path, Page[StaffCandidate], {"days": days})


def erase_customer(customer_id: str) -> Call[ErasureProgress]:
    """Erase a person for good; ask for the ``erasure`` until ``is_done``."""
    return Call("POST", f"{_customer(customer_id)}/erasure", ErasureProgress)


def erasure(customer_id: str) -> Call[ErasureProgress]:
    """Return how far the erasure of a person is, with its signed receipt."""
    return Call("GET", f"{_customer(customer_id)}/erasure", ErasureProgress)


def explanation(subject: str) -> Call[Explanation]:
    """Return why an event, a track or a customer is what it is."""
    return Call("GET", f"/v1/explanations/{_part(subject)}", Explanation)


def insight_types() -> Call[Page[InsightType]]:
    """Return the types of insights."""
    return Call("GET", "/v1/insights", Page[InsightType])


def insights(
    kind: str,
    start: When,
    end: When,
    *,
    camera: str | None = None,
    customer: str | None = None,
    limit: int = 200,
    cursor: str | None = None,
) -> Call[Page[Insight]]:
    """Return insights of a type in the order of capture, as they count now."""
    params = {"camera": camera, "customer": customer, "limit": limit, "cursor": cursor}
    return Call("GET", f"/v1/insights/{_part(kind)}", Page[Insight], _span(start, end) | params)


def why(metric: str, start: When, end: When, place: str = "") -> Call[FigureExplanation]:
    """Return what a figure counts and leaves out, and when nothing was watched."""
    params = {"metric": metric, "place": place}
    return Call("GET", "/v1/why", FigureExplanation, _span(start, end) | params)


def vehicles(
    start: When, end: When, *, limit: int = 200, cursor: str | None = None
) -> Call[Page[VehicleVisit]]:
    """Return visits of vehicles in the order of arrival."""
    params = {"limit": limit, "cursor": cursor}
    return Call("GET", "/v1/vehicles", Page[VehicleVisit], _span(start, end) | params)


def regular_vehicles(start: When, end: When, least_days: int = 3) -> Call[Page[RegularVehicle]]:
    """Return the vehicles that came on at least so many days."""
    params = _span(start, end) | {"least_days": least_days}
    return Call("GET", "/v1/vehicles/regulars", Page[RegularVehicle], params)


def context(start: When, end: When) -> Call[Page[ContextEntry]]:
    """Return weather, staff hours, promotions, notes and targets of a span."""
    return Call("GET", "/v1/context", Page[ContextEntry], _span(start, end))


def report(
    period: PeriodKind = "day",
    first: date | None = None,
    last: date | None = None,
    *,
    granularity: Granularity | None = None,
    metrics: Sequence[str] = (),
    compare: Sequence[Comparison] = (),
    rows_of: Sequence[str] = (),
    impute: bool = False,
) -> Call[Report]:
    """Return the figures of a period, compared with others.

    ``first`` is a day of it, by default of the last one that is over; a range includes ``last``.
    Without ``rows_of`` all metrics are given by time, too.
    """
    params = _report(period, first, last, granularity, metrics, compare, impute)
    return Call("GET", "/v1/report", Report, params | {"rows_of": list(rows_of)})


def export(
    name: ExportName,
    period: PeriodKind = "day",
    first: date | None = None,
    last: date | None = None,
    *,
    granularity: Granularity | None = None,
    metrics: Sequence[str] = (),
    compare: Sequence[Comparison] = (),
    impute: bool = False,
) -> Call[bytes]:
    """Return a report as the content of a file; the arguments are those of ``report``."""
    params = _report(period, first, last, granularity, metrics, compare, impute)
    return Call("GET", f"/v1/exports/{name}", bytes, params)


def figure_changes(
    since: int = 0,
    *,
    granularity: Literal["hour", "day"] = "hour",
    metrics: Sequence[str] = (),
    limit: int = 1000,
) -> Call[FigureChanges]:
    """Return figures that changed after a cursor; a record replaces the one of the same span."""
    params = {
        "since": since,
        "granularity": granularity,
        "metric": list(metrics),
        "limit": limit,
    }
    return Call("GET", "/v1/figures/changes", FigureChanges, params)


def _report(
    period: PeriodKind,
    first: date | None,
    last: date | None,
    granularity: Granularity | None,
    metrics: Sequence[str],
    compare: Sequence[Comparison],
    impute: bool,  # noqa: FBT001 - as above
) -> dict[str, Any]:
    return {
        "period": period,
        "first": first.isoformat() if first else None,
        "last": last.isoformat() if last else None,
        "granularity": granularity,
        "metric": list(metrics),
        "compare": list(compare),
        "impute": impute,
    }


def _span(start: When, end: When) -> dict[str, Any]:
    return {"start": start.isoformat(), "end": end.isoformat()}


def _customer(customer_id: str) -> str:
    return f"/v1/customers/{_part(customer_id)}"


def _part(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")


def users() -> Call[Page[UserInfo]]:
    """Return all users."""
    return Call("GET", "/v1/users", Page[UserInfo])


def add_user(user: UserDraft) -> Call[UserInfo]:
    """Add a user."""
    return Call("POST", "/v1/users", UserInfo, body=user)


def change_user(user_id: str, change: UserChange) -> Call[UserInfo]:
    """Change role, sites or state of a user, and end the user's sessions."""
    return Call("PATCH", f"/v1/users/{quote(user_id, safe='')}", UserInfo, body=change)


def set_password(user_id: str, password: str) -> Call[None]:
    """Set the password of a user, and end the user's sessions."""
    path = f"/v1/users/{quote(user_id, safe='')}/password"
    return Call("PUT", path, type(None), body=NewPassword(password=password))


def set_own_password(current: str, password: str) -> Call[None]:
    """Set the caller's own password, and end all of the caller's sessions."""
    body = NewPassword(password=password, current=current)
    return Call("PUT", "/v1/session/password", type(None), body=body)


def tokens(*, of_all: bool = False) -> Call[Page[TokenInfo]]:
    """Return the caller's API tokens, or those of all users."""
    return Call("GET", "/v1/tokens", Page[TokenInfo], {"of_all": of_all})


def create_token(token: TokenDraft) -> Call[NewToken]:
    """Create an API token of the caller, who must be logged in by a session."""
    return Call("POST", "/v1/tokens", NewToken, body=token)


def revoke_token(token_id: str) -> Call[None]:
    """Revoke an API token."""
    return Call("DELETE", f"/v1/tokens/{quote(token_id, safe='')}", type(None))


def trail(*, cursor: str | None = None, limit: int = 100) -> Call[Page[TrailEntry]]:
    """Return privileged operations, the newest first."""
    return Call("GET", "/v1/trail", Page[TrailEntry], {"cursor": cursor, "limit": limit})


def setup() -> Call[SetupFile]:
    """Return the site file."""
    return Call("GET", "/v1/setup", SetupFile)


def check_setup(proposal: SetupProposal) -> Call[SetupReview]:
    """Return what a changed site file would do, with all findings; changes nothing."""
    return Call("POST", "/v1/setup/check", SetupReview, body=proposal)


def change_setup(proposal: SetupProposal, etag: str) -> Call[SetupFile]:
    """Change the site file, if it is still the one that ``etag`` names."""
    headers = {"If-Match": f'"{etag}"'}
    return Call("PUT", "/v1/setup", SetupFile, body=proposal, headers=headers)


def line_evidence(proposal: SetupProposal, hours: float = 2.0) -> Call[Page[LineEvidence]]:
    """Return what the tracks of the last hours tell about the lines of a changed site file."""
    path, answer = "/v1/setup/evidence", Page[LineEvidence]
    return Call("POST", path, answer, {"hours": hours}, body=proposal)


def estimate_distances(hours: float = 24.0) -> Call[Page[DistanceEstimate]]:
    """Return distances between cameras as the walks of the last hours suggest them."""
    return Call("GET", "/v1/setup/distances", Page[DistanceEstimate], {"hours": hours})


def fit_floor(points: FloorPoints) -> Call[FloorFit]:
    """Return how well floor points agree, and the floor's grid in the picture."""
    return Call("POST", "/v1/setup/floor", FloorFit, body=points)


def find_cameras() -> Call[CameraSearch]:
    """Search for cameras in the networks of the server."""
    return Call("POST", "/v1/setup/search", CameraSearch)


def onvif_streams(login: OnvifLogin) -> Call[OnvifStreams]:
    """Return the streams that a camera offers."""
    return Call("POST", "/v1/setup/streams", OnvifStreams, body=login)


def try_camera(camera: CameraTry) -> Call[TriedCamera]:
    """Connect to a camera and take a picture."""
    return Call("POST", "/v1/setup/tries", TriedCamera, body=camera)


def audits(
    camera: str | None = None, line: str | None = None, cursor: str | None = None, limit: int = 50
) -> Call[Page[Audit]]:
    """Return counts by hand, the latest first."""
    params = {"camera": camera, "line": line, "cursor": cursor, "limit": limit}
    return Call("GET", "/v1/audits", Page[Audit], params)


def audit(audit_id: str) -> Call[Audit]:
    """Return a count by hand."""
    return Call("GET", f"/v1/audits/{audit_id}", Audit)


def record_audit(audit: NewAudit) -> Call[Audit]:
    """Record a count by hand, and return it beside the platform's count."""
    return Call("POST", "/v1/audits", Audit, body=audit)


def audited_lines() -> Call[Page[LineState]]:
    """Return all counting lines, and which of them should be audited."""
    return Call("GET", "/v1/audits/lines", Page[LineState])


def recordings() -> Call[Page[AuditRecording]]:
    """Return the recordings that are kept for counts by hand, the latest first."""
    return Call("GET", "/v1/audits/recordings", Page[AuditRecording])


def start_recording(camera: str, minutes: float = 10.0) -> Call[AuditRecording]:
    """Record a camera, with unrecognizable heads, to count a line of it by hand afterwards."""
    body = NewRecording(camera=camera, minutes=minutes)
    return Call("POST", "/v1/audits/recordings", AuditRecording, body=body)


def recording(recording_id: str) -> Call[RecordingIndex]:
    """Return a recording with the times of its pictures."""
    return Call("GET", _recording(recording_id), RecordingIndex)


def recorded_picture(recording_id: str, number: int) -> Call[bytes]:
    """Return a picture of a recording, counted from 0, as JPEG."""
    return Call("GET", f"{_recording(recording_id)}/frames/{number}", bytes)


def end_recording(recording_id: str) -> Call[AuditRecording]:
    """End a recording early; what it has is kept."""
    return Call("POST", f"{_recording(recording_id)}/end", AuditRecording)


def delete_recording(recording_id: str) -> Call[None]:
    """Erase a recording."""
    return Call("DELETE", _recording(recording_id), type(None))


def _recording(recording_id: str) -> str:
    return f"/v1/audits/recordings/{_part(recording_id)}"


def cameras() -> Call[Page[CameraState]]:
    """Return the state of every camera."""
    return Call("GET", "/v1/cameras", Page[CameraState])


def snapshot(
    camera_id: str, *, faces: Literal["blurred", "clear"] = "blurred", boxes: bool = False
) -> Call[bytes]:
    """Return the latest picture of a camera as JPEG; empty if it has none of the last minute.

    That you see clear faces is entered in the log of operations.
    """
    params = {"faces": faces, "boxes": boxes}
    return Call("GET", f"/v1/cameras/{_part(camera_id)}/snapshot", bytes, params)


def floor() -> Call[FloorPlan]:
    """Return the floor plan and where people are on it now."""
    return Call("GET", "/v1/floor", FloorPlan)


def queues() -> Call[QueuesNow]:
    """Return the queues and tills now, with forecasts of the wait."""
    return Call("GET", "/v1/queues", QueuesNow)


def journeys(start: When, end: When) -> Call[Journeys]:
    """Return flows between zones and paths through the shop, of at most 31 days."""
    params = {"start": start.isoformat(), "end": end.isoformat()}
    return Call("GET", "/v1/journeys", Journeys, params)


def heatmap(place: str, start: When, end: When) -> Call[HeatmapAnswer]:
    """Return where people were, in whole hours: ``floor``, or as one camera sees it."""
    params = {"start": start.isoformat(), "end": end.isoformat()}
    return Call("GET", f"/v1/heatmaps/{_part(place)}", HeatmapAnswer, params)


def health() -> Call[HealthReport]:
    """Return the stages of the platform, their lag and latency, and the networks in use."""
    return Call("GET", "/v1/health", HealthReport)
