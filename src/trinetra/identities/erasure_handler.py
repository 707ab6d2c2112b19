"""The resolver's part in the forgetting of people: gallery, outboxes, registry and open tracks.

The digests of who was erased are in force from the moment the customer book is read: no face of
theirs is stored and no track named after them again, by whoever owns a partition. What this module
adds is to delete what is there already, and to confirm it.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from trinetra.customers.erasure_participant import ErasureDuty
from trinetra.errors import ConfigurationError, ServerUnavailable, StorageFull
from trinetra.events.erasure import GALLERY, Erasure
from trinetra.identities.face_identifier import Recogniser
from trinetra.identities.state.partition import PartitionState
from trinetra.ports import Keeper, PurgeableGallery, TopicPartition
from trinetra.streaming.waiting import Aside
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId

log = get_logger("identity-resolver")


class Oblivion:
    """A companion of the resolver that forgets who asked for it."""

    def __init__(
        self,
        recogniser: Recogniser,
        gallery: PurgeableGallery,
        duty: ErasureDuty,
        keepers: Sequence[Keeper] = (),
    ) -> None:
        self._recogniser = recogniser
        self._gallery = gallery
        self._duty = duty
        self._keepers = keepers
        self._swept: tuple[int, frozenset[tuple[TopicPartition, int]]] = (0, frozenset())
        self._from_memory: Counter[str] = Counter()
        self._work = Aside()

    async def tend(self, held: Mapping[TopicPartition, PartitionState]) -> None:
        """Forget what is held of people who were erased, and begin with what is due."""
        self._sweep(held)
        if self._work.is_busy or any(state.forgets for state in held.values()):
            return  # what was written down of them goes with the next commit
        erased = self._recogniser.people.erased
        due = [e for e in await self._duty.due() if erased.issuperset(e.digests)]
        if due:
            # Rewriting files takes a while, and the cameras do not wait.
            self._work.begin(self._carry_out(due))

    async def close(self) -> None:
        """Finish what was begun, and attend no longer."""
        await self._work.finish()
        await self._duty.close()

    async def _carry_out(self, due: Sequence[Erasure]) -> None:
        try:
            for erasure in due:
                if self._keepers and not await self._duty.is_last(erasure):
                    continue  # what others still tell of somebody is kept, too
                removed = await self._forget(erasure.ids)
                await self._duty.confirm(erasure, removed)
        except (ServerUnavailable, StorageFull, ConfigurationError) as cause:
            log.warning("somebody cannot be forgotten yet", cause=str(cause))

    async def _forget(self, ids: Sequence[CustomerId]) -> dict[str, int]:
        faces = [await self._gallery.delete(customer_id) for customer_id in ids]
        await self._gallery.purge()
        removed = {GALLERY: sum(faces), **self._from_memory}
        for keeper in self._keepers:
            removed |= await keeper.forget(ids)
        self._from_memory.clear()
        return removed

    def _sweep(self, held: Mapping[TopicPartition, PartitionState]) -> None:
        """Forget in memory, whenever the book erased somebody or a partition was taken over."""
        people, recogniser = self._recogniser.people, self._recogniser
        holding = frozenset((where, state.number) for where, state in held.items())
        if not people.erased or self._swept == (len(people.erased), holding):
            return
        self._swept = len(people.erased), holding
        for state in held.values():
            tracks, faces = state.forget(people.is_erased)
            self._from_memory.update({"open_tracks": tracks, "faces_on_their_way": faces})
        recogniser.faces.fresh = deque(
            (e for e in recogniser.faces.fresh if not people.is_erased(e.customer_id)),
            recogniser.faces.fresh.maxlen,
        )
        left = recogniser.registry.forget_all(people.is_erased)
        self._from_memory.update({"active_identities": left})
