"""Which insights and metrics call for a notice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trinetra.alerts.partition import AlertPartition
from trinetra.alerts.rules.health import HealthRules
from trinetra.alerts.rules.plan import AlertPlan, RulePlan
from trinetra.alerts.rules.reported import reported
from trinetra.alerts.rules.signal import Signal
from trinetra.events.alerts import NoticeKey, RuleName
from trinetra.events.schema import (
    AlertEvent,
    CameraCoverage,
    InsightEvent,
    LineCrossing,
    Occupancy,
    SiteOccupancy,
)
from trinetra.opening_hours import OpeningHours, OpenSpan
from trinetra.ports import Sample
from trinetra.values import CameraId, CustomerId, EventId, Instant, SiteId, TrackId

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
TILL = CameraId("till")
DAY = OpeningHours(tuple(OpenSpan(day, 9 * 60, 20 * 60) for day in range(6)), "UTC")
RULES: dict[RuleName, RulePlan] = {
    "watchlist": RulePlan("critical"),
    "plate_watchlist": RulePlan("critical"),
    "index_unavailable": RulePlan("critical", for_s=15.0),
    "queue_length": RulePlan("warning", limit=6, for_s=60.0),
    "queue_wait": RulePlan("warning"),
    "occupancy": RulePlan("critical", limit=50, for_s=30.0),
    "loitering": RulePlan("warning"),
    "after_hours": RulePlan("critical", for_s=10.0),
    "tailgating": RulePlan("warning", limit=2.0),
    "wrong_direction": RulePlan("warning"),
    "camera_offline": RulePlan("critical", for_s=60.0),
    "camera_covered": RulePlan("warning", for_s=20.0),
    "frames_dropped": RulePlan("warning", limit=0.1, for_s=120.0),
    "latency": RulePlan("warning", limit=5.0, for_s=300.0),
    "figure_incomplete": RulePlan("info", limit=600.0),
}
PLAN = AlertPlan(
    RULES,
    queues=frozenset({(TILL, "queue")}),
    cameras=frozenset({TILL}),
    crowded={(TILL, "hall"): 3},
    tailgating=frozenset({(TILL, "gate")}),
    one_way={(TILL, "gate"): "out"},
    live=frozenset({TILL}),
    hours=DAY,
    grace_s=1800.0,
)


def header(at: Instant, camera: str = "till") -> dict:
    return {
        "event_id": EventId(f"e{at.timestamp()}"),
        "site_id": SiteId("shop"),
        "camera_id": CameraId(camera),
        "captured_at": at,
    }


def at(seconds: float) -> Instant:
    return NOON + timedelta(seconds=seconds)


def people(count: int, seconds: float, zone: str | None = "queue", **more: object) -> Occupancy:
    return Occupancy(**header(at(seconds)), zone_id=zone, persons=count, **more)


def crossing(seconds: float, track: str, direction: str = "in", **more: object) -> LineCrossing:
    fields = {"line_id": "gate", "track_id": TrackId(track), "label": "person"}
    return LineCrossing(**header(at(seconds)), **fields, direction=direction, **more)


def told(partition: AlertPartition, *events: InsightEvent) -> list[Signal]:
    found = [signal for event in events for signal in partition.step(event)]
    return [signal for signal in found if not signal.is_over]


def rules_of(signals: list[Signal]) -> list[str]:
    return [signal.rule for signal in signals if not signal.is_over]


def test_a_queue_must_be_long_for_a_while() -> None:
    partition = AlertPartition(PLAN)
    assert told(partition, people(6, 0), people(5, 50), people(6, 55), people(7, 100)) == []
    found = told(partition, people(8, 116))
    assert rules_of(found) == ["queue_length"]
    assert (found[0].at, found[0].facts["people"]) == (at(115), 8)
    assert told(partition, people(9, 200)) == []
    over = partition.step(people(5, 210))
    assert [(s.rule, s.is_over) for s in over] == [("queue_length", True)]


def test_a_queue_that_says_nothing_more_is_told_by_the_clock() -> None:
    partition = AlertPartition(PLAN)
    told(partition, people(6, 0))
    assert rules_of(partition.look(at(59))) == []
    assert rules_of(partition.look(at(61))) == ["queue_length"]
    assert rules_of(partition.look(at(62))) == []


def test_of_a_camera_that_is_not_live_the_clock_knows_nothing() -> None:
    partition = AlertPartition(PLAN)
    told(partition, people(6, 0))
    assert partition.look(at(9999)) == []


def test_a_condition_goes_on_in_the_process_that_takes_over() -> None:
    partition, next_owner = AlertPartition(PLAN), AlertPartition(PLAN)
    told(partition, people(6, 0))
    state = {key: value for key, value in partition.changes().items() if value}
    assert partition.changes() == {}
    assert next_owner.resume({**state, "bad": b"{"}).keys() == {"bad"}
    assert rules_of(next_owner.look(at(61))) == ["queue_length"]


def test_the_shop_and_zones_have_limits() -> None:
    partition = AlertPartition(PLAN)
    inside = SiteOccupancy(**header(at(0), ""), until=at(9), people=50)
    later = SiteOccupancy(**header(at(31), ""), until=at(99), people=51)
    assert rules_of(told(partition, inside, later)) == ["occupancy"]
    hall = told(partition, people(3, 0, "hall"), people(4, 31, "hall"))
    assert [(s.rule, s.subject) for s in hall] == [("occupancy", "till/hall")]


@pytest.mark.parametrize(
    ("hour", "is_told"), [(12, False), (8.7, False), (20.4, False), (20.6, True), (3, True)]
)
def test_people_in_the_closed_shop_are_told(hour: float, *, is_told: bool) -> None:
    seconds = (hour - 12) * 3600
    partition = AlertPartition(PLAN)
    found = told(partition, people(1, seconds, None), people(2, seconds + 11, None))
    assert rules_of(found) == (["after_hours"] if is_told else [])


def test_one_who_stays_until_after_hours_is_told_as_time_passes() -> None:
    partition = AlertPartition(PLAN)
    closing = (20 - 12) * 3600
    told(partition, people(1, closing + 1790, None))
    assert rules_of(partition.look(at(closing + 1795))) == []
    partition.look(at(closing + 1801))
    assert rules_of(partition.look(at(closing + 1812))) == ["after_hours"]


def test_long_stays_and_waits_are_told_as_the_insight_engine_reports_them() -> None:
    def alert(rule: str) -> AlertEvent:
        said = {"severity": "warning", "message": "m", "detail": {"zone": "a", "minutes": 10.0}}
        return AlertEvent(**header(at(0)), rule=rule, **said)

    [stay] = reported(PLAN, alert("long_stay"))
    assert (stay.rule, stay.subject, stay.facts["minutes"]) == ("loitering", "till/a", 10.0)
    [wait] = reported(PLAN, alert("long_wait"))
    assert (wait.rule, wait.subject) == ("queue_wait", "till/a")


def test_a_rule_that_is_gone_leaves_no_condition_behind() -> None:
    partition = AlertPartition(PLAN)
    assert rules_of(told(partition, people(9, 0), people(9, 61))) == ["queue_length"]
    partition.change(replace(PLAN, queues=frozenset()))
    assert told(partition, people(9, 70)) == []
    partition.change(PLAN)
    assert rules_of(told(partition, people(9, 80), people(9, 141))) == ["queue_length"]


@pytest.mark.parametrize(
    ("rule", "subject", "concerned"),
    [
        ("queue_length", "till/queue", True),
        ("queue_length", "till/hall", False),
        ("occupancy", "site", True),
        ("occupancy", "till/hall", True),
        ("occupancy", "till/queue", False),
        ("camera_offline", "till", True),
        ("camera_offline", "sold", False),
        ("latency", "results", True),
        ("drift", "till/sharpness", False),
    ],
)
def test_rules_are_about_what_the_site_has(rule: RuleName, subject: str, concerned: bool) -> None:
    assert PLAN.concerns(NoticeKey(rule, subject)) is concerned


def test_a_second_person_right_behind_the_first_is_told() -> None:
    partition = AlertPartition(PLAN)
    assert told(partition, crossing(0, "a"), crossing(1.9, "a"), crossing(9, "b")) == []
    assert rules_of(told(partition, crossing(10.5, "c"))) == ["tailgating"]
    assert told(partition, crossing(14, "d"), crossing(15, "e", revision=1)) == []


def test_the_wrong_way_is_told_once() -> None:
    found = told(AlertPartition(PLAN), crossing(0, "a", "out"), crossing(9, "b", "in"))
    assert rules_of(found) == ["wrong_direction"]


def test_a_camera_that_shows_nothing_is_offline() -> None:
    partition = AlertPartition(PLAN)
    told(partition, people(0, 0, None, unseen=True))
    assert rules_of(partition.look(at(61))) == ["camera_offline"]
    over = partition.step(people(0, 80, None))
    assert [(s.rule, s.is_over) for s in over if s.rule == "camera_offline"] == [
        ("camera_offline", True)
    ]


def test_time_without_a_watch_counts_within_opening_hours() -> None:
    def watched(begun_s: float, ended_s: float) -> CameraCoverage:
        return CameraCoverage(**header(at(ended_s)), started_at=at(begun_s), frames=9)

    partition = AlertPartition(PLAN)
    assert told(partition, watched(0, 60), watched(0, 120), watched(700, 760)) == []
    found = told(partition, watched(1400, 1460))
    assert rules_of(found) == ["figure_incomplete"]
    assert found[0].facts["minutes"] == pytest.approx(640 / 60)
    evening, morning = (20 - 12) * 3600, (33 - 12) * 3600
    assert rules_of(told(partition, watched(1460, evening))) == []
    assert rules_of(told(partition, watched(morning + 60, morning + 120))) == []


def test_alert_events_belong_to_rules() -> None:
    def event(rule: str, **more: object) -> AlertEvent:
        text = {"rule": rule, "severity": "critical", "message": "m"}
        return AlertEvent(**header(NOON), **text, **more)

    (person,) = reported(PLAN, event("watchlist", customer_id=CustomerId("c1")))
    assert (person.subject, person.person) == ("c1", "c1")
    (plate,) = reported(PLAN, event("plate_watchlist", detail={"entry": "KA-01-*"}))
    assert (plate.private, plate.facts) == ("KA-01-*", {"camera": "till"})
    (index,) = reported(PLAN, event("gallery_unavailable"))
    assert index.key == ("index_unavailable", "gallery")
    assert reported(PLAN, event("vip")) == []  # switched off
    assert reported(PLAN, event("of_a_later_version")) == []


# --- health -----------------------------------------------------------------------------------


def state(name: str, camera: str = "till") -> list[Sample]:
    labels = {"camera": camera}
    return [
        Sample("trinetra_camera_state", {**labels, "state": each}, float(each == name))
        for each in ("streaming", "stalled", "backoff")
    ]


def test_a_camera_is_offline_after_a_while_and_back_at_once() -> None:
    health = HealthRules(PLAN)
    first = health.read(at(0), state("backoff"))
    assert rules_of(first) == []
    assert rules_of(health.read(at(59), state("stalled"))) == []
    found = health.read(at(61), state("backoff"))
    assert rules_of(found) == ["camera_offline"]
    assert found[0].facts["state"] == "backoff"
    assert [s.is_over for s in health.read(at(66), state("streaming"))] == [True]


def test_what_a_standby_does_not_read_is_not_offline() -> None:
    health = HealthRules(PLAN)
    both = [*state("backoff"), *state("streaming")]
    assert all(rules_of(health.read(at(n * 50), both)) == [] for n in range(4))


def test_a_restart_closes_what_was_told_before_it() -> None:
    assert [(s.rule, s.is_over) for s in HealthRules(PLAN).read(at(0), state("streaming"))] == [
        ("camera_offline", True)
    ]


def test_a_share_of_lost_pictures_is_told_and_ends() -> None:
    def counters(sampled: float, *dropped: float) -> list[Sample]:
        lost = [
            Sample("trinetra_frames_dropped_total", {"camera": "till", "reason": str(i)}, value)
            for i, value in enumerate(dropped)
        ]
        return [Sample("trinetra_frames_sampled_total", {"camera": "till"}, sampled), *lost]

    health = HealthRules(PLAN)
    assert rules_of(health.read(at(0), counters(1000, 500, 0))) == []
    assert rules_of(health.read(at(60), counters(1300, 510, 10))) == []
    assert rules_of(health.read(at(90), counters(1400, 530, 40))) == ["frames_dropped"]
    restarted = health.read(at(120), counters(10, 5, 0))
    assert [s.is_over for s in restarted] == [True]


def test_late_results_are_told() -> None:
    def ages(*counts: float) -> list[Sample]:
        edges = ("1.0", "5.0", "10.0", "+Inf")
        return [
            Sample("trinetra_identity_age_seconds_bucket", {"camera": "till", "le": edge}, count)
            for edge, count in zip(edges, counts, strict=True)
        ]

    health = HealthRules(PLAN)
    health.read(at(0), ages(0, 0, 0, 0))
    assert rules_of(health.read(at(60), ages(990, 995, 1000, 1000))) == []
    found = health.read(at(120), ages(1500, 1520, 1600, 1600))
    assert rules_of(found) == ["latency"]
    assert found[0].facts["p99_s"] == 10.0


@pytest.mark.parametrize(("value", "is_told"), [(0.0, True), (1.0, False), (float("nan"), False)])
def test_an_index_that_does_not_answer_is_told(value: float, *, is_told: bool) -> None:
    health = HealthRules(PLAN)
    samples = [Sample("trinetra_gallery_up", {}, value)]
    health.read(at(0), samples)
    found = rules_of(health.read(at(16), samples))
    assert found == (["index_unavailable"] if is_told else [])


def test_a_covered_camera_is_told() -> None:
    def covered(value: float) -> list[Sample]:
        labels = {"camera": "till", "problem": "covered"}
        return [Sample("trinetra_camera_picture", labels, value)]

    health = HealthRules(PLAN)
    health.read(at(0), covered(1.0))
    assert rules_of(health.read(at(21), covered(1.0))) == ["camera_covered"]
    assert [s.is_over for s in health.read(at(25), covered(0.0))] == [True]
