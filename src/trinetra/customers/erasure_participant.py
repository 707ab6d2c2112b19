"""One process's part in erasing customers: it polls for requests and acknowledges them."""

from collections.abc import Mapping

from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.erasure import Acknowledgement, Erasure, answers_for, service_of
from trinetra.ports import Clock, ErasureStore
from trinetra.streaming.background import Poller
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import ERASURES_WAITING, get_logger


class ErasureParticipant:
    """Polls the erasure store for one process, every ``every_s``.

    While the store does not answer it is asked again; a request stays due until acknowledged.
    ``owner`` is the name under which data of this process outlives it: its service if the next
    member takes the data over, itself if nothing else can reach the data, None if there is none.
    """

    def __init__(
        self,
        erasure_store: ErasureStore,
        clock: Clock,
        *,
        member: str,
        owner: str | None = None,
        every_s: float = 2.0,
    ) -> None:
        self._erasure_store = erasure_store
        self._clock = clock
        self._member = member
        self._poller = Poller(
            lambda: erasure_store.heartbeat(member, clock.now(), owner), clock, every_s=every_s
        )
        self._outage = OutageTracker(clock, get_logger("erasure"), "erasure store")

    async def due(self) -> list[Erasure]:
        """Return the erasures to be carried out here, if a poll is due; never waits long."""
        try:
            erasures = await self._poller.answer()
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
            return []
        if erasures is None:
            return []
        self._outage.end()
        ERASURES_WAITING.labels(service_of(self._member)).set(len(erasures))
        return erasures

    async def is_last(self, erasure: Erasure) -> bool:
        """Return whether all other members have acknowledged; False while the store is down."""
        try:
            status = await self._erasure_store.find(erasure.ids[0], self._clock.now())
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
            return False
        return status is not None and all(
            answers_for(self._member, each) for each in status.awaited
        )

    async def acknowledge(self, erasure: Erasure, removed: Mapping[str, int]) -> None:
        """Report what was removed, by target; if the store is down the request stays due."""
        acknowledgement = Acknowledgement(
            member=self._member, at=self._clock.now(), removed=dict(removed)
        )
        try:
            await self._erasure_store.acknowledge(erasure.number, acknowledgement)
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
        else:
            get_logger("erasure").info("a customer was erased", number=erasure.number, **removed)

    async def close(self) -> None:
        """Stop polling and deregister; may be called more than once."""
        await self._poller.close()
        try:
            await self._erasure_store.deregister(self._member)
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
