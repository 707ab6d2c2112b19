"""Each service as a process of its own, on the servers that the settings name."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.deferred import DeferredEventLog
from trinetra.hosting import Dependency, Opened, Service
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import Instant
from trinetra.wiring import assembly
from trinetra.wiring.assembly import Playback
from trinetra.wiring.connections import need_shared, open_buffer, open_gallery, open_log, spooling
from trinetra.wiring.networks import Networks
from trinetra.wiring.stores import open_customer_log, open_erasure_store, open_store


@asynccontextmanager
async def ingest(
    site: Site, settings: Settings, environ: Mapping[str, str], started_at: Instant
) -> AsyncIterator[Opened]:
    """Open the stream-ingestor. Raises ConfigurationError or BufferUnavailable."""
    need_shared(settings, "ingest", "frame_buffer")
    clock = SystemClock()
    playback = Playback({camera.camera_id: started_at for camera in site.cameras})
    async with open_buffer(site, settings, clock) as buffer:
        service = assembly.ingestor(site, buffer, clock, playback, environ)
        yield _opened(service, buffer)


@asynccontextmanager
async def infer(site: Site, settings: Settings, networks: Networks) -> AsyncIterator[Opened]:
    """Open an inference-worker; events wait on its disk while the log is away.

    Raises ConfigurationError, EngineFailure or BufferUnavailable.
    """
    need_shared(settings, "infer", "frame_buffer", "event_log")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        buffer = await stack.enter_async_context(open_buffer(site, settings, clock))
        opening = DeferredEventLog.open(lambda: open_log(site, settings, clock), clock)
        log = await stack.enter_async_context(opening)
        spool = await stack.enter_async_context(spooling(log, settings, clock))
        service = assembly.worker(site, settings, networks, buffer, spool, clock)
        yield _opened(service, buffer, log, spool)


@asynccontextmanager
async def resolve(
    site: Site, settings: Settings, model: FaceEmbedderModel
) -> AsyncIterator[Opened]:
    """Open an identity-resolver. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "resolve", "event_log", "gallery")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(site, settings, clock))
        gallery = await stack.enter_async_context(open_gallery(settings, model))
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        erasure_store = await stack.enter_async_context(open_erasure_store(settings))
        service = assembly.resolver(
            site, settings, model, gallery, log, customer_log, clock, erasure_store
        )
        yield _opened(service, log, gallery, customer_log)


@asynccontextmanager
async def insight(site: Site, settings: Settings) -> AsyncIterator[Opened]:
    """Open an insight-engine. Raises ConfigurationError, ServerUnavailable or StorageFull."""
    need_shared(settings, "insight", "event_log")
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(site, settings, clock))
        store = await stack.enter_async_context(open_store(settings))
        customer_log = await stack.enter_async_context(open_customer_log(settings))
        erasure_store = await stack.enter_async_context(open_erasure_store(settings))
        service = assembly.engine(site, settings, log, store, customer_log, clock, erasure_store)
        yield _opened(service, log, store, customer_log)


def _opened(service: Service, *adapters: object) -> Opened:
    """Return the service with those of its adapters that others run."""
    return Opened(service, tuple(a for a in adapters if isinstance(a, Dependency)))
