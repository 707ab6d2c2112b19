"""Queues and tills right now follow from the latest occupancy and the recent services."""

import msgspec
from tests.unit.insights.tills import CAMERA, NOON, PLAN, stay, visits

from trinetra.events.schema import Occupancy
from trinetra.insights.queues.live import live, longest
from trinetra.insights.queues.plan import ZonePlace
from trinetra.values import EventId, SiteId, after


def occupancy(zone_id: str, persons: int, *, unseen: bool = False) -> tuple[ZonePlace, Occupancy]:
    event = Occupancy(
        event_id=EventId(zone_id),
        site_id=SiteId("shop"),
        camera_id=CAMERA,
        captured_at=NOON,
        zone_id=zone_id,
        persons=persons,
    )
    if unseen:
        event = msgspec.structs.replace(event, unseen=True)
    return ZonePlace(CAMERA, zone_id), event


def test_a_queue_is_as_long_as_its_zone_has_people() -> None:
    now = live(PLAN, NOON, dict([occupancy("queue-1", 3), occupancy("snake", 0)]), [])
    people = {place.zone_id: queue.people for place, queue in now.queues.items()}
    assert people == {"queue-1": 3, "queue-2": None, "snake": 0}


def test_a_queue_that_is_not_seen_is_unknown_and_not_empty() -> None:
    now = live(PLAN, NOON, dict([occupancy("queue-1", 0, unseen=True)]), [])
    assert now.queues[ZonePlace(CAMERA, "queue-1")].people is None


def test_a_till_is_open_while_people_or_staff_are_there() -> None:
    told = dict([occupancy("desk-1", 1), occupancy("desk-2", 0), occupancy("desk-3", 0)])
    now = live(PLAN, NOON, told, [], staffed=["till-3"])
    assert now.is_open == {
        "till-1": True,
        "till-2": False,
        "till-3": True,
        "till-4": None,
        "till-5": None,
    }


def test_a_till_stays_open_for_a_while_after_a_service() -> None:
    (visit,) = visits(stay("desk-1", 0, 30, "a"))
    told = dict([occupancy("desk-1", 0)])
    assert live(PLAN, after(NOON, 330), told, [visit]).is_open["till-1"] is True
    assert live(PLAN, after(NOON, 331), told, [visit]).is_open["till-1"] is False
    assert live(PLAN, after(NOON, 29), told, [visit]).is_open["till-1"] is False


def test_the_longest_queue_is_of_parties_that_wait_at_once() -> None:
    found = visits(
        stay("queue-1", 0, 60, "a"),
        stay("queue-2", 50, 100, "b"),
        stay("snake", 60, 90, "c"),
        stay("kiosk", 0, 100, "d"),
    )
    assert longest(found) == 2
    assert longest([]) == 0
