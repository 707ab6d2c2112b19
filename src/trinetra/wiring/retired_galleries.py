"""Expires faces of embedded galleries whose network is no longer in use.

A change of the face network begins a new gallery beside the old one. Nothing opens the old one any
more, but the retention of what it holds goes on.
"""

import shutil
from collections.abc import Sequence

from trinetra.adapters.qdrant_edge.gallery import EdgeGallery, GalleryTimeouts, collection_folder
from trinetra.errors import ConfigurationError, GalleryUnavailable, StorageFull
from trinetra.models.manifest import FaceEmbedderModel, load_manifest
from trinetra.ports import Clock
from trinetra.settings import Settings
from trinetra.streaming.background import Poller
from trinetra.telemetry import get_logger

_EVERY_S = 6 * 3600.0
_LOCK_S = 0.5
log = get_logger("identity-resolver")


class RetiredGalleries:
    """The BackgroundTask of a resolver that uses the gallery of ``model``.

    It looks at the start, and then every six hours. A gallery that is empty then is deleted.
    """

    def __init__(self, settings: Settings, model: FaceEmbedderModel, clock: Clock) -> None:
        self._root = settings.data_dir / "gallery"
        self._retired = _retired(model)
        self._clock = clock
        self._poller = Poller(self._expire, clock, every_s=_EVERY_S)

    async def tend(self) -> None:
        """Expire faces if that is due."""
        await self._poller.answer()

    async def close(self) -> None:
        """Stop an expiry in progress; the next start repeats it."""
        await self._poller.close()

    async def _expire(self) -> None:
        for model in self._retired:
            if collection_folder(self._root, model.version).exists():
                await self._expire_gallery(model)

    async def _expire_gallery(self, model: FaceEmbedderModel) -> None:
        opening = EdgeGallery.open(
            self._root,
            model_version=model.version,
            dimension=model.dimension,
            timeouts=GalleryTimeouts(lock_s=_LOCK_S),
        )
        try:
            async with opening as gallery:
                expired = await gallery.delete_expired(self._clock.now())
                left = await gallery.count()
                await gallery.purge()
        except (ConfigurationError, GalleryUnavailable, StorageFull) as cause:
            log.warning("old gallery not looked at", model=model.version, cause=str(cause))
            return
        if not left:
            shutil.rmtree(collection_folder(self._root, model.version))
        log.info("gallery of a network not in use", model=model.version, expired=expired, left=left)


def _retired(used: FaceEmbedderModel) -> Sequence[FaceEmbedderModel]:
    models = (m for m in load_manifest().model if isinstance(m, FaceEmbedderModel))
    return [model for model in models if model.version != used.version]
