"""Alerts, their deliveries, and what silences them."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from trinetra.client.models.base import Resource


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
