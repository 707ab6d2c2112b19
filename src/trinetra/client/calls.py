"""Requests of the REST API as data: pure functions that both clients share.

Each function returns the request; the method of the same name of a client returns its answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from trinetra.client.models import (
    Alert,
    AlertControls,
    AlertDelivery,
    AlertMute,
    Armed,
    Audit,
    CameraSearch,
    CameraTry,
    DistanceEstimate,
    FigureAnswer,
    FloorFit,
    FloorPoints,
    Granularity,
    LineEvidence,
    LineState,
    MetricInfo,
    NewAudit,
    NewMute,
    NewPassword,
    NewToken,
    OnvifLogin,
    OnvifStreams,
    Page,
    Session,
    SetupFile,
    SetupProposal,
    SetupReview,
    SiteInfo,
    TokenDraft,
    TokenInfo,
    TrailEntry,
    TriedCamera,
    UserChange,
    UserDraft,
    UserInfo,
)

Answer = TypeVar("Answer")
When = datetime | date
"""An instant with an offset from UTC, or a date: the shop's midnight at which it begins."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request and the type of its answer."""

    method: str
    path: str
    answer: type[Answer]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


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
