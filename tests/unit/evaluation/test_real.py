"""Scores on labeled recordings: alignment by frame number, ignored places, counts, baseline."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trinetra.benchmarks.real import OURS, Row, checked, means, shortfalls, usual
from trinetra.benchmarks.real_table import as_document, as_text, tables
from trinetra.evaluation.boxes import Boxes, BoxesBuilder, no_boxes
from trinetra.evaluation.comparison import Comparison
from trinetra.evaluation.footage import CountedLine, CountedZone, HandCounts, LabeledView
from trinetra.evaluation.intervals import Interval, jackknife
from trinetra.evaluation.real import (
    Labels,
    Recorded,
    compared,
    count_scores,
    detection_scores,
    read_labels,
    track_scores,
)
from trinetra.evaluation.scores import Score
from trinetra.evaluation.truth import Crossing, Decision, Facts, Findings, Stay

START = 1_000_000_000
FRAMES = tuple(40_000 * i for i in range(100))
CAMERA = "view"
BODY = (40.0, 30.0, 60.0, 80.0)
SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))


def view(**changes: object) -> LabeledView:
    return replace(LabeledView("hall", "hall", Path("hall.mp4")), **changes)  # type: ignore[arg-type]


def recorded(**changes: object) -> Recorded:
    return Recorded(view(**changes), START, FRAMES, width=200, height=100)


def boxes(
    *rows: tuple[str, tuple[float, float, float, float]], frames: Sequence[int] = FRAMES
) -> Boxes:
    builder = BoxesBuilder()
    for at_us in frames:
        builder.frame(START + at_us)
        for name, xyxy in rows:
            builder.add(START + at_us, name, xyxy)
    return builder.build()


def aligned(recording: Recorded, truth: Boxes, tracks: Boxes) -> Comparison:
    return compared(recording, Labels(truth, no_boxes()), tracks)


def values(scores: Sequence[Score]) -> dict[str, float | None]:
    return {f"{score.name} {score.of}".strip(): score.value for score in scores}


def found(
    tracks: Boxes, *, facts: Facts | None = None, decisions: tuple[Decision, ...] = ()
) -> Findings:
    return Findings({}, {CAMERA: tracks}, decisions, facts or Facts())


def test_labels_get_the_times_of_the_frames_they_number(tmp_path: Path) -> None:
    """Some files skip the time of their second frame; labels count frames all the same."""
    labels = tmp_path / "gt.txt"
    labels.write_text("1,1,0,0,9,9,1\n2,1,0,0,9,9,1\n3,1,0,0,9,9,1\n")
    skips = Recorded(view(labels=labels), START, (0, 80_000), width=200, height=100)
    read = read_labels(skips)
    assert read is not None
    at_us = read.boxes.at_us.tolist()
    assert at_us == [START, START + 80_000], "the third frame is not in the video"
    assert read.boxes.frames_us.tolist() == [START, START + 80_000]


def test_only_the_frames_that_were_processed_count() -> None:
    comparison = aligned(recorded(), boxes(("a", BODY)), boxes(("t", BODY), frames=FRAMES[::5]))
    assert (comparison.frames, len(comparison.truth)) == (20, 20)
    assert values(track_scores(comparison))["mota"] == 1.0


def test_boxes_in_ignored_places_are_neither_right_nor_wrong() -> None:
    far = (150.0, 10.0, 160.0, 20.0)
    ignoring = recorded(ignored=((0.7, 0.0, 1.0, 0.3),))
    truth, tracks = boxes(("a", BODY)), boxes(("t", BODY), ("ghost", far))
    assert values(track_scores(aligned(recorded(), truth, tracks)))["false"] == 100
    assert values(track_scores(aligned(ignoring, truth, tracks)))["false"] == 0
    labeled_far = boxes(("a", BODY), ("b", far))
    assert values(track_scores(aligned(ignoring, labeled_far, tracks)))["missed"] == 0


def test_a_match_counts_also_where_places_are_ignored() -> None:
    """A near person who walks in front of an ignored place has a label, and must be found."""
    near = (142.0, 0.0, 158.0, 90.0)
    ignoring = recorded(ignored=((0.7, 0.0, 1.0, 0.3),))
    scores = values(track_scores(aligned(ignoring, boxes(("a", near)), boxes(("t", near)))))
    assert (scores["mota"], scores["missed"]) == (1.0, 0)


def test_a_distractor_of_the_labels_may_be_found_or_not(tmp_path: Path) -> None:
    """MOTChallenge marks statues, reflections and people on vehicles by their class."""
    labels, far = tmp_path / "gt.txt", (150.0, 10.0, 160.0, 20.0)
    rows = ("40,30,20,50,1,1,1", "150,10,10,10,1,8,1")
    labels.write_text("".join(f"{f},{i},{row}\n" for f in (1, 2) for i, row in enumerate(rows)))
    recording = Recorded(view(labels=labels), START, FRAMES[:2], width=200, height=100)
    read = read_labels(recording)
    assert read is not None
    for tracks in (boxes(("t", BODY)), boxes(("t", BODY), ("statue", far))):
        scores = values(track_scores(compared(recording, read, tracks)))
        assert (scores["mota"], scores["false"], scores["missed"]) == (1.0, 0, 0)


def test_people_who_are_cut_off_may_be_found_without_a_label() -> None:
    half_out = (0.0, 20.0, 12.0, 80.0)
    truth, tracks = boxes(("a", BODY)), boxes(("t", BODY), ("half", half_out))
    assert values(track_scores(aligned(recorded(), truth, tracks)))["false"] == 100
    lenient = recorded(ignores_cut_off=True)
    assert values(track_scores(aligned(lenient, truth, tracks)))["false"] == 0


def test_detections_below_the_threshold_count_for_average_precision_alone() -> None:
    weak = boxes(("d", BODY))
    weak = replace(weak, score=np.full(len(weak), 0.4))
    scores = values(detection_scores(aligned(recorded(), boxes(("a", BODY)), weak), 0.45))
    assert (scores["average_precision"], scores["recall"], scores["precision"]) == (1.0, 0.0, None)


def test_intervals_cover_the_spread_between_spans_of_time() -> None:
    half = boxes(("t", BODY), frames=FRAMES[:50])
    half = half.with_frames(boxes().frames_us)
    scores = {s.name: s for s in track_scores(aligned(recorded(), boxes(("a", BODY)), half))}
    mota = scores["mota"]
    assert mota.value == 0.5
    assert mota.interval is not None
    assert mota.interval.low < 0.3
    assert mota.interval.high > 0.7
    exact = track_scores(aligned(recorded(), boxes(("a", BODY)), boxes(("t", BODY))))
    assert exact[0].interval == Interval(1.0, 1.0)


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    sample = np.random.default_rng(1).normal(size=10)
    without = (sample.sum() - sample) / 9
    interval = jackknife(float(sample.mean()), without)
    error = sample.std(ddof=1) / np.sqrt(10)
    assert interval.high - sample.mean() == pytest.approx(2.262157 * error, rel=1e-6)


def crossing(direction: str, seconds: float, line: str = "door") -> Crossing:
    return Crossing(CAMERA, line, direction, START + round(seconds * 1e6))


def test_crossings_match_by_line_direction_and_time() -> None:
    line = CountedLine("door", (0.5, 0.0), (0.5, 1.0), into_us=(1_000_000,), out_us=(2_000_000,))
    uncounted = CountedLine("gate", (0.1, 0.0), (0.1, 1.0))
    counted = recorded(counts=HandCounts(lines=(line, uncounted)))
    facts = Facts(
        crossings=(
            crossing("in", 1.9),
            crossing("out", 3.1),
            crossing("in", 1.0, line="gate"),
        )
    )
    (score,) = count_scores(counted, None, found(boxes(), facts=facts), CAMERA, 2.0)
    assert (score.n, score.truth, score.found) == (1, 2, 2)
    assert score.value == 0.5


def test_stays_match_by_overlap_and_give_the_error_of_dwell() -> None:
    zone = CountedZone("table", SQUARE, ((0, 3_000_000), (5_000_000, 5_500_000)))
    facts = Facts(stays=(Stay(CAMERA, "table", START + 500_000, START + 3_000_000),))
    scores = count_scores(
        recorded(counts=HandCounts(zones=(zone,))), None, found(boxes(), facts=facts), CAMERA, 2.0
    )
    assert values(scores) == {"f1 stays": 1.0, "dwell_error stays": -0.5}


def test_tracks_are_counted_outside_of_ignored_places() -> None:
    far = (150.0, 10.0, 160.0, 20.0)
    tracks = boxes(("t", BODY), ("far", far))
    counted = recorded(counts=HandCounts(people=(1, 1)), ignored=((0.7, 0.0, 1.0, 0.3),))
    (people,) = count_scores(counted, None, found(tracks), CAMERA, 2.0)
    assert (people.truth, people.found, people.value) == (1, 1, 1.0)


def test_an_uncertain_count_of_people_is_a_range() -> None:
    counted = recorded(counts=HandCounts(people=(2, 4)))
    tracks = boxes(*((name, BODY) for name in "abc"))
    (people,) = count_scores(counted, None, found(tracks), CAMERA, 2.0)
    assert (people.truth, people.found) == (3, 3)


def test_tracks_in_an_empty_view_and_identities_without_a_face_are_false() -> None:
    empty = recorded(empty_us=((1_000_000, 2_000_000),), identifiable=0)
    tracks = boxes(("t", BODY), frames=FRAMES[:30])
    named = Decision(CAMERA, "t", "new", "c1", START)
    scores = count_scores(empty, None, found(tracks, decisions=(named,)), CAMERA, 2.0)
    assert values(scores) == {"tracks_while_empty": 1.0, "false_identities": 1.0}


def row(name: str = "hall", *, hota: float = 0.5, reach: float = 0.1, fps: float = 5.0) -> Row:
    shares = (
        Score(name=n, value=hota, interval=Interval(hota - reach, hota + reach))
        for n in ("hota", "idf1", "mota")
    )
    crossings = Score(name="f1", of="crossings", value=hota, truth=4, found=6, n=3)
    return Row(name, name, fps, OURS, (*shares, crossings))


@pytest.mark.parametrize(
    ("now", "worse"),
    [(0.5, 0), (0.9, 0), (0.46, 0), (0.44, 6), (0.25, 7)],
)
def test_only_a_fall_beyond_the_noise_counts(now: float, worse: int) -> None:
    """One standard error of a share (0.044 here, also of the mean), one event of a count (0.2)."""
    assert len(shortfalls([row(hota=now)], [row()])) == worse


def test_the_mean_reveals_what_is_noise_in_each_recording() -> None:
    names = [f"hall{i}" for i in range(9)]
    before = [row(name) for name in names]
    messages = shortfalls([row(name, hota=0.47) for name in names], before)
    assert len(messages) == 3
    assert all("all labeled views" in message for message in messages)


def test_recordings_and_rates_without_a_baseline_are_not_compared() -> None:
    assert shortfalls([row("new", hota=0.1), row(fps=25.0, hota=0.1)], [row()]) == []


def test_a_score_that_is_no_longer_measured_counts_as_fallen() -> None:
    bare = replace(row(), scores=row().scores[:3])
    assert shortfalls([bare], [row()]) == [
        "f1 crossings of hall at 5 fps is not measured, was 0.5000 (noise 0.2000)"
    ]


def test_rows_survive_the_file() -> None:
    document = as_document("1", {"detect": "x"}, [row()])
    assert [Row.of_json(each) for each in document["rows"]] == [row()]


def test_the_check_measures_labels_at_two_rates_and_counts_at_one() -> None:
    labeled, counted = view(labels=Path("gt.txt")), view(name="door")
    assert list(checked([labeled, counted])) == [(labeled, 5.0), (labeled, 10.0), (counted, 5.0)]


def test_labels_are_measured_at_all_rates_and_counts_at_those_of_roles() -> None:
    labeled, counted = view(labels=Path("gt.txt")), view(name="door")
    assert [rate for each, rate in usual([labeled, counted]) if each is labeled] == [0, 5, 10, 25]
    assert [rate for each, rate in usual([labeled, counted]) if each is counted] == [0, 5, 10]


def test_tables_show_means_first_and_leave_out_what_was_not_measured() -> None:
    rows = [row("a", hota=0.4), row("b", hota=0.6)]
    (mean,) = means(rows)
    assert mean.value("hota") == pytest.approx(0.5)
    interval = mean.scores[0].interval
    assert interval is not None
    assert interval.high - 0.5 == pytest.approx(0.1 / np.sqrt(2))
    tracks, counts = tables(rows)
    assert tracks.rows[0][:4] == ("all labeled views", "5", OURS, "0.500 ± 0.071")
    assert counts.rows[0] == ("all counted views", "5", "", "6 of 8, 6 false", "", "", "", "")
    assert counts.rows[1] == ("a", "5", "", "3 of 4, 3 false", "", "", "", "")
    assert "3 of 4, 3 false" in as_text(counts)
