"""An identity-resolver in a process of its own, as ``trinetra resolve`` runs it, for benchmarks."""

import asyncio
import time
from multiprocessing.connection import Connection

from trinetra.models.manifest import FaceEmbedderModel
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.telemetry import configure_logging
from trinetra.wiring import services

STOP = "stop"


def serve(site: Site, settings: Settings, model: FaceEmbedderModel, parent: Connection) -> None:
    """Resolve until the parent sends ``STOP``; answer anything else with the CPU seconds so far."""
    configure_logging(as_json=False, level="ERROR")
    asyncio.run(_serve(site, settings, model, parent))


async def _serve(
    site: Site, settings: Settings, model: FaceEmbedderModel, parent: Connection
) -> None:
    stopping = asyncio.Event()
    async with services.resolve(site, settings, model) as opened:
        running = asyncio.create_task(opened.service.run(stopping))
        while await asyncio.to_thread(parent.recv) != STOP:
            parent.send(time.process_time())
        stopping.set()
        await running
