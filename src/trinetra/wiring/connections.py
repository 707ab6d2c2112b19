"""Opens the adapters that the settings name: the ports of every service, in every mode."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.private_folder import explained, make_private
from trinetra.adapters.disk.spool import SpoolingEventLog
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.adapters.sql.customer_log import SqlCustomerLog
from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.errors import ConfigurationError
from trinetra.events.topics import ALERTS, CUSTOMERS, DETECTIONS, IDENTITIES, INSIGHTS
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.ports import (
    Clock,
    CustomerLog,
    ErasureStore,
    EventLog,
    ExpiringStore,
    FrameBuffer,
    GalleryArchive,
)
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.wiring import config as plans
from trinetra.wiring.assembly import EnginePorts, ResolverPorts

WORKERS = "inference-workers"
JOURNALED = (DETECTIONS, IDENTITIES, CUSTOMERS, ALERTS, INSIGHTS)
"""The topics that go into the journal of a platform in one process."""
_MB = 1 << 20


@asynccontextmanager
async def open_buffer(site: Site, settings: Settings, clock: Clock) -> AsyncIterator[FrameBuffer]:
    """Open the frame buffer. Raises BufferUnavailable or ConfigurationError."""
    if settings.frame_buffer == "memory":
        yield MemoryFrameBuffer(MemoryFrameStreams(clock), WORKERS, settings.instance)
        return
    streams = FrameStreams(
        site.site_id, [camera.camera_id for camera in site.cameras], settings.namespace
    )
    async with RedisFrameBuffer.open(
        settings.redis_url.get_secret_value(),
        streams,
        group=WORKERS,
        consumer=settings.instance,
        clock=clock,
    ) as buffer:
        yield buffer


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
    kept_s = {topic: s for topic, s in plans.logged(site).items() if topic in JOURNALED}
    async with JournalingEventLog.open(log, folder, max_bytes=limit, retention_s=kept_s) as journal:
        yield journal


def journal_folder(settings: Settings) -> Path:
    """Return the folder of the journal that a platform in one process writes."""
    return settings.data_dir / "journal"


@asynccontextmanager
async def spooling(log: EventLog, settings: Settings, clock: Clock) -> AsyncIterator[EventLog]:
    """Put a spool on disk in front of a log on a server; a log in this process needs none."""
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
    log: EventLog, settings: Settings, model: FaceEmbedderModel, clock: Clock
) -> AsyncIterator[ResolverPorts]:
    """Open gallery, customer log and erasure store of an identity-resolver on this log.

    Raises ConfigurationError, ServerUnavailable or StorageFull.
    """
    async with AsyncExitStack() as stack:
        gallery = await stack.enter_async_context(open_gallery(settings, model))
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        erasure_store = await stack.enter_async_context(open_erasure_store(settings))
        yield ResolverPorts(log, gallery, customer_log, clock, erasure_store)


@asynccontextmanager
async def open_engine_ports(
    log: EventLog, settings: Settings, clock: Clock
) -> AsyncIterator[EnginePorts]:
    """Open insight store, customer log and erasure store of an insight-engine on this log.

    Raises ConfigurationError, ServerUnavailable or StorageFull.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        erasure_store = await stack.enter_async_context(open_erasure_store(settings))
        yield EnginePorts(log, store, customer_log, clock, erasure_store)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[ExpiringStore]:
    """Open the insight store. Raises StoreUnavailable, StorageFull or ConfigurationError."""
    async with SqlInsightStore.open(_store_url(settings)) as store:
        yield store


@asynccontextmanager
async def open_customer_log(settings: Settings) -> AsyncIterator[CustomerLog]:
    """Open the customer log, in the database of the insights; raises as ``open_store`` does."""
    async with SqlCustomerLog.open(_store_url(settings)) as customer_log:
        yield customer_log


@asynccontextmanager
async def open_erasure_store(settings: Settings) -> AsyncIterator[ErasureStore]:
    """Open the erasure store, in the database of the insights; raises as ``open_store`` does."""
    async with SqlErasureStore.open(_store_url(settings)) as erasure_store:
        yield erasure_store


def _store_url(settings: Settings) -> str:
    if url := settings.store_url:
        return url.get_secret_value()
    if "data_dir" not in settings.model_fields_set:  # a folder of the user's choice may be shared
        with explained("data", settings.data_dir):
            make_private(settings.data_dir)  # older versions made it readable by everyone
    return f"sqlite:///{settings.data_dir / 'insights.db'}"


def kafka_connection(settings: Settings) -> KafkaConnection:
    """Return the address of Kafka and the credentials for it."""
    secret = settings.kafka_password
    return KafkaConnection(
        servers=settings.kafka_servers,
        security=settings.kafka_security,
        mechanism=settings.kafka_sasl_mechanism,
        user=settings.kafka_user,
        password=secret.get_secret_value() if secret else None,
        ca_file=settings.kafka_ca_file,
        cert_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
    )


def need_shared(settings: Settings, service: str, *fields: str) -> None:
    """Raise ConfigurationError if adapters that a service shares with others are in memory.

    The message names the variables to set.
    """
    servers = {"frame_buffer": "redis", "event_log": "kafka", "gallery": "edge or qdrant"}
    private = [field for field in fields if getattr(settings, field) == "memory"]
    if private:
        wanted = ", ".join(f"TRINETRA_{f.upper()}={servers[f]}" for f in private)
        raise ConfigurationError(
            f"{service} runs beside other processes and must share with them: set {wanted} "
            "(or run everything in one process: trinetra run SITE)"
        )
