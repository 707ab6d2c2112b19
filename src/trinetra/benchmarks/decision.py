"""Processor time of one track update in the resolver, without the gallery: ``run(hours)``.

The twin's busy shop is resolved frame by frame. Tracking, face evidence, decision and registry are
timed; decoding and the gallery are not. The time of a frame is divided by its tracks: a track in a
frame is one track update.
"""

import asyncio
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent
from trinetra.identities.decision.events import tracks_event
from trinetra.identities.decision.lookup import LookupBatch
from trinetra.identities.decision.track_identity import Arrival, CameraState, TrackIdentity, advance
from trinetra.identities.face_identifier import FaceIdentifier
from trinetra.identities.state.partition import PartitionState
from trinetra.identities.state.snapshot import encode_track
from trinetra.identities.tracking.reorder_buffer import ReorderWindow
from trinetra.ports import TopicPartition
from trinetra.site import Site
from trinetra.twin.emission import MODELS
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId
from trinetra.wiring import config as plans
from trinetra.wiring.assembly import FaceModel, resolver_context
from trinetra.wiring.simulation import face_model, site_of

PROFILE = "default"
_HOME: TopicPartition = ("detections", 0)
_SHOPPERS_PER_HOUR = 240.0
_WARM_SHARE = 0.1
"""Of the frames; those at the beginning are not counted."""


def run(hours: float = 0.1) -> dict[str, Any]:
    """Return microseconds per track update, their share in tracking, and bytes of an open track."""
    plan = built_in_shop()
    site = site_of(plan)
    twin = Twin(plan, Scenario(1, _SHOPPERS_PER_HOUR, hours, embeds_bodies=True))
    events = list(detections(twin))
    bench = Bench(site, twin)
    costs = asyncio.run(bench.measure(events))
    warm = costs[int(len(costs) * _WARM_SHARE) :]
    updates = np.repeat(warm[:, 0] / warm[:, 2], warm[:, 2].astype(np.int64))
    tracemalloc.start()
    again = Bench(site, twin)
    asyncio.run(again.measure(events))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    identities = len(again.context.registry)
    open_tracks = [i for camera in again.cameras.values() for i in camera.identities.values()]
    written = [len(encode_track(i, MODELS["face_embed"])) for i in open_tracks]
    return {
        "frames": len(events),
        "track updates": int(warm[:, 2].sum()),
        "update median us": round(float(np.median(updates)) * 1e6, 1),
        "update p99 us": round(float(np.quantile(updates, 0.99)) * 1e6, 1),
        "update mean us": round(float(updates.mean()) * 1e6, 1),
        "of it tracking and evidence": round(float(warm[:, 1].sum() / warm[:, 0].sum()), 2),
        "active identities": identities,
        "open tracks": len(open_tracks),
        "state of an open track bytes": round(float(np.mean(written))) if written else 0,
        "memory per active identity bytes": round(held / max(1, identities)),
    }


def detections(twin: Twin) -> Iterator[DetectionEvent]:
    """Yield a twin's detection events in the order of arrival."""
    for arrival in twin.arrivals():
        event = decode(arrival.payload)
        if isinstance(event, DetectionEvent):
            yield event


class Cost(NamedTuple):
    """Cost of one frame: seconds without the search, its number of tracks, and the ended ones."""

    total_s: float
    tracking_s: float
    tracks: int
    ended: tuple[TrackIdentity, ...]


class Bench:
    """The pure steps of a resolver, as wired for production, on a gallery in memory."""

    def __init__(self, site: Site, twin: Twin) -> None:
        face = FaceModel(face_model(twin, PROFILE))
        gallery = MemoryGallery(face.model.dimension)
        self.context = resolver_context(site, face, gallery, SystemClock())
        self.context.partitions[_HOME] = PartitionState(number=1)
        self.cameras: dict[CameraId, CameraState] = {}
        self._identifier = FaceIdentifier(self.context)
        self._tracker = plans.resolver_policy(site).tracker

    async def measure(self, events: list[DetectionEvent]) -> NDArray[np.float64]:
        """Return ``(n, 3)``: seconds, those in tracking, and tracks of each frame with tracks."""
        rows = [await self.frame(event) for event in events]
        return np.array([(r.total_s, r.tracking_s, r.tracks) for r in rows if r.tracks])

    async def frame(self, event: DetectionEvent) -> Cost:
        """Resolve one frame."""
        context = self.context
        camera = self.cameras.get(event.camera_id)
        if camera is None:
            camera = CameraState(event.camera_id, ReorderWindow[Arrival](16, 1.0))
            self.cameras[event.camera_id] = camera
        started = time.perf_counter()
        outcome = advance(
            camera,
            event,
            site_id=context.site_id,
            dimension=context.dimension,
            policy=self._tracker,
        )
        tracked = time.perf_counter()
        batch = LookupBatch()
        batch.note(outcome)
        asked = time.perf_counter()
        results = await context.gallery_client.lookup(batch)
        answered = time.perf_counter()
        identifier = self._identifier
        identifier.identify(_HOME, event.camera_id, outcome, event.captured_at, results)
        identifier.finalize_tracks(_HOME, outcome.ended)
        tracks_event(event, outcome)
        ended = time.perf_counter()
        await context.gallery_client.store([context.partitions[_HOME].outbox])
        total = (asked - started) + (ended - answered)
        return Cost(total, tracked - started, len(outcome.visible), outcome.ended)
