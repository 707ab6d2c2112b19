"""Identity scores over cameras: perfect on the truth, exact on planted errors."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evaluation.worlds import against, changed, decision, walk

from trinetra.evaluation.boxes import BoxesBuilder
from trinetra.evaluation.comparison import compare
from trinetra.evaluation.faces import Shown, faces_shown, named_by_camera
from trinetra.evaluation.identity import (
    AT_LEAST_48_PX,
    FACE_SHOWN,
    WITH_FACES,
    Walks,
    open_set,
    people_of_tracks,
    score_identities,
)
from trinetra.evaluation.scores import ScoreSheet
from trinetra.evaluation.truth import Decision, Presence

PEOPLE = 6


def sheet(decisions: list[Decision], *, people: int = PEOPLE, visits: int = 100) -> ScoreSheet:
    """Score two cameras that each saw everyone, in tracks named by camera and person."""
    cameras = {}
    for name in ("a", "b"):
        truth = walk(people, 5, seed=ord(name))
        tracks = truth.renamed({f"p{i}": f"{name}{i}" for i in range(people)})
        cameras[name] = (truth, tracks)
    came = [Presence("somebody", 0, 1)] * visits
    return score_identities(cameras, decisions, visits=came, tolerance_us=1000)


def perfect(people: int = PEOPLE) -> dict[str, Decision]:
    return {
        f"{camera}{i}": decision(f"{camera}{i}", f"c{i}", at_s=10 * order + i)
        for order, camera in enumerate("ab")
        for i in range(people)
    }


def test_the_truth_against_itself_is_perfect() -> None:
    scores = sheet(list(perfect().values()))
    assert scores.value("identity_f1") == 1.0
    rates = ("false_match_rate", "misidentified_rate", "false_new_rate", "undecided_rate")
    assert [scores.value(rate) for rate in rates] == [0.0] * 4
    assert [scores.value(n) for n in ("splits", "merges", "ghosts", "people_error")] == [0.0] * 4


@given(st.sets(st.integers(0, PEOPLE - 1)))
def test_k_people_with_a_second_identity_are_k_splits(split: set[int]) -> None:
    said = perfect()
    for i in split:
        said[f"b{i}"] = decision(f"b{i}", f"again{i}", at_s=10 + i)
    scores = sheet(list(said.values()))
    assert scores.value("splits") == pytest.approx(10.0 * len(split))
    assert scores.value("merges") == 0.0
    assert scores.value("false_new_rate") == pytest.approx(len(split) / PEOPLE)
    assert scores.value("people_error") == len(split)
    # For each split person, one camera's boxes of two still have the right name.
    assert scores.value("identity_f1") == pytest.approx(1 - len(split) / (2 * PEOPLE))


@given(st.sets(st.integers(1, PEOPLE - 1)))
def test_k_people_merged_into_another_are_k_merges(merged: set[int]) -> None:
    said = perfect()
    for i in merged:
        for order, camera in enumerate("ab"):
            said[f"{camera}{i}"] = decision(f"{camera}{i}", "c0", at_s=10 * order + i)
    scores = sheet(list(said.values()))
    assert scores.value("merges") == pytest.approx(10.0 * len(merged))
    assert scores.value("splits") == 0.0
    # They never get an identity of their own: both of their searches are unmated.
    unmated = PEOPLE + len(merged)
    assert scores.value("false_match_rate") == pytest.approx(2 * len(merged) / unmated)
    assert scores.value("people_error") == -len(merged)


@given(st.sets(st.integers(0, PEOPLE - 1)))
def test_k_undecided_searches_are_told_as_such(undecided: set[int]) -> None:
    said = perfect()
    for i in undecided:
        said[f"b{i}"] = decision(f"b{i}", None, at_s=10 + i)
    scores = sheet(list(said.values()))
    assert scores.value("undecided_rate") == pytest.approx(len(undecided) / (2 * PEOPLE))
    assert scores.value("identity_precision") == 1.0
    assert scores.value("identity_recall") == pytest.approx(1 - len(undecided) / (2 * PEOPLE))


def test_a_person_with_an_identity_taken_for_another_is_misidentified() -> None:
    said = perfect()
    said["b3"] = decision("b3", "c1", at_s=13)
    counts = open_set(said.values(), {t: f"p{t[1:]}" for t in said})
    assert (counts.misidentified, counts.false_matches, counts.merges) == (1, 0, 1)


def test_tracks_without_a_usable_face_are_no_searches() -> None:
    counts = open_set([decision("t", None, searched=False)], {"t": "p0"})
    assert (counts.mated, counts.unmated, counts.undecided) == (0, 0, 0)


def test_a_track_of_nobody_that_is_given_an_identity_is_a_ghost() -> None:
    counts = open_set([decision("t", "c0"), decision("u", None)], {})
    assert counts.ghosts == 1


def test_the_order_of_decisions_is_that_of_their_times() -> None:
    early, late = decision("a", "c0", at_s=1), decision("b", "c1", at_s=2)
    for order in ([early, late], [late, early]):
        counts = open_set(order, {"a": "p0", "b": "p0"})
        assert (counts.unmated, counts.mated, counts.false_new) == (1, 1, 1)


def test_a_track_belongs_to_whom_it_covers_most() -> None:
    truth = walk(2, 10)
    one_track = changed(
        truth,
        lambda rows: [
            (at, "t", box, s)
            for i, (at, name, box, s) in enumerate(rows)
            if name == ("p0" if i < 6 else "p1")
        ],
    )
    assert people_of_tracks(against(truth, one_track)) == {"t": "p1"}


def test_a_track_far_from_everybody_belongs_to_nobody() -> None:
    truth = walk(1, 4)
    away = changed(truth, lambda rows: [(at, "t", (900, 900, 960, 990), s) for at, _, _, s in rows])
    assert people_of_tracks(against(truth, away)) == {}


def test_cameras_that_compare_no_face_are_left_out_where_faces_are_read() -> None:
    truth = walk(2, 5)
    cameras = {"cam": (truth, truth), "aisle": (truth, walk(2, 5, prefix="t"))}
    said = [decision("p0", "c0"), decision("p1", "c1")]
    scores = score_identities(cameras, said, visits=None, tolerance_us=1000)
    assert scores.value("identity_recall") == 0.5
    assert scores.value("identity_recall", WITH_FACES) == 1.0


def test_time_with_ones_own_and_anothers_identity_is_shared_out_over_tracked_time() -> None:
    boxes = walk(4, 5)
    said = [decision("p0", "c0"), decision("p1", "c1"), decision("p2", "c0", at_s=99)]
    scores = score_identities({"a": (boxes, boxes)}, said, visits=None, tolerance_us=1000)
    assert (scores.value("identified_share"), scores.value("misnamed_share")) == (0.5, 0.25)


def test_the_time_of_staff_does_not_count() -> None:
    boxes, came = walk(4, 5), [Presence("p0", 0, 1), Presence("p3", 0, 1)]
    said = [decision("p0", "c0"), decision("p1", "c1")]
    scores = score_identities({"a": (boxes, boxes)}, said, visits=came, tolerance_us=1000)
    assert scores.value("identified_share") == 0.5


def test_a_link_is_judged_by_the_person_whom_a_face_gave_the_customer() -> None:
    boxes = walk(4, 5)
    linked = [replace(decision(f"p{i}", c), linked=True) for i, c in ((1, "c0"), (2, "c2"))]
    cameras = {"a": (boxes, boxes), "b": (walk(4, 5, seed=2), boxes.renamed({"p2": "own"}))}
    said = [decision("p0", "c0"), *linked, replace(decision("own", "c2"), camera="b")]
    scores = score_identities(cameras, said, visits=None, tolerance_us=1000)
    assert scores.value("misidentified_rate") is None  # no face was taken for another
    rate = next(score for score in scores.scores if score.name == "false_link_rate")
    assert (rate.value, rate.n) == (0.5, 2)


def test_without_known_visits_everybody_came_once() -> None:
    scores = score_identities({"a": (walk(4, 3), walk(4, 3))}, [], visits=None, tolerance_us=1000)
    assert next(s for s in scores.scores if s.name == "splits").n == 4


def test_nameless_boxes_claim_nothing() -> None:
    truth = walk(2, 5)
    nameless = truth.renamed({"p0": "c0"})
    both = compare([(truth, nameless)], tolerance_us=1000, share_names=True)
    assert int((both.found.name >= 0).sum()) == 5


def test_a_track_that_went_over_is_two_people_s_from_the_instant_it_said() -> None:
    truth = walk(2, 10)
    half_us = int(truth.frames_us[5])
    first, second = truth.names
    swapped = truth.renamed({first: "t", second: "u"}).cut({"t": [(half_us, "x")]})
    swapped = swapped.cut({"u": [(half_us, "t")]}).renamed({"t": "t", "u": "u", "x": "u"})
    said = []
    for track, before, after in (("t", "c1", "c2"), ("u", "c2", "c1")):
        said.append(decision(track, before))
        said.append(replace(decision(track, after, at_s=1), since_us=half_us))
    cameras = {"a": (truth, swapped)}
    scores = score_identities(cameras, said, visits=None, tolerance_us=1000)
    assert scores.value("identity_f1") == 1.0
    assert scores.value("merges") == 0.0


def test_walks_that_showed_no_face_are_not_asked_for() -> None:
    truth = walk(2, 10)
    seen, _ = truth.names
    walks = {"a": named_by_camera("a", truth)}
    tracks = truth.renamed({name: f"t-{name}" for name in truth.names})
    scores = score_identities(
        {"a": (truth, tracks)},
        [decision(f"t-{seen}", "c1")],
        visits=None,
        tolerance_us=1000,
        walks=Walks(walks, {f"a/{seen}": Shown(3, 50.0)}),
    )
    assert scores.value("identity_f1") < 1.0
    assert scores.value("identity_f1", FACE_SHOWN) == 1.0
    assert scores.value("recognised_again", AT_LEAST_48_PX) is None  # no person returned


def test_a_face_is_of_the_body_whose_head_it_fits() -> None:
    builder, faces = BoxesBuilder(), BoxesBuilder()
    builder.add(0, "near", (100, 100, 220, 500))
    builder.add(0, "far", (150, 120, 210, 320))
    faces.add(0, None, (170, 130, 190, 155), 20.0)
    found = faces_shown([(builder.build(), faces.build())], tolerance_us=1000)
    assert found == {"far": Shown(1, 20.0)}
