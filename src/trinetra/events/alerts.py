"""Alerts as people handle them: notices, their deliveries, and what silences them.

A ``Notice`` is one entry of the list of alerts. It gathers all events of one rule about one subject
until it is closed, or until a later event starts the next one. A ``NoticeDelivery`` is one message
about it to one channel.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import msgspec

from trinetra.values import CameraId, CustomerId, Instant, SiteId

RuleName = Literal[
    "watchlist",
    "vip",
    "plate_watchlist",
    "impossible_transition",
    "queue_length",
    "queue_wait",
    "occupancy",
    "loitering",
    "after_hours",
    "tailgating",
    "wrong_direction",
    "camera_offline",
    "camera_frozen",
    "camera_covered",
    "camera_moved",
    "frames_dropped",
    "latency",
    "drift",
    "index_unavailable",
    "figure_incomplete",
]
RULES: tuple[RuleName, ...] = get_args(RuleName)
Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
NoticeState = Literal["open", "acknowledged", "closed"]
DeliveryState = Literal["waiting", "sent", "skipped", "dead"]
Step = Literal["raised", "closed"]


class NoticeKey(NamedTuple):
    """A rule and what it is about: a camera, a zone, a line, a person or a plate."""

    rule: RuleName
    subject: str


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One alert in the list; ``alert_id`` is stable: replayed events lead to the same one.

    ``count`` counts the events of it, ``last_at`` is the latest one. ``message`` names no person:
    ``person`` is the id of the one it is about, and ``private`` a text that only readers who may
    know people see, such as a plate. A ``lasting`` notice is about a condition and is closed when
    that ends; any other one is closed by itself a day later. ``by`` changed the state last, at
    ``changed_at``.
    """

    alert_id: str
    site_id: SiteId
    rule: RuleName
    subject: str
    severity: Severity
    title: str
    message: str
    advice: str
    raised_at: Instant
    last_at: Instant
    changed_at: Instant
    camera_id: CameraId | None = None
    count: int = 1
    state: NoticeState = "open"
    lasting: bool = False
    by: str = ""
    person: CustomerId | None = None
    private: str = ""
    facts: dict[str, float | str] = {}

    @property
    def key(self) -> NoticeKey:
        """The rule and what it is about."""
        return NoticeKey(self.rule, self.subject)


class NoticeDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message about a notice to one channel; ``delivery_id`` is the same at every attempt.

    It is sent from ``due_at`` on. One that is ``held`` (by the hours of its recipient, or to
    escalate) is skipped if the notice is no longer open by then. ``problem`` is why the last
    attempt failed, or why it was skipped.
    """

    delivery_id: str
    alert_id: str
    channel: str
    recipient: str
    step: Step
    created_at: Instant
    due_at: Instant
    held: bool = False
    state: DeliveryState = "waiting"
    attempts: int = 0
    problem: str = ""
    settled_at: Instant | None = None


class Outgoing(NamedTuple):
    """A delivery with the notice that it tells of."""

    delivery: NoticeDelivery
    notice: Notice


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is sent about a rule, or about one subject of it, until an instant."""

    rule: RuleName
    until: Instant
    by: str
    at: Instant
    subject: str | None = None

    def covers(self, key: NoticeKey, at: Instant) -> bool:
        """Return whether this mute silences a notice at an instant."""
        return self.rule == key.rule and self.subject in {None, key.subject} and at < self.until


class Arming(msgspec.Struct, frozen=True, kw_only=True):
    """Whether alerts about intruders are sent, and who decided that."""

    armed: bool
    by: str
    at: Instant


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """What silences notices. Without ``arming`` alerts about intruders are sent."""

    arming: Arming | None = None
    mutes: tuple[Mute, ...] = ()

    @property
    def armed(self) -> bool:
        """Whether alerts about intruders are sent."""
        return self.arming is None or self.arming.armed

    def is_muted(self, key: NoticeKey, at: Instant) -> bool:
        """Return whether nothing is to be sent about this at an instant."""
        return any(mute.covers(key, at) for mute in self.mutes)


class NoticePage(NamedTuple):
    """Notices, newest first; ``cursor`` continues the list, None at its end."""

    notices: tuple[Notice, ...]
    cursor: str | None


class BoardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of notices needs to know.

    The latest notice of each of ``keys``, the notices ``alert_ids``, all that are open or
    acknowledged and whose last event is before ``idle_since``, and the deliveries of each recipient
    that were created since ``counted_since``.
    """

    keys: frozenset[NoticeKey] = frozenset()
    alert_ids: frozenset[str] = frozenset()
    idle_since: Instant | None = None
    counted_since: Instant | None = None


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The notices that a BoardQuery selects, the controls, and deliveries by recipient."""

    latest: Mapping[NoticeKey, Notice] = {}
    selected: tuple[Notice, ...] = ()
    controls: Controls = Controls()
    delivered: Mapping[str, int] = {}


class BoardChange(msgspec.Struct, frozen=True, kw_only=True):
    """Notices to insert or replace by id, and deliveries to insert unless they are there."""

    notices: Sequence[Notice] = ()
    deliveries: Sequence[NoticeDelivery] = ()


Decide = Callable[[Board], BoardChange]
"""Decides a change from what is on record; it is pure, because it may run more than once."""
