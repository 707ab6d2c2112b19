"""From settings to an open frame buffer, event log and gallery, in every mode."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from trinetra.adapters.deferred import DeferredLatestFrames
from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.spool import SpoolingEventLog
from trinetra.adapters.kafka.event_log import KafkaEventLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.adapters.redis.latest_frames import RedisLatestFrames
from trinetra.errors import ConfigurationError
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import (
    CAMERA_FRAMES_MAX_BYTES,
    Clock,
    EventLog,
    LatestFrames,
    PurgeableGallery,
    ShownFrameBuffer,
)
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.wiring.assembly import EnginePorts, ResolverPorts, spool_participant
from trinetra.wiring.figures import prepare_figures
from trinetra.wiring.places import JOURNALED, journal_folder, kafka_connection
from trinetra.wiring.plate_key import plate_key
from trinetra.wiring.retired_galleries import RetiredGalleries
from trinetra.wiring.stores import (
    STORE_HINT,
    has_shared_store,
    open_customer_log,
    open_erasure_store,
    open_store,
)
from trinetra.wiring.topics import logged

WORKERS = "inference-workers"
_MB = 1 << 20


@asynccontextmanager
async def open_buffer(
    site: Site, settings: Settings, clock: Clock, *, cameras_in_total: int | None = None
) -> AsyncIterator[ShownFrameBuffer]:
    """Open the frame buffer; its memory is divided between all cameras of the shop.

    ``cameras_in_total`` is their number where ``site`` has only those of this process. Raises
    BufferUnavailable or ConfigurationError.
    """
    share = settings.frames_max_mb * _MB // (cameras_in_total or len(site.cameras))
    max_bytes = min(share, CAMERA_FRAMES_MAX_BYTES)
    if settings.frame_buffer == "memory":
        streams_here = MemoryFrameStreams(clock, max_bytes=max_bytes)
        yield MemoryFrameBuffer(streams_here, WORKERS, settings.instance)
        return
    cameras = [camera.camera_id for camera in site.cameras]
    streams = FrameStreams(site.site_id, cameras, settings.namespace, max_bytes=max_bytes)
    async with RedisFrameBuffer.open(
        settings.redis_url.get_secret_value(),
        streams,
        group=WORKERS,
        consumer=settings.instance,
        clock=clock,
    ) as buffer:
        yield buffer


@asynccontextmanager
async def open_latest_frames(settings: Settings) -> AsyncIterator[LatestFrames | None]:
    """Provide the last frames that another process buffers; None if they are in its memory.

    They are opened when they are asked for: asking raises BufferUnavailable or ConfigurationError.
    """
    if settings.frame_buffer == "memory":
        yield None
        return
    url = settings.redis_url.get_secret_value()
    frames = DeferredLatestFrames(lambda: RedisLatestFrames.open(url, settings.namespace))
    try:
        yield frames
    finally:
        await frames.close()


@asynccontextmanager
async def open_log(site: Site, settings: Settings, clock: Clock) -> AsyncIterator[EventLog]:
    """Open the event log. Raises EventLogUnavailable or ConfigurationError."""
    if settings.event_log == "memory":
        async with journaling(MemoryEventLog(clock), site, settings) as log:
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
async def journaling(
    log: MemoryEventLog, site: Site, settings: Settings
) -> AsyncIterator[EventLog]:
    """Copy the records of a log in memory to a journal on disk, if the settings allow it room.

    Raises StorageFull or ConfigurationError.
    """
    if not settings.journal_max_mb:
        yield log
        return
    folder, limit = journal_folder(settings), settings.journal_max_mb * _MB
    kept_s = {topic: s for topic, s in logged(site).items() if topic in JOURNALED}
    async with JournalingEventLog.open(log, folder, max_bytes=limit, retention_s=kept_s) as journal:
        yield journal


@asynccontextmanager
async def spooling(log: EventLog, settings: Settings, clock: Clock) -> AsyncIterator[EventLog]:
    """Put a spool on disk in front of a log on a server; a log in this process needs none."""
    if settings.event_log == "memory":
        yield log
        return
    folder = settings.data_dir / "spool" / settings.instance
    limit = settings.spool_max_mb * _MB
    opening = SpoolingEventLog.open(
        log,
        folder,
        max_bytes=limit,
        clock=clock,
        participant=spool_participant(log, settings, clock),
    )
    async with opening as spool:
        yield spool


@asynccontextmanager
async def open_gallery(
    settings: Settings, model: FaceEmbedderModel
) -> AsyncIterator[PurgeableGallery]:
    """Open the gallery of one embedding model. Raises GalleryUnavailable or ConfigurationError."""
    if settings.gallery == "memory":
        yield MemoryGallery(model.dimension)
        return
    version, dimension = model.version, model.dimension
    async with AsyncExitStack() as stack:
        if settings.gallery == "edge":
            folder = settings.data_dir / "gallery"
            edge = EdgeGallery.open(folder, model_version=version, dimension=dimension)
            yield await stack.enter_async_context(edge)
        else:
            # Half a second to import, which every command would pay.
            from trinetra.adapters.qdrant.gallery import (  # noqa: PLC0415
                QdrantConnection,
                QdrantGallery,
            )

            secret = settings.qdrant_api_key
            api_key = secret.get_secret_value() if secret else None
            opening = QdrantGallery.open(
                QdrantConnection(settings.qdrant_url, api_key),
                model_version=version,
                dimension=dimension,
                namespace=settings.namespace,
            )
            yield await stack.enter_async_context(opening)


@asynccontextmanager
async def open_resolver_ports(
    log: EventLog, site: Site, settings: Settings, model: FaceEmbedderModel, clock: Clock
) -> AsyncIterator[ResolverPorts]:
    """Open gallery, customer log and erasure store of an identity-resolver on this log.

    Raises ConfigurationError, ServerUnavailable or StorageFull.
    """
    async with AsyncExitStack() as stack:
        gallery = await stack.enter_async_context(open_gallery(settings, model))
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        erasure_store = await stack.enter_async_context(open_erasure_store(settings))
        retired = RetiredGalleries(settings, model, clock) if settings.gallery == "edge" else None
        key = plate_key(site, settings)
        yield ResolverPorts(log, gallery, customer_log, clock, erasure_store, retired, key)


@asynccontextmanager
async def open_engine_ports(
    log: EventLog, site: Site, settings: Settings, clock: Clock
) -> AsyncIterator[EnginePorts]:
    """Open insight store, customer log and erasure store of an insight-engine on this log.

    Raises ConfigurationError, ServerUnavailable or StorageFull.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        await prepare_figures(store, site, settings, clock)
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        erasure_store = await stack.enter_async_context(open_erasure_store(settings))
        yield EnginePorts(log, store, customer_log, clock, erasure_store, store, store)


def need_shared(settings: Settings, service: str, *fields: str) -> None:
    """Raise ConfigurationError if something that a service shares with others is private to it.

    ``fields`` are frame_buffer, event_log, gallery and store_url. The message names the variables
    to set.
    """
    servers = {"frame_buffer": "redis", "event_log": "kafka", "gallery": "edge or qdrant"}
    private = [field for field in fields if getattr(settings, field) == "memory"]
    missing = [f"TRINETRA_{f.upper()}={servers[f]}" for f in private]
    if "store_url" in fields and not has_shared_store(settings):
        missing.append(STORE_HINT)
    if missing:
        wanted = ", ".join(missing)
        raise ConfigurationError(
            f"{service} runs beside other processes and must share with them: set {wanted} "
            "(or run everything in one process: trinetra run SITE)"
        )
