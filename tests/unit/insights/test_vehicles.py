"""Vehicles: their stays in view, visits over all cameras, links to customers, and regulars."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.events.derivation import Span
from trinetra.events.schema import (
    LineCrossing,
    TrackPlate,
    TrackPosition,
    TracksEvent,
    VehicleStay,
    VehicleVisit,
    Visit,
)
from trinetra.insights.camera.camera_analytics import CameraAnalytics
from trinetra.insights.camera.reports import Place
from trinetra.insights.camera.vehicles import VehicleWatch
from trinetra.insights.config import CameraInsights, InsightPolicy
from trinetra.insights.metrics.catalog import BY_NAME, cells_of
from trinetra.insights.snapshot import decode_camera, encode_camera
from trinetra.insights.vehicles.links import VehicleLinks
from trinetra.insights.vehicles.regulars import regulars
from trinetra.insights.vehicles.visits import VehicleVisits
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId, after

MIDNIGHT = datetime(2026, 11, 29, tzinfo=UTC)
DAY = Span(MIDNIGHT, MIDNIGHT + timedelta(days=1))
SHOP, LOT, EXIT = SiteId("shop"), CameraId("lot"), CameraId("exit")
SLOT, OTHER_SLOT, GATE = (100, 100, 300, 250), (400, 100, 600, 250), (0, 300, 200, 450)


def at(seconds):
    return after(MIDNIGHT + timedelta(hours=9), seconds)


def plate(name="plt_a", readings=4, confidence=0.9):
    return TrackPlate(name, confidence, readings)


def frame(seconds, *tracks, ended=(), silent=False):
    return TracksEvent(
        event_id=EventId(f"trs_{seconds}"),
        site_id=SHOP,
        camera_id=LOT,
        captured_at=at(seconds),
        frame_seq=round(seconds * 10),
        frame_width=1280,
        frame_height=720,
        tracks=tracks,
        ended=ended,
        **({"silent": True} if silent else {}),
    )


def seen(track="trk_1", box=SLOT, label="car", plate=None):
    return TrackPosition(TrackId(track), label, tuple(map(float, box)), plate=plate)


# --- stays ----------------------------------------------------------------------------------


def watch():
    return VehicleWatch(Place(SHOP, LOT))


def test_a_vehicle_is_reported_when_its_track_ends_with_its_last_plate():
    lot = watch()
    assert lot.step(frame(0, seen(box=GATE))) == []
    assert lot.step(frame(1, seen(plate=plate("plt_wrong")))) == []
    assert lot.step(frame(2, seen(plate=plate()))) == []
    assert lot.step(frame(3, seen())) == []
    (stay,) = lot.step(frame(4, ended=("trk_1",)))
    assert (stay.entered_at, stay.captured_at) == (at(0), at(3))
    assert (stay.appeared, stay.vanished) == (GATE, SLOT)
    assert stay.plate_id == "plt_a"
    assert lot.step(frame(5, ended=("trk_1",))) == []


def test_the_class_is_that_of_most_frames_and_people_are_no_vehicles():
    lot = watch()
    for second, label in enumerate(("truck", "car", "car", "bus")):
        lot.step(frame(second, seen(label=label), seen("trk_2", label="person")))
    (stay,) = lot.step(frame(9, ended=("trk_1", "trk_2")))
    assert stay.label == "car"


def test_a_track_whose_end_was_never_told_is_over_after_a_minute():
    lot = watch()
    lot.step(frame(0, seen()))
    assert lot.step(frame(60, seen("trk_2", OTHER_SLOT))) == []
    (stay,) = lot.step(frame(61, seen("trk_2", OTHER_SLOT)))
    assert stay.captured_at == at(0)


def camera():
    return CameraAnalytics(Place(SHOP, LOT), CameraInsights(), InsightPolicy())


def of_type(outcome, kind):
    return [event for event in outcome.insights if isinstance(event, kind)]


def test_silence_ends_a_stay_at_the_last_frame_and_a_restart_changes_nothing():
    calm, restarted = camera(), camera()
    for second in range(3):
        calm.step(frame(second, seen(plate=plate())))
        restarted.step(frame(second, seen(plate=plate())))
        memory = decode_camera(encode_camera(restarted.memory()))
        restarted = camera()
        restarted.resume(memory)
    over = frame(2, ended=(), silent=True)
    assert of_type(calm.step(over), VehicleStay) == of_type(restarted.step(over), VehicleStay)
    calm = camera()
    calm.step(frame(0, seen()))
    calm.step(frame(7, seen()))
    (stay,) = of_type(calm.step(frame(7, silent=True)), VehicleStay)
    assert (stay.entered_at, stay.captured_at) == (at(0), at(7))


# --- visits ---------------------------------------------------------------------------------


def stay(begin_s, end_s, plate=None, camera_id=LOT, appeared=GATE, vanished=GATE, label="car"):
    name = f"{camera_id}_{begin_s}"
    return VehicleStay(
        event_id=EventId(f"vehicle_{name}"),
        site_id=SHOP,
        camera_id=camera_id,
        captured_at=at(end_s),
        track_id=TrackId(f"trk_{name}"),
        label=label,
        entered_at=at(begin_s),
        appeared=tuple(map(float, appeared)),
        vanished=tuple(map(float, vanished)),
        plate=plate,
    )


def crossing(of, direction):
    return LineCrossing(
        event_id=EventId(f"line_{of.event_id}"),
        site_id=SHOP,
        camera_id=of.camera_id,
        captured_at=of.captured_at,
        line_id="gate",
        direction=direction,
        track_id=of.track_id,
        label=of.label,
    )


def derived(*inputs, span=DAY):
    ordered = sorted(inputs, key=lambda event: (event.captured_at, event.event_id))
    return VehicleVisits().derive(span, ordered)


def test_tracks_with_one_plate_are_one_visit():
    (visit,) = derived(stay(0, 40, plate()), stay(600, 640, plate()))
    assert (visit.captured_at, visit.left_at, visit.stay_s) == (at(0), at(640), 640.0)
    assert len(visit.stays) == 2


def test_after_a_long_absence_the_same_plate_is_another_visit():
    assert len(derived(stay(0, 40, plate()), stay(40 + 1801, 3600, plate()))) == 2


def test_a_parked_car_is_one_visit_although_its_track_breaks():
    parts = [stay(0, 20, plate(), vanished=SLOT), stay(25, 50, appeared=SLOT, vanished=SLOT)]
    (visit,) = derived(*parts, stay(110, 140, appeared=SLOT))
    assert visit.stay_s == 140.0
    assert visit.plate_id == "plt_a"


def test_a_misread_plate_does_not_split_a_parked_car_and_a_sure_one_tells_two_apart():
    first = stay(0, 40, plate(), vanished=SLOT)
    unsure = stay(50, 90, plate("plt_b", readings=1), appeared=SLOT)
    sure = stay(50, 90, plate("plt_b"), appeared=SLOT)
    assert len(derived(first, unsure)) == 1
    assert len(derived(first, sure)) == 2


def test_a_car_that_comes_through_the_gate_a_minute_after_another_one_left_is_another_one():
    assert len(derived(stay(0, 40), stay(100, 140))) == 1
    assert len(derived(stay(0, 40), stay(101, 141))) == 2


def test_two_cars_in_two_slots_are_two_visits():
    assert len(derived(stay(0, 40, vanished=SLOT), stay(50, 90, appeared=OTHER_SLOT))) == 2


def test_a_car_that_came_in_over_a_line_is_here_until_it_leaves_over_one():
    came, left = stay(0, 5, plate()), stay(9000, 9005, plate(), camera_id=EXIT)
    (visit,) = derived(came, crossing(came, "in"), left, crossing(left, "out"))
    assert (visit.stay_s, visit.departed, visit.cameras) == (9005.0, True, (LOT, EXIT))


def test_after_a_departure_the_next_arrival_is_a_new_visit():
    came, left, back = stay(0, 5, plate()), stay(300, 305, plate()), stay(400, 405, plate())
    visits = derived(
        *(came, crossing(came, "in"), left, crossing(left, "out"), back, crossing(back, "in"))
    )
    assert [visit.departed for visit in visits] == [True, False]


def test_a_track_that_breaks_before_the_line_is_part_of_the_visit_that_comes_in():
    before, after_line = stay(0, 10, plate()), stay(12, 50, plate())
    (visit,) = derived(before, after_line, crossing(after_line, "in"))
    assert visit.captured_at == at(0)


def test_coming_in_twice_without_leaving_is_two_visits():
    first, second = stay(0, 10, plate()), stay(500, 510, plate())
    assert len(derived(first, crossing(first, "in"), second, crossing(second, "in"))) == 2


def test_a_vehicle_that_only_passes_is_no_visit():
    assert derived(stay(0, 29)) == []
    assert len(derived(stay(0, 30))) == 1


def test_a_visit_belongs_to_the_day_of_its_arrival():
    late = stay(15 * 3600 - 100, 15 * 3600 + 100, plate())
    tomorrow = Span(DAY.end, DAY.end + timedelta(days=1))
    assert len(derived(late)) == 1
    assert derived(late, span=tomorrow) == []


@given(st.data())
def test_the_order_of_simultaneous_stays_and_of_arrival_does_not_matter(data):
    stays = [
        stay(
            begin,
            begin + data.draw(st.integers(1, 100)),
            data.draw(st.sampled_from([None, plate(), plate("plt_b"), plate("plt_c", 1)])),
            appeared=data.draw(st.sampled_from([SLOT, GATE])),
            vanished=data.draw(st.sampled_from([SLOT, GATE])),
        )
        for begin in data.draw(st.lists(st.integers(0, 5000), max_size=8, unique=True))
    ]
    derivation = VehicleVisits()
    shuffled = data.draw(st.permutations(stays))
    visits = derivation.derive(DAY, stays)
    assert sorted(visits, key=lambda v: v.event_id) == sorted(
        derivation.derive(DAY, shuffled), key=lambda v: v.event_id
    )
    used = [stay_id for visit in visits for stay_id in visit.stays]
    assert len(set(used)) == len(used)


# --- links ----------------------------------------------------------------------------------


def arrival(seconds, name="a"):
    return VehicleVisit(
        event_id=EventId(f"carvisit_{name}"),
        site_id=SHOP,
        camera_id=LOT,
        captured_at=at(seconds),
        left_at=at(seconds + 1000),
        stay_s=1000.0,
        label="car",
        stays=(),
        cameras=(LOT,),
        plate=plate(),
    )


def visit(seconds, name, kind=IdentityKind.ANONYMOUS, **more):
    return Visit(
        event_id=EventId(f"visit_{name}"),
        site_id=SHOP,
        camera_id=CameraId("door"),
        captured_at=at(seconds + 500),
        customer_id=CustomerId(name),
        kind=kind,
        started_at=at(seconds),
        cameras=(CameraId("door"),),
        visit_number=1,
        **more,
    )


def linked(*inputs):
    ordered = sorted(inputs, key=lambda event: (event.captured_at, event.event_id))
    return {
        (link.vehicle_visit_id[-1], link.customer_id): link.confidence
        for link in VehicleLinks().derive(DAY, ordered)
    }


def test_a_party_that_enters_soon_after_the_only_car_is_linked_with_certainty():
    found = linked(arrival(0), visit(60, "ann"), visit(64, "ben"))
    assert found == {("a", "ann"): 1.0, ("a", "ben"): 1.0}


@pytest.mark.parametrize("delay_s", [-10, 4, 301])
def test_a_customer_who_enters_before_or_long_after_the_car_is_not_linked(delay_s):
    assert linked(arrival(0), visit(delay_s, "ann")) == {}


def test_two_parties_share_the_confidence_and_of_four_none_is_told():
    assert linked(arrival(0), visit(60, "ann"), visit(100, "ben")) == {
        ("a", "ann"): 0.5,
        ("a", "ben"): 0.5,
    }
    many = [visit(40 * number, f"p{number}") for number in range(1, 5)]
    assert linked(arrival(0), *many) == {}


def test_two_cars_share_one_party():
    found = linked(arrival(0), arrival(10, "b"), visit(60, "ann"))
    assert found == {("a", "ann"): 0.5, ("b", "ann"): 0.5}


def test_staff_and_withdrawn_visits_are_not_linked_and_do_not_compete():
    found = linked(
        arrival(0),
        visit(60, "ann"),
        visit(120, "eva", IdentityKind.STAFF),
        visit(180, "ben", withdrawn=True),
    )
    assert found == {("a", "ann"): 1.0}


# --- regulars and metrics -------------------------------------------------------------------


def test_regulars_come_on_several_days_of_the_shop():
    days = [arrival(day * 86_400, f"{day}") for day in range(3)]
    twice = [arrival(3600, "x"), arrival(7200, "y")]
    found = regulars([*days, *twice], ZoneInfo("Asia/Kolkata"))
    assert [(r.plate_id, r.days, r.visits) for r in found] == [("plt_a", 3, 5)]
    assert regulars(days[:2], ZoneInfo("UTC")) == []


def test_a_visit_counts_in_all_and_by_class_with_its_stay_and_plate():
    sums = {}
    for cell in cells_of(arrival(0)):
        sums.setdefault(cell.series, {}).setdefault(cell.bin, 0)
        sums[cell.series][cell.bin] += cell.value
    assert BY_NAME["vehicle_arrivals"].value(sums, 3600.0) == 1
    assert BY_NAME["vehicle_arrivals_car"].value(sums, 3600.0) == 1
    assert BY_NAME["vehicle_arrivals_bus"].value(sums, 3600.0) == 0
    assert BY_NAME["vehicle_stay_median"].value(sums, 3600.0) == pytest.approx(1000, rel=0.01)
    assert BY_NAME["vehicle_plates_read"].value(sums, 3600.0) == 1


def test_without_vehicles_stay_and_share_are_unknown():
    assert BY_NAME["vehicle_stay_median"].value({}, 3600.0) is None
    assert BY_NAME["vehicle_plates_read"].value({}, 3600.0) is None
