"""Alert events of resolver and insight engine, as findings of the rules that they belong to."""

from collections.abc import Mapping

from trinetra.alerts.rules.plan import AlertPlan
from trinetra.alerts.rules.signal import Signal
from trinetra.events.alerts import RuleName
from trinetra.events.schema import AlertEvent

_RULES: Mapping[str, RuleName] = {
    "watchlist": "watchlist",
    "vip": "vip",
    "plate_watchlist": "plate_watchlist",
    "impossible_transition": "impossible_transition",
    "gallery_unavailable": "index_unavailable",
    "faces_drift": "drift",
    "long_stay": "loitering",
    "long_wait": "queue_wait",
}
INDEX = "gallery"
"""The subject of ``index_unavailable``: there is one index."""


def reported(plan: AlertPlan, event: AlertEvent) -> list[Signal]:
    """Return what an alert event calls for; nothing if no rule in force knows it."""
    rule = _RULES.get(event.rule)
    if rule is None or rule not in plan.rules:
        return []
    private = str(event.detail.get("entry", "")) if rule == "plate_watchlist" else ""
    facts = {name: value for name, value in event.detail.items() if name != "entry"}
    return [
        Signal(
            rule=rule,
            subject=_subject(rule, event),
            at=event.captured_at,
            camera_id=event.camera_id or None,
            facts={"camera": event.camera_id, **facts},
            person=event.customer_id,
            private=private,
        )
    ]


def _subject(rule: RuleName, event: AlertEvent) -> str:
    if rule == "index_unavailable":
        return INDEX
    if rule == "plate_watchlist":
        return str(event.detail.get("entry", event.camera_id))
    if rule == "drift":
        return f"{event.camera_id}/{event.detail.get('quantity', '')}"
    if rule in {"loitering", "queue_wait"}:
        return f"{event.camera_id}/{event.detail.get('zone', '')}"
    return event.customer_id or event.camera_id
