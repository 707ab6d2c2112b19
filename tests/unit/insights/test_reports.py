"""Insights as events: what they tell of whom, and ids that are the same on every replay."""

import msgspec
import pytest
from tests.unit.insights.walks import at, frame, position

from trinetra.events.schema import LineCrossing
from trinetra.insights.camera.occupancy import OccupancyMeter
from trinetra.insights.camera.presence import PresenceTracker
from trinetra.insights.camera.reported_events import ReportedEvents
from trinetra.insights.camera.reports import (
    Crossing,
    Place,
    Subject,
    line_crossing,
    occupancy,
    unseen,
    zone_stay,
)
from trinetra.insights.camera.scene import scene_of
from trinetra.insights.camera.track_stitching import Name
from trinetra.values import CameraId, CustomerId, IdentityKind, SiteId, TrackId

SHOP = Place(SiteId("shop"), CameraId("door"))
MALL, TILL = Place(SiteId("mall"), CameraId("door")), Place(SiteId("shop"), CameraId("till"))
ANN = Name(CustomerId("ann"), IdentityKind.VIP)
ANNAS, UNKNOWN = Subject(TrackId("t"), "person", ANN), Subject(TrackId("u"), "person", None)


def crossing(
    subject: Subject = ANNAS, place: Place = SHOP, line: str = "door", seconds: float = 1.0
) -> LineCrossing:
    return line_crossing(place, subject, Crossing(line, "in", at(seconds)))


def test_a_crossing_tells_who_crossed_what_where_and_when() -> None:
    event = crossing()
    assert (event.site_id, event.camera_id, event.captured_at) == ("shop", "door", at(1))
    assert (event.line_id, event.direction, event.track_id) == ("door", "in", "t")
    assert (event.label, event.customer_id, event.kind) == ("person", "ann", IdentityKind.VIP)
    assert (crossing(UNKNOWN).customer_id, crossing(UNKNOWN).kind) == (None, msgspec.UNSET)


def test_a_stay_tells_how_long_it_was() -> None:
    event = zone_stay(SHOP, ANNAS, zone_id="sofa", entered_at=at(1), inside_at=at(3.4567))
    assert (event.entered_at, event.captured_at, event.dwell_s) == (at(1), at(3.4567), 2.457)
    assert (event.site_id, event.camera_id, event.zone_id) == ("shop", "door", "sofa")
    assert (event.track_id, event.label) == ("t", "person")
    assert (event.customer_id, event.kind) == ("ann", IdentityKind.VIP)
    nameless = zone_stay(SHOP, UNKNOWN, zone_id="sofa", entered_at=at(1), inside_at=at(2))
    assert (nameless.customer_id, nameless.kind) == (None, msgspec.UNSET)


def test_a_crossing_keeps_its_id_when_its_customer_becomes_known_and_no_other_shares_it() -> None:
    named = Subject(TrackId("t"), "person", None)
    assert crossing(named).event_id == crossing(ANNAS).event_id
    others = [
        crossing(place=MALL),
        crossing(place=TILL),
        crossing(line="exit"),
        crossing(seconds=2.0),
        crossing(UNKNOWN),
    ]
    assert len({event.event_id for event in [crossing(), *others]}) == 6


def test_a_stay_keeps_its_id_while_it_grows_and_no_other_shares_it() -> None:
    def stay(place: Place, subject: Subject, zone: str, entered: float, until: float = 9) -> str:
        event = zone_stay(place, subject, zone_id=zone, entered_at=at(entered), inside_at=at(until))
        return event.event_id

    one = stay(SHOP, ANNAS, "sofa", 1)
    assert stay(SHOP, ANNAS, "sofa", 1, until=20) == one
    others = {
        stay(MALL, ANNAS, "sofa", 1),
        stay(TILL, ANNAS, "sofa", 1),
        stay(SHOP, UNKNOWN, "sofa", 1),
        stay(SHOP, ANNAS, "table", 1),
        stay(SHOP, ANNAS, "sofa", 2),
    }
    assert len(others | {one}) == 6


def test_a_count_is_of_one_zone_or_of_the_whole_view_at_one_instant() -> None:
    event = occupancy(SHOP, "sofa", 3, at(1))
    assert (event.site_id, event.camera_id, event.captured_at) == ("shop", "door", at(1))
    assert (event.zone_id, event.persons) == ("sofa", 3)
    events = [
        event,
        occupancy(SHOP, None, 3, at(1)),
        occupancy(SHOP, "sofa", 3, at(2)),
        occupancy(TILL, "sofa", 3, at(1)),
    ]
    assert len({each.event_id for each in events}) == 4
    assert occupancy(SHOP, "sofa", 4, at(1)).event_id == event.event_id


def test_the_end_of_a_count_follows_a_count_at_the_same_instant() -> None:
    count, end = occupancy(SHOP, "sofa", 3, at(1)), unseen(SHOP, "sofa", at(1))
    assert end.captured_at > count.captured_at
    assert end.captured_at < at(1.001)
    assert (end.persons, end.unseen, end.zone_id) == (0, True, "sofa")
    assert (end.site_id, end.camera_id) == ("shop", "door")
    ends = [
        end,
        unseen(SHOP, None, at(1)),
        unseen(SHOP, "sofa", at(2)),
        unseen(TILL, "sofa", at(1)),
    ]
    assert len({count.event_id, *(each.event_id for each in ends)}) == 5


# --- events that can still be corrected -------------------------------------------------------

BODY, OTHER = TrackId("t"), TrackId("u")


def remembered(*events: LineCrossing, bound: int = 9) -> ReportedEvents:
    reported = ReportedEvents(bound)
    for event in events:
        reported.remember(BODY, event)
    return reported


def test_events_are_corrected_once_and_those_that_are_right_are_not_told_again() -> None:
    reported = remembered(crossing(), crossing(Subject(BODY, "person", None), seconds=2.0))
    [corrected] = reported.rename(BODY, ANN)
    assert (corrected.captured_at, corrected.customer_id) == (at(2), "ann")
    assert corrected.kind is IdentityKind.VIP
    assert reported.rename(BODY, ANN) == []
    assert [e.customer_id for e in reported.rename(BODY, None)] == [None, None]
    assert reported.rename(OTHER, ANN) == []


def test_a_customer_of_another_kind_is_a_correction() -> None:
    staff = Name(ANN.customer_id, IdentityKind.STAFF)
    [corrected] = remembered(crossing()).rename(BODY, staff)
    assert (corrected.customer_id, corrected.kind) == ("ann", IdentityKind.STAFF)


def test_of_too_many_events_the_oldest_is_forgotten_and_one_that_was_told_again_is_not_two() -> (
    None
):
    first, second, third = (crossing(UNKNOWN, seconds=n) for n in range(3))
    reported = remembered(first, second, first, third, bound=2)
    assert [e.captured_at for e in reported.rename(BODY, ANN)] == [at(0), at(2)]


def test_the_events_of_erased_customers_lose_their_name_and_no_others() -> None:
    reported = remembered(crossing())
    reported.remember(OTHER, crossing(Subject(OTHER, "person", Name(CustomerId("b"), ANN.kind))))
    assert not reported.forget({CustomerId("cleo")}.__contains__)
    assert reported.forget({ANN.customer_id}.__contains__)
    [mine], [others] = (list(reported.events[body]) for body in (BODY, OTHER))
    assert (mine.customer_id, mine.kind) == (None, msgspec.UNSET)
    assert others.customer_id == "b"


def test_events_before_a_switch_are_settled_and_those_from_then_on_can_be_corrected() -> None:
    reported = remembered(*(crossing(UNKNOWN, seconds=n) for n in (1, 2, 3)))
    reported.settle(BODY, at(2))
    reported.settle(OTHER, at(2))
    assert [e.captured_at for e in reported.rename(BODY, ANN)] == [at(2), at(3)]


def test_a_settled_body_still_remembers_no_more_than_its_bound() -> None:
    reported = remembered(crossing(UNKNOWN, seconds=1), bound=2)
    reported.settle(BODY, at(0))
    for n in (2, 3):
        reported.remember(BODY, crossing(UNKNOWN, seconds=n))
    assert [e.captured_at for e in reported.rename(BODY, ANN)] == [at(2), at(3)]


def test_a_body_that_is_split_off_takes_the_events_of_its_track() -> None:
    reported = remembered(crossing(), crossing(UNKNOWN))
    reported.split(BODY, OTHER)
    assert [e.track_id for e in reported.events[BODY]] == ["t"]
    assert [e.track_id for e in reported.events[OTHER]] == ["u"]
    reported.merge(BODY, OTHER)
    assert [e.track_id for e in reported.events[BODY]] == ["t", "u"]
    assert OTHER not in reported.events
    reported.keep({OTHER})
    assert reported.events == {}


# --- presence, occupancy and scenes -----------------------------------------------------------


def test_a_customer_is_sighted_again_after_the_interval_and_lost_after_more_than_the_limit() -> (
    None
):
    tracker = PresenceTracker(SHOP, resend_s=10.0, absent_after_s=5.0)
    [first] = tracker.see(BODY, ANN, at(0), at(1))
    assert (first.since, first.until, first.left) == (at(0), at(1), False)
    assert (first.site_id, first.camera_id) == ("shop", "door")
    assert tracker.see(BODY, ANN, at(10.9), at(10.9)) == []
    [grown] = tracker.see(BODY, ANN, at(11), at(11))
    assert (grown.since, grown.until, grown.kind) == (at(1), at(11), IdentityKind.VIP)
    assert tracker.lose(at(16)) == []
    [last] = tracker.lose(at(16.1))
    assert (last.since, last.until, last.left) == (at(11), at(11), True)
    assert tracker.lose(at(99)) == []


def test_a_late_sighting_does_not_shorten_a_segment() -> None:
    tracker = PresenceTracker(SHOP, resend_s=10.0, absent_after_s=5.0)
    tracker.see(BODY, ANN, at(0), at(4))
    assert tracker.see(BODY, ANN, at(2), at(2)) == []
    [last] = tracker.flush()
    assert (last.until, last.left) == (at(4), True)
    assert tracker.flush() == []


def test_a_segment_that_began_earlier_is_told_from_there() -> None:
    tracker = PresenceTracker(SHOP, resend_s=10.0, absent_after_s=5.0)
    tracker.see(BODY, ANN, at(3), at(4))
    [earlier] = tracker.see(BODY, ANN, at(1), at(5))
    assert (earlier.since, earlier.until) == (at(1), at(5))
    assert tracker.see(BODY, ANN, at(1), at(6)) == []


def test_a_count_is_told_again_when_it_changed_and_the_interval_has_passed() -> None:
    meter = OccupancyMeter(2.0)
    assert meter.step(at(0), {None: 1, "sofa": 0}) == [(None, 1), ("sofa", 0)]
    assert meter.step(at(1.9), {None: 2, "sofa": 0}) == []
    assert meter.step(at(2.0), {None: 2, "sofa": 0}) == [(None, 2)]
    assert meter.step(at(3.9), {None: 1, "sofa": 1}) == [("sofa", 1)]


def test_a_count_that_ended_begins_anew_and_those_that_go_on_do_not() -> None:
    meter = OccupancyMeter(2.0)
    meter.step(at(0), {None: 1, "sofa": 0})
    assert meter.end(but=[None]) == ["sofa"]
    assert meter.step(at(0.1), {None: 1, "sofa": 0}) == [("sofa", 0)]
    assert meter.end() == [None, "sofa"]
    assert meter.end() == []


def test_a_scene_has_a_row_for_each_track_in_frame_heights() -> None:
    scene = scene_of(frame(1.0, {"a": (0.25, 0.5), "b": (0.5, 0.75)}))
    assert (scene.at, scene.aspect) == (at(1), 2.0)
    assert (scene.track_ids, scene.labels) == (("a", "b"), ("person", "person"))
    assert scene.feet == (pytest.approx((0.25, 0.5)), pytest.approx((0.5, 0.75)))
    assert scene.height == pytest.approx((0.4, 0.4))


def test_of_a_track_that_is_listed_twice_the_last_row_counts() -> None:
    twice = [position("a", (0.1, 0.5)), position("b", (0.2, 0.5)), position("a", (0.9, 0.5))]
    scene = scene_of(frame(1.0, twice))
    assert scene.track_ids == ("a", "b")
    assert scene.feet[0] == pytest.approx((0.9, 0.5))


def test_a_box_upside_down_has_no_height() -> None:
    upside_down = msgspec.structs.replace(position("a", (0.1, 0.5)), box=(10.0, 90.0, 20.0, 50.0))
    scene = scene_of(frame(1.0, [upside_down]))
    assert scene.height == (0.0,)
    assert scene_of(frame(1.0)).feet == ()


# --- presence that is corrected ---------------------------------------------------------------

BEN = Name(CustomerId("ben"), IdentityKind.ENROLLED)


def in_view() -> PresenceTracker:
    """Return the presence of ann on one track, from 1 to 5 s."""
    tracker = PresenceTracker(SHOP, resend_s=10.0, absent_after_s=5.0)
    tracker.see(BODY, ANN, at(1), at(5))
    return tracker


def test_a_track_that_was_another_person_is_withdrawn_and_told_again_of_that_person() -> None:
    gone, again = in_view().correct({BODY}.__contains__, lambda _: BEN)
    assert (gone.customer_id, gone.since, gone.until) == ("ann", at(1), at(5))
    assert (gone.correction, again.correction) == ("withdrawn", msgspec.UNSET)
    assert (again.customer_id, again.since, again.until) == ("ben", at(1), at(5))
    assert (gone.track_id, again.track_id) == (BODY, BODY)
    staff = Name(ANN.customer_id, IdentityKind.STAFF)
    for name in (None, staff):
        [gone] = in_view().correct({BODY}.__contains__, lambda _, name=name: name)
        assert (gone.customer_id, gone.correction) == ("ann", "withdrawn")


def test_a_track_that_is_still_the_same_person_is_not_corrected() -> None:
    tracker = in_view()
    assert tracker.correct({BODY}.__contains__, lambda _: ANN) == []
    assert tracker.correct({OTHER}.__contains__, lambda _: BEN) == []
    assert BODY in tracker.present
    tracker.flush()
    assert tracker.correct({OTHER}.__contains__, lambda _: BEN) == []
    assert BODY not in tracker.present


@pytest.mark.parametrize(
    ("switched_s", "told"),
    [(0.5, ("withdrawn", 1, 5)), (1, ("withdrawn", 1, 5)), (3, ("replaced", 1, 3)), (5, None)],
)
def test_a_switch_cuts_the_presence_of_the_person_before(
    switched_s: float, told: tuple[str, int, int] | None
) -> None:
    tracker = in_view()
    found = [
        (s.correction, s.since, s.until) for s in tracker.cut(BODY, at(switched_s), CustomerId("b"))
    ]
    assert found == ([(told[0], at(told[1]), at(told[2]))] if told else [])
    assert BODY not in tracker.present


def test_a_switch_to_the_same_person_or_of_an_unknown_track_cuts_nothing() -> None:
    tracker = in_view()
    assert tracker.cut(BODY, at(3), ANN.customer_id) == []
    assert tracker.cut(OTHER, at(3), None) == []
    tracker.settle(OTHER)
    assert BODY in tracker.present


def test_a_track_that_returns_begins_a_segment_of_its_own() -> None:
    tracker = in_view()
    tracker.lose(at(11))
    [again] = tracker.see(BODY, ANN, at(12), at(12))
    assert (again.since, again.until, again.left) == (at(12), at(12), False)
    assert tracker.see(BODY, ANN, at(13), at(13)) == []


def test_corrections_of_an_event_are_numbered_from_one_on() -> None:
    reported = remembered(crossing(UNKNOWN))
    revisions = [reported.rename(BODY, name)[0].revision for name in (ANN, BEN, None)]
    assert revisions == [1, 2, 3]


def test_the_prefix_of_an_id_tells_what_it_names() -> None:
    stay = zone_stay(SHOP, ANNAS, zone_id="sofa", entered_at=at(1), inside_at=at(2))
    events = [crossing(), stay, occupancy(SHOP, None, 1, at(1)), unseen(SHOP, None, at(1))]
    assert [event.event_id.split("_")[0] for event in events] == [
        "crossing",
        "stay",
        "occupancy",
        "unseen",
    ]
    in_zone, of_view = occupancy(SHOP, "sofa", 1, at(1)), occupancy(SHOP, None, 1, at(1))
    assert in_zone.event_id != of_view.event_id
