import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.frames.sampling.sampler import (
    IdleConfig,
    IdleWatch,
    Sampler,
    SamplingConfig,
    sample_rate_hz,
)
from trinetra.values import Instant, seconds_between

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
motions = st.floats(0.0, 1.0)
lags = st.integers(0, 200)


@st.composite
def configs(draw: st.DrawFn) -> SamplingConfig:
    floor, base, ceiling = sorted(draw(st.tuples(*[st.floats(0.2, 30.0)] * 3)))
    return SamplingConfig(base_fps=base, floor_fps=floor, ceiling_fps=ceiling)


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[Instant, float, int]]:
    """Return frames in order of capture, each with its motion score and lag."""
    gaps = draw(st.lists(st.floats(0.005, 0.8), min_size=2, max_size=120))
    frames, at = [], START
    for gap in gaps:
        at += timedelta(seconds=gap)
        frames.append((at, draw(motions), draw(lags)))
    return frames


def picks(config: SamplingConfig, frames: list[tuple[Instant, float, int]]) -> list[Instant]:
    sampler = Sampler(config)
    return [at for at, motion, lag in frames if sampler.wants(at, motion=motion, lag=lag)]


def steady(fps: float, seconds: float) -> list[tuple[Instant, float, int]]:
    count = int(fps * seconds)
    return [(START + timedelta(seconds=i / fps), 0.0, 0) for i in range(count)]


@given(configs(), motions, lags)
def test_the_rate_stays_between_floor_and_ceiling(
    config: SamplingConfig, motion: float, lag: int
) -> None:
    rate = sample_rate_hz(config, motion=motion, lag=lag)
    assert config.floor_fps <= rate <= config.ceiling_fps + 1e-9


@given(configs(), motions, lags, lags)
def test_the_rate_never_rises_with_lag(
    config: SamplingConfig, motion: float, one: int, other: int
) -> None:
    less, more = sorted((one, other))
    assert (
        sample_rate_hz(config, motion=motion, lag=more)
        <= sample_rate_hz(config, motion=motion, lag=less) + 1e-9
    )


@given(configs(), motions, motions, lags)
def test_the_rate_never_falls_with_motion(
    config: SamplingConfig, one: float, other: float, lag: int
) -> None:
    less, more = sorted((one, other))
    assert (
        sample_rate_hz(config, motion=more, lag=lag)
        >= sample_rate_hz(config, motion=less, lag=lag) - 1e-9
    )


@given(configs(), arrivals())
def test_no_span_of_time_holds_more_picks_than_the_ceiling_allows(
    config: SamplingConfig, frames: list[tuple[Instant, float, int]]
) -> None:
    picked = picks(config, frames)
    for first in range(len(picked)):
        for last in range(first, len(picked)):
            span_s = seconds_between(picked[first], picked[last])
            assert last - first + 1 <= config.ceiling_fps * span_s + 2 + 1e-6


@given(configs(), arrivals())
def test_while_frames_come_no_gap_is_longer_than_the_floor_allows(
    config: SamplingConfig, frames: list[tuple[Instant, float, int]]
) -> None:
    picked = picks(config, frames)
    for earlier, later in itertools.pairwise(picked):
        waited = [at for at, _, _ in frames if earlier < at < later]
        if waited:
            assert seconds_between(earlier, waited[-1]) <= 1.0 / config.floor_fps + 1e-5


@pytest.mark.parametrize("source_fps", [12.0, 12.5, 15.0, 25.0, 30.0])
@pytest.mark.parametrize("base_fps", [2.0, 5.0, 8.0])
def test_the_mean_rate_is_the_wanted_one_though_frames_do_not_fall_on_it(
    source_fps: float, base_fps: float
) -> None:
    config = SamplingConfig(base_fps=base_fps, floor_fps=1.0, ceiling_fps=10.0)
    assert len(picks(config, steady(source_fps, 20.0))) == pytest.approx(20 * base_fps, abs=2)


def test_a_camera_slower_than_the_base_rate_keeps_every_frame() -> None:
    frames = steady(3.0, 10.0)
    assert len(picks(SamplingConfig(base_fps=5.0), frames)) == len(frames)


def test_a_gap_is_not_made_up_for_by_a_burst() -> None:
    late = START + timedelta(seconds=30)
    frames = [(START, 0.0, 0)] + [(late + timedelta(seconds=i / 30), 0.0, 0) for i in range(30)]
    config = SamplingConfig(base_fps=5.0, ceiling_fps=10.0)
    assert len(picks(config, frames)) <= 1 + 5 + 2


def test_rates_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="floor_fps <= base_fps <= ceiling_fps"):
        SamplingConfig(base_fps=5.0, floor_fps=6.0, ceiling_fps=10.0)


def test_a_camera_idles_only_after_a_while_without_motion() -> None:
    watch = IdleWatch(IdleConfig(enabled=True, after_s=5.0, motion_level=0.01))
    assert not watch.observe(START, 0.5)
    assert not watch.observe(START + timedelta(seconds=4.9), 0.009)
    assert watch.observe(START + timedelta(seconds=5.0), 0.0)


def test_motion_ends_idling_at_once() -> None:
    watch = IdleWatch(IdleConfig(enabled=True, after_s=5.0, motion_level=0.01))
    watch.observe(START, 0.0)
    assert watch.observe(START + timedelta(seconds=6), 0.0)
    assert not watch.observe(START + timedelta(seconds=7), 0.01)
    assert not watch.observe(START + timedelta(seconds=11), 0.0)


def test_a_camera_that_may_not_idle_never_does() -> None:
    watch = IdleWatch(IdleConfig(enabled=False))
    watch.observe(START, 0.0)
    assert not watch.observe(START + timedelta(hours=1), 0.0)
