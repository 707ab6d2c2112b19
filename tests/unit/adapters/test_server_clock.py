"""The clock of the Redis server, as told by this process's monotonic clock."""

from contextlib import nullcontext

import pytest

from trinetra.adapters.clock import ManualClock
from trinetra.adapters.redis.server_clock import ServerClock


class Server:
    """A server whose clock is far from ours, and which answers after a while."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.ahead_s = 1_000_000.0
        self.answers_after_s = 0.0
        self.asked = 0

    async def time(self) -> tuple[int, int]:
        self.asked += 1
        now_s = self.clock.monotonic() + self.ahead_s
        self.clock.advance(self.answers_after_s)
        return int(now_s), round(now_s % 1 * 1e6)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


@pytest.fixture
def told(clock: ManualClock, server: Server) -> ServerClock:
    return ServerClock(server, nullcontext, clock)


async def test_an_instant_of_the_server_is_found_on_our_clock_and_never_in_our_future(
    clock: ManualClock, server: Server, told: ServerClock
) -> None:
    clock.advance(50.0)
    await told.keep_calibrated()
    assert told.monotonic_at(server.ahead_s + 30.0) == pytest.approx(30.0)
    assert told.monotonic_at(server.ahead_s + 99.0) == 50.0


async def test_a_step_of_the_server_is_noticed_after_a_while_and_no_sooner_asked_for(
    clock: ManualClock, server: Server, told: ServerClock
) -> None:
    for _ in range(100):
        await told.keep_calibrated()
        clock.advance(0.09)
    assert server.asked == 1
    server.ahead_s += 3600
    clock.advance(2.0)
    await told.keep_calibrated()
    assert told.monotonic_at(server.ahead_s + 3.0) == pytest.approx(3.0)


async def test_an_answer_that_took_long_is_taken_only_if_there_is_no_other(
    clock: ManualClock, server: Server, told: ServerClock
) -> None:
    server.answers_after_s = 8.0
    await told.keep_calibrated()
    assert told.monotonic_at(server.ahead_s) == pytest.approx(4.0)
    server.answers_after_s = 0.0
    clock.advance(11.0)
    await told.keep_calibrated()
    assert told.monotonic_at(server.ahead_s + 5.0) == pytest.approx(5.0)
    server.answers_after_s = 30.0  # as of a process that stood still
    clock.advance(11.0)
    await told.keep_calibrated()
    assert told.monotonic_at(server.ahead_s + 5.0) == pytest.approx(5.0)
