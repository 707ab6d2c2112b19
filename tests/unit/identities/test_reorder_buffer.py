"""The reorder window: releases in frame order, bounded, without duplicates."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.tracking.reorder_buffer import ReorderWindow, Slot

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def slot(seq: int, fps: float = 10.0) -> Slot[int]:
    return Slot(seq, NOON + timedelta(seconds=seq / fps), seq)


def released(window: ReorderWindow[int], *, everything: bool = False) -> list[int]:
    return [s.item for s in window.release(everything=everything)]


def test_events_in_order_pass_at_once() -> None:
    window = ReorderWindow[int]()
    for seq in range(5):
        window.admit(slot(seq))
        assert released(window) == [seq]


def test_an_event_waits_for_the_one_before_it() -> None:
    window = ReorderWindow[int]()
    window.admit(slot(0))
    assert released(window) == [0]
    window.admit(slot(2))
    assert released(window) == []
    window.admit(slot(1))
    assert released(window) == [1, 2]


def test_a_gap_is_given_up_after_the_span() -> None:
    window = ReorderWindow[int](span_s=1.0)
    window.admit(slot(0))
    assert released(window) == [0]
    window.admit(slot(2))
    window.admit(slot(12))
    assert released(window) == []
    window.admit(slot(13))
    assert released(window) == [2]


def test_a_late_event_and_a_second_copy_are_named_as_such() -> None:
    window = ReorderWindow[int]()
    window.admit(slot(5))
    assert released(window) == [5]
    assert window.admit(slot(5)) == "duplicate"
    assert window.admit(slot(4)) == "late"
    assert window.admit(slot(7)) == "accepted"
    assert window.admit(slot(7)) == "duplicate"


@given(order=st.permutations(range(30)), reach=st.integers(1, 8))
def test_out_comes_a_rising_sequence_and_every_event_is_accounted_for(
    order: list[int], reach: int
) -> None:
    window = ReorderWindow[int](max_pending=reach)
    out, refused = [], 0
    for seq in order:
        refused += window.admit(slot(seq)) != "accepted"
        out += released(window)
        assert len(window.pending()) <= reach
    out += released(window, everything=True)
    assert out == sorted(set(out))
    assert len(out) + refused == len(order)


@given(blocks=st.lists(st.permutations(range(4)), min_size=1, max_size=8))
def test_a_shuffle_within_a_batch_is_put_right_without_loss(blocks: list[list[int]]) -> None:
    window = ReorderWindow[int](max_pending=8)
    window.admit(slot(0))
    out = released(window)
    for number, block in enumerate(blocks):
        for place in block:
            window.admit(slot(1 + 4 * number + place))
            out += released(window)
    assert out == list(range(1 + 4 * len(blocks)))


# --- capture sessions


def of(session: int, seq: int) -> Slot[int]:
    return Slot(seq, NOON, seq, session)


def window_in(*sessions: int, frames: int = 5) -> ReorderWindow[int]:
    """Return a window that has released frames 0 to ``frames - 1`` of each session."""
    window = ReorderWindow[int](max_pending=4)
    for session in sessions:
        for seq in range(frames):
            if window.admit(of(session, seq)) == "next_session":
                window.begin(session)
                window.admit(of(session, seq))
            list(window.release(everything=True))
    return window


@given(st.integers(1, 2**53), st.integers(1, 2**53), st.integers(0, 2**53))
def test_a_session_that_was_never_heard_of_begins_at_once_whatever_its_numbers(
    first: int, second: int, seq: int
) -> None:
    window = window_in(first, frames=3)
    if first == second:
        return
    assert window.admit(of(second, seq)) == "next_session"
    window.begin(second)
    assert window.admit(of(second, seq)) == "accepted"


def test_frames_of_an_earlier_session_that_come_again_are_duplicates() -> None:
    window = window_in(7, 3, 9)
    for session in (7, 3):
        verdicts = [window.admit(of(session, seq)) for seq in range(5)]
        assert verdicts == ["late"] * 4 + ["duplicate"]
    assert window.session == 9


def test_stragglers_of_an_earlier_session_are_late_while_the_present_one_goes_on() -> None:
    window = window_in(7, 3)
    for seq in range(5, 50):
        assert window.admit(of(7, seq)) == "late"
        assert window.admit(of(3, seq)) == "accepted"
        list(window.release())


def test_a_session_that_alone_goes_on_is_the_present_one_again() -> None:
    """The frames that seemed to follow it had been delayed, and it is not blinded by them."""
    window = window_in(7, 3)
    verdicts = [window.admit(of(7, seq)) for seq in range(5, 10)]
    assert verdicts == ["late"] * 4 + ["next_session"]
    window.begin(7)
    assert window.admit(of(7, 9)) == "accepted"
    assert window.admit(of(7, 3)) == "late"
    assert window.admit(of(3, 4)) == "duplicate"


def test_the_sessions_that_are_remembered_are_bounded() -> None:
    window = window_in(*range(1, 100), frames=1)
    assert len(window.earlier) <= 16


def test_as_many_as_allowed_may_wait_and_one_more_may_not() -> None:
    window = ReorderWindow[int](max_pending=2, span_s=99.0)
    window.admit(slot(0))
    assert [s.item for s in window.release()] == [0]
    window.admit(slot(3))
    window.admit(slot(2))
    assert [s.item for s in window.release()] == []
    assert sorted(window.pending()) == [2, 3]
    window.admit(slot(9))
    assert [s.item for s in window.release()] == [2, 3]
