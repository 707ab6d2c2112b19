"""What a track costs the resolver in each frame, but for the search of the gallery: ``run(hours)``.

The twin's busy shop is resolved frame by frame: tracking, evidence, decision and registry are
timed, decoding and the gallery are not. A frame's time is shared by the tracks in it; those are the
track updates.
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
from trinetra.identities.gallery_client import Outbox
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.state.snapshot import encode_track
from trinetra.identities.tracking.reorder_buffer import ReorderWindow
from trinetra.models.manifest import load_manifest
from trinetra.ports import TopicPartition
from trinetra.site import Site
from trinetra.twin.emission import MODELS
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId
from trinetra.wiring import config as plans
from trinetra.wiring.simulation import site_of
from trinetra.wiring.site_graph import site_graph

_HOME: TopicPartition = ("detections", 0)
_SHOPPERS_PER_HOUR = 240.0
_WARM_SHARE = 0.1
"""Of the frames; what comes before is not counted."""


def run(hours: float = 0.1) -> dict[str, Any]:
    """Return microseconds per track update, their share in tracking, and bytes of an open track."""
    plan = built_in_shop()
    site = site_of(plan)
    twin = Twin(plan, Scenario(1, _SHOPPERS_PER_HOUR, hours))
    events = list(detections(twin))
    bench = Bench(site)
    costs = asyncio.run(bench.measure(events))
    warm = costs[int(len(costs) * _WARM_SHARE) :]
    updates = np.repeat(warm[:, 0] / warm[:, 2], warm[:, 2].astype(np.int64))
    tracemalloc.start()
    again = Bench(site)
    asyncio.run(again.measure(events))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    identities = len(again.face_identifier.registry)
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
    """Yield what a twin's cameras see, in the order in which it arrives."""
    for arrival in twin.arrivals():
        event = decode(arrival.payload)
        if isinstance(event, DetectionEvent):
            yield event


class Cost(NamedTuple):
    """What one frame took, but for the search, and the tracks that were in it or ended with it."""

    total_s: float
    tracking_s: float
    tracks: int
    ended: tuple[TrackIdentity, ...]


class Bench:
    """A resolver without its log: cameras, a face_identifier, and a gallery in memory."""

    def __init__(self, site: Site) -> None:
        face = load_manifest().profile("default").face_embedder
        self.face_identifier = FaceIdentifier(
            site_id=site.site_id,
            gallery=MemoryGallery(face.dimension),
            registry=ActiveRegistry(),
            graph=site_graph(site),
            clock=SystemClock(),
            model=MODELS["face_embed"],
            dimension=face.dimension,
            policy=plans.recognition_policy(site, face.calibration),
        )
        self.cameras: dict[CameraId, CameraState] = {}
        self._tracker = plans.resolver_policy(site).tracker
        self._outbox: Outbox = {}

    async def measure(self, events: list[DetectionEvent]) -> NDArray[np.float64]:
        """Return for each frame with tracks: seconds in all, in tracking, and how many tracks."""
        rows = [await self.frame(event) for event in events]
        return np.array([(r.total_s, r.tracking_s, r.tracks) for r in rows if r.tracks])

    async def frame(self, event: DetectionEvent) -> Cost:
        """Resolve one frame."""
        face_identifier = self.face_identifier
        camera = self.cameras.get(event.camera_id)
        if camera is None:
            camera = CameraState(event.camera_id, ReorderWindow[Arrival](16, 1.0))
            self.cameras[event.camera_id] = camera
        started = time.perf_counter()
        outcome = advance(
            camera,
            event,
            site_id=face_identifier.site_id,
            dimension=face_identifier.dimension,
            policy=self._tracker,
        )
        tracked = time.perf_counter()
        lookup = LookupBatch()
        lookup.note(outcome)
        asked = time.perf_counter()
        answers = await face_identifier.faces.ask(lookup)
        answered = time.perf_counter()
        face_identifier.identify(
            event.camera_id, outcome, event.captured_at, answers, {_HOME: self._outbox}, _HOME
        )
        face_identifier.finalize_tracks(outcome.ended, self._outbox)
        tracks_event(event, outcome)
        ended = time.perf_counter()
        await face_identifier.faces.store([self._outbox])
        total = (asked - started) + (ended - answered)
        return Cost(total, tracked - started, len(outcome.visible), outcome.ended)
