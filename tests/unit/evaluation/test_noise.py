"""Noise measured on labeled footage: known errors go in, and come out as statistics."""

import numpy as np
import pytest

from trinetra.evaluation.noise.faces import measure_faces
from trinetra.evaluation.noise.fits import SHARES, logistic, persistence, quantiles
from trinetra.evaluation.noise.footage import Compared, LabeledFootage, compare, spells
from trinetra.evaluation.noise.statistics import figures, measure, measure_ghosts

FPS, FRAMES, PEOPLE = 25.0, 300, 8


def footage(found: np.ndarray, shift: float = 0.0, ghosts: int = 0) -> LabeledFootage:
    """Return pairs of people, the second a little hidden by the first, and second boxes on some.

    ``found (frames, people)`` says where there is a box, ``shift`` moves all of them, and there is
    a ghost in each of the first frames.
    """
    rng = np.random.default_rng(5)
    frame, who = (axis.ravel() for axis in np.mgrid[:FRAMES, :PEOPLE])
    left, top = 120.0 * (who // 2) + 20 * (who % 2) + 10, 100.0 - 5 * (who % 2)
    xyxy = np.stack([left, top, left + 30, top + 90], axis=1)
    rows = np.flatnonzero(found.ravel())
    parts = rows[who[rows] % 2 == 0][::31]
    shown = [
        xyxy[rows] + shift + rng.normal(0, 0.5, (len(rows), 4)),
        xyxy[parts] + np.array([4, 4, -4, -50]) + rng.normal(0, 1, (len(parts), 4)),
        np.array([520.0, 20, 560, 90]) + rng.normal(0, 1, (ghosts, 4)),
    ]
    boxes = np.concatenate(shown)
    return LabeledFootage(
        name="test",
        fps=FPS,
        frames=FRAMES,
        size=(600, 400),
        true_frame=frame,
        who=who,
        true_xyxy=xyxy,
        found_frame=np.concatenate([frame[rows], frame[parts], np.arange(ghosts)]),
        found_xyxy=boxes,
        score=rng.uniform(0.4, 0.9, len(boxes)),
        stripes=rng.normal(100, 5, (len(boxes), 18)),
    )


def seen(share: float = 1.0) -> np.ndarray:
    return np.random.default_rng(2).random((FRAMES, PEOPLE)) < share


def two(near: tuple[float, ...], far: tuple[float, ...], *boxes: tuple[float, ...]) -> Compared:
    """Return one frame with a near and a far person, and the boxes found in it."""
    count = len(boxes)
    return compare(
        LabeledFootage(
            name="two",
            fps=FPS,
            frames=1,
            size=(600, 400),
            true_frame=np.zeros(2, int),
            who=np.arange(2),
            true_xyxy=np.array([near, far], float),
            found_frame=np.zeros(count, int),
            found_xyxy=np.array(boxes, float).reshape(-1, 4),
            score=np.full(count, 0.7),
            stripes=np.zeros((count, 18)),
        )
    )


# --- comparing ----------------------------------------------------------------------------------

NEAR, FAR = (100.0, 100.0, 160.0, 300.0), (130.0, 80.0, 190.0, 280.0)


def test_a_person_in_front_hides_the_one_behind() -> None:
    one = two(NEAR, FAR, NEAR)
    assert one.visible.tolist() == pytest.approx([1.0, 0.55])
    assert one.hidden_by.tolist() == [-1, 0]
    assert one.is_found.tolist() == [True, False]


def test_one_box_around_both_is_a_merged_one() -> None:
    assert two(NEAR, FAR, (100, 80, 190, 300)).merged.tolist() == [False, True]
    assert not two(NEAR, FAR, NEAR).merged.any()
    assert not two(NEAR, FAR, NEAR, FAR).merged.any()


def test_a_second_box_on_a_person_is_a_part_and_one_beside_all_is_a_ghost() -> None:
    torso, aside = (105, 105, 155, 180), (400, 100, 440, 200)
    assert two(NEAR, FAR, NEAR, FAR, torso, aside).surplus == {2: 0, 3: -1}


def test_a_box_at_the_edge_is_no_ghost_because_people_there_are_not_labeled() -> None:
    assert two(NEAR, FAR, NEAR, FAR, (570, 100, 600, 200)).surplus == {}


def test_frames_between_those_of_the_lower_rate_are_left_out() -> None:
    thin = footage(seen()).thinned(5.0)
    assert (thin.frames, thin.fps, len(thin.who)) == (60, 5.0, 60 * PEOPLE)
    assert compare(thin).is_found.all()


def test_runs_end_where_a_gap_is_too_long() -> None:
    assert spells([1, 2, 4, 9, 10], 2) == [(1, 4), (9, 10)]
    assert spells([], 2) == []


# --- fits ---------------------------------------------------------------------------------------


def test_persistence_of_a_known_process_is_found() -> None:
    rng = np.random.default_rng(3)
    steps, people = 1500, 40
    slow = np.zeros((people, steps))
    memory = np.exp(-1 / (FPS * 0.4))
    for t in range(1, steps):
        slow[:, t] = memory * slow[:, t - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(people)
    steady = rng.standard_normal((people, 1))
    steady /= steady.std()
    values = np.sqrt(0.3) * steady + np.sqrt(0.5) * slow
    values += np.sqrt(0.2) * rng.standard_normal((people, steps))
    who, frame = (axis.ravel() for axis in np.mgrid[:people, :steps])
    found = persistence(values.ravel(), who, frame, FPS)
    assert found.steady == pytest.approx(0.3, abs=0.07)
    assert found.slow == pytest.approx(0.5, abs=0.07)
    assert found.memory_s == pytest.approx(0.4, abs=0.1)


def test_a_logistic_law_is_found() -> None:
    rng = np.random.default_rng(4)
    inputs = np.stack([np.ones(20_000), rng.random(20_000)], axis=1)
    outcome = rng.random(20_000) < 1 / (1 + np.exp(-(inputs @ [-2.0, 3.0])))
    assert logistic(inputs, outcome) == pytest.approx([-2.0, 3.0], abs=0.15)


def test_quantiles_keep_the_tails() -> None:
    values = np.append(np.zeros(98), [-9.0, 9.0])
    told = quantiles(values)
    assert (told[0], told[-1]) == (-9.0, 9.0)


# --- statistics ---------------------------------------------------------------------------------


def test_the_miss_rate_is_that_of_the_footage() -> None:
    told = measure([compare(footage(seen(0.8)))])
    assert 1 / (1 + np.exp(-told["detection"]["miss"][0])) == pytest.approx(0.2, abs=0.05)


def test_what_all_boxes_have_in_common_is_the_labels() -> None:
    told = measure([compare(footage(seen(), shift=3.0))])
    middle = SHARES.index(0.5)
    assert np.abs([side[middle] for side in told["boxes"]["clear"]]).max() < 0.01


def test_second_boxes_are_measured_on_the_person_that_they_show() -> None:
    told = measure([compare(footage(seen()))])
    assert told["parts"]["per_person_s"] == pytest.approx(FPS / 62, rel=0.1)
    bottom = told["parts"]["place"][3][SHARES.index(0.5)]
    assert bottom == pytest.approx(40 / 90, abs=0.05)


def test_ghosts_are_counted_in_the_given_frames_only() -> None:
    one = compare(footage(seen(), ghosts=50))
    told = measure_ghosts([(one, [range(25, 100)])])
    assert told["spells_per_s"] == pytest.approx(1 / 3, abs=0.001)
    assert told["length_s"][0] == pytest.approx(1.0)
    assert told["height"][SHARES.index(0.5)] == pytest.approx(70 / 600, abs=0.01)


def test_figures_tell_a_noisy_sequence_from_a_good_one() -> None:
    good, bad = (figures(compare(footage(seen(share)).thinned(5.0))) for share in (0.98, 0.6))
    assert good["miss_clear"] < 0.1 < bad["miss_clear"]
    assert bad["miss_again_next"] == pytest.approx(bad["miss_clear"], abs=0.1)


def test_faces_of_one_person_and_of_two_are_told_apart() -> None:
    rng = np.random.default_rng(6)
    people, photos, dimension = 20, 4, 64
    person = np.repeat(np.arange(people), photos)
    shape = (len(person), 2, 1, 2)
    own = rng.standard_normal((people, dimension))
    vectors = own[person][:, None, None, None] + rng.standard_normal((*shape, dimension))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    reason = np.zeros(shape, np.int8)
    reason[:, 0] = 1
    told = measure_faces(
        person,
        np.ones(shape, np.bool_),
        reason,
        np.ones((*shape, 7), np.float32),
        np.zeros((*shape, 4), np.float32),
        np.zeros((*shape, 5, 2), np.float32),
        vectors.astype(np.float16),
    )
    assert told["cosine"][1][0] == pytest.approx(0.5, abs=0.05)
    assert told["stranger_cosine"] == pytest.approx(0, abs=0.05)
    assert told["reason"][1] == [[1.0], [0.0]]
    assert (told["people"], told["photos"]) == (people, people * photos)
