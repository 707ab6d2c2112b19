"""Detection scores: worked examples of average precision, and planted errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evaluation.worlds import against, boxes_of, changed, walk, worlds

from trinetra.evaluation.boxes import Boxes, iou
from trinetra.evaluation.detection import average_precision, match, score_detections

FAR = (5000.0, 5000.0, 5060.0, 5150.0)
coordinate = st.floats(-1e4, 1e4)
sides = st.floats(0.5, 1e3)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), coordinate, coordinate, sides, sides)


def test_average_precision_of_a_worked_example() -> None:
    # Hits at ranks 1, 3 and 4 of 5, of 4 truths: precisions 1, 2/3, 3/4, the second raised to 3/4.
    hit = np.array([True, False, True, True, False])
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert average_precision(hit, score, 4) == pytest.approx((1 + 3 / 4 + 3 / 4) / 4)


def test_equal_scores_count_together_in_any_order() -> None:
    score = np.array([0.5, 0.5, 0.5, 0.5])
    for hit in ([True, False, True, False], [False, False, True, True]):
        assert average_precision(np.array(hit), score, 2) == pytest.approx(0.5)


def test_average_precision_needs_something_to_be_found() -> None:
    assert average_precision(np.zeros(3, np.bool_), np.ones(3), 0) is None


@given(worlds)
def test_the_truth_against_itself_is_perfect(truth: Boxes) -> None:
    sheet = score_detections(against(truth, truth))
    assert [sheet.value(n) for n in ("average_precision", "recall", "precision", "f1")] == [1.0] * 4
    assert (sheet.value("missed"), sheet.value("false")) == (0, 0)


@given(worlds, st.integers(0, 30), st.integers(0, 30))
def test_planted_misses_and_false_boxes_are_reported_exactly(
    truth: Boxes, dropped: int, added: int
) -> None:
    dropped = min(dropped, len(truth) - 1)
    ghosts = [(int(truth.frames_us[0]), None, FAR, 0.5)] * added
    found = changed(truth, lambda rows: [*rows[dropped:], *ghosts])
    sheet = score_detections(against(truth, found))
    assert (sheet.value("missed"), sheet.value("false")) == (dropped, added)
    assert sheet.value("recall") == pytest.approx(1 - dropped / len(truth))
    assert sheet.value("precision") == pytest.approx(
        (len(truth) - dropped) / (len(truth) - dropped + added)
    )
    # All true boxes score higher than the false ones, so these cost no average precision.
    assert sheet.value("average_precision") == pytest.approx(1 - dropped / len(truth))


def test_a_second_box_on_the_same_person_is_false() -> None:
    truth = walk(1, 4)
    found = changed(truth, lambda rows: [*rows, *((at, n, b, 0.6) for at, n, b, _ in rows)])
    assert match(against(truth, found), 0.5).tolist() == [True, False] * 4


def test_weak_boxes_count_for_average_precision_alone() -> None:
    truth = walk(1, 10)
    found = changed(
        truth, lambda rows: [(*row[:3], 0.3 if i < 4 else 0.9) for i, row in enumerate(rows)]
    )
    sheet = score_detections(against(truth, found), min_score=0.5)
    assert sheet.value("average_precision") == 1.0
    assert sheet.value("recall") == pytest.approx(0.6)
    assert sheet.value("precision") == 1.0


def test_the_interval_of_recall_holds_recall_and_follows_from_the_seed() -> None:
    truth = walk(2, 200)
    random = np.random.default_rng(3)
    found = changed(truth, lambda rows: [r for r in rows if random.random() < 0.8])
    first, again = (score_detections(against(truth, found), seed=5) for _ in range(2))
    recall = next(s for s in first.scores if s.name == "recall")
    assert recall.interval is not None
    assert recall.interval.low < recall.value < recall.interval.high
    assert first == again


def test_a_frame_with_nobody_in_it_and_nobody_found_costs_nothing() -> None:
    truth = walk(1, 3)
    longer = [*truth.frames_us.tolist(), int(truth.frames_us[-1]) + 200_000]
    empty_end = boxes_of([], longer)
    sheet = score_detections(against(truth.with_frames(empty_end.frames_us), truth))
    assert sheet.value("recall") == 1.0


@given(boxes, boxes)
def test_overlap_is_symmetric_and_between_none_and_all(
    a: tuple[float, ...], b: tuple[float, ...]
) -> None:
    first, second = np.array([a]), np.array([b])
    forth, back = iou(first, second), iou(second, first)
    assert forth == back
    assert 0.0 <= forth[0] <= 1.0
    assert iou(first, first)[0] == pytest.approx(1.0)


def test_boxes_without_area_have_nothing_in_common() -> None:
    point = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert iou(point, point)[0] == 0.0
