"""Tests for the circuit breaker, the retry budget and guarded calls."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.adapters.qdrant.connection import Denied, GuardedCalls, Refused, ServerPatience
from trinetra.errors import ConfigurationError, GalleryUnavailable
from trinetra.streaming.circuit_breaker import CircuitBreaker, RetryBudget

PATIENCE = ServerPatience(retry_after_s=0.0, failures_to_open=2, first_open_s=3600)


def breaker(failures: int = 2) -> CircuitBreaker:
    return CircuitBreaker(failures_to_open=failures, first_open_s=1.0, most_open_s=3.0)


def opened() -> CircuitBreaker:
    circuit = breaker(1)
    assert circuit.admits(0.0)
    circuit.failed(0.0)
    return circuit


def test_a_circuit_opens_after_so_many_failures_in_a_row() -> None:
    circuit = breaker()
    circuit.failed(0.0)
    circuit.succeeded()
    circuit.failed(0.0)
    assert circuit.admits(0.0)
    circuit.failed(0.0)
    assert not circuit.admits(0.0)


def test_an_open_circuit_lets_one_probe_through_after_its_time() -> None:
    circuit = opened()

    assert not circuit.admits(0.9)
    assert circuit.admits(1.0)
    assert not circuit.admits(1.0)


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    circuit = opened()
    assert circuit.admits(1.0)
    circuit.succeeded()

    assert circuit.is_closed
    assert circuit.admits(1.0)


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_limit() -> None:
    circuit = opened()
    for probe_at, next_at in [(1.0, 3.0), (3.0, 6.0), (6.0, 9.0)]:
        assert circuit.admits(probe_at)
        circuit.failed(probe_at)
        assert not circuit.admits(next_at - 0.01)
    assert circuit.admits(9.0)


def test_a_probe_that_was_given_up_leaves_room_for_another() -> None:
    circuit = opened()
    assert circuit.admits(1.0)
    circuit.abandoned()

    assert circuit.admits(1.0)


@given(st.lists(st.booleans(), max_size=300))
def test_retries_are_a_share_of_the_calls_and_what_was_saved(wanted: list[bool]) -> None:
    budget = RetryBudget(share=0.1, most_saved=3.0)
    retries = 0
    for wants_retry in wanted:
        budget.note_call()
        retries += wants_retry and budget.spend()

    assert retries <= 3 + 0.1 * len(wanted)


def vendor_error(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def failing(*outcomes: Exception | str) -> tuple[Callable[[], Awaitable[str]], list[object]]:
    """Return a call with these outcomes in turn, and the list of those it has had."""
    had: list[object] = []

    async def send() -> str:
        outcome = outcomes[len(had)]
        had.append(outcome)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return send, had


UNAVAILABLE = vendor_error(grpc.StatusCode.UNAVAILABLE)


async def test_a_call_that_failed_in_passing_is_made_once_more() -> None:
    send, had = failing(UNAVAILABLE, "done")

    assert await GuardedCalls("there", PATIENCE).make("it", 10, send) == "done"
    assert len(had) == 2


async def test_a_call_that_fails_twice_is_not_made_again() -> None:
    send, had = failing(UNAVAILABLE, UNAVAILABLE)

    with pytest.raises(GalleryUnavailable, match="there failed at it"):
        await GuardedCalls("there", PATIENCE).make("it", 10, send)
    assert len(had) == 2


async def test_when_the_budget_is_spent_calls_are_made_once() -> None:
    calls = GuardedCalls("there", PATIENCE)
    made = 0
    for _ in range(40):
        send, had = failing(UNAVAILABLE, "done")
        try:
            await calls.make("it", 10, send)
        except GalleryUnavailable:
            made += len(had)
            break
    assert made == 1


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, Refused),
        (grpc.StatusCode.NOT_FOUND, Refused),
        (grpc.StatusCode.UNAUTHENTICATED, Denied),
        (grpc.StatusCode.PERMISSION_DENIED, Denied),
    ],
)
async def test_a_refused_call_is_not_retried_and_opens_no_circuit(
    code: grpc.StatusCode, failure: type[Exception]
) -> None:
    calls = GuardedCalls("there", PATIENCE)
    for _ in range(5):
        send, had = failing(vendor_error(code, "no"))
        with pytest.raises(failure, match="there refused it: no"):
            await calls.make("it", 10, send)
        assert len(had) == 1


async def test_after_failures_in_a_row_nothing_is_sent() -> None:
    calls = GuardedCalls("there", PATIENCE)
    for _ in range(2):
        send, _ = failing(UNAVAILABLE, UNAVAILABLE)
        with pytest.raises(GalleryUnavailable):
            await calls.make("it", 10, send)
    send, had = failing("done")

    with pytest.raises(GalleryUnavailable, match="not called for a moment"):
        await calls.make("it", 10, send)
    assert had == []


async def test_a_full_disk_of_the_server_is_told_as_such_and_opens_no_circuit() -> None:
    calls = GuardedCalls("there", PATIENCE)
    for _ in range(5):
        send, had = failing(vendor_error(grpc.StatusCode.INTERNAL, "WAL: No space left on device"))
        with pytest.raises(GalleryUnavailable, match=r"disk of .* there is full.*free some space"):
            await calls.make("it", 10, send)
        assert len(had) == 1


async def test_a_reply_that_cannot_be_read_is_a_refusal() -> None:
    send, _ = failing(ValueError("unknown field"))

    with pytest.raises(Refused, match="unknown field"):
        await GuardedCalls("there", PATIENCE).make("it", 10, send)


async def test_a_call_has_a_deadline() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(GalleryUnavailable, match=r"did not answer it within 0\.01 s"):
        await GuardedCalls("there", PATIENCE).make("it", 0.01, hang)


async def test_our_own_errors_pass_as_they_are() -> None:
    send, _ = failing(ConfigurationError("wrong size"))

    with pytest.raises(ConfigurationError, match="wrong size"):
        await GuardedCalls("there", PATIENCE).make("it", 10, send)
