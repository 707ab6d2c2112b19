"""Arrival times of customers."""

import numpy as np
import pytest

from trinetra.twin.arrivals import arrival_times
from trinetra.twin.people import group_size, mean_group_size

OPEN_S = 12 * 3600.0


def days(count: int, window: tuple[float, float], expected: float) -> list[np.ndarray]:
    return [
        arrival_times(np.random.default_rng(seed), expected, window, OPEN_S)
        for seed in range(count)
    ]


@pytest.mark.parametrize("window", [(0.0, OPEN_S), (0.0, 3600.0), (86_400.0, 86_400 + OPEN_S)])
def test_as_many_come_as_were_asked_for_scattered_as_a_poisson_count(
    window: tuple[float, float],
) -> None:
    counts = np.array([len(day) for day in days(300, window, 40.0)])
    assert counts.mean() == pytest.approx(40, abs=4 * np.sqrt(40 / 300))
    assert counts.var() == pytest.approx(40, rel=0.35)


def test_arrivals_lie_in_the_window_in_order() -> None:
    for day in days(20, (100.0, 5000.0), 30.0):
        assert (np.diff(day) >= 0).all()
        assert day.min() >= 100
        assert day.max() <= 5000


def test_the_evening_is_busier_than_the_morning() -> None:
    times = np.concatenate(days(50, (0.0, OPEN_S), 100.0))
    morning = np.count_nonzero(times < OPEN_S / 8)
    evening = np.count_nonzero(np.abs(times - 0.72 * OPEN_S) < OPEN_S / 16)
    assert evening > 2 * morning


def test_nobody_comes_where_nobody_is_expected() -> None:
    assert len(arrival_times(np.random.default_rng(1), 0.0, (0.0, 3600.0), OPEN_S)) == 0


def test_the_mean_size_of_a_party_is_that_of_its_law() -> None:
    rng = np.random.default_rng(5)
    sizes = [group_size(rng, 0.6) for _ in range(20_000)]
    assert np.mean(sizes) == pytest.approx(mean_group_size(0.6), abs=0.02)
    assert min(sizes) == 1
