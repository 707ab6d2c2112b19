import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.frames.sampling.pacing import Backoff, Increasing, Lockstep, release_delay_s
from trinetra.values import CameraId, Instant

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
A, B, C = CameraId("a"), CameraId("b"), CameraId("c")


def at(seconds: float) -> Instant:
    return START + timedelta(seconds=seconds)


def test_a_frame_is_held_until_its_time_and_no_longer() -> None:
    assert release_delay_s(at(3), at(1)) == 2.0
    assert release_delay_s(at(1), at(3)) == 0.0


def test_waits_double_up_to_their_bound() -> None:
    backoff = Backoff(initial_s=1.0, factor=2.0, max_s=30.0, jitter=0.0)
    waits = [backoff.delay_s(n, 0.5) for n in range(1, 8)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_the_first_waits_may_all_be_short() -> None:
    backoff = Backoff(initial_s=20.0, steady=3, factor=10.0, max_s=600.0, jitter=0.0)
    assert [backoff.delay_s(n, 0.5) for n in range(1, 7)] == [20.0, 20.0, 20.0, 200.0, 600.0, 600.0]


def test_a_camera_gone_for_a_year_still_has_a_finite_wait() -> None:
    assert Backoff(max_s=30.0, jitter=0.0).delay_s(1_000_000, 0.0) == 30.0


@given(st.integers(1, 50), st.floats(0.0, 1.0, exclude_max=True))
def test_jitter_stays_within_its_share_of_the_wait(failures: int, random: float) -> None:
    nominal = Backoff(jitter=0.0).delay_s(failures, random)
    wait = Backoff(jitter=0.25).delay_s(failures, random)
    assert 0.75 * nominal <= wait <= 1.25 * nominal


@given(st.lists(st.floats(-100.0, 100.0), min_size=2))
def test_capture_times_always_increase_though_clocks_step(offsets: list[float]) -> None:
    times = Increasing()
    stamped = [times.next(at(offset)) for offset in offsets]
    assert all(earlier < later for earlier, later in itertools.pairwise(stamped))


def test_capture_times_that_increase_are_left_alone() -> None:
    times = Increasing()
    assert [times.next(at(s)) for s in (0, 1, 2.5)] == [at(0), at(1), at(2.5)]


def test_no_camera_goes_before_all_have_offered() -> None:
    order = Lockstep([A, B])
    order.offer(A, at(0))
    assert order.turn() is None
    order.offer(B, at(1))
    assert order.turn() == A


def test_a_camera_that_left_is_not_waited_for_and_may_come_back() -> None:
    order = Lockstep([A, B])
    order.offer(A, at(5))
    order.leave(B)
    assert order.turn() == A
    order.join(B)
    assert order.turn() is None


def test_without_members_it_is_no_cameras_turn() -> None:
    order = Lockstep([A])
    order.offer(A, at(0))
    order.leave(A)
    assert order.turn() is None


@given(
    st.lists(st.lists(st.integers(0, 1000), max_size=12).map(sorted), min_size=3, max_size=3),
    st.randoms(use_true_random=False),
)
def test_all_frames_go_out_in_order_of_capture_however_the_cameras_are_scheduled(
    recordings: list[list[int]], random
) -> None:
    order = Lockstep([A, B, C])
    left = {camera: list(times) for camera, times in zip((A, B, C), recordings, strict=True)}
    waiting: set[CameraId] = set()
    released: list[int] = []
    while left or waiting:
        for camera in random.sample(sorted(left), len(left)):
            if camera not in waiting and left[camera]:
                order.offer(camera, at(left[camera][0]))
                waiting.add(camera)
            elif camera not in waiting:
                order.leave(camera)
                del left[camera]
        if (camera := order.turn()) is not None:
            released.append(left[camera].pop(0))
            order.release(camera)
            waiting.discard(camera)
    assert released == sorted(itertools.chain.from_iterable(recordings))


@pytest.mark.parametrize("first", [A, B])
def test_frames_of_one_instant_go_by_name_so_that_replays_agree(first: CameraId) -> None:
    order = Lockstep([A, B])
    order.offer(first, at(0))
    order.offer(B if first == A else A, at(0))
    assert order.turn() == A
