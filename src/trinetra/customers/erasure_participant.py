"""A process's part in the forgetting of people: it looks for requests, and confirms what it did."""

from collections.abc import Mapping

from trinetra.errors import StorageFull, StoreUnavailable
from trinetra.events.erasure import Erasure, Share
from trinetra.ports import Clock, ErasureDesk
from trinetra.streaming.waiting import Errand, Outage
from trinetra.telemetry import ERASURES_WAITING, get_logger


class ErasureDuty:
    """Attends the erasure desk for one process, every ``every_s``.

    A desk that does not answer is asked again; a request stands until it was confirmed.
    """

    def __init__(
        self, desk: ErasureDesk, clock: Clock, *, member: str, every_s: float = 2.0
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._member = member
        self._errand = Errand(lambda: desk.attend(member, clock.now()), clock, every_s=every_s)
        self._outage = Outage(clock, _tell_outage)

    async def due(self) -> list[Erasure]:
        """Return what is to be forgotten here, if it is time to look; never waits long."""
        try:
            erasures = await self._errand.answer()
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
            status = await self._desk.find(erasure.ids[0], self._clock.now())
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
            return False
        return status is not None and {self._member}.issuperset(status.awaited)

    async def confirm(self, erasure: Erasure, removed: Mapping[str, int]) -> None:
        """Say what was forgotten; while the desk is away the request stays due."""
        share = Share(member=self._member, at=self._clock.now(), removed=dict(removed))
        try:
            await self._desk.confirm(erasure.number, share)
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
        else:
            get_logger("erasure").info("somebody was forgotten", number=erasure.number, **removed)

    async def close(self) -> None:
        """End attending; may be called more than once."""
        await self._errand.close()
        try:
            await self._desk.leave(self._member)
        except (StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)


def _tell_outage(cause: Exception) -> None:
    get_logger("erasure").warning("the erasure desk does not answer", cause=str(cause))
