"""Confidence intervals against published values, and resampling by its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.evaluation.intervals import bootstrap_median, bootstrap_sums, poisson, wilson


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_poisson_gives_the_published_interval() -> None:
    # Garwood's exact limits as tabulated for 0, 5 and 10 events.
    assert poisson(0) == pytest.approx((0.0, 3.689), abs=1e-3)
    assert poisson(5) == pytest.approx((1.623, 11.668), abs=1e-3)
    assert poisson(10) == pytest.approx((4.795, 18.390), abs=1e-3)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_proportion_lies_in_its_interval(hits: int, misses: int) -> None:
    low, high = wilson(hits, hits + misses)
    assert 0.0 <= low <= high <= 1.0
    if hits + misses:
        assert low <= hits / (hits + misses) <= high


def test_without_trials_a_proportion_may_be_anything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_more_of_the_same_makes_an_interval_narrower() -> None:
    widths = [high - low for low, high in (wilson(9 * n, 10 * n) for n in (1, 10, 100))]
    assert widths == sorted(widths, reverse=True)


def test_the_median_of_resamples_covers_the_true_median_about_as_often_as_promised() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        low, high = bootstrap_median(random.normal(7.0, 2.0, 60), random)
        covered += low <= 7.0 <= high
    assert 88 <= covered <= 100


def test_resampling_follows_from_the_seed() -> None:
    values = np.random.default_rng(0).gamma(2.0, 5.0, 50)
    one, same, other = (bootstrap_median(values, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("few", [0, 1, 5])
def test_few_values_and_few_blocks_have_no_interval(few: int) -> None:
    random = np.random.default_rng(0)
    assert bootstrap_median(np.zeros(few), random) is None
    assert bootstrap_sums(np.ones((few, 2)), lambda sums: sums[:, 0], random) is None


def test_blocks_that_are_all_alike_leave_no_doubt() -> None:
    ratio = bootstrap_sums(
        np.tile([3.0, 4.0], (20, 1)), lambda s: s[:, 0] / s[:, 1], np.random.default_rng(0)
    )
    assert ratio == (0.75, 0.75)
