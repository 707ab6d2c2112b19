"""Alerts: what needs attention, what to do about it, and who does."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Response

from trinetra.client.models import Alert
from trinetra.web.access import Permission, requires
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page
from trinetra.web.sentences import ALERT_TITLES

router = APIRouter(dependencies=[requires(Permission.READ_ALERTS)])
SEVERITIES = {
    "critical": message("Critical"),
    "warning": message("Warning"),
    "info": message("For information"),
}
STATES = {
    "open": message("Open"),
    "acknowledged": message("Being handled"),
    "closed": message("Closed"),
}
Shown = Literal["open", "acknowledged", "closed", "all"]
AlertId = Annotated[str, Form(max_length=100)]


@router.get("/alerts")
async def alerts(
    page: Annotated[Page, page],
    state: Shown = "open",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Return the page of alerts."""
    return page.render("alerts.html", **await _context(page, state, cursor))


@router.get("/alerts/list")
async def alert_list(page: Annotated[Page, page], state: Shown = "open") -> Response:
    """Return the list alone, which the page fetches again while it is open."""
    return page.render("alerts_list.html", **await _context(page, state, None))


@router.post("/alerts/acknowledge", dependencies=[requires(Permission.HANDLE_ALERTS)])
async def acknowledge(page: Annotated[Page, page], alert_id: AlertId) -> Response:
    """Acknowledge an alert; return its row."""
    alert = await page.client.acknowledge_alert(alert_id)
    return page.render("alerts_row.html", alert=alert, **await _common(page))


@router.post("/alerts/mute", dependencies=[requires(Permission.HANDLE_ALERTS)])
async def mute(
    page: Annotated[Page, page],
    rule: Annotated[str, Form(max_length=40)],
    hours: Annotated[int, Form(ge=0, le=24 * 31)],
    subject: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Mute a rule for some hours, 0 ends it; return what is in force."""
    site = await page.client.site()
    await page.client.mute_alerts(rule, site.now + timedelta(hours=hours), subject or None)
    return await _controls(page)


@router.post("/alerts/arm", dependencies=[requires(Permission.HANDLE_ALERTS)])
async def arm(page: Annotated[Page, page], armed: Annotated[bool, Form()]) -> Response:
    """Arm or disarm; return what is in force."""
    await page.client.arm_alerts(armed=armed)
    return await _controls(page)


async def _controls(page: Page) -> Response:
    controls = await page.client.alert_controls()
    return page.render("alerts_controls.html", controls=controls, **await _common(page))


async def _context(page: Page, state: Shown, cursor: str | None) -> dict[str, Any]:
    found = await page.client.alerts(None if state == "all" else state, cursor=cursor, limit=50)
    return {
        "alerts": found.items,
        "next_cursor": found.next_cursor,
        "state": state,
        "controls": await page.client.alert_controls(),
        "states": STATES,
        **await _common(page),
    }


async def _common(page: Page) -> dict[str, Any]:
    site = await page.client.site()
    return {
        "site": site,
        "rule_of": lambda rule: page.words.text(ALERT_TITLES.get(rule, rule)),
        "severity_of": lambda alert: page.words.text(SEVERITIES[alert.severity]),
        "state_of": lambda alert: page.words.text(STATES[alert.state]),
        "tone_of": _tone,
    }


def _tone(alert: Alert) -> str:
    return {"critical": "bad", "warning": "warn", "info": ""}[alert.severity]
