"""In-memory gallery with exhaustive search: exact, and lost when the process ends."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.qdrant.points import pack_vector
from trinetra.values import CustomerId, Embedding, GalleryEntry, GalleryMatch, Instant

_LEAST_ROOM = 256


class MemoryGallery:
    """A Gallery that stores copies of its entries, for tests, replays and short runs.

    ``_units[i]`` is the unit vector of ``_entries[i]``; the array has spare rows at the end, so
    that a new entry need not copy all others.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._entries: list[GalleryEntry] = []
        self._place: dict[str, int] = {}
        self._units = np.zeros((0, dimension), np.float32)

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        """Return the ``k`` nearest entries of each embedding, best first."""
        units = [self._unit(embedding) for embedding in embeddings]
        if not units or not self._entries or k < 1:
            return [[] for _ in units]
        known = self._units[: len(self._entries)]
        return [_best(self._entries, cosines, k) for cosines in np.stack(units) @ known.T]

    async def get(self, entry_ids: Sequence[str]) -> list[GalleryEntry]:
        """Return the entries with these ids; ids without an entry are omitted."""
        places = {self._place[entry_id] for entry_id in entry_ids if entry_id in self._place}
        return [self._entries[place] for place in sorted(places)]

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        """Insert or replace entries by ``entry_id``, all or none."""
        # All are validated before any is stored.
        units = [self._unit(entry.embedding) for entry in entries]
        for entry, unit in zip(entries, units, strict=True):
            self._put(replace(entry, embedding=unit), unit)

    async def delete(self, customer_id: CustomerId) -> int:
        """Delete every entry of an identity; return how many there were."""
        return self._keep([e for e in self._entries if e.customer_id != customer_id])

    async def delete_expired(self, now: Instant) -> int:
        """Delete the entries whose ``expires_at`` is not after ``now``; return how many."""
        return self._keep([e for e in self._entries if not _expired(e, now)])

    async def purge(self) -> bool:
        """Return True: deletion already removes all data."""
        return True

    async def count(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    async def entries(self, batch_size: int = 256) -> AsyncIterator[list[GalleryEntry]]:
        """Yield every entry, in batches; changes made meanwhile are not included."""
        entries = list(self._entries)
        for start in range(0, len(entries), batch_size):
            yield entries[start : start + batch_size]

    def _put(self, entry: GalleryEntry, unit: Embedding) -> None:
        place = self._place.setdefault(entry.entry_id, len(self._entries))
        if place == len(self._entries):
            self._entries.append(entry)
        else:
            self._entries[place] = entry
        if place == len(self._units):
            room = np.zeros((max(_LEAST_ROOM, place), self._dimension), np.float32)
            self._units = np.concatenate([self._units, room])
        self._units[place] = unit

    def _keep(self, entries: list[GalleryEntry]) -> int:
        """Delete all other entries, including their vectors; return how many there were.

        The array is rebuilt instead of compacted in place, so that no deleted vector stays in its
        spare rows.
        """
        removed = len(self._entries) - len(entries)
        if removed:
            self._entries, self._place = [], {}
            self._units = np.zeros((0, self._dimension), np.float32)
            for entry in entries:
                self._put(entry, entry.embedding)
        return removed

    def _unit(self, embedding: Embedding) -> Embedding:
        copy = np.frombuffer(pack_vector(embedding, self._dimension), "<f4")
        unit: Embedding = (copy / np.linalg.norm(copy)).astype(np.float32)
        return unit


def _expired(entry: GalleryEntry, now: Instant) -> bool:
    return entry.expires_at is not None and entry.expires_at <= now


def _best(
    entries: Sequence[GalleryEntry], cosines: NDArray[np.float32], k: int
) -> list[GalleryMatch]:
    """Return the ``k`` nearest; of equal ones the older.

    The result equals that of a stable sort of all entries, which takes far longer.
    """
    least = np.partition(cosines, -k)[-k] if k < len(cosines) else -np.inf
    near = np.flatnonzero(cosines >= least)
    return [
        GalleryMatch(
            entries[i].entry_id,
            entries[i].customer_id,
            entries[i].kind,
            float(np.clip(cosines[i], -1.0, 1.0)),
            entries[i].first_seen,
        )
        for i in near[np.argsort(-cosines[near], kind="stable")[:k]]
    ]
