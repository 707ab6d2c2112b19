"""Drift is reported when a camera's values leave their reference, and not before."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.decision.drift import DriftPolicy, DriftWatch, Reference, stability_index
from trinetra.values import CameraId

DOOR, TILL = CameraId("door"), CameraId("till")
SHARES = st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4).map(
    lambda xs: [x / sum(xs) for x in xs]
)


def _normal(mean: float, count: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)  # noqa: S311  values for a test
    return [rng.gauss(mean, 0.1) for _ in range(count)]


@given(SHARES, SHARES)
def test_the_index_is_zero_for_equal_shares_alone_and_the_same_both_ways(
    a: list[float], b: list[float]
) -> None:
    assert stability_index(a, a) == 0
    assert stability_index(a, b) >= 0
    assert stability_index(a, b) == pytest.approx(stability_index(b, a))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_a_reference_counts_every_value_of_its_sample_once(values: list[float]) -> None:
    reference = Reference.of(values)
    assert sum(reference.shares) == pytest.approx(1)
    assert list(reference.borders) == sorted(set(reference.borders))
    assert all(share > 0 for share in reference.shares)


def test_values_like_the_reference_do_not_alarm() -> None:
    watch = DriftWatch({"quality": Reference.of(_normal(0.6, 5000))})
    for value in _normal(0.6, 2000, seed=2):
        watch.add(DOOR, "quality", value)
    (found,) = watch.findings()
    assert found.psi < watch.policy.calm_at
    assert not found.is_news


def test_a_camera_that_gets_blurred_is_told_once_and_alone() -> None:
    watch = DriftWatch({"quality": Reference.of(_normal(0.6, 5000))})
    for sharp, blurred in zip(_normal(0.6, 2000, 2), _normal(0.45, 2000, 3), strict=True):
        watch.add(DOOR, "quality", blurred)
        watch.add(TILL, "quality", sharp)
    assert {f.camera_id: f.is_news for f in watch.findings()} == {DOOR: True, TILL: False}
    assert not any(f.is_news for f in watch.findings())


def test_a_camera_that_was_cleaned_calms_down_and_may_alarm_again() -> None:
    watch = DriftWatch({"norm": Reference.of(_normal(20, 5000))})
    news = []
    for mean in (18.0, 20.0, 18.0):
        for value in _normal(mean, 8000):
            watch.add(DOOR, "norm", value)
        news += [f.is_news for f in watch.findings()]
    assert news == [True, False, True]


def test_too_few_values_say_nothing() -> None:
    policy = DriftPolicy(least=300)
    watch = DriftWatch({"score": Reference.of(_normal(0.9, 1000))}, policy)
    for value in _normal(0.1, policy.least - 1):
        watch.add(DOOR, "score", value)
    assert not list(watch.findings())
    watch.add(DOOR, "score", 0.1)
    assert list(watch.findings())


def test_a_quantity_without_a_calibration_is_held_against_its_own_first_values() -> None:
    watch = DriftWatch()
    for value in [*_normal(0.5, watch.policy.learn_from), *_normal(0.9, 2000)]:
        watch.add(DOOR, "score", value)
    (found,) = watch.findings()
    assert found.is_news


def test_a_value_that_is_no_number_is_left_out() -> None:
    watch = DriftWatch({"score": Reference.of(_normal(0.9, 1000))}, DriftPolicy(least=1))
    watch.add(DOOR, "score", float("nan"))
    assert not list(watch.findings())


def test_quantiles_that_fall_together_share_a_bin_of_their_shares() -> None:
    reference = Reference.between([0.1, 0.2, 0.2, 0.3])
    assert reference.borders == (0.1, 0.2, 0.3)
    assert reference.shares == pytest.approx((0.2, 0.4, 0.2, 0.2))
