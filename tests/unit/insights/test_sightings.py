"""Sightings: which ones are published for the customers in view, and their encoding."""

from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.insights.strolls import CAMERAS, PLAN, CameraEvent, stroll
from tests.unit.insights.walks import CAMERA, SITE, at, frame, position

from trinetra.errors import MalformedEvent
from trinetra.events.schema import Visit
from trinetra.events.sightings import Sighting, decode_sighting, encode_sighting
from trinetra.insights.camera.camera_analytics import CameraAnalytics
from trinetra.insights.camera.presence import PresenceTracker
from trinetra.insights.camera.reports import Place
from trinetra.insights.camera.track_stitching import Name
from trinetra.insights.config import InsightPolicy
from trinetra.insights.visits.visit_tracker import VisitTracker
from trinetra.values import CustomerId, IdentityKind, Instant, TrackId

GOLDEN = Path(__file__).parents[2] / "golden" / "internal" / "sighting.v1.json"
ANN = Name(CustomerId("ann"), IdentityKind.ENROLLED)
T = TrackId("t")
instants = st.floats(0, 10**6).map(at)


def attendance() -> PresenceTracker:
    return PresenceTracker(Place(SITE, CAMERA), resend_s=5.0, absent_after_s=3.0)


def told(sightings: list[Sighting]) -> list[tuple[Instant, Instant, bool]]:
    return [(s.since, s.until, s.left) for s in sightings]


def test_a_customer_is_sighted_at_once_then_as_the_stretch_grows_and_when_lost() -> None:
    here = attendance()
    sent = [s for t in range(13) for s in here.see(T, ANN, at(t), at(t))]
    assert told(sent) == [
        (at(0), at(0), False),
        (at(0), at(5), False),
        (at(5), at(10), False),
    ]
    assert here.lose(at(15)) == []
    assert told(here.lose(at(15.5))) == [(at(10), at(12), True)]
    assert here.lose(at(99)) == []


def test_a_stretch_that_began_earlier_than_told_is_told_again() -> None:
    here = attendance()
    here.see(T, ANN, at(4), at(4))
    assert told(here.see(T, ANN, at(1), at(5))) == [(at(1), at(5), False)]
    assert here.see(T, ANN, at(1), at(6)) == []


def test_a_customer_who_turns_out_to_be_of_another_kind_is_told_again() -> None:
    here = attendance()
    here.see(T, Name(ANN.customer_id, IdentityKind.ANONYMOUS), at(0), at(0))
    (again,) = here.see(T, ANN, at(1), at(1))
    assert again.kind is IdentityKind.ENROLLED


def test_staff_and_the_watchlist_are_nobody_to_visits() -> None:
    here = attendance()
    for kind in (IdentityKind.STAFF, IdentityKind.WATCHLIST):
        assert here.see(T, Name(CustomerId("joe"), kind), at(0), at(0)) == []
    assert here.flush() == []


def test_a_camera_that_was_silent_does_not_bridge_an_absence() -> None:
    camera = CameraAnalytics(Place(SITE, CAMERA), PLAN, InsightPolicy())
    presence = [position("t", (0.5, 0.5), customer="ann")]
    sightings = [s for t in (0, 4000) for s in camera.step(frame(t, presence)).sightings]
    assert told(sightings) == [
        (at(0), at(0), False),
        (at(0), at(0), True),
        (at(4000), at(4000), False),
    ]


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_visits_of_thinned_sightings_are_those_of_every_frame(seed: int) -> None:
    events = stroll(Random(seed), bursts=3)
    each = InsightPolicy(visit_resend_s=0.0)
    thinned, full = played(events, InsightPolicy()), played(events, each)
    assert thinned[0] == full[0]
    assert thinned[1] < full[1] or full[1] < 20


def played(events: list[CameraEvent], policy: InsightPolicy) -> tuple[dict[str, object], int]:
    """Return the extent of every visit, and how many sightings led to them."""
    cameras = {c: CameraAnalytics(Place(SITE, c), PLAN, policy) for c in CAMERAS}
    tracker = VisitTracker(SITE, policy.visit_gap_s, policy.visit_resend_s)
    visits: dict[str, Visit] = {}
    count = 0
    for event in events:
        for sighting in cameras[event.camera_id].step(event).sightings:
            count += 1
            visits.update({v.event_id: v for v in tracker.step(sighting)})
    return {
        v.event_id: (v.customer_id, v.started_at, v.captured_at, v.cameras)
        for v in visits.values()
        if not v.withdrawn
    }, count


@given(since=instants, length=st.floats(0, 1000), left=st.booleans())
def test_a_sighting_reads_back_the_same(since: Instant, length: float, left: bool) -> None:
    sighting = Sighting(
        site_id=SITE,
        camera_id=CAMERA,
        customer_id=ANN.customer_id,
        kind=ANN.kind,
        since=since,
        until=since + (at(length) - at(0)),
        left=left,
    )
    assert decode_sighting(encode_sighting(sighting)) == sighting


def test_a_sighting_of_the_first_version_reads_as_it_did() -> None:
    payload = GOLDEN.read_bytes()
    sighting = decode_sighting(payload)
    assert (sighting.customer_id, sighting.camera_id) == ("cus_anna", "door")
    assert (sighting.until - sighting.since).total_seconds() == 4.75
    assert msgspec.json.decode(encode_sighting(sighting)) == msgspec.json.decode(payload)


def test_a_correction_reads_as_it_did() -> None:
    payload = GOLDEN.with_suffix(".withdrawn.json").read_bytes()
    sighting = decode_sighting(payload)
    assert (sighting.track_id, sighting.correction) == ("trk_1", "withdrawn")
    assert msgspec.json.decode(encode_sighting(sighting)) == msgspec.json.decode(payload)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (b'"version":1', b'"version":2', "not a valid sighting"),
        (b'"type":"sighting"', b'"type":"visit"', "not a valid sighting"),
        (b'"enrolled"', b'"cousin"', "not a valid sighting"),
        (b"12:00:00Z", b"12:00:00", "no UTC offset"),
        (b"12:00:00Z", b"13:00:00Z", "ends before it begins"),
        (b"{", b"", "not a valid sighting"),
    ],
)
def test_what_is_no_sighting_says_why(before: bytes, after: bytes, complaint: str) -> None:
    payload = GOLDEN.read_bytes()
    assert before in payload
    with pytest.raises(MalformedEvent, match=complaint):
        decode_sighting(payload.replace(before, after, 1))
