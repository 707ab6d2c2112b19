"""The simulated detector: its misses, boxes and ghosts are those of the labeled footage."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.twin.test_sensing import AISLE, VIEWS, look, standing

from trinetra.twin.camera import Camera
from trinetra.twin.detector import STEADY, Detector, Found
from trinetra.twin.noise import Walkers, load_noise
from trinetra.twin.scenario import NOISES, Sensing
from trinetra.twin.sensing import NO_ROW, Bodies, area_of, hidden_share, people_in_view

QUIET = Sensing(**dict.fromkeys(NOISES, 0.0))
NOISE = load_noise()


def detect(
    bodies: Bodies, sensing: Sensing, *, seed: int = 1, camera: Camera = AISLE, frames: int = 200
) -> Found:
    rng = np.random.default_rng(seed)
    people = int(bodies.who.max()) + 1 if len(bodies) else 0
    walkers = Walkers(bodies.who, rng.standard_normal((people, STEADY)), camera.view.fps)
    return Detector.of(camera, sensing, rng).detect(bodies, walkers, frames, rng)


def only(**factors: float) -> Sensing:
    return replace(QUIET, **factors)


def crowd(people: int, frames: int = 200) -> Bodies:
    """Return people who stand apart, each in a view of its own."""
    each = [look([standing(number, 11.5, 13.0)], frames) for number in range(people)]
    parts = [replace(one, who=one.who + number) for number, one in enumerate(each)]
    columns = (
        np.concatenate([getattr(one, name) for one in parts])
        for name in Bodies.__dataclass_fields__
    )
    return Bodies(*columns)


@given(
    view=st.sampled_from(VIEWS),
    places=st.lists(st.tuples(st.floats(-8, 26), st.floats(-8, 18)), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_every_box_lies_within_the_picture(
    view, places: list[tuple[float, float]], seed: int
) -> None:
    camera = Camera(view)
    stays = [standing(i, x, y) for i, (x, y) in enumerate(places)]
    bodies = people_in_view(camera, np.arange(5.0), stays, np.full(len(stays), 1.8))
    found = detect(bodies, Sensing(boxes=4.0, ghosts=4.0), seed=seed, camera=camera, frames=5)
    for xyxy in (bodies.xyxy, found.xyxy):
        assert (xyxy[:, :2] <= xyxy[:, 2:]).all()
        assert (xyxy >= 0).all()
        assert (xyxy[:, [0, 2]] <= view.width).all()
        assert (xyxy[:, [1, 3]] <= view.height).all()
    of_body = found.row != NO_ROW
    assert (bodies.frame[found.row[of_body]] == found.frame[of_body]).all()
    assert ((found.frame >= 0) & (found.frame < 5)).all()
    assert ((found.score > 0) & (found.score <= 1)).all()


def test_without_noise_every_body_is_found_where_it_is() -> None:
    bodies = look([standing(0, 11.5, 13.0)])
    found = detect(bodies, QUIET)
    assert (found.row == np.arange(len(bodies))).all()
    assert found.xyxy == pytest.approx(bodies.xyxy)


def test_people_in_plain_view_are_missed_as_often_as_on_the_footage() -> None:
    bodies = crowd(200, 50)
    found = detect(bodies, only(misses=1.0))
    usual = 1 / (1 + np.exp(-NOISE.detection.miss[0]))
    assert 1 - len(found) / len(bodies) == pytest.approx(usual, abs=0.02)


def test_misses_come_in_runs() -> None:
    bodies = crowd(200, 50)
    found = np.zeros(len(bodies), np.bool_)
    found[detect(bodies, only(misses=1.0)).row] = True
    missed = ~found.reshape(200, 50)
    again = missed[:, 1:][missed[:, :-1]].mean()
    assert again > 5 * missed.mean()


def test_a_hidden_person_is_missed_more_often() -> None:
    bodies = look([standing(0, 11.4, 13.0), standing(1, 12.1, 13.0)])
    rows = np.concatenate([detect(bodies, only(misses=1.0), seed=s).row for s in range(30)])
    near, far = (np.count_nonzero(bodies.who[rows] == who) for who in (0, 1))
    assert far < 0.75 * near


def test_a_factor_multiplies_the_misses() -> None:
    bodies = crowd(200, 50)
    usual, often = (1 - len(detect(bodies, only(misses=f))) / len(bodies) for f in (1.0, 4.0))
    assert often == pytest.approx(4 * usual, rel=0.1)


def test_errors_of_boxes_have_the_tails_of_the_footage() -> None:
    bodies = crowd(200, 50)
    found = detect(bodies, only(boxes=1.0))
    tall = bodies.xyxy[found.row, 3] - bodies.xyxy[found.row, 1]
    error = (found.xyxy - bodies.xyxy[found.row]) / tall[:, None]
    wide = np.quantile(error, [0.03, 0.97], axis=0)
    at = [NOISE.shares.index(share) for share in (0.03, 0.97)]
    assert wide == pytest.approx(np.array(NOISE.boxes.clear).T[at], abs=0.03)


def test_some_boxes_cover_two_people() -> None:
    bodies = look([standing(0, 11.4, 13.0), standing(1, 12.1, 13.0)])
    rows = [detect(bodies, only(merged=1.0), seed=s) for s in range(30)]
    large = sum(
        np.count_nonzero(area_of(found.xyxy) > 1.02 * area_of(bodies.xyxy[found.row]))
        for found in rows
    )
    lost = sum(len(bodies) - len(found) for found in rows)
    assert large > 0
    assert lost == pytest.approx(NOISE.merged.rate[-1] * len(bodies) / 2 * 30, rel=0.5)


def test_parts_of_people_are_found_once_more() -> None:
    bodies = crowd(100, 100)
    found = detect(bodies, only(parts=1.0))
    surplus = len(found) - len(bodies)
    mean_s = np.trapezoid(NOISE.parts.length_s, NOISE.shares)
    assert surplus / len(bodies) == pytest.approx(NOISE.parts.per_person_s * mean_s, rel=0.5)
    more = found.row[len(bodies) :]
    assert np.median(hidden_share(found.xyxy[len(bodies) :], bodies.xyxy[more])) > 0.5


def test_ghosts_are_as_frequent_as_on_the_footage_and_come_again() -> None:
    empty = look([standing(0, 11.5, 13.0)], 0)
    found = detect(empty, only(ghosts=1.0), frames=200_000)
    assert (found.row == NO_ROW).all()
    mean_s = np.trapezoid(NOISE.ghosts.length_s, NOISE.shares)
    assert len(found) / 200_000 == pytest.approx(NOISE.ghosts.spells_per_s * mean_s, rel=0.2)
    places = np.rint((found.xyxy[:, :2] + found.xyxy[:, 2:]) / 80)
    _, often = np.unique(places, axis=0, return_counts=True)
    assert often.max() > 10 * len(found) / len(often)
