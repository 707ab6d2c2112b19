"""Findings become notices: ids, cooldown, escalation, quiet hours, caps, arming and mutes."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from trinetra.alerts.handling import acknowledged
from trinetra.alerts.policy import (
    AlertPolicy,
    Recipient,
    close_idle,
    decide,
    default_severities,
    reason_to_skip,
)
from trinetra.alerts.rules.plan import AlertPlan, RulePlan
from trinetra.alerts.rules.signal import Signal
from trinetra.alerts.schedule import Schedule
from trinetra.alerts.wording import words_of
from trinetra.events.alert_messages import document_of, text_of
from trinetra.events.alerts import (
    RULES,
    Arming,
    Board,
    BoardChange,
    Controls,
    Mute,
    Notice,
    NoticeDelivery,
    Outgoing,
    RuleName,
    Severity,
)
from trinetra.opening_hours import OpeningHours, OpenSpan
from trinetra.values import CameraId, CustomerId, SiteId

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
NIGHT = OpeningHours(tuple(OpenSpan(day, 22 * 60, 31 * 60) for day in range(7)), "Europe/Berlin")
DOOR = CameraId("door")


def plan(severity: Severity = "warning") -> AlertPlan:
    return AlertPlan({rule: RulePlan(severity, cooldown_s=300.0) for rule in RULES})


def policy(*recipients: Recipient, severity: Severity = "warning") -> AlertPolicy:
    return AlertPolicy(
        SiteId("shop"),
        "Europe/Berlin",
        plan(severity),
        recipients or (Recipient("ann", ("mail",)),),
        tells_closings=frozenset({"home"}),
    )


def signal(seconds: float = 0.0, rule: RuleName = "vip", **changes: object) -> Signal:
    at = NOON + timedelta(seconds=seconds)
    fields: dict = {"rule": rule, "subject": "s1", "at": at, "camera_id": DOOR}
    return Signal(**fields | changes)


def run(
    signals: Iterable[Signal],
    rules: AlertPolicy | None = None,
    before: Notice | None = None,
    controls: Controls | None = None,
    now: datetime = NOON,
) -> BoardChange:
    board = Board(latest={before.key: before} if before else {}, controls=controls or Controls())
    return decide(list(signals), board, rules or policy(), now)


def only(change: BoardChange) -> Notice:
    assert len(change.notices) == 1
    return change.notices[0]


def test_the_same_finding_has_the_same_ids_whenever_it_is_read() -> None:
    one, two = run([signal()]), run([signal()], now=NOON + timedelta(seconds=9))
    assert only(one).alert_id == only(two).alert_id
    assert [d.delivery_id for d in one.deliveries] == [d.delivery_id for d in two.deliveries]


def test_a_finding_that_is_read_again_changes_nothing() -> None:
    before = only(run([signal()]))
    assert run([signal()], before=before) == BoardChange()


def test_findings_within_the_cooldown_are_one_notice_and_one_message() -> None:
    change = run([signal(0), signal(100), signal(299)])
    assert (only(change).count, len(change.deliveries)) == (3, 1)
    later = run([signal(300)], before=only(change))
    assert only(later).alert_id != only(change).alert_id
    assert len(later.deliveries) == 1


def test_a_condition_is_one_notice_until_it_is_over() -> None:
    begun = only(run([signal(lasting=True)]))
    still = only(run([signal(9999, lasting=True)], before=begun))
    assert (still.alert_id, still.state) == (begun.alert_id, "open")
    over = only(run([signal(10_000, is_over=True)], before=still))
    assert over.state == "closed"


def test_a_condition_that_flickers_is_told_once() -> None:
    begun = run([signal(lasting=True)])
    over = only(run([signal(60, is_over=True)], before=only(begun)))
    back = run([signal(120, lasting=True)], before=over)
    assert (only(back).alert_id, only(back).state) == (only(begun).alert_id, "open")
    assert back.deliveries == ()
    later = run([signal(60 + 301, lasting=True)], before=over)
    assert only(later).alert_id != only(begun).alert_id


def test_the_end_of_what_nobody_was_told_is_no_news() -> None:
    assert run([signal(is_over=True)]) == BoardChange()


def test_channels_that_show_states_hear_of_every_change() -> None:
    rules = policy(Recipient("ann", ("home", "mail")))
    begun = run([signal(lasting=True)], rules)
    over = run([signal(60, is_over=True)], rules, only(begun))
    back = run([signal(90, lasting=True)], rules, only(over))

    def steps(change: BoardChange) -> list[tuple[str, str]]:
        return [(d.channel, d.step) for d in change.deliveries]

    assert steps(begun) == [("home", "raised"), ("mail", "raised")]
    assert steps(over) == [("home", "closed")]
    assert steps(back) == [("home", "raised")]
    ids = [d.delivery_id for change in (begun, over, back) for d in change.deliveries]
    assert len(set(ids)) == len(ids)


def test_what_happened_long_ago_is_listed_but_not_sent() -> None:
    change = run([signal()], now=NOON + timedelta(days=3))
    assert (only(change).state, change.deliveries) == ("closed", ())


@pytest.mark.parametrize(
    ("severity", "rules", "is_told"),
    [
        ("info", frozenset(), False),
        ("warning", frozenset(), True),
        ("critical", frozenset(), True),
        ("critical", frozenset({"latency"}), False),
        ("critical", frozenset({"vip"}), True),
    ],
)
def test_a_recipient_is_told_what_concerns_them(
    severity: Severity, rules: frozenset[RuleName], *, is_told: bool
) -> None:
    ann = Recipient("ann", ("mail",), rules=rules, min_severity="warning")
    assert bool(run([signal()], policy(ann, severity=severity)).deliveries) == is_told


def test_quiet_hours_hold_a_message_back_until_they_end() -> None:
    quiet = Recipient("ann", ("mail",), schedule=Schedule(quiet=NIGHT))
    now = datetime(2026, 3, 2, 23, tzinfo=UTC)  # midnight in Berlin
    change = run([signal(at=now)], policy(quiet), now=now)
    assert change.deliveries[0].due_at == datetime(2026, 3, 3, 6, tzinfo=UTC)
    assert change.deliveries[0].held
    urgent = run([signal(at=now)], policy(quiet, severity="critical"), now=now)
    assert (urgent.deliveries[0].due_at, urgent.deliveries[0].held) == (now, False)


def test_an_escalation_waits_for_someone_to_acknowledge() -> None:
    boss = Recipient("boss", ("phone",), after_s=600.0)
    change = run([signal()], policy(Recipient("ann", ("mail",)), boss))
    first, second = change.deliveries
    assert (first.held, second.held) == (False, True)
    assert second.due_at == NOON + timedelta(minutes=10)
    notice, late = only(change), NOON + timedelta(minutes=10)
    assert reason_to_skip(Outgoing(second, notice), Controls(), late) is None
    taken = acknowledged(notice, "ann", NOON)
    assert reason_to_skip(Outgoing(second, taken), Controls(), late)
    assert reason_to_skip(Outgoing(first, taken), Controls(), late) is None  # backfill


def test_a_cap_per_day_spares_critical_alerts() -> None:
    ann = Recipient("ann", ("mail",), max_per_day=2)
    signals = [signal(n, subject=f"s{n}") for n in range(4)]
    states = [d.state for d in run(signals, policy(ann)).deliveries]
    assert states == ["waiting", "waiting", "skipped", "skipped"]
    critical = run(signals, policy(ann, severity="critical"))
    assert {d.state for d in critical.deliveries} == {"waiting"}
    board = Board(delivered={"ann": 2})
    assert [d.state for d in decide([signal()], board, policy(ann), NOON).deliveries] == ["skipped"]


@pytest.mark.parametrize("rule", RULES)
def test_disarmed_means_that_intruders_are_only_listed(rule: RuleName) -> None:
    disarmed = Controls(arming=Arming(armed=False, by="ann", at=NOON))
    change = run([signal(rule=rule)], controls=disarmed)
    is_intruder = rule in {"after_hours", "loitering", "tailgating", "wrong_direction"}
    assert only(change).state == "open"
    assert bool(change.deliveries) != is_intruder


def test_a_mute_silences_its_subject_while_it_lasts() -> None:
    mute = Mute(rule="vip", subject="s1", until=NOON + timedelta(hours=1), by="ann", at=NOON)
    controls = Controls(mutes=(mute,))
    assert run([signal()], controls=controls).deliveries == ()
    assert run([signal(subject="s2")], controls=controls).deliveries
    assert run([signal(at=mute.until)], controls=controls, now=mute.until).deliveries


def test_idle_notices_are_closed_unless_their_condition_may_hold() -> None:
    event, lasting = only(run([signal()])), only(run([signal(lasting=True, subject="s2")]))
    board = Board(selected=(event, lasting, replace(lasting, state="acknowledged")))
    assert [n.state for n in close_idle(board, NOON).notices] == ["closed", "closed"]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_says_what_happened_and_what_to_do(rule: RuleName) -> None:
    facts = {"camera": "door", "people": 1, "minutes": 1.0, "line": "in", "direction": "in"}
    for given in ({}, facts):
        words = words_of(signal(rule=rule, facts=given))
        assert words.title
        assert words.message.endswith(".")
        assert words.advice.endswith(".")
    assert rule in default_severities()


def message(**changes: object) -> Outgoing:
    about = signal(person=CustomerId("cust-1"), subject="cust-1", private="KA-01-*", **changes)
    change = run([about])
    delivery = change.deliveries[0]
    assert isinstance(delivery, NoticeDelivery)
    return Outgoing(delivery, only(change))


@pytest.mark.parametrize("rule", ["watchlist", "vip", "plate_watchlist", "impossible_transition"])
def test_nobody_is_named_on_a_channel_that_may_not(rule: RuleName) -> None:
    outgoing = message(rule=rule)
    secret = str(document_of(outgoing)) + text_of(outgoing)
    assert "cust-1" not in secret
    assert "KA-01" not in secret
    told = str(document_of(outgoing, tells_people=True, name="Ann Lee"))
    assert "cust-1" in told
    assert "Ann Lee" in told
    assert "KA-01" in text_of(outgoing, tells_people=True, name="Ann Lee")
