"""Snapshots of cameras and customers contain all state that later insights depend on."""

import itertools
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.insights.strolls import CAMERAS, PLAN, CameraEvent, camera_burst, stroll
from tests.unit.insights.walks import CAMERA, SITE, at, frame, identity

from trinetra.events.schema import ZoneStay
from trinetra.events.sightings import Sighting
from trinetra.insights.camera.camera_analytics import CameraAnalytics, Outcome
from trinetra.insights.camera.presence import Presence
from trinetra.insights.camera.reports import Place
from trinetra.insights.config import CameraInsights, InsightPolicy
from trinetra.insights.partitions import CameraPartition, CustomerPartition
from trinetra.insights.snapshot import decode_camera, decode_visits, encode_camera, encode_visits
from trinetra.insights.visits.visit_tracker import CustomerVisits

POLICY = InsightPolicy(visit_gap_s=900.0)
PLANS = dict.fromkeys(CAMERAS, PLAN)


def cameras() -> CameraPartition:
    return CameraPartition(SITE, PLANS, POLICY)


def customers() -> CustomerPartition:
    return CustomerPartition(SITE, POLICY)


def remembered(
    share: CameraPartition | CustomerPartition, log: dict[str, bytes]
) -> dict[str, bytes]:
    """Return a compacted log after the changes of a partition."""
    changed = {**log, **share.changes()}
    return {key: value for key, value in changed.items() if value is not None}


def outcomes(share: CameraPartition, events: list[CameraEvent]) -> list[Outcome]:
    return [outcome for event in events if (outcome := share.step(event))]


@given(seed=st.integers(0, 10**9), cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_going_on_from_what_was_remembered_is_going_on(seed: int, cuts: list[float]) -> None:
    events = list(camera_burst(Random(seed), CAMERA, 0.0, "x"))
    straight = CameraPartition(SITE, {CAMERA: PLAN}, POLICY)
    expected = outcomes(straight, events)
    places = sorted({0, len(events), *(round(cut * len(events)) for cut in cuts)})
    found: list[Outcome] = []
    log: dict[str, bytes] = {}
    for start, end in itertools.pairwise(places):
        share = CameraPartition(SITE, {CAMERA: PLAN}, POLICY)
        assert share.resume(log) == {}
        found += outcomes(share, events[start:end])
        log = remembered(share, log)
    assert found == expected
    last = CameraPartition(SITE, {CAMERA: PLAN}, POLICY)
    last.resume(log)
    assert last.open_stays == straight.open_stays
    assert last.flush() == straight.flush()


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), cut=st.floats(0, 1))
def test_visits_go_on_from_what_was_remembered(seed: int, cut: float) -> None:
    events = stroll(Random(seed), bursts=2)
    sightings = [s for o in outcomes(cameras(), events) for s in o.sightings]
    straight, first, second = customers(), customers(), customers()
    expected = [straight.step(s, n) for n, s in enumerate(sightings)]
    middle = round(cut * len(sightings))
    found = [first.step(s, n) for n, s in enumerate(sightings[:middle])]
    # Without a record to look up, customers whose visits ended must not be dropped.
    log = {c: encode_visits(visits_of) for c, visits_of in first._visits.customers.items()}
    assert second.resume(log) == {}
    found += [second.step(s, n) for n, s in enumerate(sightings[middle:], start=middle)]
    assert found == expected
    assert second.flush() == straight.flush()


@settings(max_examples=25)
@given(st.integers(0, 10**9))
def test_bytes_of_what_is_remembered_read_back_the_same(seed: int) -> None:
    share = cameras()
    outcomes(share, stroll(Random(seed), bursts=1))
    for payload in share.changes().values():
        assert payload is not None
        assert encode_camera(decode_camera(payload)) == payload


@given(st.binary(max_size=60))
def test_broken_state_is_refused_and_never_half_taken(payload: bytes) -> None:
    for version in (b"", b"\x01"):
        share = cameras()
        try:
            decode_camera(version + payload)
        except ValueError:
            assert share.resume({CAMERA: version + payload}).keys() == {CAMERA}
            assert share.open_stays == 0
        with pytest.raises(ValueError, match="state"):
            decode_visits(b"\xff" + payload)


def test_state_of_another_version_is_refused_by_its_number() -> None:
    share = cameras()
    share.step(frame(0, {"a": (0.2, 0.5)}, camera=CAMERAS[0]))
    (payload,) = share.changes().values()
    assert payload is not None
    newer = bytes([payload[0] + 1]) + payload[1:]
    fresh = cameras()
    assert fresh.resume({CAMERAS[0]: newer}) == {
        CAMERAS[0]: "the state has version 2, this TRINETRA reads 1"
    }
    assert fresh.resume({CAMERAS[0]: b""})[CAMERAS[0]].startswith("the state has version none")


def test_zones_that_are_no_more_are_left_out_of_what_goes_on() -> None:
    place = Place(SITE, CAMERA)
    before = CameraAnalytics(place, PLAN, POLICY)
    before.step(frame(0, {"a": (0.2, 0.8), "b": (0.5, 0.8)}))
    memory = decode_camera(encode_camera(before.memory()))
    after = CameraAnalytics(place, CameraInsights(zones=PLAN.zones[1:]), POLICY)
    after.resume(memory)
    after.step(frame(2, {"a": (0.2, 0.8), "b": (0.5, 0.8)}))
    stays = [i for i in after.flush().insights if isinstance(i, ZoneStay)]
    assert [stay.zone_id for stay in stays] == ["table"]


def test_a_busy_camera_takes_a_few_kilobytes_and_a_customer_a_hundred_bytes() -> None:
    share = CameraPartition(SITE, {CAMERA: PLAN}, InsightPolicy())
    names = [f"trk_{n:024x}" for n in range(10)]
    for number in range(60):
        feet = {
            t: (0.05 + 0.09 * n, 0.5 + 0.04 * (-1) ** (number // 4)) for n, t in enumerate(names)
        }
        share.step(frame(number / 2, feet))
        if number % 6 == 0:
            track = names[number // 6]
            share.step(identity(number / 2, track, f"cus_{number:024x}"))
    (payload,) = share.changes().values()
    assert payload is not None
    assert len(payload) < 40_000
    partition = customers()
    partition.step(_sighting(), 0)
    (payload,) = partition.changes().values()
    assert payload is not None
    assert len(payload) < 130


def _sighting() -> Sighting:
    return Sighting(
        site_id=SITE,
        camera_id=CAMERA,
        customer_id="cus_0123456789abcdef01234567",
        kind="anonymous",
        since=at(0),
        until=at(0.123456),
    )


def test_what_was_met_and_not_yet_seen_is_remembered() -> None:
    visits_of = decode_visits(encode_visits(CustomerVisits(awaited_to=7)))
    assert (visits_of.number, visits_of.visit, visits_of.awaited_to) == (0, None, 7)


def test_instants_keep_their_microseconds() -> None:
    presence = Presence("anonymous", at(0.000001), at(1.999999), at(1))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(presence), type=Presence)
    assert (again.since, again.until) == (at(0.000001), at(1.999999))


def test_a_snapshot_from_before_there_were_sessions_is_read() -> None:
    share = CameraPartition(SITE, {CAMERA: PLAN}, POLICY)
    share.step(frame(1.0, {"t": (0.5, 0.5)}))
    (payload,) = share.changes().values()
    assert payload is not None
    fields = msgspec.msgpack.decode(payload[1:])
    memory = decode_camera(payload[:1] + msgspec.msgpack.encode(fields[:-2]))
    assert (memory.session, memory.earlier, memory.last_at) == (0, {}, at(1.0))
