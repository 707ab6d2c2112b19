"""Retrying during outages, and tracking them."""

import asyncio

import pytest
from structlog.testing import capture_logs

from trinetra.adapters.clock import ManualClock
from trinetra.errors import EventLogUnavailable, StoreUnavailable
from trinetra.streaming.retry import Backoff, OutageTracker, Retrier, StoppedError
from trinetra.telemetry import get_logger


class SleepLog(ManualClock):
    """A manual clock that passes as soon as someone sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class Server:
    """Answers after a number of failures."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or EventLogUnavailable("no broker at kafka://user:secret@host")
        self.calls = 0
        self.asked = asyncio.Event()

    async def ask(self) -> str:
        self.calls += 1
        self.asked.set()
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.fixture
def clock() -> SleepLog:
    return SleepLog()


def tracker(clock: ManualClock, retry_s: float = 0.0) -> OutageTracker:
    return OutageTracker(clock, get_logger("test"), "event log", retry_s=retry_s)


def retrier(
    clock: ManualClock, stop: asyncio.Event | None = None, *, outlasts_stop: bool = False
) -> Retrier:
    return Retrier(
        tracker(clock),
        clock,
        stop or asyncio.Event(),
        retry_on=(EventLogUnavailable,),
        backoff=Backoff(0.1, 0.5),
        outlasts_stop=outlasts_stop,
    )


async def test_pauses_double_up_to_the_longest(clock: SleepLog) -> None:
    assert await retrier(clock).call(Server(6).ask) == "answer"
    assert clock.slept == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5, 0.5])


async def test_an_answer_at_once_costs_no_pause(clock: SleepLog) -> None:
    assert await retrier(clock).call(Server(0).ask) == "answer"
    assert clock.slept == []


async def test_the_next_outage_begins_with_the_first_pause_again(clock: SleepLog) -> None:
    retry = retrier(clock)
    await retry.call(Server(3).ask)
    clock.slept.clear()
    await retry.call(Server(1).ask)
    assert clock.slept == pytest.approx([0.1])


async def test_other_errors_are_raised_at_once(clock: SleepLog) -> None:
    with pytest.raises(StoreUnavailable):
        await retrier(clock).call(Server(1, StoreUnavailable("database")).ask)
    assert clock.slept == []


async def test_an_outage_is_logged_once_without_its_password(clock: SleepLog) -> None:
    with capture_logs() as lines:
        await retrier(clock).call(Server(4).ask)
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "event log unavailable"),
        ("info", "event log available again"),
    ]
    assert lines[0]["cause"] == "no broker at kafka://***@host"


async def test_a_stop_ends_the_waiting_and_names_the_outage(clock: SleepLog) -> None:
    stop = asyncio.Event()
    stop.set()
    server = Server(9)
    retry = retrier(clock, stop)
    with pytest.raises(StoppedError) as stopped:
        await retry.call(server.ask)
    assert isinstance(stopped.value.__cause__, EventLogUnavailable)
    assert server.calls == 1, "asked once although a stop was requested"
    assert retry.outage.cause is not None


async def test_a_stop_during_a_pause_cuts_it_short() -> None:
    clock, stop = ManualClock(), asyncio.Event()  # nobody advances this clock
    server = Server(99)
    waiting = asyncio.create_task(retrier(clock, stop).call(server.ask))
    await server.asked.wait()
    stop.set()
    with pytest.raises(StoppedError):
        await waiting


async def test_work_that_must_be_finished_outlasts_a_stop(clock: SleepLog) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await retrier(clock, stop, outlasts_stop=True).call(Server(3).ask) == "answer"


async def test_what_precedes_a_retry_runs_before_every_attempt_but_the_first(
    clock: SleepLog,
) -> None:
    order: list[str] = []
    server = Server(2)

    async def attempt() -> str:
        order.append("attempt")
        return await server.ask()

    async def check() -> None:
        order.append("check")

    await retrier(clock).call(attempt, before_retry=check)
    assert order == ["attempt", "check", "attempt", "check", "attempt"]


def test_without_an_outage_every_call_may_ask() -> None:
    clock = ManualClock()
    outage = tracker(clock, retry_s=0.5)
    assert all(outage.claim_retry() for _ in range(3))
    assert outage.overdue_s == 0.0


def test_during_an_outage_one_call_in_a_while_asks_for_all() -> None:
    clock = ManualClock()
    outage = tracker(clock, retry_s=0.5)
    outage.note(EventLogUnavailable("gone"))
    asked = []
    for tick in range(17):
        if outage.claim_retry():
            asked.append(tick * 0.125)  # exact in binary
        clock.advance(0.125)
    assert asked == [0.5, 1.0, 1.5, 2.0]


def test_it_is_known_for_how_long_a_retry_has_been_due() -> None:
    clock = ManualClock()
    outage = tracker(clock, retry_s=0.5)
    outage.note(EventLogUnavailable("gone"))
    due = []
    for _ in range(3):
        due.append(round(outage.overdue_s, 6))
        clock.advance(0.5)
    assert due == [0.0, 0.0, 0.5]
