"""Forgetting a person from the command line, whatever else runs or does not.

The request is written where every process looks. What no process holds open, the gallery and the
journal in the data folder, or the collections of a server, is seen to here.
"""

import platform
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from trinetra.adapters.edge_gallery import EdgeGallery, GalleryTimeouts, collection_folder
from trinetra.adapters.journal import JournalingEventLog
from trinetra.adapters.journal_erasure import JournalKeeper
from trinetra.adapters.memory import MemoryEventLog
from trinetra.errors import ConfigurationError
from trinetra.events.erasure import GALLERY, Erasure, Share
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import Clock, ErasureDesk, PurgeableGallery
from trinetra.settings import Settings
from trinetra.values import CustomerId
from trinetra.wiring.connections import JOURNALED, journal_folder, open_gallery

_MB = 1 << 20
_LOCK_S = 0.5


async def forget_here(
    settings: Settings,
    models: Sequence[FaceEmbedderModel],
    erasure: Erasure,
    desk: ErasureDesk,
    clock: Clock,
) -> None:
    """Delete what no running process holds open, and confirm that.

    Raises GalleryUnavailable, StorageFull or StoreUnavailable; the request then stands.
    """
    removed: dict[str, int] = {}
    with suppress(ConfigurationError):  # a process that runs has it open, and confirms itself
        removed[GALLERY] = sum([await _clear(settings, m, erasure.ids) for m in models])
    with suppress(ConfigurationError):
        removed |= await _clear_journal(settings, erasure.ids, clock)
    member = f"trinetra customers forget@{platform.node()}"
    await desk.confirm(erasure.number, Share(member=member, at=clock.now(), removed=removed))


async def _clear(settings: Settings, model: FaceEmbedderModel, ids: Sequence[CustomerId]) -> int:
    folder = collection_folder(settings.data_dir / "gallery", model.version)
    if settings.gallery == "memory" or (settings.gallery == "edge" and not folder.exists()):
        return 0
    async with _gallery(settings, model) as gallery:
        faces = [await gallery.delete(customer_id) for customer_id in ids]
        await gallery.purge()
        return sum(faces)


@asynccontextmanager
async def _gallery(settings: Settings, model: FaceEmbedderModel) -> AsyncIterator[PurgeableGallery]:
    if settings.gallery != "edge":
        async with open_gallery(settings, model) as server:
            yield server
        return
    async with EdgeGallery.open(
        settings.data_dir / "gallery",
        model_version=model.version,
        dimension=model.dimension,
        timeouts=GalleryTimeouts(lock_s=_LOCK_S),
    ) as edge:
        yield edge


async def _clear_journal(
    settings: Settings, ids: Sequence[CustomerId], clock: Clock
) -> dict[str, int]:
    folder = journal_folder(settings)
    if not folder.exists():
        return {}
    forever = dict.fromkeys(JOURNALED, float("inf"))
    limit = settings.journal_max_mb * _MB
    log = MemoryEventLog(clock)
    async with JournalingEventLog.open(
        log, folder, max_bytes=limit, retention_s=forever
    ) as journal:
        return await JournalKeeper(journal).forget(ids)
