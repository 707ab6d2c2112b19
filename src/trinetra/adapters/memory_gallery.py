"""A gallery in memory that compares with every entry: exact, and gone with the process."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.gallery_points import pack_vector
from trinetra.values import CustomerId, Embedding, GalleryEntry, GalleryMatch, Instant


@dataclass(frozen=True, slots=True)
class _Row:
    entry: GalleryEntry
    unit: Embedding


class MemoryGallery:
    """A Gallery that keeps copies of what it is given, for tests and short runs."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._rows: dict[str, _Row] = {}
        self._matrix: NDArray[np.float32] | None = None

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        """Return for each embedding its ``k`` nearest entries, best first."""
        units = [self._unit(embedding) for embedding in embeddings]
        if not units or not self._rows or k < 1:
            return [[] for _ in units]
        if self._matrix is None:
            self._matrix = np.stack([row.unit for row in self._rows.values()])
        rows = list(self._rows.values())
        return [_best(rows, cosines, k) for cosines in np.stack(units) @ self._matrix.T]

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        """Add or replace entries by ``entry_id``."""
        rows = [self._row(entry) for entry in entries]  # all are checked before any is kept
        self._rows |= {row.entry.entry_id: row for row in rows}
        self._matrix = None

    async def delete(self, customer_id: CustomerId) -> int:
        """Remove every entry of an identity; return how many there were."""
        return self._keep(
            {k: r for k, r in self._rows.items() if r.entry.customer_id != customer_id}
        )

    async def delete_expired(self, now: Instant) -> int:
        """Remove entries whose ``expires_at`` is not after ``now``; return how many."""
        return self._keep({k: r for k, r in self._rows.items() if not _expired(r.entry, now)})

    async def purge(self) -> bool:
        """Return True: what was deleted is nowhere."""
        return True

    async def count(self) -> int:
        """Return the number of entries."""
        return len(self._rows)

    async def entries(self, batch_size: int = 256) -> AsyncIterator[list[GalleryEntry]]:
        """Yield every entry, in batches; what changes meanwhile is not in it."""
        entries = [row.entry for row in self._rows.values()]
        for start in range(0, len(entries), batch_size):
            yield entries[start : start + batch_size]

    def _keep(self, rows: dict[str, _Row]) -> int:
        removed = len(self._rows) - len(rows)
        self._rows, self._matrix = rows, None
        return removed

    def _row(self, entry: GalleryEntry) -> _Row:
        unit = self._unit(entry.embedding)
        return _Row(replace(entry, embedding=unit), unit)

    def _unit(self, embedding: Embedding) -> Embedding:
        copy = np.frombuffer(pack_vector(embedding, self._dimension), "<f4")
        unit: Embedding = (copy / np.linalg.norm(copy)).astype(np.float32)
        return unit


def _expired(entry: GalleryEntry, now: Instant) -> bool:
    return entry.expires_at is not None and entry.expires_at <= now


def _best(rows: Sequence[_Row], cosines: NDArray[np.float32], k: int) -> list[GalleryMatch]:
    order = np.argsort(-cosines, kind="stable")[:k]
    return [
        GalleryMatch(
            rows[i].entry.entry_id,
            rows[i].entry.customer_id,
            rows[i].entry.kind,
            float(np.clip(cosines[i], -1.0, 1.0)),
            rows[i].entry.first_seen,
        )
        for i in order
    ]
