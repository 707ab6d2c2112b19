"""Scores of detectors whose thresholds differ are brought to one scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.detector import SURE_SCORE, common_score

thresholds = st.floats(0.05, 0.95)


@given(thresholds)
def test_zero_the_threshold_and_one_are_fixed_points_of_the_common_scale(threshold):
    raw = np.array([0, threshold, 1], np.float32)
    assert common_score(raw, threshold) == pytest.approx([0, SURE_SCORE, 1], abs=1e-6)


@given(thresholds, st.lists(st.floats(0, 1, width=32), min_size=2, max_size=9))
def test_the_order_of_scores_stays(threshold, raw):
    common = common_score(np.array(sorted(raw), np.float32), threshold)
    assert common.dtype == np.float32
    assert (np.diff(common) >= 0).all()


def test_a_network_whose_threshold_is_the_common_one_keeps_its_scores():
    raw = np.linspace(0, 1, 11, dtype=np.float32)
    assert common_score(raw, SURE_SCORE) == pytest.approx(raw, abs=1e-6)
