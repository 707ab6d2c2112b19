"""False matches and false non-matches of labeled pictures, with their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.evaluation.verification import Trial


def pictures(people: int, each: int, noise: float) -> tuple[np.ndarray, list[int]]:
    random = np.random.default_rng(7)
    faces = random.normal(size=(people, 64))
    person = [p for p in range(people) for _ in range(each)]
    photos = faces[person] + noise * random.normal(size=(people * each, 64))
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)
    return photos.astype(np.float32), person


def trial(people: int = 8, each: int = 4, noise: float = 0.5) -> Trial:
    photos, person = pictures(people, each, noise)
    return Trial.of(photos, photos, person)


def test_pairs_are_counted_once_and_no_picture_is_compared_to_itself() -> None:
    random = np.random.default_rng(0)
    assert trial().false_non_matches(0.5, random).pairs == 8 * 6
    assert trial().false_matches(0.5, random).pairs == 28 * 16


def test_faces_that_are_far_apart_are_told_apart_without_error_but_not_with_certainty() -> None:
    random = np.random.default_rng(0)
    rate = trial(noise=0.1).false_matches(0.7, random)
    assert rate.value == 0.0
    assert 0.05 < rate.interval.high < 0.2  # the narrowest that 28 pairs of people can show


def test_an_interval_holds_its_value_and_is_wider_than_independent_pairs_would_make_it() -> None:
    random = np.random.default_rng(0)
    rate = trial(noise=1.2).false_non_matches(0.4, random)
    assert rate.interval.low < rate.value < rate.interval.high
    width = rate.interval.high - rate.interval.low
    assert width > 2 * (rate.value * (1 - rate.value) / rate.pairs) ** 0.5


@given(st.sampled_from([0.5, 0.1, 0.01, 1e-4]))
def test_no_more_than_the_target_match_at_its_threshold_and_just_below_more_do(
    target: float,
) -> None:
    found = trial(noise=1.0)
    threshold = found.threshold_at(target)
    scores = found.similarity[found.impostor]
    assert np.mean(scores >= threshold) <= target
    assert np.mean(scores >= np.nextafter(np.float32(threshold), np.float32(-2))) > 0


def test_the_curve_falls_in_false_matches_and_rises_in_misses() -> None:
    _, matches, misses = zip(*trial().curve(), strict=True)
    assert list(matches) == sorted(matches, reverse=True)
    assert list(misses) == sorted(misses)
    assert (matches[-1], misses[-1]) == (0.0, pytest.approx(1.0))
