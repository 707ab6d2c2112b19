"""Keeps derived insights in step with their inputs, and tells the event log of them.

The store does both exactly: what was derived is in the outbox from the moment it is on record. The
log may get an event twice after a crash; its id stays the same.
"""

from collections.abc import Sequence

from trinetra.events.derivation import Derivation
from trinetra.events.topics import INSIGHTS
from trinetra.ports import Clock, DerivingStore, EventLog, Record

_MINUTES_AT_ONCE = 200
_EVENTS_AT_ONCE = 500


class DerivationTask:
    """A background task of the insight engine; several engines may run it at once."""

    def __init__(
        self,
        derivations: Sequence[Derivation],
        store: DerivingStore,
        log: EventLog,
        clock: Clock,
        every_s: float = 5.0,
    ) -> None:
        self._derivations = derivations
        self._names = [derivation.name for derivation in derivations]
        self._store = store
        self._log = log
        self._clock = clock
        self._every_s = every_s
        self._due_s = clock.monotonic()

    def change(self, derivations: Sequence[Derivation]) -> None:
        """Derive by these from the next turn on; what was derived before stays."""
        self._derivations = derivations
        self._names = [derivation.name for derivation in derivations]

    async def tend(self) -> None:
        """Derive and publish what is due. Raises StorageFull or ServerUnavailable."""
        if self._clock.monotonic() < self._due_s:
            return
        has_more = await self._derive()
        has_more |= await self._publish()
        if not has_more:
            self._due_s = self._clock.monotonic() + self._every_s

    async def close(self) -> None:
        """Derive and publish the rest."""
        while await self._derive():
            pass
        while await self._publish():
            pass

    async def _derive(self) -> bool:
        """Derive each kind in turn; return whether any window was derived."""
        names = self._names
        windows = [await self._store.derive(each, _MINUTES_AT_ONCE) for each in self._derivations]
        await self._store.settle(names)
        return any(windows)

    async def _publish(self) -> bool:
        """Publish the first of the waiting insights; return whether more may wait."""
        waiting = await self._store.unpublished(_EVENTS_AT_ONCE)
        if waiting:
            await self._log.append([Record(INSIGHTS, one.key, one.event) for one in waiting])
            await self._store.published(waiting[-1].number)
        return len(waiting) == _EVENTS_AT_ONCE
