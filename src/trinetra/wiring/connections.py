"""From settings to an open frame buffer, event log and gallery, in every mode."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.spool import SpoolingEventLog
from trinetra.adapters.kafka.event_log import KafkaEventLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.adapters.redis.frame_buffer import RedisFrameBuffer
from trinetra.errors import ConfigurationError
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import (
    Clock,
    EventLog,
    FrameBuffer,
    GalleryArchive,
)
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.wiring.places import JOURNALED, journal_folder, kafka_connection
from trinetra.wiring.topics import logged

WORKERS = "inference-workers"
_MB = 1 << 20


@asynccontextmanager
async def open_buffer(site: Site, settings: Settings, clock: Clock) -> AsyncIterator[FrameBuffer]:
    """Open the frame buffer. Raises BufferUnavailable or ConfigurationError."""
    if settings.frame_buffer == "memory":
        yield MemoryFrameBuffer(MemoryFrameStreams(clock), WORKERS, settings.instance)
        return
    async with RedisFrameBuffer.open(
        settings.redis_url.get_secret_value(),
        group=WORKERS,
        consumer=settings.instance,
        site_id=site.site_id,
        cameras=[camera.camera_id for camera in site.cameras],
        clock=clock,
        namespace=settings.namespace,
    ) as buffer:
        yield buffer


@asynccontextmanager
async def open_log(site: Site, settings: Settings, clock: Clock) -> AsyncIterator[EventLog]:
    """Open the event log. Raises EventLogUnavailable or ConfigurationError."""
    if settings.event_log == "memory":
        async with _journaling(MemoryEventLog(clock), site, settings) as log:
            yield log
        return
    async with KafkaEventLog.open(
        kafka_connection(settings),
        instance=settings.instance,
        site_id=site.site_id,
        clock=clock,
        namespace=settings.namespace,
    ) as log:
        yield log


@asynccontextmanager
async def _journaling(
    log: MemoryEventLog, site: Site, settings: Settings
) -> AsyncIterator[EventLog]:
    """Let a log in memory leave its past on disk, unless the settings want none of it."""
    if not settings.journal_max_mb:
        yield log
        return
    folder, limit = journal_folder(settings), settings.journal_max_mb * _MB
    kept_s = {topic: s for topic, s in logged(site).items() if topic in JOURNALED}
    async with JournalingEventLog.open(log, folder, max_bytes=limit, retention_s=kept_s) as journal:
        yield journal


@asynccontextmanager
async def spooling(log: EventLog, settings: Settings, clock: Clock) -> AsyncIterator[EventLog]:
    """Put a spool before a log that may be away; one in this process never is."""
    if settings.event_log == "memory":
        yield log
        return
    folder = settings.data_dir / "spool" / settings.instance
    limit = settings.spool_max_mb * _MB
    async with SpoolingEventLog.open(log, folder, max_bytes=limit, clock=clock) as spool:
        yield spool


@asynccontextmanager
async def open_gallery(
    settings: Settings, model: FaceEmbedderModel
) -> AsyncIterator[GalleryArchive]:
    """Open the gallery of one embedding model. Raises GalleryUnavailable or ConfigurationError."""
    if settings.gallery == "memory":
        yield MemoryGallery(model.dimension)
        return
    version, dimension = model.version, model.dimension
    async with AsyncExitStack() as stack:
        if settings.gallery == "edge":
            folder = settings.data_dir / "gallery"
            opening = EdgeGallery.open(folder, model_version=version, dimension=dimension)
            yield await stack.enter_async_context(opening)
        else:
            # Half a second to import, which every command would pay.
            from trinetra.adapters.qdrant.gallery import QdrantGallery  # noqa: PLC0415

            secret = settings.qdrant_api_key
            server = QdrantGallery.open(
                settings.qdrant_url,
                api_key=secret.get_secret_value() if secret else None,
                model_version=version,
                dimension=dimension,
                namespace=settings.namespace,
            )
            yield await stack.enter_async_context(server)


def need_shared(settings: Settings, service: str, *fields: str) -> None:
    """Refuse adapters in memory for a service that meets others in them.

    Raises ConfigurationError naming the variables to set.
    """
    servers = {"frame_buffer": "redis", "event_log": "kafka", "gallery": "edge or qdrant"}
    private = [field for field in fields if getattr(settings, field) == "memory"]
    if private:
        wanted = ", ".join(f"TRINETRA_{f.upper()}={servers[f]}" for f in private)
        raise ConfigurationError(
            f"{service} runs beside other processes and must share with them: set {wanted} "
            "(or run everything in one process: trinetra run SITE)"
        )
