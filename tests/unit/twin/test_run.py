"""Complete runs: events on the wire and their ground truth."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent
from trinetra.twin.camera import Camera
from trinetra.twin.emission import Arrival
from trinetra.twin.plan import Line
from trinetra.twin.record import Recorder, Trace, crossings, spells
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import (
    AnyTruth,
    CrossingTruth,
    FrameTruth,
    PathTruth,
    PersonTruth,
    PurchaseTruth,
    QueueTruth,
    RunTruth,
    StayTruth,
    TrackTruth,
    VisitTruth,
)
from trinetra.values import derive_id, first_seq, microseconds

SHOP = built_in_shop()
VIEWS = {view.camera_id: view for view in SHOP.views}
SCENARIO = Scenario(seed=5, shoppers_per_hour=90, hours=0.4, open_hours=0.2)
"""Two days of twelve minutes each."""


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(SHOP, SCENARIO)


@pytest.fixture(scope="module")
def batches(twin: Twin) -> list:
    return list(twin.batches())


@pytest.fixture(scope="module")
def arrivals(batches: list) -> list[Arrival]:
    return [arrival for batch in batches for arrival in batch.arrivals]


@pytest.fixture(scope="module")
def events(arrivals: list[Arrival]) -> list[DetectionEvent]:
    return [decode(arrival.payload) for arrival in arrivals]


@pytest.fixture(scope="module")
def frames(batches: list) -> list[FrameTruth]:
    decoder = msgspec.json.Decoder(AnyTruth)
    return [decoder.decode(line) for batch in batches for line in batch.frames]


@pytest.fixture(scope="module")
def truth(twin: Twin) -> list[AnyTruth]:
    return list(Recorder(twin.world).lines())


def of(truth: list[AnyTruth], kind: type) -> list:
    return [line for line in truth if type(line) is kind]


# --- events -----------------------------------------------------------------------------------


def test_every_camera_yields_every_frame_of_its_rate_once(events: list[DetectionEvent]) -> None:
    seqs = defaultdict(list)
    for event in events:
        seqs[event.camera_id].append(event.frame_seq)
    for camera_id, view in VIEWS.items():
        frames_a_day = round(view.fps * 720)
        starts = [first_seq(SCENARIO.started_at + timedelta(days=day)) for day in (0, 1)]
        wanted = [start + n for start in starts for n in range(frames_a_day)]
        assert sorted(seqs[camera_id]) == wanted


def test_events_come_in_the_order_of_arrival_and_some_frames_overtake_others(
    arrivals: list[Arrival],
) -> None:
    assert arrivals == sorted(arrivals)
    by_camera = defaultdict(list)
    for arrival in arrivals:
        by_camera[arrival.camera].append(arrival.seq)
    swaps = sum(b < a for seqs in by_camera.values() for a, b in pairwise(seqs))
    assert 0.0005 < swaps / len(arrivals) < 0.05


def test_no_event_arrives_before_its_frame_was_captured(
    arrivals: list[Arrival], events: list[DetectionEvent]
) -> None:
    delays = np.array(
        [a.at_us - microseconds(e.captured_at) for a, e in zip(arrivals, events, strict=True)]
    )
    assert delays.min() > 0
    assert delays.max() <= SCENARIO.sensing.max_delay_s * 1e6 + 1
    assert np.median(delays) == pytest.approx(120_000, rel=0.1)


def test_an_events_id_is_what_the_inference_worker_would_derive(
    events: list[DetectionEvent],
) -> None:
    for event in events[::97]:
        parts = (event.site_id, event.camera_id, event.captured_at, event.frame_seq)
        assert event.event_id == derive_id("det", *parts)


def test_only_cameras_that_read_faces_show_any_and_reasons_go_with_embeddings(
    events: list[DetectionEvent],
) -> None:
    reasons = Counter()
    for event in events:
        view = VIEWS[event.camera_id]
        assert view.reads_faces or not event.faces
        assert {o.label for o in event.objects} <= view.labels
        for face in event.faces:
            assert (face.embedding is None) == (face.unusable is not None)
            assert face.embedding is None or face.quality.size_px >= view.min_face_px
            reasons[face.unusable] += 1
    assert reasons[None] > 1000
    assert {"too_small", "turned_away"} <= set(reasons)


def test_boxes_and_faces_lie_in_the_picture(events: list[DetectionEvent]) -> None:
    for event in events:
        for box in (*(o.box for o in event.objects), *(f.box for f in event.faces)):
            assert 0 <= box[0] <= box[2] <= event.frame_width
            assert 0 <= box[1] <= box[3] <= event.frame_height


def test_detections_are_about_where_the_truth_has_people(
    events: list[DetectionEvent], frames: list[FrameTruth]
) -> None:
    true = {(f.camera_id, f.seq): f for f in frames}
    seen = found = wrong = 0
    for event in events:
        frame = true.get((event.camera_id, event.frame_seq))
        persons = frame.persons if frame else ()
        boxes = [o.box for o in event.objects if o.label == "person"]
        plain = [p for p in persons if p[5] > 0.9]
        seen += len(plain)
        found += sum(any(iou(p[1:5], b) > 0.5 for b in boxes) for p in plain)
        wrong += sum(not any(iou(p[1:5], b) > 0.3 for p in persons) for b in boxes)
    assert 0.9 < found / seen < 1
    # Ghosts, and second boxes on parts of people: as many as on the labeled footage.
    assert 0.002 < wrong / len(events) < 0.15


def iou(a: tuple, b: tuple) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return w * h / (areas - w * h)


# --- truth ------------------------------------------------------------------------------------


def test_every_line_of_the_truth_can_be_read_back(truth: list[AnyTruth]) -> None:
    decoder = msgspec.json.Decoder(AnyTruth)
    for line in truth:
        assert decoder.decode(msgspec.json.encode(line)) == line


def test_a_run_begins_by_telling_what_was_run(truth: list[AnyTruth]) -> None:
    first = truth[0]
    assert isinstance(first, RunTruth)
    assert (first.seed, first.hours, len(first.windows)) == (5, 0.4, 2)
    assert [camera.camera_id for camera in first.cameras] == list(VIEWS)


def test_everybody_named_anywhere_is_introduced(
    truth: list[AnyTruth], frames: list[FrameTruth]
) -> None:
    people = {line.person_id for line in of(truth, PersonTruth)}
    visits = {line.visit_id for line in of(truth, VisitTruth)}
    assert {line.visit_id for line in of(truth, PathTruth)} == visits
    for kind in (VisitTruth, TrackTruth, StayTruth):
        assert {line.person_id for line in of(truth, kind)} <= people
    assert {p[0] for frame in frames for p in frame.persons} <= people


def test_a_crossing_lies_between_two_true_positions_on_both_sides_of_the_line(
    twin: Twin, truth: list[AnyTruth]
) -> None:
    paths = {stay.visit_id: stay.path for stay in twin.world.stays}
    walked = [c for c in of(truth, CrossingTruth) if c.label == "person"]
    assert len(walked) > 20
    for crossing in walked:
        view = VIEWS[crossing.camera_id]
        (line,) = (line for line in view.lines if line.line_id == crossing.line_id)
        at = (crossing.at - SCENARIO.started_at).total_seconds()
        x, y, _, _ = paths[crossing.visit_id].at(np.array([at - 0.11, at + 0.11]))
        u, v, _ = Camera(view).project(x, y, np.zeros(2))
        u, v = u / view.width, v / view.height
        (ax, ay), (bx, by) = line.a, line.b
        before, after = (bx - ax) * (v - ay) - (by - ay) * (u - ax)
        assert (before < 0 < after) if crossing.direction == "in" else (after < 0 < before)


def test_who_comes_in_crosses_the_doorstep_before_anything_else_sees_them(
    truth: list[AnyTruth],
) -> None:
    ins = Counter(
        c.visit_id
        for c in of(truth, CrossingTruth)
        if c.line_id == "doorstep" and c.direction == "in"
    )
    shoppers = [v for v in of(truth, VisitTruth) if v.outcome != "worked"]
    assert set(ins) <= {v.visit_id for v in shoppers}
    whole = [v.visit_id for v in shoppers if v.is_whole]
    assert whole
    assert all(ins[visit_id] == 1 for visit_id in whole)


def test_nothing_happens_outside_the_recorded_stretches(truth: list[AnyTruth]) -> None:
    windows = of(truth, RunTruth)[0].windows
    for line in truth:
        for name in ("arrived_at", "left_at", "from_at", "to_at", "at", "entered_at"):
            if (at := getattr(line, name, None)) and not isinstance(line, QueueTruth):
                assert any(opens <= at <= closes for opens, closes in windows)


def test_waits_and_purchases_agree_with_the_receipts(twin: Twin, truth: list[AnyTruth]) -> None:
    receipts = {t.transaction_id: t for t in Recorder(twin.world).transactions()}
    purchases = of(truth, PurchaseTruth)
    assert {p.transaction_id for p in purchases} == set(receipts)
    queues = {q.party_id: q for q in of(truth, QueueTruth)}
    for purchase in purchases:
        queue = queues[purchase.party_id]
        assert queue.end == "served"
        assert queue.left_at == receipts[purchase.transaction_id].at
        assert queue.till_id == receipts[purchase.transaction_id].till_id
        total_s = (queue.left_at - queue.joined_at).total_seconds()
        assert queue.wait_s + queue.service_s == pytest.approx(total_s, abs=0.002)


def test_tracks_of_one_person_in_one_view_do_not_touch(truth: list[AnyTruth]) -> None:
    spans = defaultdict(list)
    for track in of(truth, TrackTruth):
        spans[track.camera_id, track.visit_id].append((track.from_at, track.to_at))
    for of_one in spans.values():
        for (_, left), (came, _) in pairwise(sorted(of_one)):
            assert (came - left).total_seconds() > 2


def test_frames_of_the_truth_lie_within_tracks(
    truth: list[AnyTruth], frames: list[FrameTruth]
) -> None:
    spans = defaultdict(list)
    for track in of(truth, TrackTruth):
        spans[track.camera_id, track.person_id].append((track.from_at, track.to_at))
    slack = timedelta(seconds=0.11)
    for frame in frames[::13]:
        for who, *_ in frame.persons:
            of_one = spans[frame.camera_id, who]
            assert any(a - slack <= frame.captured_at <= b + slack for a, b in of_one)


def test_spells_are_split_at_gaps() -> None:
    t = np.array([0.0, 0.1, 0.2, 3.0, 3.1])
    assert spells(t, 2.0) == [(0.0, 0.2), (3.0, 3.1)]
    assert spells(t[:0], 2.0) == []


def test_a_walk_round_the_end_of_a_line_is_no_crossing() -> None:
    line = Line("l", (0.2, 0.5), (0.6, 0.5))
    over = Trace(np.array([0.0, 0.1]), np.array([0.4, 0.4]), np.array([0.4, 0.6]))
    past = Trace(np.array([0.0, 0.1]), np.array([0.7, 0.7]), np.array([0.4, 0.6]))
    assert crossings(line, over) == [(pytest.approx(0.05), "in")]
    assert crossings(line, past) == []
