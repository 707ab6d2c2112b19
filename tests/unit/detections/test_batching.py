import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.batching import BatchPolicy, BatchWindow


def test_the_window_starts_with_the_first_frame_not_with_the_wait_for_it():
    window = BatchWindow(BatchPolicy(4, 0.020))
    window.add([], 1.0)
    window.add(["a"], 5.0)
    assert window.wait_s(5.0) == pytest.approx(0.020)
    assert window.wait_s(5.015) == pytest.approx(0.005)


def test_a_later_frame_does_not_prolong_the_window():
    window = BatchWindow(BatchPolicy(4, 0.020))
    window.add(["a"], 0.0)
    window.add(["b"], 0.019)
    assert window.wait_s(0.020) == 0


def test_a_full_window_does_not_wait():
    window = BatchWindow(BatchPolicy(2, 0.020))
    window.add(["a", "b"], 0.0)
    assert (window.room, window.wait_s(0.0)) == (0, 0.0)


@given(st.integers(1, 16), st.floats(0, 1), st.lists(st.floats(0, 0.5), max_size=30))
def test_no_batch_is_too_large_or_waits_too_long(max_frames, max_wait_s, gaps):
    window, now_s = BatchWindow(BatchPolicy(max_frames, max_wait_s)), 0.0
    for gap in gaps:
        if window.items and window.wait_s(now_s) == 0:
            break
        assert window.wait_s(now_s) <= max_wait_s + 1e-9
        now_s += gap
        window.add(["frame"], now_s)
    assert len(window.items) <= max_frames


@pytest.mark.parametrize(("max_frames", "max_wait_s"), [(0, 0.02), (4, -0.01)])
def test_a_policy_without_sense_is_refused(max_frames, max_wait_s):
    with pytest.raises(ValueError, match="max_frames"):
        BatchPolicy(max_frames, max_wait_s)
