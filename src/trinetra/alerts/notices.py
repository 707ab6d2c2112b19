"""Writes findings to the store as notices with their deliveries, and closes old notices."""

from collections.abc import Callable, Sequence
from functools import partial

from trinetra.alerts.policy import IDLE_S, AlertPolicy, close_idle, decide, keys_of
from trinetra.alerts.rules.signal import Signal
from trinetra.alerts.schedule import start_of_day
from trinetra.events.alerts import BoardQuery, Notice, NoticeState
from trinetra.ports import AlertOutbox, AlertStore, Clock
from trinetra.telemetry import ALERTS_RAISED, get_logger
from trinetra.values import after

_log = get_logger("alert-service")
_UPKEEP_EVERY_S = 300.0
_EXPIRED_AT_ONCE = 1000
_STANDING = 1000


class NoticeWriter:
    """Records findings; ``wake`` is called when there may be something to send."""

    def __init__(
        self, store: AlertStore, policy: AlertPolicy, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._wake = wake

    def change(self, policy: AlertPolicy) -> None:
        """Go by another policy from the next finding on."""
        self._policy = policy

    async def close_obsolete(self) -> None:
        """Close lasting notices that no rule in force is about any more.

        Their rule was switched off, or their camera or zone removed, so that nothing would tell
        that the condition is over. Raises StorageFull or StoreUnavailable.
        """
        plan, now = self._policy.plan, self._clock.now()
        lasting = [notice for notice in await standing(self._store) if notice.lasting]
        over = [
            Signal(each.rule, each.subject, now, each.camera_id, is_over=True)
            for each in lasting
            if not plan.concerns(each.key)
        ]
        if over:
            await self.record(over)

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


async def standing(store: AlertStore) -> list[Notice]:
    """Return the notices that are not closed; of very many the newest. Raises StoreUnavailable."""
    states: tuple[NoticeState, ...] = ("open", "acknowledged")
    pages = [await store.notices(state, None, _STANDING, None) for state in states]
    return [notice for page in pages for notice in page.notices]


class NoticeUpkeep:
    """Closes notices of the past, and deletes old ones (BackgroundTask).

    Of the past are those that nothing was added to for a day, and those that no rule is about.
    """

    def __init__(
        self,
        store: AlertStore,
        outbox: AlertOutbox,
        writer: NoticeWriter,
        clock: Clock,
        *,
        keep_s: float | None,
    ) -> None:
        """``keep_s`` is how long closed notices are kept; None keeps them until they are erased."""
        self._store = store
        self._outbox = outbox
        self._writer = writer
        self._clock = clock
        self._keep_s = keep_s
        self._due_s = clock.monotonic()

    def hasten(self) -> None:
        """Let all be due now."""
        self._due_s = self._clock.monotonic()

    async def tend(self) -> None:
        """Do what is due. Raises StorageFull or StoreUnavailable."""
        if self._clock.monotonic() < self._due_s:
            return
        now = self._clock.now()
        query = BoardQuery(idle_since=after(now, -IDLE_S))
        await self._store.change(query, partial(close_idle, now=now))
        await self._writer.close_obsolete()
        if self._keep_s is not None:
            await self._outbox.expire(after(now, -self._keep_s), _EXPIRED_AT_ONCE)
        self._due_s = self._clock.monotonic() + _UPKEEP_EVERY_S

    async def close(self) -> None:
        """Hold nothing."""
