"""What leaves the house about a notice: a document for programs, and a text for people.

People are named only on channels that may: neither by name nor by id, nor by license plate. There
are never pictures.
"""

from typing import Any

from trinetra.events.alerts import Notice, Outgoing


def document_of(
    outgoing: Outgoing, *, tells_people: bool = False, name: str | None = None
) -> dict[str, Any]:
    """Return the message as a JSON document; ``name`` is that of the person, if it is known."""
    delivery, notice = outgoing
    data: dict[str, Any] = {
        "alert_id": notice.alert_id,
        "site_id": notice.site_id,
        "rule": notice.rule,
        "severity": notice.severity,
        "state": notice.state,
        "title": notice.title,
        "message": notice.message,
        "advice": notice.advice,
        "camera_id": notice.camera_id,
        "raised_at": notice.raised_at.isoformat(),
        "last_at": notice.last_at.isoformat(),
        "count": notice.count,
        "facts": notice.facts,
    }
    if tells_people or not _is_about_people(notice):
        data["subject"] = notice.subject
    if tells_people and notice.person is not None:
        data |= {"customer_id": notice.person, "name": name}
    if tells_people and notice.private:
        data["entry"] = notice.private
    return {"id": delivery.delivery_id, "type": f"alert.{delivery.step}", "data": data}


def title_of(outgoing: Outgoing) -> str:
    """Return the subject line of a message."""
    notice = outgoing.notice
    over = "Over: " if outgoing.delivery.step == "closed" else ""
    return f"{over}{notice.title} ({notice.site_id})"


def text_of(outgoing: Outgoing, *, tells_people: bool = False, name: str | None = None) -> str:
    """Return the message as a text: what happened, when, what to do, and its id."""
    delivery, notice = outgoing
    lines = [notice.message]
    if tells_people and notice.person is not None:
        lines.append(f"Customer: {name or notice.person}")
    if tells_people and notice.private:
        lines.append(f"Watchlist entry: {notice.private}")
    lines.append(f"Time: {notice.raised_at:%Y-%m-%d %H:%M:%S} UTC")
    if delivery.step == "raised":
        lines.append(f"What to do: {notice.advice}")
    return "\n".join([*lines, f"Message {delivery.delivery_id} about alert {notice.alert_id}"])


def _is_about_people(notice: Notice) -> bool:
    return notice.person is not None or bool(notice.private)
