"""Decides what becomes of findings: new notices or old ones, and who is told when.

A notice gathers what its rule finds about one subject within the cooldown. Its id follows from
rule, subject and first finding, so that findings that are read again after a crash change nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from trinetra.alerts.handling import closed
from trinetra.alerts.rules.plan import AlertPlan, RulePlan
from trinetra.alerts.rules.signal import Signal
from trinetra.alerts.schedule import Schedule
from trinetra.alerts.wording import words_of
from trinetra.events.alerts import (
    SEVERITIES,
    Board,
    BoardChange,
    Controls,
    Notice,
    NoticeDelivery,
    NoticeKey,
    Outgoing,
    RuleName,
    Severity,
    Step,
)
from trinetra.values import Instant, SiteId, after, derive_id, seconds_between

INTRUSION_RULES: frozenset[RuleName] = frozenset(
    {"after_hours", "loitering", "tailgating", "wrong_direction"}
)
"""Rules whose alerts are sent only while alerts are armed."""
IDLE_S = 86_400.0
"""A notice about an event is closed by itself this long after its last event."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is told what, where and when.

    Without ``rules`` of all. ``after_s`` is how long a notice must be open first: an escalation.
    ``critical_any_time``: critical notices ignore the schedule and the cap.
    """

    recipient_id: str
    channels: tuple[str, ...]
    rules: frozenset[RuleName] = frozenset()
    min_severity: Severity = "info"
    schedule: Schedule = field(default_factory=Schedule)
    critical_any_time: bool = True
    max_per_day: int = 100
    after_s: float = 0.0

    def wants(self, notice: Notice) -> bool:
        """Return whether this recipient is told of such notices."""
        is_enough = SEVERITIES.index(notice.severity) >= SEVERITIES.index(self.min_severity)
        return is_enough and (not self.rules or notice.rule in self.rules)


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """What becomes of findings at a site.

    ``tells_closings`` are the channels that also hear that a notice is closed. What happened longer
    than ``sends_within_s`` ago, say before this service was installed, is listed but not sent.
    """

    site_id: SiteId
    timezone: str
    plan: AlertPlan
    recipients: tuple[Recipient, ...] = ()
    tells_closings: frozenset[str] = frozenset()
    sends_within_s: float = 12 * 3600.0


def decide(
    signals: Sequence[Signal], board: Board, policy: AlertPolicy, now: Instant
) -> BoardChange:
    """Return the notices and deliveries that findings lead to."""
    desk = _Decision(policy, board.controls, now, Counter(board.delivered))
    latest = dict(board.latest)
    changed: dict[str, Notice] = {}
    deliveries: list[NoticeDelivery] = []
    for signal in sorted(signals, key=lambda each: each.at):
        notice, sent = desk.take(signal, latest.get(signal.key))
        if notice is not None:
            latest[signal.key] = changed[notice.alert_id] = notice
            deliveries += sent
    return BoardChange(notices=tuple(changed.values()), deliveries=tuple(deliveries))


def close_idle(board: Board, now: Instant) -> BoardChange:
    """Return the selected notices as closed, except those about conditions that may still hold."""
    idle = [n for n in board.selected if not n.lasting or n.state == "acknowledged"]
    return BoardChange(notices=tuple(closed(notice, now) for notice in idle))


def reason_to_skip(outgoing: Outgoing, controls: Controls, now: Instant) -> str | None:
    """Return why a delivery that was held back is no longer of use; None if it is to be sent."""
    delivery, notice = outgoing
    if not delivery.held:
        return None
    if notice.state != "open":
        return f"it was {notice.state} before this was due"
    return "muted" if controls.is_muted(notice.key, now) else None


_Taken = tuple[Notice | None, Sequence[NoticeDelivery]]


@dataclass(slots=True)
class _Decision:
    """One run of ``decide``: what holds for all of its findings."""

    policy: AlertPolicy
    controls: Controls
    now: Instant
    delivered: Counter[str]

    def take(self, signal: Signal, before: Notice | None) -> _Taken:
        if signal.is_over:
            return self._end(signal, before)
        rule = self.policy.plan.rules.get(signal.rule)
        if rule is None:
            return None, ()
        if before is not None and signal.at <= before.last_at:
            return None, ()  # read again
        if before is None or _starts_anew(signal, before, rule.cooldown_s):
            return self._raise(signal, rule)
        return self._repeat(signal, before)

    def _end(self, signal: Signal, before: Notice | None) -> _Taken:
        if before is None or before.state == "closed" or signal.at < before.raised_at:
            return None, ()
        notice = replace(closed(before, self.now), last_at=max(before.last_at, signal.at))
        return notice, list(self._closings(notice))

    def _raise(self, signal: Signal, rule: RulePlan) -> _Taken:
        words = words_of(signal)
        notice = Notice(
            alert_id=derive_id("alert", self.policy.site_id, *signal.key, signal.at),
            site_id=self.policy.site_id,
            rule=signal.rule,
            subject=signal.subject,
            severity=rule.severity,
            title=words.title,
            message=words.message,
            advice=words.advice,
            raised_at=signal.at,
            last_at=signal.at,
            changed_at=self.now,
            camera_id=signal.camera_id,
            lasting=signal.lasting,
            person=signal.person,
            private=signal.private,
            facts=dict(signal.facts),
        )
        if seconds_between(signal.at, self.now) > self.policy.sends_within_s:
            return (notice if signal.lasting else closed(notice, self.now)), ()
        return notice, list(self._first(notice))

    def _repeat(self, signal: Signal, before: Notice) -> _Taken:
        is_back = signal.lasting and before.state == "closed"
        notice = replace(
            before,
            last_at=signal.at,
            count=before.count + 1,
            lasting=before.lasting or signal.lasting,
            message=words_of(signal).message,
            facts=dict(signal.facts),
        )
        if not is_back:
            return notice, ()
        notice = replace(notice, state="open", by="", changed_at=self.now)
        return notice, list(self._states(notice, "raised"))

    # --- deliveries ---------------------------------------------------------------------------

    def _silenced(self, key: NoticeKey) -> bool:
        is_disarmed = key.rule in INTRUSION_RULES and not self.controls.armed
        return is_disarmed or self.controls.is_muted(key, self.now)

    def _first(self, notice: Notice) -> Iterator[NoticeDelivery]:
        """Yield what is sent about a new notice."""
        if self._silenced(notice.key):
            return
        for recipient in self.policy.recipients:
            if recipient.wants(notice):
                for channel in recipient.channels:
                    yield self._message(notice, recipient, channel)

    def _closings(self, notice: Notice) -> Iterator[NoticeDelivery]:
        if notice.lasting:
            yield from self._states(notice, "closed")

    def _states(self, notice: Notice, step: Step) -> Iterator[NoticeDelivery]:
        """Yield the change of a state, for channels that show it."""
        if self._silenced(notice.key) and step == "raised":
            return
        for recipient in self.policy.recipients:
            if recipient.wants(notice):
                for channel in recipient.channels:
                    if channel in self.policy.tells_closings:
                        yield self._delivery(notice, recipient, channel, step, self.now)

    def _message(self, notice: Notice, recipient: Recipient, channel: str) -> NoticeDelivery:
        wanted = after(self.now, recipient.after_s)
        is_urgent = notice.severity == "critical" and recipient.critical_any_time
        due = wanted if is_urgent else recipient.schedule.next_allowed(wanted)
        message = self._delivery(notice, recipient, channel, "raised", due or wanted)
        if due is None:
            return _skipped(message, "outside the hours of this recipient", self.now)
        if not is_urgent and self.delivered[recipient.recipient_id] >= recipient.max_per_day:
            problem = f"more than {recipient.max_per_day} messages on this day"
            return _skipped(message, problem, self.now)
        self.delivered[recipient.recipient_id] += 1
        return message

    def _delivery(
        self, notice: Notice, recipient: Recipient, channel: str, step: Step, due: Instant
    ) -> NoticeDelivery:
        parts = notice.alert_id, recipient.recipient_id, channel, step, notice.count
        return NoticeDelivery(
            delivery_id=derive_id("msg", *parts),
            alert_id=notice.alert_id,
            channel=channel,
            recipient=recipient.recipient_id,
            step=step,
            created_at=self.now,
            due_at=due,
            held=due > self.now,
        )


def _skipped(delivery: NoticeDelivery, problem: str, now: Instant) -> NoticeDelivery:
    return replace(delivery, state="skipped", problem=problem, settled_at=now)


def _starts_anew(signal: Signal, before: Notice, cooldown_s: float) -> bool:
    """Return whether a finding is a notice of its own, instead of one more event of the last."""
    if not signal.lasting:
        return seconds_between(before.raised_at, signal.at) >= cooldown_s
    is_over = before.state == "closed"
    return is_over and seconds_between(before.last_at, signal.at) >= cooldown_s


def keys_of(signals: Sequence[Signal]) -> frozenset[NoticeKey]:
    """Return the rules and subjects that findings are about."""
    return frozenset(signal.key for signal in signals)


def default_severities() -> Mapping[RuleName, Severity]:
    """Return how severe each rule is unless the site file says otherwise."""
    return _SEVERITIES


_SEVERITIES: Mapping[RuleName, Severity] = {
    "watchlist": "critical",
    "vip": "info",
    "plate_watchlist": "critical",
    "impossible_transition": "warning",
    "queue_length": "warning",
    "queue_wait": "warning",
    "occupancy": "critical",
    "loitering": "warning",
    "after_hours": "critical",
    "tailgating": "warning",
    "wrong_direction": "warning",
    "camera_offline": "critical",
    "camera_frozen": "critical",
    "camera_covered": "warning",
    "camera_moved": "warning",
    "frames_dropped": "warning",
    "latency": "warning",
    "drift": "info",
    "index_unavailable": "critical",
    "figure_incomplete": "info",
}
