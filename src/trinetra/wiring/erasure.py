"""Erases a person from the command line, whether or not services are running.

The request goes to the erasure store, where every service finds it. Data that no running process
holds open, such as the gallery and the journal in the data folder, is erased here.
"""

import platform
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.journal_erasure import JournalErasureTarget
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery, GalleryTimeouts, collection_folder
from trinetra.errors import ConfigurationError
from trinetra.events.erasure import GALLERY, Acknowledgement, Erasure
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import Clock, ErasureStore, PurgeableGallery
from trinetra.settings import Settings
from trinetra.values import CustomerId
from trinetra.wiring.connections import open_gallery
from trinetra.wiring.places import JOURNALED, journal_folder

_LOCK_S = 0.5


async def forget_here(
    settings: Settings,
    models: Sequence[FaceEmbedderModel],
    erasure: Erasure,
    erasure_store: ErasureStore,
    clock: Clock,
) -> dict[str, int]:
    """Erase data that no running process holds open, acknowledge that, and return the counts.

    Raises GalleryUnavailable, StorageFull or StoreUnavailable; the request then stands.
    """
    removed = await _clear_galleries(settings, models, erasure.ids)
    with suppress(ConfigurationError):  # a running process has it open, and acknowledges itself
        removed |= await _clear_journal(settings, erasure.ids, clock)
    member = f"trinetra customers forget@{platform.node()}"
    await erasure_store.acknowledge(
        erasure.number, Acknowledgement(member=member, at=clock.now(), removed=removed)
    )
    return removed


def galleries_of_unknown_models(
    settings: Settings, models: Sequence[FaceEmbedderModel]
) -> list[Path]:
    """Return the gallery folders of other models, which cannot be opened and so not be searched."""
    root = settings.data_dir / "gallery"
    known = {collection_folder(root, model.version) for model in models}
    return sorted(f for f in root.glob("*/") if f not in known)


async def _clear_galleries(
    settings: Settings, models: Sequence[FaceEmbedderModel], ids: Sequence[CustomerId]
) -> dict[str, int]:
    """Clear galleries that are not in use; of one in use, its own process acknowledges GALLERY."""
    # On a cluster an embedded gallery is the resolver's, whose data folder need not be this one: an
    # empty folder here proves nothing.
    is_the_resolvers = settings.event_log == "kafka" and settings.gallery == "edge"
    faces, name = 0, "faces_of_other_galleries" if is_the_resolvers else GALLERY
    for model in models:
        try:
            faces += await _clear(settings, model, ids)
        except ConfigurationError:
            name = "faces_of_other_galleries"
    return {name: faces} if faces or name == GALLERY else {}


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
    log = MemoryEventLog(clock)
    # Nothing expires here: the limits are in the settings of the platform, not of this shell.
    opening = JournalingEventLog.open(log, folder, max_bytes=sys.maxsize, retention_s=forever)
    async with opening as journal:
        return await JournalErasureTarget(journal).forget(ids)
