"""Steps of the wall clock are told from slewing, from pauses, and from time that passes."""

from datetime import UTC, datetime

import pytest

from trinetra.frames.sampling.clock_steps import ClockReading, step_s
from trinetra.values import after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def reading(mono_s: float, wall_s: float, *, took_s: float = 0.0) -> ClockReading:
    return ClockReading(mono_s, after(NOON, wall_s), mono_s + took_s)


@pytest.mark.parametrize("step", [3600.0, -3600.0, 19800.0, -19800.0, 0.8, -0.8])
def test_a_step_is_found_with_its_size(step: float) -> None:
    found = step_s(reading(100.0, 0.0), reading(100.2, 0.2 + step))
    assert found == pytest.approx(step, abs=1e-6)


@pytest.mark.parametrize("slew", [0.0005, -0.0005])
def test_an_hour_of_slewing_at_the_highest_rate_is_no_step(slew: float) -> None:
    assert step_s(reading(0.0, 0.0), reading(3600.0, 3600.0 * (1 + slew))) == 0.0


@pytest.mark.parametrize("wall_s", [0.2, 7.2])
def test_a_pause_between_the_two_clocks_is_no_step(wall_s: float) -> None:
    """The thread slept for 7 s before or after it read the wall clock."""
    assert step_s(reading(0.0, 0.0), reading(0.2, wall_s, took_s=7.0)) == 0.0
    assert step_s(reading(-7.0, 0.0 - (7.2 - wall_s), took_s=7.0), reading(0.2, 0.2)) == 0.0
