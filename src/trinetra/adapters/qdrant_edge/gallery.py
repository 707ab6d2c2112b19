"""Embedded gallery: the Qdrant engine in a supervised child process.

A killed child is restarted, with everything that was acknowledged. While it is down every request
fails at once with GalleryUnavailable, so the resolver can continue with unknown identities.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from trinetra.adapters.qdrant.points import (
    gallery_entry,
    gallery_match,
    model_slug,
    pack_vector,
    stored_point,
)
from trinetra.adapters.qdrant_edge.protocol import (
    Count,
    DeleteCustomer,
    DeleteExpired,
    Done,
    Failed,
    Failure,
    Found,
    GalleryTuning,
    Get,
    Open,
    Page,
    Purge,
    Reply,
    Request,
    Scroll,
    Search,
    Upsert,
)
from trinetra.adapters.qdrant_edge.supervisor import GalleryChild
from trinetra.errors import ConfigurationError, GalleryUnavailable, StorageFull, TrinetraError
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId, Embedding, GalleryEntry, GalleryMatch, Instant, microseconds

_POINTS_PER_MESSAGE = 256

R = TypeVar("R", Found, Page, Done)

log = get_logger("gallery")


@dataclass(frozen=True, slots=True)
class GalleryTimeouts:
    """Timeouts of the parent for its child, in seconds.

    ``request_s`` must exceed one indexing step (about 1 s), and ``purge_s`` the time to rewrite all
    files, which happens between other requests. A child that has not replied for ``hung_s`` while a
    request other than a purge is pending is killed and restarted. The delay before a restart starts
    at ``backoff_first_s`` and doubles up to ``backoff_most_s``.
    """

    open_s: float = 60.0
    lock_s: float = 5.0
    request_s: float = 10.0
    purge_s: float = 1800.0
    close_s: float = 30.0
    hung_s: float = 60.0
    backoff_first_s: float = 0.1
    backoff_most_s: float = 10.0

    def backoff_s(self, attempts: int) -> float:
        """Return the delay before the next start, after ``attempts`` that failed or soon ended."""
        if not attempts:
            return 0.0
        return float(min(self.backoff_most_s, self.backoff_first_s * 2 ** min(attempts - 1, 32)))


def collection_folder(root: Path, model_version: str) -> Path:
    """Return the folder of one embedding model version; every version has its own."""
    return root / model_slug(model_version)


class EdgeGallery:
    """A Gallery on disk, in its own process; create one with ``open``."""

    name = "gallery"

    def __init__(
        self, folder: Path, dimension: int, tuning: GalleryTuning, timeouts: GalleryTimeouts
    ) -> None:
        self._folder = folder
        self._dimension = dimension
        self._timeouts = timeouts
        self._opening = Open(str(folder), dimension, tuning, timeouts.lock_s)
        self._child: GalleryChild | None = None
        self._ready = asyncio.Event()
        self._absence = "it was not opened"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        model_version: str,
        dimension: int,
        tuning: GalleryTuning | None = None,
        timeouts: GalleryTimeouts | None = None,
    ) -> AsyncIterator["EdgeGallery"]:
        """Open or create the collection of one embedding model version under ``path``.

        Raises ConfigurationError when another process has it open or its vectors have another
        dimension, GalleryUnavailable when it cannot be read, StorageFull when the disk is full.
        """
        folder = collection_folder(path, model_version)
        gallery = cls(folder, dimension, tuning or GalleryTuning(), timeouts or GalleryTimeouts())
        await gallery._start_child()
        supervisor = asyncio.create_task(gallery._supervise(), name="gallery-supervisor")
        try:
            yield gallery
        finally:
            supervisor.cancel()
            await asyncio.wait([supervisor])
            await gallery._close_child()
            if not supervisor.cancelled():
                supervisor.result()  # it never returns, so this raises the error that ended it

    @property
    def process_id(self) -> int | None:
        """The process id of the child, or None while there is none."""
        return self._child.process_id if self._child else None

    async def check(self) -> str:
        """Return the id of the process and the number of entries. Raises GalleryUnavailable."""
        number = await self.count()
        return f"gallery process {self.process_id} answers, {number} entries"

    async def wait_ready(self) -> None:
        """Return once the gallery answers."""
        await self._ready.wait()

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        """Return the ``k`` nearest entries of each embedding, best first."""
        vectors = [pack_vector(embedding, self._dimension) for embedding in embeddings]
        if not vectors or k < 1:
            return [[] for _ in vectors]
        found = await self._ask(Search(k, vectors), Found)
        return [
            [
                gallery_match(m.entry_id, m.customer_id, m.kind, m.cosine, m.first_seen_us)
                for m in matches
            ]
            for matches in found.matches
        ]

    async def get(self, entry_ids: Sequence[str]) -> list[GalleryEntry]:
        """Return the entries with these ids; ids without an entry are omitted."""
        page = await self._ask(Get(sorted(set(entry_ids))), Page)
        return [gallery_entry(point) for point in page.points]

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        """Insert or replace entries by ``entry_id``; on return no kill loses any of them."""
        points = [stored_point(entry, self._dimension) for entry in entries]
        for start in range(0, len(points), _POINTS_PER_MESSAGE):
            await self._ask(Upsert(points[start : start + _POINTS_PER_MESSAGE]), Done)

    async def delete(self, customer_id: CustomerId) -> int:
        """Delete every entry of an identity; return how many there were."""
        return (await self._ask(DeleteCustomer(customer_id), Done)).number

    async def delete_expired(self, now: Instant) -> int:
        """Delete the entries whose ``expires_at`` is not after ``now``; return how many."""
        return (await self._ask(DeleteExpired(microseconds(now)), Done)).number

    async def purge(self) -> bool:
        """Rewrite the files without deleted data; return True once no byte of it remains."""
        await self._ask(Purge(), Done, self._timeouts.purge_s)
        return True

    async def count(self) -> int:
        """Return the number of entries."""
        return (await self._ask(Count(), Done)).number

    async def entries(
        self, batch_size: int = _POINTS_PER_MESSAGE
    ) -> AsyncIterator[list[GalleryEntry]]:
        """Yield every entry, in batches; changes made meanwhile may or may not be included."""
        start: str | None = None
        while True:
            page = await self._ask(Scroll(start, batch_size), Page)
            if page.points:
                yield [gallery_entry(point) for point in page.points]
            if (start := page.next_start) is None:
                return

    async def _ask(self, request: Request, expected: type[R], timeout_s: float | None = None) -> R:
        child = self._child
        if child is None:
            raise GalleryUnavailable(f"the gallery {self._folder} is unavailable: {self._absence}")
        reply = await child.ask(request, timeout_s or self._timeouts.request_s)
        return self._checked(reply, expected)

    def _checked(self, reply: Reply, expected: type[R]) -> R:
        if isinstance(reply, expected):
            return reply
        if not isinstance(reply, Failed):
            raise GalleryUnavailable(f"the gallery {self._folder} answered {reply!r}")
        raise _failure_to_error(reply, self._folder)

    async def _start_child(self) -> None:
        child = await GalleryChild.start(self._folder, self._timeouts.hung_s, self._mark_away)
        try:
            self._checked(await child.ask(self._opening, self._timeouts.open_s), Done)
        except BaseException:  # a cancelled start must not leave a process behind
            await child.kill()
            raise
        self._child = child
        self._ready.set()

    async def _close_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.close(self._timeouts.close_s)
        self._mark_away("it was closed")

    def _mark_away(self, cause: str) -> None:
        self._child, self._absence = None, cause
        self._ready.clear()

    async def _supervise(self) -> None:
        now = asyncio.get_running_loop().time
        attempts = 0
        while True:
            if child := self._child:
                born_at = now()
                cause = await child.ended()
                log.warning("the gallery process ended", cause=cause)
                if now() - born_at > self._timeouts.backoff_most_s:
                    attempts = 0
            await asyncio.sleep(self._timeouts.backoff_s(attempts))
            attempts += 1
            await self._try_restart()

    async def _try_restart(self) -> None:
        try:
            await self._start_child()
        except (TrinetraError, OSError) as cause:
            self._mark_away(str(cause))
            log.warning("the gallery process did not start", cause=str(cause))
        else:
            log.info("the gallery answers again", folder=str(self._folder))


def _failure_to_error(failed: Failed, folder: Path) -> TrinetraError:
    match failed.failure:
        case Failure.STORAGE_FULL:
            return StorageFull(
                f"the disk of the gallery {folder} is full: {failed.reason}; free some space"
            )
        case Failure.LOCKED:
            return ConfigurationError(
                f"the gallery {folder} is in use: {failed.reason}; stop that process, or give this "
                "one another data folder"
            )
        case Failure.INCOMPATIBLE:
            return ConfigurationError(
                f"the gallery {folder} was created for another embedding size: {failed.reason}; "
                "give the model a version of its own, or another data folder"
            )
        case Failure.UNREADABLE:
            return GalleryUnavailable(
                f"the gallery {folder} cannot be read: {failed.reason}; move this folder away or "
                "restore a backup, then restart"
            )
        case _:
            return GalleryUnavailable(f"the gallery {folder} refused a request: {failed.reason}")
