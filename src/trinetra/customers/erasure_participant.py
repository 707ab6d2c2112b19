"""A process's part in the forgetting of people: it looks for requests, and confirms what it did."""

from collections.abc import Mapping

from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.erasure import Acknowledgement, Erasure
from trinetra.ports import Clock, ErasureStore
from trinetra.streaming.background import Poller
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import ERASURES_WAITING, get_logger


class ErasureParticipant:
    """Attends the erasure desk for one process, every ``every_s``.

    A desk that does not answer is asked again; a request stands until it was confirmed.
    """

    def __init__(
        self, erasure_store: ErasureStore, clock: Clock, *, member: str, every_s: float = 2.0
    ) -> None:
        self._erasure_store = erasure_store
        self._clock = clock
        self._member = member
        self._poller = Poller(
            lambda: erasure_store.heartbeat(member, clock.now()), clock, every_s=every_s
        )
        self._outage = OutageTracker(clock, get_logger("erasure"), "erasure store")

    async def due(self) -> list[Erasure]:
        """Return what is to be forgotten here, if it is time to look; never waits long."""
        try:
            erasures = await self._poller.answer()
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
            return []
        if erasures is None:
            return []
        self._outage.end()
        ERASURES_WAITING.labels(self._member.partition("@")[0]).set(len(erasures))
        return erasures

    async def is_last(self, erasure: Erasure) -> bool:
        """Return whether all others have confirmed; False while the desk is away."""
        try:
            status = await self._erasure_store.find(erasure.ids[0], self._clock.now())
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
            return False
        return status is not None and {self._member}.issuperset(status.awaited)

    async def acknowledge(self, erasure: Erasure, removed: Mapping[str, int]) -> None:
        """Say what was forgotten; while the desk is away the request stays due."""
        share = Acknowledgement(member=self._member, at=self._clock.now(), removed=dict(removed))
        try:
            await self._erasure_store.acknowledge(erasure.number, share)
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
        else:
            get_logger("erasure").info("somebody was forgotten", number=erasure.number, **removed)

    async def close(self) -> None:
        """End attending; may be called more than once."""
        await self._poller.close()
        try:
            await self._erasure_store.deregister(self._member)
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
