"""Requests of the REST API as data: pure functions that both clients share.

Each function returns the request; the method of the same name of a client returns its answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from trinetra.client.models import (
    Alert,
    AlertControls,
    AlertDelivery,
    AlertMute,
    Armed,
    CameraState,
    FigureAnswer,
    FloorPlan,
    Granularity,
    HealthReport,
    HeatmapAnswer,
    Journeys,
    MetricInfo,
    NewMute,
    NewPassword,
    NewToken,
    Page,
    QueuesNow,
    Session,
    SiteInfo,
    TokenDraft,
    TokenInfo,
    TrailEntry,
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
