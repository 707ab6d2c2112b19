"""A thread that runs blocking calls one after another."""

import asyncio
import threading

import pytest

from trinetra.adapters.kafka.worker import Worker


async def test_calls_run_in_order_on_one_thread_that_is_not_the_loops() -> None:
    worker, seen = Worker("w"), []
    calls = [worker.run(lambda n=n: seen.append((n, threading.get_ident())), 5) for n in range(20)]
    await asyncio.gather(*calls)
    assert [n for n, _ in seen] == list(range(20))
    assert {thread for _, thread in seen}.isdisjoint({threading.get_ident()})
    assert len({thread for _, thread in seen}) == 1
    worker.stop()


async def test_what_a_call_raises_is_raised_where_it_is_awaited_and_the_next_one_runs() -> None:
    worker = Worker("w")
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0, 5)
    assert await worker.run(lambda: 7, 5) == 7
    worker.stop()


async def test_a_late_call_goes_on_and_the_next_one_waits_for_it() -> None:
    worker, release, done = Worker("w"), threading.Event(), []

    def late() -> None:
        release.wait()
        done.append("late")

    with pytest.raises(TimeoutError):
        await worker.run(late, 0.01)
    following = asyncio.ensure_future(worker.run(lambda: done.append("next"), 5))
    await asyncio.sleep(0)
    assert done == []
    release.set()
    await following
    assert done == ["late", "next"]
    worker.stop()


async def test_a_call_that_was_given_up_before_it_began_is_not_made() -> None:
    worker, release, done = Worker("w"), threading.Event(), []
    blocking = asyncio.ensure_future(worker.run(release.wait, 5))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await worker.run(lambda: done.append("never"), 0.01)
    release.set()
    await blocking
    await worker.run(lambda: done.append("after"), 5)
    assert done == ["after"]
    worker.stop()
