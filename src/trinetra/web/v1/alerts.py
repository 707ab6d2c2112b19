"""``/v1/alerts``: the list, acknowledgement, what was sent; mutes and arming."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime

from trinetra.client.models import (
    Alert,
    AlertControls,
    AlertDelivery,
    AlertMute,
    Armed,
    NewMute,
    Page,
)
from trinetra.events.alerts import RULES, Mute, Notice, NoticeDelivery, NoticeState, RuleName
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.problems import Invalid, NotFound
from trinetra.web.state import Alerts, Backend, backend, needed

router = APIRouter(tags=["alerts"])
Reader = Annotated[Principal, requires(Permission.READ_ALERTS)]
Handler = Annotated[Principal, requires(Permission.HANDLE_ALERTS)]
Platform = Annotated[Backend, backend]
AlertId = Annotated[str, Path(max_length=100)]


@router.get("/alerts")
async def list_alerts(
    caller: Reader,
    platform: Platform,
    state: NoticeState | None = None,
    since: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Page[Alert]:
    """Return alerts, newest first."""
    try:
        found = await _alerts(platform).list(state, since, limit, cursor)
    except ValueError as cause:
        raise Invalid("cursor: no page of this list had it; begin without one") from cause
    items = tuple(alert_of(notice, caller) for notice in found.notices)
    return Page[Alert](items=items, next_cursor=found.cursor)


@router.post("/alerts/{alert_id}/acknowledge")
async def acknowledge(caller: Handler, platform: Platform, alert_id: AlertId) -> Alert:
    """Note that the caller takes care of an alert, so that it does not escalate; idempotent."""
    notice = await _alerts(platform).acknowledge(alert_id, caller.name)
    if notice is None:
        raise _no_alert(alert_id)
    return alert_of(notice, caller)


@router.get("/alerts/{alert_id}/deliveries")
async def list_deliveries(
    _caller: Reader, platform: Platform, alert_id: AlertId
) -> Page[AlertDelivery]:
    """Return what was sent about an alert, and what waits."""
    found = await _alerts(platform).deliveries(alert_id)
    if found is None:
        raise _no_alert(alert_id)
    return Page[AlertDelivery](items=tuple(map(_delivery, found)))


@router.get("/alert-controls")
async def read_controls(_caller: Reader, platform: Platform) -> AlertControls:
    """Return whether alerts about intruders are sent, and the mutes in force."""
    return await _controls(_alerts(platform))


@router.post("/alert-controls/mutes", status_code=201)
async def mute(caller: Handler, platform: Platform, wanted: NewMute) -> AlertMute:
    """Send nothing about a rule, or one subject of it, until an instant; it is still listed."""
    muted = await _alerts(platform).mute(
        _rule(wanted.rule), wanted.subject, wanted.until, caller.name
    )
    return _mute(muted)


@router.put("/alert-controls/armed")
async def arm(caller: Handler, platform: Platform, wanted: Armed) -> AlertControls:
    """Send alerts about intruders from now on, or only list them."""
    await _alerts(platform).arm(wanted.armed, caller.name)
    return await _controls(_alerts(platform))


def alert_of(notice: Notice, caller: Principal) -> Alert:
    """Return an alert as a caller may see it."""
    may_know = caller.may(Permission.READ_CUSTOMERS)
    return Alert(
        id=notice.alert_id,
        rule=notice.rule,
        subject=notice.subject if may_know or notice.person is None else "",
        severity=notice.severity,
        state=notice.state,
        title=notice.title,
        message=notice.message,
        advice=notice.advice,
        raised_at=notice.raised_at,
        last_at=notice.last_at,
        changed_at=notice.changed_at,
        camera_id=notice.camera_id,
        count=notice.count,
        by=notice.by,
        customer_id=notice.person if may_know else None,
        private=notice.private if may_know else "",
    )


def _alerts(platform: Backend) -> Alerts:
    return needed(platform.alerts, "alerts")


async def _controls(alerts: Alerts) -> AlertControls:
    mutes = tuple(map(_mute, await alerts.mutes()))
    return AlertControls(armed=await alerts.armed(), mutes=mutes)


def _mute(mute: Mute) -> AlertMute:
    return AlertMute(rule=mute.rule, subject=mute.subject, until=mute.until, by=mute.by)


def _delivery(delivery: NoticeDelivery) -> AlertDelivery:
    return AlertDelivery(
        id=delivery.delivery_id,
        channel=delivery.channel,
        recipient=delivery.recipient,
        step=delivery.step,
        state=delivery.state,
        created_at=delivery.created_at,
        due_at=delivery.due_at,
        attempts=delivery.attempts,
        problem=delivery.problem,
    )


def _rule(name: str) -> RuleName:
    for rule in RULES:
        if rule == name:
            return rule
    raise Invalid(f"no rule is called {name!r}; there are: {', '.join(RULES)}")


def _no_alert(alert_id: str) -> NotFound:
    return NotFound(f"no alert {alert_id}: it may have expired; `GET /v1/alerts` lists those kept")
