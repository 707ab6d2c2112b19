"""Readers of every format; errors name file and line."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evaluation.twin_truth import BOX, as_lines, at, twin_lines

from trinetra.errors import ConfigurationError
from trinetra.evaluation.reading import TruthFormat, read_events, read_truth
from trinetra.events.codec import encode
from trinetra.events.schema import (
    AnyEvent,
    DetectionEvent,
    Evidence,
    IdentityEvent,
    LifecycleEvent,
    LineCrossing,
    ObjectBox,
    Thresholds,
    TrackPosition,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.values import IdentityKind, microseconds

CVML = """<?xml version="1.0"?>
<dataset name="S2"><frame number="0"><objectlist>
<object id="7"><box h="20" w="10" xc="100" yc="50"/></object></objectlist></frame>
<frame number="2"><objectlist/></frame></dataset>
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def writer(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return writer


Write = Callable[[str, str], Path]


# --- MOTChallenge -----------------------------------------------------------------------------


def test_motchallenge_rows_become_boxes_at_the_times_of_their_frames(write: Write) -> None:
    truth = read_truth(write("gt.txt", "1,4,10,20,60,150,1\n3,4,12,20,60,150,1\n"), fps=10)
    boxes = truth.boxes[""]
    assert boxes.at_us.tolist() == [0, 200_000]
    assert boxes.frames_us.tolist() == [0, 100_000, 200_000]
    assert boxes.xyxy[0].tolist() == list(BOX)
    assert boxes.names == ("4",)
    assert not truth.is_dated


def test_rows_that_do_not_count_are_left_out(write: Write) -> None:
    rows = "1,1,0,0,5,5,1,1,1\n1,2,0,0,5,5,0,1,1\n1,3,0,0,5,5,1,8,1\n"
    assert read_truth(write("gt.txt", rows), fps=10).boxes[""].names == ("1",)


def test_the_older_format_with_world_coordinates_has_no_classes(write: Write) -> None:
    row = "1,1,0,0,5,5,1,-4.8,3.2,0\n"
    assert len(read_truth(write("gt.txt", row), fps=10).boxes[""]) == 1


def test_seqinfo_tells_rate_and_length(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=4\nseqLength=6\n")
    path = tmp_path / "gt" / "gt.txt"
    path.write_text("2,1,0,0,5,5,1\n")
    boxes = read_truth(path).boxes[""]
    assert boxes.at_us.tolist() == [250_000]
    assert len(boxes.frames_us) == 6


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,3", "3 values, expected"),
        ("1,2,x,4,5,6,1", "not a row of numbers"),
        ("0,2,3,4,5,6,1", "frame numbers are 1"),
        ("1.5,2,3,4,5,6,1", "frame numbers are 1"),
        ("1,2,nan,4,5,6,1", "finite numbers"),
        ("1,2,3,4,-5,6,1", "must not be negative"),
    ],
)
def test_a_malformed_row_is_told_with_file_and_line(write: Write, row: str, message: str) -> None:
    path = write("gt.txt", f"1,1,0,0,5,5,1\n\n{row}\n")
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_truth(path, fps=10)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_a_truth_without_a_frame_rate_asks_for_one(write: Write) -> None:
    for name, text in (("gt.txt", "1,1,0,0,5,5,1\n"), ("a.xml", CVML)):
        with pytest.raises(ConfigurationError, match="--fps"):
            read_truth(write(name, text))


def test_a_broken_seqinfo_is_told(tmp_path: Path) -> None:
    (tmp_path / "seqinfo.ini").write_text("frameRate=4\n")
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,5,5,1\n")
    with pytest.raises(ConfigurationError, match=r"seqinfo\.ini is not a valid"):
        read_truth(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for name in ("gt.txt", "a.xml", "truth.jsonl"):
        with pytest.raises(ConfigurationError, match="cannot be read: no such file"):
            read_truth(tmp_path / name)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    for written_as in TruthFormat:
        with suppress(ConfigurationError):  # anything else is a bug
            read_truth(path, written_as=written_as, fps=10)


# --- CVML -------------------------------------------------------------------------------------


def test_cvml_boxes_are_centered_and_frames_count_from_zero(write: Write) -> None:
    boxes = read_truth(write("view.xml", CVML), fps=5).boxes[""]
    assert boxes.xyxy.tolist() == [[95.0, 40.0, 105.0, 60.0]]
    assert boxes.frames_us.tolist() == [0, 400_000]
    assert boxes.names == ("7",)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('xc="100"', "", 3, "needs a number as xc"),
        ('w="10"', 'w="inf"', 3, "finite number as w"),
        ('h="20"', 'h="-20"', 3, "must not be negative"),
        ('number="2"', 'number="later"', 4, "needs a number as number"),
        ("</dataset>", "", 5, "not XML"),
    ],
)
def test_malformed_cvml_is_told_with_file_and_line(
    write: Write, old: str, new: str, line: int, message: str
) -> None:
    path = write("view.xml", CVML.replace(old, new))
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_truth(path, fps=5)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_xml_without_frames_is_no_cvml(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="not CVML"):
        read_truth(write("a.xml", "<html/>"), fps=5)


def test_xml_that_declares_entities_is_refused(write: Write) -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaa">]><dataset>&a;</dataset>'
    with pytest.raises(ConfigurationError, match="entities"):
        read_truth(write("a.xml", bomb), fps=5)


# --- the twin's -------------------------------------------------------------------------------


def test_the_twins_truth_tells_boxes_walks_and_happenings(write: Write) -> None:
    truth = read_truth(write("truth.jsonl", as_lines(twin_lines())))
    boxes, walks = truth.boxes["door"], truth.walks["door"]
    assert [boxes.names[i] for i in boxes.name] == ["p1"] * 3
    assert len(set(walks.name.tolist())) == 2  # gone for 4.8 s: a second walk
    assert truth.windows_us == ((microseconds(at(0)), microseconds(at(60))),)
    assert [c.direction for c in truth.facts.crossings] == ["in"]
    assert [s.dwell_s for s in truth.facts.stays] == [5.0, 5.0]
    assert [(v.who, v.bought) for v in truth.facts.visits] == [("p1", True)]
    assert [w.wait_s for w in truth.facts.waits] == [12.0]


def test_another_label_reads_the_twins_vehicles(write: Write) -> None:
    lines = twin_lines()
    lines[5]["vehicles"] = [["c1", 0.0, 0.0, 50.0, 40.0, 1.0]]
    truth = read_truth(write("truth.jsonl", as_lines(lines)), label="car")
    assert truth.boxes["door"].names == ("c1",)
    assert len(truth.facts.crossings) == 1
    assert truth.facts.stays == ()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"type": "person", "person_id": 3, "kind": "shopper"}, "person_id"),
        ({"type": "sermon"}, "sermon"),
        (
            {"type": "frame", "camera_id": "door", "captured_at": "2026-11-22T12:00:00"},
            "no UTC offset",
        ),
    ],
)
def test_a_malformed_line_of_a_twin_is_told_with_file_and_line(
    write: Write, broken: dict[str, object], message: str
) -> None:
    path = write("truth.jsonl", as_lines([*twin_lines()[:2], broken]))
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_truth(path)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_lines_without_a_run_are_no_twins_truth(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="no line of type run"):
        read_truth(write("truth.jsonl", as_lines(twin_lines()[1:])))


# --- events -----------------------------------------------------------------------------------


def common(name: str, seconds: float) -> dict[str, object]:
    return {
        "event_id": name,
        "site_id": "shop",
        "camera_id": "door",
        "captured_at": at(seconds),
    }


def identity(name: str, seconds: float, customer: str | None) -> IdentityEvent:
    evidence = Evidence(3, 3, 50.0, 0.8, "m", Thresholds(0.72, 0.03, 0.3, 32.0))
    return IdentityEvent(
        **common(name, seconds),
        track_id="t1",
        status="new" if customer else "unknown",
        reasons=(),
        evidence=evidence,
        track_started_at=at(0),
        customer_id=customer,
    )


def write_events(write: Write, *events: AnyEvent) -> Path:
    return write("events.jsonl", "".join(encode(e).decode() + "\n" for e in events))


SIZE = {"frame_width": 640, "frame_height": 480}


def test_frames_count_also_with_nobody_in_them_and_once_if_sent_twice(write: Write) -> None:
    objects = (ObjectBox("person", 0.8, BOX), ObjectBox("car", 0.9, BOX))
    full = DetectionEvent(**common("d1", 0), **SIZE, frame_seq=1, objects=objects)
    empty = DetectionEvent(**common("d2", 1), **SIZE, frame_seq=2)
    found = read_events(write_events(write, full, empty, full)).detections["door"]
    assert len(found.frames_us) == 2
    assert found.score.tolist() == [0.8]


def test_tracks_are_named_and_chosen_by_label(write: Write) -> None:
    tracks = (TrackPosition("t1", "person", BOX), TrackPosition("t2", "car", BOX))
    path = write_events(write, TracksEvent(**common("k1", 0), **SIZE, frame_seq=1, tracks=tracks))
    assert read_events(path).tracks["door"].names == ("t1",)
    assert read_events(path, label=None).tracks["door"].names == ("t1", "t2")


def test_the_last_decision_counts_since_it_was_first_said(write: Write) -> None:
    said = [identity("i1", 1, None), identity("i2", 2, "c1"), identity("i3", 9, "c1")]
    (decision,) = read_events(write_events(write, *said)).decisions
    assert (decision.status, decision.customer) == ("new", "c1")
    assert decision.decided_us == microseconds(at(2))


def test_insights_that_grow_count_as_they_were_last_sent(write: Write) -> None:
    visits = [
        Visit(
            **common("v1", seconds),
            customer_id="c1",
            kind=IdentityKind.ANONYMOUS,
            started_at=at(0),
            cameras=("door",),
            visit_number=1,
        )
        for seconds in (10, 40)
    ]
    stay = ZoneStay(
        **common("s1", 8),
        zone_id="mat",
        track_id="t1",
        label="person",
        entered_at=at(3),
        dwell_s=5.0,
    )
    crossing = LineCrossing(
        **common("x1", 4), line_id="step", direction="in", track_id="t1", label="person"
    )
    facts = read_events(write_events(write, *visits, stay, crossing)).facts
    assert [(v.ended_us - v.started_us) / 1e6 for v in facts.visits] == [40.0]
    assert [s.dwell_s for s in facts.stays] == [5.0]
    assert [c.line for c in facts.crossings] == ["step"]


def test_decisions_and_visits_are_of_the_person_whom_a_merge_left(write: Write) -> None:
    def told(change: str, name: str) -> LifecycleEvent:
        return LifecycleEvent(**common(name, 20), change=change, customer_id="c2", other="c1")

    visits = [
        Visit(
            **common(f"v{customer}", seconds),
            customer_id=customer,
            kind=IdentityKind.ANONYMOUS,
            started_at=at(seconds - 5),
            cameras=("door",),
            visit_number=1,
        )
        for customer, seconds in (("c1", 10), ("c2", 30))
    ]
    said = [identity("i2", 2, "c2"), *visits, told("merged", "l1")]
    merged = read_events(write_events(write, *said))
    undone = read_events(write_events(write, *said, told("split", "l2")))
    assert [d.customer for d in merged.decisions] == ["c1"]
    assert [(v.who, v.ended_us - v.started_us) for v in merged.facts.visits] == [("c1", 25_000_000)]
    assert [d.customer for d in undone.decisions] == ["c2"]
    assert [v.who for v in undone.facts.visits] == ["c1", "c2"]


def test_a_malformed_event_is_told_with_file_and_line(write: Write) -> None:
    path = write("events.jsonl", encode(identity("i1", 1, None)).decode() + '\n{"type": "x"}\n')
    with pytest.raises(ConfigurationError, match="not a valid event") as caught:
        read_events(path)
    assert str(caught.value).startswith(f"{path}:2: ")
