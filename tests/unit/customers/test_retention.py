"""Retention: what is expired when, and in which batches."""

from datetime import UTC, datetime, timedelta

from trinetra.adapters.clock import SystemClock
from trinetra.customers.retention import Retention
from trinetra.values import Instant

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class HandClock(SystemClock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def now(self) -> Instant:
        return NOON + timedelta(seconds=self.passed_s)


async def test_batches_follow_at_once_until_one_is_not_full_and_then_every_so_often() -> None:
    asked: list[tuple[Instant, int]] = []
    expired = [10, 10, 3, 0]

    async def expire(before: Instant, most: int) -> int:
        asked.append((before, most))
        return expired.pop(0)

    clock = HandClock()
    retention = Retention("things", expire, clock, keeps_s=3600, every_s=60, most=10)
    for _ in range(5):
        await retention.tend()
    assert asked == [(NOON - timedelta(hours=1), 10)] * 3
    clock.passed_s = 59.0
    await retention.tend()
    assert len(asked) == 3
    clock.passed_s = 60.0
    await retention.tend()
    await retention.tend()
    assert asked[3:] == [(NOON - timedelta(minutes=59), 10)]
