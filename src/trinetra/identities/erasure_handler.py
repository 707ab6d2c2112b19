"""The resolver's part in erasing customers: gallery, outboxes, registry and open tracks.

The digests of erased customers take effect as soon as the customer log is read: from then on, no
owner of any partition stores their faces or assigns their ids. This module deletes what was stored
before, and acknowledges it.
"""

from collections import Counter
from collections.abc import Sequence

from trinetra.customers.erasure_participant import ErasureParticipant
from trinetra.errors import ConfigurationError, ServerUnavailable, StorageFull
from trinetra.events.erasure import GALLERY, Erasure
from trinetra.identities.context import ResolverContext
from trinetra.ports import ErasureTarget, PurgeableGallery, TopicPartition
from trinetra.streaming.background import TaskSlot
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId

log = get_logger("identity-resolver")


class ErasureHandler:
    """Background task of the resolver that carries out erasures."""

    def __init__(
        self,
        context: ResolverContext,
        gallery: PurgeableGallery,
        participant: ErasureParticipant,
        erasure_targets: Sequence[ErasureTarget] = (),
    ) -> None:
        self._context = context
        self._gallery = gallery
        self._participant = participant
        self._erasure_targets = erasure_targets
        self._swept: tuple[int, frozenset[tuple[TopicPartition, int]]] = (0, frozenset())
        self._from_memory: Counter[str] = Counter()
        self._work = TaskSlot()

    async def tend(self) -> None:
        """Erase from memory, and start the erasures that are due."""
        self._sweep()
        if self._work.is_busy or any(state.forgets for state in self._context.partitions.values()):
            # The snapshot in the log still has the erased data until the next commit replaces it:
            # acknowledging now would claim an erasure that a crash could undo.
            return
        erased = self._context.directory.erased
        # A request may be seen before its change in the customer log. It waits: without the digest
        # in the directory, faces that arrive meanwhile would be stored again.
        due = [e for e in await self._participant.due() if erased.issuperset(e.digests)]
        if due:
            # In the background: rewriting files takes a while, and detections keep coming.
            self._work.begin(self._carry_out(due))

    async def close(self) -> None:
        """Finish the running erasure and leave the erasure store."""
        await self._work.finish()
        await self._participant.close()

    async def _carry_out(self, due: Sequence[Erasure]) -> None:
        try:
            for erasure in due:
                if self._erasure_targets and not await self._participant.is_last(erasure):
                    # The targets would keep what other members still publish about the customer,
                    # so this member waits until all others have acknowledged.
                    continue
                removed = await self._forget(erasure.ids)
                await self._participant.acknowledge(erasure, removed)
        except (ServerUnavailable, StorageFull, ConfigurationError) as cause:
            log.warning("an erasure is delayed", cause=str(cause))

    async def _forget(self, ids: Sequence[CustomerId]) -> dict[str, int]:
        faces = [await self._gallery.delete(customer_id) for customer_id in ids]
        await self._gallery.purge()
        removed = {GALLERY: sum(faces), **self._from_memory}
        for erasure_target in self._erasure_targets:
            removed |= await erasure_target.forget(ids)
        self._from_memory.clear()
        return removed

    def _sweep(self) -> None:
        """Erase from memory when customers were erased or a partition was taken over."""
        context, is_erased = self._context, self._context.directory.is_erased
        owned = frozenset(context.numbers().items())
        erased = len(context.directory.erased)
        if not erased or self._swept == (erased, owned):
            return
        self._swept = erased, owned
        for state in context.partitions.values():
            tracks, faces = state.forget(is_erased)
            self._from_memory.update({"open_tracks": tracks, "faces_on_their_way": faces})
        context.merge_queue.discard(is_erased)
        context.linked.forget_all(is_erased)
        left = context.registry.forget_all(is_erased)
        self._from_memory.update({"active_identities": left})
