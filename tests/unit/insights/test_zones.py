"""Stays: one per person and visit to a zone, whatever the tracker does."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import CAMERA, at, frame, identity, latest, machine, play, position

from trinetra.events.schema import AlertEvent, Occupancy, TracksEvent, ZoneStay
from trinetra.insights.camera.scene import scene_of
from trinetra.insights.camera.zones import Stay, ZoneWatch
from trinetra.insights.config import CameraInsights, InsightPolicy, StayLimit, Zone
from trinetra.insights.partitions import CameraPartition
from trinetra.insights.snapshot import decode_camera
from trinetra.values import IdentityKind, TrackId

TABLE = Zone("table", ((0.4, 0.4), (0.6, 0.4), (0.6, 0.9), (0.4, 0.9)), min_dwell_s=1.0)
PLAN = CameraInsights(zones=(TABLE,))
IN, BESIDE, AWAY = (0.5, 0.7), (0.55, 0.75), (0.1, 0.7)
FAR_IN = (0.5, 0.41)
FAST = 0.1


def stand(
    track: str, start: float, end: float, foot: tuple[float, float] = IN
) -> list[TracksEvent]:
    count = round((end - start) / FAST)
    return [frame(start + i * FAST, {track: foot}) for i in range(count + 1)]


def empty(start: float, end: float) -> list[TracksEvent]:
    return [frame(start + i * FAST) for i in range(round((end - start) / FAST) + 1)]


def stays(events: list, policy: InsightPolicy | None = None) -> list[ZoneStay]:
    return latest(play(machine(PLAN, policy), events), ZoneStay)


def test_a_stay_lasts_from_the_first_to_the_last_instant_inside() -> None:
    (stay,) = stays([*stand("a", 0, 2, AWAY), *stand("a", 2.1, 7.1), *stand("a", 7.2, 10, AWAY)])
    assert (stay.zone_id, stay.track_id, stay.label) == ("table", "a", "person")
    assert (stay.entered_at, stay.captured_at, stay.dwell_s) == (at(2.1), at(7.1), 5.0)


def test_passing_through_is_no_stay() -> None:
    assert stays([*stand("a", 0, 0.8), *stand("a", 0.9, 4, AWAY)]) == []


def test_a_step_outside_shorter_than_the_grace_does_not_end_a_stay() -> None:
    (stay,) = stays([*stand("a", 0, 3), *stand("a", 3.1, 4.4, AWAY), *stand("a", 4.5, 6)])
    assert stay.dwell_s == 6.0


def test_a_longer_absence_makes_two_stays() -> None:
    found = stays([*stand("a", 0, 3), *stand("a", 3.1, 5, AWAY), *stand("a", 5.1, 8)])
    assert [stay.dwell_s for stay in found] == pytest.approx([3.0, 2.9])


def test_frames_so_rare_that_the_grace_falls_between_two_do_not_cut_a_stay() -> None:
    (stay,) = stays([frame(t, {"a": IN}) for t in (0, 4, 8, 12)])
    assert stay.dwell_s == 12.0


def test_a_single_wrong_box_in_the_zone_is_neither_a_stay_nor_occupancy() -> None:
    beside = [frame(i * FAST, {"a": IN if i % 50 == 25 else AWAY}) for i in range(300)]
    zone = CameraInsights(zones=(Zone("table", TABLE.polygon),))
    outputs = play(machine(zone), beside)
    assert latest(outputs, ZoneStay) == []
    assert {o.persons for o in outputs if isinstance(o, Occupancy) and o.zone_id} == {0}


def test_a_single_wrong_box_outside_the_zone_does_not_change_its_occupancy() -> None:
    inside = [frame(i * FAST, {"a": AWAY if i % 50 == 25 else IN}) for i in range(300)]
    outputs = play(machine(PLAN), inside)
    counts = [o.persons for o in outputs if isinstance(o, Occupancy) and o.zone_id and not o.unseen]
    assert counts == [1]
    assert len(latest(outputs, ZoneStay)) == 1


def test_someone_who_comes_in_counts_from_the_second_look_on() -> None:
    coming = [frame(t, {"a": IN if t >= 2 else AWAY}) for t in range(5)]
    outputs = play(machine(PLAN), coming)
    zone = [o for o in outputs if isinstance(o, Occupancy) and o.zone_id and not o.unseen]
    assert [(o.captured_at, o.persons) for o in zone] == [(at(0), 0), (at(3), 1)]
    (stay,) = latest(outputs, ZoneStay)
    assert (stay.entered_at, stay.dwell_s) == (at(2), 2.0)


def test_an_open_stay_ends_at_its_last_sighting_when_the_engine_stops() -> None:
    (stay,) = stays(stand("a", 0, 3))
    assert stay.captured_at == at(3)


def test_a_stay_goes_on_in_a_new_track_near_by() -> None:
    (stay,) = stays([*stand("a", 0, 3), *empty(3.1, 5), *stand("b", 5.1, 8, BESIDE)])
    assert (stay.track_id, stay.dwell_s) == ("a", 8.0)


def test_a_new_track_too_late_or_of_another_label_begins_a_stay_of_its_own() -> None:
    late = [*stand("a", 0, 3), *empty(3.1, 6.4), *stand("b", 6.5, 8)]
    assert [stay.track_id for stay in stays(late)] == ["a", "b"]
    dog = [frame(4 + i * FAST, {"b": IN}, label="dog") for i in range(20)]
    assert [stay.label for stay in stays([*stand("a", 0, 3), *dog])] == ["person", "dog"]


def test_a_new_track_elsewhere_in_the_zone_is_someone_else() -> None:
    policy = InsightPolicy(bridge_boxes=0.5)
    found = stays([*stand("a", 0, 3), *stand("b", 3.5, 6, FAR_IN)], policy)
    assert [stay.track_id for stay in found] == ["a", "b"]


def test_two_who_are_seen_at_once_are_two_although_one_is_missed_for_a_moment() -> None:
    events = [frame(i * FAST, {"a": IN, "b": BESIDE}) for i in range(30)]
    events += stand("b", 3, 4, BESIDE)
    events += [frame(4.1 + i * FAST, {"a": IN, "b": BESIDE}) for i in range(30)]
    found = {stay.track_id: stay.dwell_s for stay in stays(events)}
    assert found == pytest.approx({"a": 7.0, "b": 7.0})


def test_a_track_taken_for_another_is_split_off_when_both_are_seen() -> None:
    events = [*stand("a", 0, 3), *stand("b", 3.5, 4.5, BESIDE)]
    events += [frame(4.6 + i * FAST, {"a": IN, "b": BESIDE}) for i in range(20)]
    found = {stay.track_id: (stay.entered_at, stay.captured_at) for stay in stays(events)}
    assert found == {"a": (at(0), at(6.5)), "b": (at(3.5), at(6.5))}


def test_a_track_that_proves_to_be_another_customer_is_split_off_with_its_time() -> None:
    events = [*stand("a", 0, 3), identity(3, "a", "c1"), *stand("b", 4, 6)]
    events += [identity(6, "b", "c2"), *stand("b", 6.1, 8)]
    found = {stay.customer_id: (stay.entered_at, stay.captured_at) for stay in stays(events)}
    assert found == {"c1": (at(0), at(3)), "c2": (at(4), at(8))}


def test_the_same_customer_goes_on_at_any_distance_when_known_at_once() -> None:
    policy = InsightPolicy(bridge_boxes=0.1)
    known = [frame(4 + i * FAST, [position("b", FAR_IN, customer="c1")]) for i in range(20)]
    (stay,) = stays([*stand("a", 0, 3), identity(3, "a", "c1"), *known], policy)
    assert (stay.track_id, stay.customer_id, stay.entered_at) == ("a", "c1", at(0))


def test_the_same_customer_goes_on_although_known_only_after_the_first_part_was_reported() -> None:
    policy = InsightPolicy(bridge_boxes=0.1)
    events = [*stand("a", 0, 3), identity(3, "a", "c1"), *stand("b", 5, 9, FAR_IN)]
    sent = [
        e
        for e in play(
            machine(PLAN, policy), [*events, identity(9, "b", "c1"), *stand("b", 9.1, 10, FAR_IN)]
        )
        if isinstance(e, ZoneStay)
    ]
    assert len({stay.event_id for stay in sent}) == 1
    assert [(stay.dwell_s, stay.customer_id) for stay in sent] == [(3.0, "c1"), (10.0, "c1")]


def test_a_customer_known_after_the_stay_is_filled_in_under_the_same_id() -> None:
    events = [*stand("a", 0, 3), *empty(3.1, 7), identity(7, "a", "c1")]
    sent = [e for e in play(machine(PLAN), events) if isinstance(e, ZoneStay)]
    assert [stay.customer_id for stay in sent] == [None, "c1"]
    assert sent[0].event_id == sent[1].event_id


def test_a_vehicles_stay_bears_its_label() -> None:
    events = [frame(i * FAST, {"v": IN}, label="car") for i in range(30)]
    assert [stay.label for stay in stays(events)] == ["car"]


def six_visitors(seed: int) -> Iterator[TracksEvent]:
    """Six people, one at a time: walk up, stand 5 to 20 s, leave; tracks break, boxes jitter."""
    dice = random.Random(seed)
    now, track = 0.0, 0
    for _ in range(6):
        track += 1
        path = [AWAY] * 10 + [(0.1 + 0.04 * i, 0.7) for i in range(10)]
        path += [IN] * round(dice.uniform(5, 20) / FAST)
        path += [(0.5 + 0.045 * i, 0.7) for i in range(12)]
        missing = 0
        for foot in path:
            now += FAST
            missing -= 1
            if missing < 0 and dice.random() < 0.02:
                missing = dice.randint(1, 20)
                track += dice.random() < 0.6
            shaken = (foot[0] + dice.gauss(0, 0.006), foot[1] + dice.gauss(0, 0.012))
            yield frame(now, {f"t{track}": shaken} if missing <= 0 else {})
        for _ in range(dice.randint(20, 60)):
            now += FAST
            yield frame(now)


@pytest.mark.parametrize("seed", range(40))
def test_six_visitors_one_at_a_time_make_exactly_six_stays(seed: int) -> None:
    found = stays(list(six_visitors(seed)))
    assert len(found) == 6
    assert all(4 < stay.dwell_s < 23 for stay in found)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.sampled_from([IN, BESIDE, FAR_IN, AWAY])),
        max_size=60,
    ),
    st.sampled_from([0.1, 0.5, 2.0]),
)
def test_whatever_the_tracker_does_stays_are_sound_and_replay_the_same(
    scenes: list[dict[str, tuple[float, float]]], step: float
) -> None:
    events = [frame(i * step, scene) for i, scene in enumerate(scenes)]
    found = stays(events)
    assert found == stays(events)
    for stay in found:
        assert at(0) <= stay.entered_at < stay.captured_at <= events[-1].captured_at
        assert stay.dwell_s >= TABLE.min_dwell_s
    for t in (event.captured_at for event in events):
        at_once = sum(stay.entered_at <= t <= stay.captured_at for stay in found)
        assert at_once <= 3


def test_memory_does_not_grow_with_the_number_of_people_who_came() -> None:
    engine = machine(PLAN)
    for person in range(300):
        for event in [
            *stand(f"p{person}", person * 10, person * 10 + 1),
            identity(person * 10 + 1, f"p{person}", None),
            identity(person * 10 + 1, f"never-seen-{person}", "c"),
        ]:
            engine.step(event)
    (remembered,) = engine.cameras.changes().values()
    memory = decode_camera(remembered)
    for kept in (
        memory.bodies,
        memory.early,
        memory.stays_over,
        memory.reported,
        memory.present,
    ):
        assert len(kept) <= 8
    assert engine.cameras.open_stays <= 1


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from([IN, BESIDE, FAR_IN, AWAY]))
        | st.tuples(st.sampled_from("abcd"), st.sampled_from([None, "c1", "c2"])),
        max_size=60,
    ),
    st.sampled_from([0.4, 1.3]),
)
def test_whatever_is_decided_about_them_stays_keep_a_sound_extent(
    story: list[dict[str, tuple[float, float]] | tuple[str, str | None]], step: float
) -> None:
    events = [
        identity(i * step, *turn) if isinstance(turn, tuple) else frame(i * step, turn)
        for i, turn in enumerate(story)
    ]
    sent = [e for e in play(machine(PLAN), events) if isinstance(e, ZoneStay)]
    for stay in sent:
        assert at(0) <= stay.entered_at < stay.captured_at
        assert stay.dwell_s == pytest.approx((stay.captured_at - stay.entered_at).total_seconds())


# --- limits and counts ------------------------------------------------------------------------


def watch(policy: InsightPolicy | None = None, *more: Zone) -> ZoneWatch:
    return ZoneWatch((TABLE, *more), policy or InsightPolicy())


def look(zones: ZoneWatch, seconds: float, **feet: tuple[float, float]) -> list[Stay]:
    scene = scene_of(frame(seconds, feet))
    return zones.step(scene, list(scene.track_ids))


def test_a_stay_of_just_the_least_dwell_counts() -> None:
    for end, count in ((1.0, 1), (0.9, 0)):
        zones = watch()
        look(zones, 0, a=IN)
        look(zones, end, a=IN)
        assert len(zones.flush()) == count


def test_a_stay_ends_once_the_foot_was_outside_for_just_the_grace() -> None:
    zones = watch(InsightPolicy(leave_after_s=1.5))
    look(zones, 0, a=IN)
    look(zones, 2, a=IN)
    assert look(zones, 2.5, a=AWAY) == []
    assert look(zones, 3.9, a=AWAY) == []
    [stay] = look(zones, 4.0, a=AWAY)
    assert (stay.entered_at, stay.inside_at, stay.dwell_s) == (at(0), at(2), 2.0)


def test_a_stay_of_a_body_that_is_not_seen_ends_after_more_than_the_bridge() -> None:
    zones = watch(InsightPolicy(bridge_s=3.0))
    look(zones, 0, a=IN)
    look(zones, 2, a=IN)
    assert look(zones, 5.0) == []
    [stay] = look(zones, 5.1)
    assert stay.inside_at == at(2)


def test_those_inside_count_for_the_hold_and_those_who_are_out_for_certain_do_not() -> None:
    zones = watch(InsightPolicy(occupancy_hold_s=1.0))
    look(zones, 0, a=IN, b=BESIDE, c=AWAY)
    assert zones.present("table", "person", at(1.0)) == 2
    assert zones.present("table", "person", at(1.1)) == 0
    assert zones.present("table", "person", at(0), frozenset({TrackId("a")})) == 1
    assert zones.present("table", "car", at(0)) == 0
    assert zones.present("elsewhere", "person", at(0)) == 0
    look(zones, 0.2, a=IN, b=AWAY)
    assert zones.present("table", "person", at(0.2)) == 2
    look(zones, 0.7, a=IN, b=AWAY)
    assert zones.present("table", "person", at(0.7)) == 1
    assert zones.open_stays == 2


def test_a_body_is_in_every_zone_that_holds_its_foot() -> None:
    corner = Zone("corner", ((0.5, 0.6), (0.9, 0.6), (0.9, 0.9), (0.5, 0.9)))
    zones = watch(None, corner)
    look(zones, 0, a=(0.55, 0.7), b=(0.8, 0.7))
    look(zones, 2, a=(0.55, 0.7), b=(0.8, 0.7))
    assert {(stay.zone_id, stay.body_id) for stay in zones.flush()} == {
        ("table", "a"),
        ("corner", "a"),
        ("corner", "b"),
    }


def test_a_stay_that_was_flushed_goes_on_within_the_bridge_and_else_begins_anew() -> None:
    for seconds, entered in ((5.0, 0.0), (5.1, 5.1)):
        zones = watch(InsightPolicy(bridge_s=3.0))
        look(zones, 0, a=IN)
        look(zones, 2, a=IN)
        zones.flush()
        look(zones, seconds, a=IN)
        [stay] = zones.open.values()
        assert stay.entered_at == at(entered)
        assert stay.track_id == "a"


def test_a_split_at_a_stay_gives_each_body_its_own_time() -> None:
    a, b = TrackId("a"), TrackId("b")
    for entered, kept in ((0, True), (6, False)):
        zones = watch()
        look(zones, entered, a=IN)
        look(zones, 9, a=IN)
        zones.split(a, b, at(4), at(5))
        mine, theirs = zones.open.get(("table", a)), zones.open["table", b]
        assert (theirs.body_id, theirs.track_id) == (b, b)
        assert theirs.entered_at == at(max(entered, 5))
        assert (mine is not None) is kept
        if mine:
            assert (mine.entered_at, mine.inside_at, mine.out_since) == (at(0), at(4), None)


def test_merged_bodies_have_one_stay_unless_the_first_had_left() -> None:
    a, b = TrackId("a"), TrackId("b")
    zones = watch()
    look(zones, 0, a=IN)
    look(zones, 1, a=IN)
    look(zones, 2, b=BESIDE)
    assert zones.merge(a, b) == []
    [stay] = zones.open.values()
    assert (stay.body_id, stay.track_id, stay.entered_at, stay.inside_at) == (a, a, at(0), at(2))
    left = watch()
    look(left, 0, a=IN)
    look(left, 1, a=IN)
    look(left, 1.5, a=AWAY)
    look(left, 2, b=BESIDE)
    [ended] = left.merge(a, b)
    assert (ended.entered_at, ended.inside_at) == (at(0), at(1))
    [stay] = left.open.values()
    assert (stay.body_id, stay.track_id, stay.entered_at) == (a, b, at(2))


def test_stays_in_zones_that_are_gone_are_not_restored() -> None:
    zones = watch()
    look(zones, 0, a=IN)
    [stay] = zones.open.values()
    other = ZoneWatch((Zone("sofa", TABLE.polygon),), InsightPolicy())
    other.resume([stay], [stay])
    assert (other.open, other.over) == ({}, {})
    again = watch()
    again.resume([stay], [])
    assert again.open == {("table", TrackId("a")): stay}


def test_ended_stays_are_forgotten_after_the_limit() -> None:
    zones = watch(InsightPolicy(forget_after_s=60.0))
    look(zones, 0, a=IN)
    zones.flush()
    look(zones, 60)
    assert len(zones.over) == 1
    look(zones, 60.1)
    assert zones.over == {}


def test_stays_that_end_in_two_zones_at_once_are_both_told() -> None:
    twin = Zone("twin", TABLE.polygon)
    zones = watch(InsightPolicy(leave_after_s=1.5), twin)
    for seconds, foot in ((0, IN), (2, IN), (2.5, AWAY)):
        assert look(zones, seconds, a=foot) == []
    assert [stay.zone_id for stay in look(zones, 4, a=AWAY)] == ["table", "twin"]
    left = watch(None, twin)
    for seconds, feet in ((0, {"a": IN}), (1, {"a": IN}), (1.5, {"a": AWAY}), (2, {"b": BESIDE})):
        look(left, seconds, **feet)
    ended = left.merge(TrackId("a"), TrackId("b"))
    assert [stay.zone_id for stay in ended] == ["table", "twin"]


LIMITS = (StayLimit("table", "long_stay", 3.0), StayLimit("table", "long_wait", 5.0))
WITH_LIMITS = CameraInsights(zones=(TABLE,), stay_limits=LIMITS)


def told(camera: CameraPartition, events: list[TracksEvent]) -> list[AlertEvent]:
    outcomes = [camera.step(event) for event in events]
    return [alert for outcome in outcomes if outcome for alert in outcome.alerts]


def alerts(events: list[TracksEvent]) -> list[AlertEvent]:
    return told(machine(WITH_LIMITS).cameras, events)


def test_a_long_stay_raises_an_alert_once_while_it_lasts() -> None:
    [stay, wait] = alerts(stand("a", 0, 8))
    assert (stay.rule, stay.captured_at) == ("long_stay", at(3.0))
    assert (wait.rule, wait.captured_at) == ("long_wait", at(5.0))
    assert (stay.track_id, stay.detail) == ("a", {"zone": "table", "minutes": 3 / 60})


def test_an_alert_is_raised_once_although_the_track_breaks_or_the_engine_is_restarted() -> None:
    broken = [*stand("a", 0, 4), *empty(4.1, 4.5), *stand("b", 4.6, 4.9)]
    assert [alert.rule for alert in alerts(broken)] == ["long_stay"]
    before, after = machine(WITH_LIMITS).cameras, machine(WITH_LIMITS).cameras
    assert len(told(before, stand("a", 0, 4))) == 1
    assert after.resume(before.changes()) == {}
    assert told(after, stand("a", 4.1, 4.9)) == []


def test_staff_and_things_raise_no_alert_of_a_long_stay() -> None:
    staff = [
        frame(i * FAST, [position("a", IN, customer="eve", kind=IdentityKind.STAFF)])
        for i in range(60)
    ]
    bags = [frame(i * FAST, [position("a", IN, label="suitcase")]) for i in range(60)]
    assert alerts(staff) == alerts(bags) == []


def test_new_limits_end_no_stay_and_repeat_no_alert() -> None:
    camera = machine(WITH_LIMITS).cameras
    found = told(camera, stand("a", 0, 4))
    halved = tuple(replace(limit, after_s=limit.after_s / 2) for limit in LIMITS)
    assert camera.change({CAMERA: replace(WITH_LIMITS, stay_limits=halved)}).insights == []
    found += told(camera, stand("a", 4.1, 6))
    assert [alert.rule for alert in found] == ["long_stay"]
