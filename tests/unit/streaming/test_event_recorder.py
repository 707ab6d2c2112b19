"""The recorder: counts repeated events once, stays bounded, and never delays a producer."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from tests.unit.events.samples import ANNA, NOON, detection, face, one_of_each

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.events.codec import decode, encode
from trinetra.events.schema import IdentityEvent, LifecycleEvent, LineCrossing, Visit, ZoneStay
from trinetra.events.topics import DETECTIONS, INSIGHTS
from trinetra.ports import Record
from trinetra.streaming.event_recorder import Distinct, EventRecorder, RecentEvents, Tally
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId

T = TypeVar("T")


def of_type(kind: type[T]) -> T:
    return next(event for event in one_of_each() if isinstance(event, kind))


def test_an_insight_that_is_sent_again_counts_once_and_with_its_last_value() -> None:
    tally = Tally()
    stay = of_type(ZoneStay)
    for dwell_s in (4.0, 8.0, 10.0):
        tally.add(msgspec.structs.replace(stay, dwell_s=dwell_s))
    for _ in range(3):
        tally.add(of_type(LineCrossing))
        tally.add(of_type(Visit))
    found = tally.insights()
    assert found["zone_stays"] == {"table": {"stays": 1, "mean_dwell_s": 10.0}}
    assert found["footfall"] == {"in": 1, "out": 0}
    assert found["visits"] == 1


def test_vehicles_are_not_footfall() -> None:
    tally = Tally()
    tally.add(msgspec.structs.replace(of_type(LineCrossing), label="car"))
    assert tally.insights()["footfall"] == {"in": 0, "out": 0}
    assert tally.insights()["vehicles"] == {"in": 1, "out": 0}


def test_a_track_counts_under_its_latest_decision_only() -> None:
    tally = Tally()
    known = of_type(IdentityEvent)
    tally.add(msgspec.structs.replace(known, status="unknown", customer_id=None))
    tally.add(known)
    assert +tally.cameras[known.camera_id].statuses == {"known": 1}
    assert tally.customers.total == 1


def test_what_was_corrected_is_taken_back() -> None:
    tally = Tally()
    for kind in (LineCrossing, ZoneStay):
        event = of_type(kind)
        tally.add(event)
        tally.add(msgspec.structs.replace(event, kind=IdentityKind.STAFF))
    for withdrawn in (False, True, True):
        tally.add(msgspec.structs.replace(of_type(Visit), withdrawn=withdrawn))
    found = tally.insights()
    assert (found["footfall"], found["visits"]) == ({"in": 0, "out": 0}, 0)
    assert (tally.stays.total(), sum(tally.dwell_s.values())) == (0, 0.0)


def decided(track: str, customer: str | None, **changes: object) -> IdentityEvent:
    known = of_type(IdentityEvent)
    return msgspec.structs.replace(known, track_id=track, customer_id=customer, **changes)


def test_a_customer_of_whom_no_track_is_left_does_not_count() -> None:
    tally = Tally()
    for event in (decided("t", "ann"), decided("u", "ann"), decided("t", "ben")):
        tally.add(event)
    assert tally.people == 2
    tally.add(decided("u", "ben"))
    assert tally.people == 1
    tally.add(decided("u", "cat", since=NOON))
    assert tally.people == 2, "the track was Ben's until then"
    tally.add(decided("v", "eve"))
    tally.add(decided("v", None))
    assert tally.people == 2


def test_a_merge_takes_no_customer_back_twice() -> None:
    tally = Tally()
    merge = lifecycle("merged", "new", "old")
    for event in (decided("t", "new"), merge, decided("t", "old", reasons=("merged",))):
        tally.add(event)
    assert tally.people == 1
    tally.add(lifecycle("split", "new", "old"))
    tally.add(decided("t", "new", reasons=("split",)))
    assert tally.people == 1


def test_distinct_keys_are_counted_within_a_bound() -> None:
    seen: Distinct[int, str] = Distinct(keep=3)
    assert [seen.put(n, "a") for n in (1, 2, 1, 3)] == [None, None, "a", None]
    assert seen.total == 3
    for n in range(100):
        seen.put(n, "b")
    assert len(seen._values) == 3


async def test_every_event_is_written_as_on_the_wire(tmp_path: Path) -> None:
    log = MemoryEventLog(SystemClock())
    lines = [encode(event) for event in one_of_each()]
    await log.append([Record(DETECTIONS, "door", line) for line in lines])
    await log.append([Record(INSIGHTS, "door", b"not an event")])
    stopping = asyncio.Event()
    stopping.set()
    with EventRecorder(log, tmp_path / "new" / "events.jsonl") as recorder:
        await recorder.run(stopping)
    assert (tmp_path / "new" / "events.jsonl").read_bytes().splitlines() == lines


async def test_a_watcher_sees_the_last_events_and_then_every_new_one() -> None:
    recent = RecentEvents(keep=3)
    for seconds in range(5):
        recent.add(
            msgspec.structs.replace(detection(), captured_at=NOON + timedelta(seconds=seconds))
        )
    watching = recent.watch(last=2)
    assert [decode(await anext(watching)).captured_at.second for _ in range(2)] == [3, 4]
    waiting = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    assert not waiting.done()
    recent.add(msgspec.structs.replace(detection(faces=(face(),)), event_id=EventId("new")))
    event = decode(await waiting)
    assert event.event_id == "new"
    assert event.faces[0].embedding is None


async def test_a_watcher_that_is_slow_misses_events_and_goes_on() -> None:
    recent = RecentEvents(keep=2)
    watching = recent.watch(last=0)
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    for number in range(10):
        recent.add(msgspec.structs.replace(detection(), event_id=EventId(str(number))))
    got = [decode(await first).event_id, decode(await anext(watching)).event_id]
    assert got == ["8", "9"]


def test_customers_found_to_be_one_person_count_once_until_that_is_undone() -> None:
    tally = Tally()
    for name in ("ann", "ben"):
        tally.customers.put(CustomerId(name), value=1)
    tally.add(lifecycle("merged", "ben", "ann"))
    tally.add(lifecycle("merged", "ben", "ann"))
    tally.add(lifecycle("merged", "stranger", "ann"))
    assert tally.people == 1
    tally.add(lifecycle("split", "ben", "ann"))
    assert tally.people == 2
    assert not tally.cameras


def lifecycle(change: Literal["merged", "split"], who: str, other: str) -> LifecycleEvent:
    return LifecycleEvent(
        event_id=EventId(f"{change}-{who}"),
        site_id=SiteId("shop"),
        camera_id=CameraId(""),
        captured_at=NOON,
        change=change,
        customer_id=CustomerId(who),
        other=CustomerId(other),
    )


def test_customers_are_people_not_events() -> None:
    tally = Tally()
    for event in one_of_each():
        tally.add(event)
    assert tally.customers.total == 1
    assert tally.customers.put(CustomerId(ANNA), value=2) == 1
