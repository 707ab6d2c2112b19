"""A resolver for measurements, also as a process of its own."""

import asyncio
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.identities.face_identifier import FaceIdentifier
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.service import IdentityResolver
from trinetra.models.manifest import load_manifest
from trinetra.ports import Clock, EventLog, Gallery
from trinetra.telemetry import configure_logging
from trinetra.twin.emission import MODELS
from trinetra.twin.shop import built_in_shop
from trinetra.values import SiteId
from trinetra.wiring import config as plans
from trinetra.wiring.simulation import site_of
from trinetra.wiring.site_graph import site_graph

SITE_ID = SiteId(built_in_shop().site_id)
STOP = "stop"
MODEL, DIMENSION = MODELS["face_embed"], 512


@dataclass(frozen=True, slots=True)
class Member:
    """Where a resolver finds its log and its gallery, and its name in the group."""

    kafka_servers: str
    namespace: str
    instance: str
    gallery: Path


def resolver(log: EventLog, gallery: Gallery, clock: Clock) -> IdentityResolver:
    """Return a resolver as a cluster has it: its state is kept in the log."""
    site = site_of(built_in_shop())
    face = load_manifest().profile("default").face_embedder
    face_identifier = FaceIdentifier(
        site_id=SITE_ID,
        gallery=gallery,
        registry=ActiveRegistry(),
        graph=site_graph(site),
        clock=clock,
        model=MODEL,
        dimension=DIMENSION,
        policy=plans.recognition_policy(site, face.calibration),
    )
    return IdentityResolver(log, face_identifier, ResolverPolicy(ends_tracks_at_stop=False))


def serve(member: Member, parent: Connection) -> None:
    """Resolve until the parent says ``STOP``; to anything else, tell the seconds of CPU so far."""
    configure_logging(as_json=False, level="ERROR")
    asyncio.run(_serve(member, parent))


async def _serve(member: Member, parent: Connection) -> None:
    clock, stopping = SystemClock(), asyncio.Event()
    edge = EdgeGallery.open(member.gallery, model_version=MODEL, dimension=DIMENSION)
    kafka = KafkaEventLog.open(
        KafkaConnection(member.kafka_servers),
        instance=member.instance,
        site_id=SITE_ID,
        clock=clock,
        namespace=member.namespace,
    )
    async with edge as gallery, kafka as log:
        service = resolver(log, gallery, clock)
        running = asyncio.create_task(service.run(stopping))
        while await asyncio.to_thread(parent.recv) != STOP:
            parent.send(time.process_time())
        stopping.set()
        await running
