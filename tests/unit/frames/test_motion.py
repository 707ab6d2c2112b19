from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.frames.sampling.motion import Luma, MotionConfig, MotionMeter, motion_score

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
CONFIG = MotionConfig()


def scene(seed: int = 0) -> Luma:
    """Return a textured picture that can become brighter or darker without clipping."""
    blocks = np.random.default_rng(seed).integers(60, 140, (9, 16), dtype=np.uint8)
    return np.kron(blocks, np.ones((8, 8), np.uint8))


def with_object(luma: Luma, x: int, width: int = 10, height: int = 24) -> Luma:
    changed = luma.copy()
    changed[30 : 30 + height, x : x + width] = 235
    return changed


def test_a_still_scene_has_no_motion() -> None:
    assert motion_score(scene(), scene(), CONFIG) == 0.0


@given(st.floats(0.6, 1.6), st.integers(-40, 20), st.integers(0, 50))
def test_a_change_of_brightness_or_contrast_over_the_whole_picture_is_no_motion(
    gain: float, offset: int, seed: int
) -> None:
    before = scene(seed)
    after = np.clip(before * gain + offset, 0, 255).astype(np.uint8)
    assert motion_score(before, after, CONFIG) == 0.0


@given(st.integers(0, 100))
def test_sensor_noise_on_a_blank_wall_is_no_motion(seed: int) -> None:
    random = np.random.default_rng(seed)
    before, after = random.normal(128, 2.0, (2, 72, 128)).clip(0, 255).astype(np.uint8)
    assert motion_score(before, after, CONFIG) < 0.002


@given(st.integers(0, 110), st.integers(0, 50))
def test_an_object_entering_the_scene_scores_about_its_own_size(x: int, seed: int) -> None:
    score = motion_score(scene(seed), with_object(scene(seed), x), CONFIG)
    assert score == pytest.approx(10 * 24 / (72 * 128), rel=0.35)


@given(st.integers(0, 110), st.integers(0, 50))
def test_motion_is_detected_while_the_light_changes(x: int, seed: int) -> None:
    darker = (with_object(scene(seed), x) * 0.7).astype(np.uint8)
    assert motion_score(scene(seed), darker, CONFIG) > 0.5 * 10 * 24 / (72 * 128)


def test_a_slow_walker_is_seen_because_the_reference_is_older() -> None:
    meter = MotionMeter(CONFIG)
    scores = []
    for step in range(10):  # one pixel in 0.2 s: two neighboring checks hardly differ
        at = START + timedelta(seconds=0.2 * step)
        scores.append(meter.update(at, with_object(scene(), 20 + step)))
    neighbours = motion_score(with_object(scene(), 20), with_object(scene(), 21), CONFIG)
    assert min(scores[4:]) > 1.5 * neighbours


def test_when_the_walker_has_gone_the_score_returns_to_zero() -> None:
    meter = MotionMeter(CONFIG)
    meter.update(START, with_object(scene(), 20))
    for step in range(1, 8):
        meter.update(START + timedelta(seconds=0.2 * step), scene())
    assert meter.score == 0.0


def test_checks_are_due_at_their_own_rate_not_at_the_cameras() -> None:
    meter = MotionMeter(MotionConfig(check_fps=5.0))
    checked = 0
    for frame in range(30):  # one second at 30 fps
        at = START + timedelta(seconds=frame / 30)
        if meter.is_due(at):
            meter.update(at, scene())
            checked += 1
    assert checked == 5


def test_a_new_picture_size_starts_anew() -> None:
    meter = MotionMeter(CONFIG)
    meter.update(START, scene())
    assert meter.update(START + timedelta(seconds=1), scene()[:36]) == 0.0
