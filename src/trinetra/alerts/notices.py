"""Writes findings to the store as notices with their deliveries, and closes old notices."""

from collections.abc import Callable, Sequence
from functools import partial

from trinetra.alerts.policy import IDLE_S, AlertPolicy, close_idle, decide, keys_of
from trinetra.alerts.rules.signal import Signal
from trinetra.alerts.schedule import start_of_day
from trinetra.events.alerts import BoardQuery
from trinetra.ports import AlertOutbox, AlertStore, Clock
from trinetra.telemetry import ALERTS_RAISED, get_logger
from trinetra.values import after

_log = get_logger("alert-service")
_UPKEEP_EVERY_S = 300.0
_EXPIRED_AT_ONCE = 1000


class NoticeWriter:
    """Records findings; ``wake`` is called when there may be something to send."""

    def __init__(
        self, store: AlertStore, policy: AlertPolicy, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._wake = wake

    async def record(self, signals: Sequence[Signal]) -> None:
        """Store what findings lead to. Raises StorageFull or StoreUnavailable."""
        now = self._clock.now()
        query = BoardQuery(
            keys=keys_of(signals), counted_since=start_of_day(now, self._policy.timezone)
        )
        change = await self._store.change(
            query, partial(decide, signals, policy=self._policy, now=now)
        )
        for notice in change.notices:
            if notice.count == 1 and notice.state == "open":
                ALERTS_RAISED.labels(notice.rule).inc()
                _log.info("notice", rule=notice.rule, camera=notice.camera_id, id=notice.alert_id)
        if change.deliveries:
            self._wake()


class NoticeUpkeep:
    """Closes notices that nothing was added to for a day, and deletes old ones (BackgroundTask)."""

    def __init__(
        self,
        store: AlertStore,
        outbox: AlertOutbox,
        clock: Clock,
        *,
        keep_s: float | None,
    ) -> None:
        """``keep_s`` is how long closed notices are kept; None keeps them until they are erased."""
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._keep_s = keep_s
        self._due_s = clock.monotonic()

    async def tend(self) -> None:
        """Do what is due. Raises StorageFull or StoreUnavailable."""
        if self._clock.monotonic() < self._due_s:
            return
        now = self._clock.now()
        query = BoardQuery(idle_since=after(now, -IDLE_S))
        await self._store.change(query, partial(close_idle, now=now))
        if self._keep_s is not None:
            await self._outbox.expire(after(now, -self._keep_s), _EXPIRED_AT_ONCE)
        self._due_s = self._clock.monotonic() + _UPKEEP_EVERY_S

    async def close(self) -> None:
        """Hold nothing."""
