"""HOTA, IDF1 and CLEAR MOT: against TrackEval, worked examples and planted errors."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evaluation.worlds import against, boxes_of, changed, rows_of, walk, worlds

from trinetra.evaluation.boxes import Boxes
from trinetra.evaluation.comparison import Comparison, compare
from trinetra.evaluation.reading.motchallenge import read_motchallenge
from trinetra.evaluation.tracking import clear, hota, identity_f1, score_tracks

DATA = Path(__file__).parent / "data"
FAR = (5000.0, 5000.0, 5060.0, 5150.0)


def figures(comparison: Comparison) -> dict[str, float]:
    whole, named, plain = hota(comparison), identity_f1(comparison), clear(comparison)
    return {
        "hota": whole.hota,
        "det_a": whole.det_a,
        "ass_a": whole.ass_a,
        "loc_a": whole.loc_a,
        "idf1": named.idf1,
        "mota": plain.mota,
        "idsw": plain.id_switches,
        "frag": plain.fragmentations,
        "fn": plain.fn,
        "fp": plain.fp,
        "idtp": named.tp,
    }


@pytest.mark.parametrize("scene", ["calm", "crowd"])
def test_every_figure_is_that_of_trackeval(scene: str) -> None:
    """Compare with data/trackeval.json, written by the metric classes of TrackEval 1.3.0."""
    truth, found = (
        read_motchallenge(DATA / f"{scene}-{side}.txt", fps=25).boxes[""]
        for side in ("truth", "found")
    )
    expected = json.loads((DATA / "trackeval.json").read_text())[scene]
    assert figures(against(truth, found)) == pytest.approx(expected, abs=1e-12)


@given(worlds)
def test_the_truth_against_itself_is_perfect(truth: Boxes) -> None:
    found = figures(against(truth, truth))
    assert found["idtp"] == len(truth)
    assert (found["fn"], found["fp"], found["idsw"]) == (0, 0, 0)
    ones = [found[name] for name in ("hota", "det_a", "ass_a", "loc_a", "idf1", "mota")]
    assert ones == pytest.approx([1.0] * 6)


@given(worlds, st.data())
def test_k_dropped_boxes_are_k_misses(truth: Boxes, data: st.DataObject) -> None:
    dropped = data.draw(st.sets(st.integers(0, len(truth) - 1), max_size=len(truth)))
    found = changed(truth, lambda rows: [r for i, r in enumerate(rows) if i not in dropped])
    counts = clear(against(truth, found))
    assert (counts.fn, counts.fp, counts.id_switches) == (len(dropped), 0, 0)
    assert counts.mota == pytest.approx(1 - len(dropped) / len(truth))


@given(worlds, st.integers(0, 10))
def test_k_added_boxes_are_k_false_ones(truth: Boxes, added: int) -> None:
    instants = truth.frames_us.tolist()
    ghosts = [(instants[i % len(instants)], f"ghost{i}", FAR, 1.0) for i in range(added)]
    counts = clear(against(truth, changed(truth, lambda rows: [*rows, *ghosts])))
    assert (counts.fn, counts.fp, counts.id_switches) == (0, added, 0)


@given(st.integers(2, 8), st.integers(0, 5), st.integers(0, 100))
def test_k_swaps_of_two_names_are_two_k_switches(frames: int, swaps: int, seed: int) -> None:
    truth = walk(2, frames * (swaps + 1), seed=seed)
    instants = truth.frames_us.tolist()
    other = {"p0": "p1", "p1": "p0"}
    found = changed(
        truth,
        lambda rows: [
            (at, other[name] if instants.index(at) // frames % 2 else name, box, score)
            for at, name, box, score in rows
        ],
    )
    assert clear(against(truth, found)).id_switches == 2 * swaps


def test_one_walk_told_as_two_halves_has_half_the_association() -> None:
    truth = walk(1, 10)
    found = changed(
        truth, lambda rows: [(at, f"t{i // 5}", box, s) for i, (at, _, box, s) in enumerate(rows)]
    )
    got = figures(against(truth, found))
    # Each of ten boxes shares its name with five of ten true ones: 5 / (10 + 5 - 5).
    assert got["ass_a"] == pytest.approx(0.5)
    assert got["hota"] == pytest.approx(np.sqrt(0.5))
    assert got["idf1"] == pytest.approx(2 * 5 / 20)
    assert got["idsw"] == 1


def test_boxes_that_are_half_off_count_at_loose_thresholds_alone() -> None:
    truth = walk(1, 4)
    found = changed(
        truth, lambda rows: [(at, n, (x, y, x + 60, y + 75), s) for at, n, (x, y, *_), s in rows]
    )
    # An overlap of one half matches at the ten thresholds up to 0.50 of nineteen.
    assert hota(against(truth, found)).det_a == pytest.approx(10 / 19)


def test_two_cameras_weigh_by_their_boxes() -> None:
    busy, calm = walk(4, 10), walk(1, 10)
    nothing = boxes_of([], calm.frames_us)
    both = compare([(busy, busy), (calm, nothing)], tolerance_us=1000)
    assert hota(both).det_a == pytest.approx(40 / 50)
    assert identity_f1(both).idf1 == pytest.approx(2 * 40 / 90)


def test_the_same_name_on_two_cameras_is_two_tracks_unless_names_are_shared() -> None:
    first, second = walk(1, 5), walk(1, 5, seed=1)
    other_name = changed(second, lambda rows: [(at, "x", box, s) for at, _, box, s in rows])
    cameras = [(first, first), (second, other_name)]
    assert identity_f1(compare(cameras, tolerance_us=1000)).idf1 == 1.0
    shared = compare(cameras, tolerance_us=1000, share_names=True)
    assert identity_f1(shared).idf1 == pytest.approx(0.5)


def test_nothing_found_scores_nothing_and_nothing_there_is_not_measured() -> None:
    truth = walk(2, 5)
    nothing = boxes_of([], truth.frames_us)
    missed = {s.name: s.value for s in score_tracks(against(truth, nothing))}
    assert (missed["hota"], missed["idf1"], missed["mota"]) == (0.0, 0.0, 0.0)
    assert [s.value for s in score_tracks(against(nothing, nothing))] == [None]


def test_the_order_of_rows_does_not_matter() -> None:
    truth = walk(3, 8)
    found = changed(truth, lambda rows: [r for i, r in enumerate(rows) if i % 5])
    shuffled = boxes_of(rows_of(found)[::-1], found.frames_us)
    assert figures(against(truth, shuffled)) == figures(against(truth, found))
