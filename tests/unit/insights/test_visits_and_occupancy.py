"""Visits across cameras and occupancy over time."""

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.walks import SITE, at, frame, identity, latest, machine, play, position

from trinetra.events.schema import Occupancy, Visit
from trinetra.events.sightings import Sighting
from trinetra.insights.camera.track_stitching import Name
from trinetra.insights.config import CameraInsights, Zone
from trinetra.insights.visits.visit_tracker import VisitTracker, visits_on_record
from trinetra.values import CameraId, CustomerId, IdentityKind, TrackId

DOOR, TILL = CameraId("door"), CameraId("till")
ANN = Name(CustomerId("ann"), IdentityKind.ENROLLED)
HOUR = 3600.0


def customer_log() -> VisitTracker:
    return VisitTracker(SITE, gap_s=1800, resend_s=10)


def sighting(name: Name, camera: CameraId, since: float, until: float, **more: bool) -> Sighting:
    return Sighting(
        site_id=SITE,
        camera_id=camera,
        customer_id=name.customer_id,
        kind=name.kind,
        since=at(since),
        until=at(until),
        **more,
    )


def sight(visits: VisitTracker, *sightings: tuple[CameraId, float]) -> list[Visit]:
    return [v for camera, t in sightings for v in visits.step(sighting(ANN, camera, t, t))]


def test_a_visit_runs_from_the_first_to_the_last_sighting_over_all_cameras() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 0), (TILL, 100), (DOOR, 105))
    (visit,) = visits.flush()
    assert (visit.started_at, visit.captured_at) == (at(0), at(105))


def test_a_visit_names_its_cameras_in_the_order_they_saw_the_customer() -> None:
    *_, visit = sight(customer_log(), (DOOR, 0), (TILL, 100), (DOOR, 200))
    assert visit.cameras == (DOOR, TILL)
    assert (visit.camera_id, visit.kind, visit.visit_number) == (DOOR, IdentityKind.ENROLLED, 1)


def test_a_growing_visit_is_reported_at_most_every_ten_seconds() -> None:
    sent = sight(customer_log(), *[(DOOR, t / 10) for t in range(300)])
    assert [v.captured_at for v in sent] == [at(0), at(10), at(20)]
    assert len({v.event_id for v in sent}) == 1


def test_an_absence_longer_than_the_gap_starts_the_next_visit() -> None:
    sent = sight(customer_log(), (DOOR, 0), (DOOR, 1800), (DOOR, 3601))
    assert [(v.visit_number, v.started_at) for v in sent] == [(1, at(0)), (1, at(0)), (2, at(3601))]
    assert sent[1].event_id != sent[2].event_id


def test_the_end_of_a_visit_is_reported_before_the_next_begins() -> None:
    sent = sight(customer_log(), (DOOR, 0), (DOOR, 5), (DOOR, 2 * HOUR))
    assert [v.captured_at for v in sent] == [at(0), at(5), at(2 * HOUR)]


def test_a_visit_that_is_over_is_reported_as_it_ended_and_forgotten() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 0), (DOOR, 5))
    someone = Name(CustomerId("bob"), IdentityKind.ANONYMOUS)
    _, ended = visits.step(sighting(someone, DOOR, 1806, 1806))
    assert (ended.customer_id, ended.captured_at) == ("ann", at(5))
    assert visits.forget_ended(0) == {"ann"}
    assert visits.customers.keys() == {"bob"}


def test_a_restored_visit_goes_on_or_is_followed_by_the_next() -> None:
    (first,) = sight(customer_log(), (DOOR, 0))
    goes_on, comes_again = customer_log(), customer_log()
    goes_on.meet(first.customer_id, visits_on_record(first))
    comes_again.meet(first.customer_id, visits_on_record(first))
    (longer,) = sight(goes_on, (TILL, 60))
    assert (longer.event_id, longer.started_at) == (first.event_id, at(0))
    (second,) = sight(comes_again, (TILL, 2 * HOUR))
    assert second.visit_number == 2


def test_a_replayed_sighting_of_an_earlier_visit_changes_nothing() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 0), (DOOR, 2 * HOUR))
    assert sight(visits, (DOOR, 0)) == []
    assert visits.flush() == []


def test_staff_and_the_watchlist_make_no_visits() -> None:
    for kind in (IdentityKind.STAFF, IdentityKind.WATCHLIST):
        name = Name(CustomerId("x"), kind)
        visits = customer_log()
        assert visits.step(sighting(name, DOOR, 0, 0)) == []
        assert visits.customers == {}


@given(st.permutations([(DOOR, 0.0), (TILL, 3.0), (DOOR, 6.0), (TILL, 9.0)]))
def test_sightings_out_of_order_between_cameras_yield_the_same_visit(
    order: list[tuple[CameraId, float]],
) -> None:
    visits = customer_log()
    visit = [*sight(visits, *order), *visits.flush()][-1]
    assert (visit.started_at, visit.captured_at, visit.camera_id) == (at(0), at(9), DOOR)
    assert set(visit.cameras) == {DOOR, TILL}
    assert visit.event_id == sight(customer_log(), (DOOR, 0))[0].event_id


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=40).map(sorted))
def test_visits_never_overlap_and_hold_every_sighting(times: list[float]) -> None:
    visits = customer_log()
    sent = sight(visits, *[(DOOR, t) for t in times])
    found = latest([*sent, *visits.flush()], Visit)
    assert [v.visit_number for v in found] == list(range(1, len(found) + 1))
    for earlier, later in itertools.pairwise(found):
        assert (later.started_at - earlier.captured_at).total_seconds() > 1800
    assert all(any(v.started_at <= at(t) <= v.captured_at for v in found) for t in times)


def test_a_visit_begins_when_its_track_began_not_when_it_was_recognised() -> None:
    events = [frame(0, {"t": (0.5, 0.5)}), identity(4, "t", "ann", started=0)]
    (visit,) = latest(play(machine(), events), Visit)
    assert (visit.started_at, visit.captured_at) == (at(0), at(4))


def test_someone_tracked_longer_than_the_gap_before_being_known_visits_once() -> None:
    outputs = play(machine(), [identity(2 * HOUR, "t", "ann", started=0), identity(1, "u", "ann")])
    assert len(latest(outputs, Visit)) == 1


def test_positions_of_a_known_track_keep_its_visit_going() -> None:
    events = [identity(0, "t", "ann"), *[frame(t, {"t": (0.5, 0.5)}) for t in range(30)]]
    (visit,) = latest(play(machine(), events), Visit)
    assert visit.captured_at == at(29)


def test_a_position_may_bear_the_customer_itself() -> None:
    staff = position("s", (0.2, 0.5), customer="joe", kind=IdentityKind.STAFF)
    visits_of = position("g", (0.8, 0.5), customer="ann")
    found = latest(play(machine(), [frame(0, [staff, visits_of])]), Visit)
    assert [(v.customer_id, v.kind) for v in found] == [("ann", IdentityKind.ANONYMOUS)]


def test_a_position_that_states_no_kind_does_not_turn_staff_into_a_guest() -> None:
    seen = frame(1, [position("s", (0.2, 0.5), customer="joe")])
    events = [frame(0, {"s": (0.2, 0.5)}), identity(0, "s", "joe", kind=IdentityKind.STAFF), seen]
    assert latest(play(machine(), events), Visit) == []


LEFT = Zone("left", ((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
PLAN = CameraInsights(zones=(LEFT,))


def counts(outputs: list[object], zone: str | None) -> list[tuple[float, int]]:
    return [
        ((o.captured_at - at(0)).total_seconds(), o.persons)
        for o in outputs
        if isinstance(o, Occupancy) and o.zone_id == zone and not o.unseen
    ]


def test_occupancy_starts_with_a_count_and_follows_every_lasting_change() -> None:
    scenes = [{}, {}, {"a": (0.2, 0.5)}, {"a": (0.2, 0.5), "b": (0.8, 0.5)}, {"b": (0.8, 0.5)}]
    outputs = play(machine(PLAN), [frame(2.0 * i, scene) for i, scene in enumerate(scenes)])
    assert counts(outputs, None) == [(0, 0), (4, 1), (6, 2), (8, 1)]
    assert counts(outputs, "left") == [(0, 0), (4, 1), (8, 0)]


def test_someone_missed_for_a_few_frames_is_still_present() -> None:
    seen = [frame(i * 0.1, {"a": (0.2, 0.5)} if i % 5 == 0 else {}) for i in range(100)]
    assert counts(play(machine(PLAN), seen), "left") == [(0, 1)]


def test_vehicles_and_broken_tracks_do_not_add_to_the_head_count() -> None:
    events = [frame(i * 0.1, {f"t{i // 10}": (0.2, 0.5)}) for i in range(100)]
    assert counts(play(machine(PLAN), events), None) == [(0, 1)]
    cars = [frame(t, {"v": (0.2, 0.5)}, label="car") for t in range(5)]
    assert counts(play(machine(PLAN), cars), None) == [(0, 0)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80))
def test_occupancy_is_reported_at_most_once_a_second_and_never_twice_the_same(
    heads: list[int],
) -> None:
    events = [
        frame(i * 0.3, {f"t{n}": (0.1 + 0.25 * n, 0.9) for n in range(count)})
        for i, count in enumerate(heads)
    ]
    reports = counts(play(machine(), events), None)
    for (t, n), (u, m) in itertools.pairwise(reports):
        assert u - t >= 1.0
        assert n != m


# --- what a visit tells, and when it may be dropped -------------------------------------------


def test_a_sighting_of_just_the_gap_before_or_after_belongs_to_the_visit() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 2000), (DOOR, 3800), (TILL, 200))
    (visit,) = [*visits.flush()]
    assert (visit.started_at, visit.captured_at, visit.visit_number) == (at(200), at(3800), 1)


def test_a_sighting_from_longer_before_than_the_gap_is_of_an_earlier_visit() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 2000))
    assert sight(visits, (TILL, 199)) == []
    assert visits.flush() == []


def test_the_kind_of_the_latest_sighting_counts_whatever_the_order() -> None:
    anonymous = Name(ANN.customer_id, IdentityKind.ANONYMOUS)
    for names in (((anonymous, 0), (ANN, 5)), ((ANN, 5), (anonymous, 0))):
        visits = customer_log()
        sent = [v for name, t in names for v in visits.step(sighting(name, DOOR, t, t))]
        assert [*sent, *visits.flush()][-1].kind is IdentityKind.ENROLLED


def test_a_change_of_kind_alone_is_told() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 0))
    vip = Name(ANN.customer_id, IdentityKind.VIP)
    visits.step(sighting(vip, DOOR, 0, 0))
    (visit,) = visits.flush()
    assert visit.kind is IdentityKind.VIP


def test_a_visit_is_told_again_at_once_when_the_customer_leaves_a_view() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 0))
    assert visits.step(sighting(ANN, DOOR, 0, 4)) == []
    (visit,) = visits.step(sighting(ANN, DOOR, 4, 5, left=True))
    assert visit.captured_at == at(5)
    assert visits.step(sighting(ANN, DOOR, 4, 5, left=True)) == []


def test_cameras_are_named_in_the_order_of_their_first_sightings_not_of_their_reports() -> None:
    visits = customer_log()
    sight(visits, (TILL, 100), (DOOR, 50), (TILL, 20))
    (visit,) = visits.flush()
    assert (visit.cameras, visit.camera_id) == ((TILL, DOOR), TILL)


def test_a_restored_visit_keeps_its_cameras_before_those_that_follow() -> None:
    sent = sight(customer_log(), (TILL, 0), (DOOR, 100))
    visits = customer_log()
    visits.meet(ANN.customer_id, visits_on_record(sent[-1]))
    aisle = CameraId("aisle")
    (visit,) = sight(visits, (aisle, 300))
    assert visit.cameras == (TILL, DOOR, aisle)
    assert (visit.visit_number, visit.kind) == (1, IdentityKind.ENROLLED)


def test_a_restored_visit_that_did_not_grow_is_not_told_again() -> None:
    (first,) = sight(customer_log(), (DOOR, 0))
    visits = customer_log()
    visits.meet(first.customer_id, visits_on_record(first))
    assert visits.flush() == []
    assert sight(visits, (DOOR, 0)) == []


def test_a_restored_visit_ends_when_other_customers_show_that_time_has_passed() -> None:
    (first,) = sight(customer_log(), (DOOR, 0))
    visits = customer_log()
    visits.meet(first.customer_id, visits_on_record(first))
    bob = Name(CustomerId("bob"), IdentityKind.ANONYMOUS)
    visits.step(sighting(bob, DOOR, 1800, 1800))
    assert visits.forget_ended(0) == set()
    visits.step(sighting(bob, DOOR, 1801, 1801))
    assert visits.forget_ended(0) == {"ann"}


def test_a_customer_who_is_awaited_is_kept_until_then_and_one_who_returns_is_not_dropped() -> None:
    visits = customer_log()
    bob = Name(CustomerId("bob"), IdentityKind.ANONYMOUS)
    sight(visits, (DOOR, 0))
    visits.customers[ANN.customer_id].awaited_to = 7
    visits.step(sighting(bob, DOOR, 2000, 2000))
    assert visits.forget_ended(6) == set()
    assert visits.forget_ended(7) == {"ann"}
    sight(visits, (DOOR, 2001))
    visits.step(sighting(bob, DOOR, 2002, 2002))
    visits.step(sighting(bob, DOOR, 3801, 3801))
    assert visits.forget_ended(99) == set()
    assert visits.customers.keys() == {"ann", "bob"}


def test_every_visit_that_ends_is_told_as_it_ended_and_each_at_its_own_time() -> None:
    visits = customer_log()
    names = [Name(CustomerId(f"c{n}"), IdentityKind.ANONYMOUS) for n in range(4)]
    for n, name in enumerate(names):
        visits.step(sighting(name, DOOR, 100 * n, 100 * n))
        visits.step(sighting(name, DOOR, 100 * n + 5, 100 * n + 5))
    bob = Name(CustomerId("bob"), IdentityKind.ANONYMOUS)
    ended: list[list[str]] = []
    for t in (1806, 1906, 1907, 2106):
        sent = visits.step(sighting(bob, DOOR, t, t))
        ended.append([v.customer_id for v in sent if v.customer_id != "bob"])
    assert ended == [["c0"], ["c1"], [], ["c2", "c3"]]


def test_an_erased_customer_is_dropped_whether_the_visit_has_ended_or_not() -> None:
    visits = customer_log()
    bob = Name(CustomerId("bob"), IdentityKind.ANONYMOUS)
    sight(visits, (DOOR, 0))
    visits.step(sighting(bob, DOOR, 2000, 2000))
    visits.forget(ANN.customer_id)
    visits.forget(bob.customer_id)
    assert visits.customers == {}
    assert visits.forget_ended(99) == set()


def test_a_customer_may_be_dropped_once_the_gap_has_passed_by_any_clock_of_the_log() -> None:
    visits = customer_log()
    sight(visits, (DOOR, 0))
    who = ANN.customer_id
    assert not visits.may_end(who, at(1800))
    assert visits.may_end(who, at(1801))
    bob = Name(CustomerId("bob"), IdentityKind.ANONYMOUS)
    visits.step(sighting(bob, DOOR, 1801, 1801))
    assert visits.may_end(who, at(0))


# --- the evidence of a visit ------------------------------------------------------------------


def of_track(track: str, camera: CameraId, since: float, until: float, **more: str) -> Sighting:
    seen = sighting(ANN, camera, since, until)
    return msgspec.structs.replace(seen, track_id=TrackId(track), **more)


def test_a_track_can_be_withdrawn_until_its_camera_has_seen_others_for_a_while() -> None:
    for seconds, is_settled in ((125, False), (126, True)):
        visits = VisitTracker(SITE, gap_s=1800, resend_s=10, settled_after_s=120)
        visits.step(of_track("a", DOOR, 0, 5))
        visits.step(of_track("c", TILL, 500, 501))
        visits.step(of_track("b", DOOR, seconds, seconds))
        visits.step(of_track("a", DOOR, 0, 5, correction="withdrawn"))
        visits.flush()
        visit = visits.customers[ANN.customer_id].visit
        assert visit is not None
        assert (visit.started == (at(0), DOOR)) is is_settled


def test_the_evidence_of_a_long_visit_stays_small() -> None:
    visits = VisitTracker(SITE, gap_s=1800, resend_s=10, settled_after_s=120)
    for number in range(200):
        visits.step(of_track(f"t{number}", DOOR, 60 * number, 60 * number + 5))
    visit = visits.customers[ANN.customer_id].visit
    assert visit is not None
    assert len(visit.evidence) < 6
    assert (visit.started[0], visit.until) == (at(0), at(60 * 199 + 5))


def test_a_withdrawn_track_in_the_middle_divides_a_visit_and_one_at_the_end_shortens_it() -> None:
    for withdrawn, spans in (
        (("b", 1500, 1505), [(1, 0, 5), (2, 3000, 3005)]),
        (("c", 3000, 3005), [(1, 0, 1505)]),
        (("a", 0, 5), [(1, 1500, 3005)]),
    ):
        visits = customer_log()
        for track, since in (("a", 0), ("b", 1500), ("c", 3000)):
            visits.step(of_track(track, CameraId(f"camera {track}"), since, since + 5))
        track, since, until = withdrawn
        camera = CameraId(f"camera {track}")
        told = visits.step(of_track(track, camera, since, until, correction="withdrawn"))
        assert [(v.visit_number, v.started_at, v.captured_at) for v in told] == [
            (number, at(begin), at(end)) for number, begin, end in spans
        ]
        assert all(camera not in v.cameras for v in told)


def test_a_visit_without_any_evidence_left_is_withdrawn_and_its_number_used_again() -> None:
    visits = customer_log()
    visits.step(of_track("a", DOOR, 0, 5))
    [gone] = visits.step(of_track("a", DOOR, 0, 5, correction="withdrawn"))
    assert (gone.visit_number, gone.withdrawn) == (1, True)
    [again] = visits.step(of_track("b", DOOR, 60, 65))
    assert (again.event_id, again.visit_number) == (gone.event_id, 1)
    assert (again.revision or 0) > (gone.revision or 0)
    assert not again.withdrawn


def test_a_replaced_track_counts_with_its_new_extent_and_corrections_are_made_once() -> None:
    visits = customer_log()
    visits.step(of_track("a", DOOR, 0, 50))
    replaced = of_track("a", DOOR, 0, 20, correction="replaced")
    [shorter] = visits.step(replaced)
    assert (shorter.captured_at, shorter.revision) == (at(20), 1)
    assert visits.step(of_track("z", DOOR, 0, 20, correction="withdrawn")) == []


def test_a_visit_that_is_divided_after_a_restart_has_each_camera_in_the_part_that_it_saw() -> None:
    visits = customer_log()
    on_record = sight(customer_log(), (DOOR, 0), (TILL, 60))[-1]
    visits.meet(ANN.customer_id, visits_on_record(on_record))
    aisle, exit_ = CameraId("aisle"), CameraId("exit")
    visits.step(of_track("early", aisle, -100, -90))
    visits.step(of_track("wrong", aisle, 1500, 1505))
    visits.step(of_track("right", exit_, 3000, 3005))
    told = visits.step(of_track("wrong", aisle, 1500, 1505, correction="withdrawn"))
    assert [v.cameras for v in told] == [(DOOR, TILL, aisle), (exit_,)]
