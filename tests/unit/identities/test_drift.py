"""Drift is reported when a camera's values leave their reference, and not before."""

import math
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
    rng = random.Random(seed)
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


# --- bins, fading and limits ------------------------------------------------------------------


def test_a_reference_holds_equal_shares_of_values_that_differ() -> None:
    reference = Reference.of([n / 100 for n in range(100)])
    assert reference.shares == pytest.approx([0.1] * 10)
    assert reference.borders == pytest.approx([n / 10 for n in range(1, 10)])


def test_a_value_on_a_border_counts_above_it() -> None:
    watch = DriftWatch({"score": Reference((0.5,), (0.5, 0.5))}, DriftPolicy(least=2))
    for value in (0.5, 0.5):
        watch.add(DOOR, "score", value)
    (above,) = watch.findings()
    below = DriftWatch({"score": Reference((0.5,), (0.1, 0.9))}, DriftPolicy(least=2))
    for value in (0.5, 0.5):
        below.add(DOOR, "score", value)
    (like,) = below.findings()
    assert like.psi < above.psi


def test_the_index_is_that_of_the_textbook_and_finite_for_an_empty_bin() -> None:
    found = stability_index([0.5, 0.5], [0.8, 0.2])
    assert found == pytest.approx(0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5))
    assert 0.25 < stability_index([0.5, 0.5], [1.0, 0.0]) < math.inf


def test_old_values_fade_so_that_a_camera_is_judged_by_what_it_shows_now() -> None:
    policy = DriftPolicy(memory=50, least=10)
    watch = DriftWatch({"score": Reference((0.5,), (0.5, 0.5))}, policy)
    for value in [0.9] * 500 + [0.1, 0.9] * 250:
        watch.add(DOOR, "score", value)
    (found,) = watch.findings()
    assert found.psi < policy.calm_at


def test_a_reference_of_its_own_is_learned_from_so_many_values_and_no_more() -> None:
    policy = DriftPolicy(learn_from=10, least=1)
    watch = DriftWatch(policy=policy)
    for n in range(10):
        watch.add(DOOR, "score", n / 10)
    assert not list(watch.findings())
    watch.add(DOOR, "score", 0.5)
    (found,) = watch.findings()
    assert (found.camera_id, found.quantity) == (DOOR, "score")


def test_an_index_on_the_limit_alarms_and_one_on_the_calm_limit_clears() -> None:
    watch = DriftWatch({"score": Reference((0.5,), (0.5, 0.5))}, DriftPolicy(least=1))
    watch.add(DOOR, "score", 0.9)
    (found,) = watch.findings()
    for alarm_at, is_news in ((found.psi, True), (found.psi + 0.01, False)):
        again = DriftWatch(watch.references, DriftPolicy(least=1, alarm_at=alarm_at))
        again.add(DOOR, "score", 0.9)
        assert [f.is_news for f in again.findings()] == [is_news]
    cleared = DriftPolicy(least=1, alarm_at=found.psi, calm_at=found.psi)
    calm = DriftWatch(watch.references, cleared)
    calm.add(DOOR, "score", 0.9)
    assert [f.is_news for _ in range(3) for f in calm.findings()] == [True, False, True]


def test_no_number_does_not_keep_a_camera_from_being_judged() -> None:
    watch = DriftWatch({"score": Reference((0.5,), (0.5, 0.5))}, DriftPolicy(least=2))
    for value in (float("inf"), 0.1, float("nan"), 0.9):
        watch.add(DOOR, "score", value)
    (found,) = watch.findings()
    assert found.psi == pytest.approx(0.0, abs=1e-3)
