"""Throughput of the insight engine: identity events of a twin through one partition, in memory.

Every camera has three lines and three zones. One core does all: the step is timed in processor time
with and without reading the record, so that other work on the machine counts little.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from trinetra.benchmarks.decision import PROFILE
from trinetra.events.codec import decode
from trinetra.events.schema import IdentityEvent, TracksEvent
from trinetra.insights.camera.camera_analytics import Outcome
from trinetra.insights.config import CameraInsights, Line, Zone
from trinetra.insights.partitions import CameraPartition
from trinetra.replay.player import Detected
from trinetra.site import Site
from trinetra.twin.plan import FloorPlan
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId
from trinetra.wiring.config import insight_policy
from trinetra.wiring.replay import ReplayInputs, replay
from trinetra.wiring.simulation import face_model, site_of

_EDGES = (0.2, 0.4, 0.6, 0.8)
_SHOPPERS_PER_HOUR = 240.0


def run(hours: float = 0.1, rounds: int = 5) -> dict[str, Any]:
    """Return identity events per second of processor time, the median of the rounds."""
    plan = built_in_shop()
    site = site_of(plan)
    payloads = identity_events(Twin(plan, Scenario(1, _SHOPPERS_PER_HOUR, hours)), site)
    stepping, reading, insights = zip(
        *(_measured(site, plan, payloads) for _ in range(rounds)), strict=True
    )
    return {
        "identity events": len(payloads),
        "tracks in them": sum(_tracks(payload) for payload in payloads),
        "insights": insights[0],
        "same insights each time": len(set(insights)) == 1,
        "engine events per s and core": _median_rate(len(payloads), stepping),
        "with decoding events per s and core": _median_rate(len(payloads), reading),
    }


def identity_events(twin: Twin, site: Site) -> list[bytes]:
    """Return what the resolver publishes for the insight engine of a twin, in order."""
    found: list[bytes] = []

    def listen(payload: bytes) -> None:
        if isinstance(decode(payload), TracksEvent | IdentityEvent):
            found.append(payload)

    detections: list[Detected] = [(CameraId(a.camera_id), a.payload) for a in twin.arrivals()]
    asyncio.run(replay(ReplayInputs(site, face_model(twin, PROFILE)), detections, listen))
    return found


def lined(plan: FloorPlan) -> dict[CameraId, CameraInsights]:
    """Return three lines and three zones for each camera: upright lines, and stripes between."""
    lines = tuple(Line(f"line-{x}", (x, 1.0), (x, 0.0)) for x in _EDGES[:3])
    zones = tuple(
        Zone(f"zone-{a}", ((a, 0.2), (b, 0.2), (b, 1.0), (a, 1.0))) for a, b in pairwise(_EDGES)
    )
    return {view.camera_id: CameraInsights(zones, lines) for view in plan.views}


def _measured(site: Site, plan: FloorPlan, payloads: Sequence[bytes]) -> tuple[float, float, int]:
    """Return the seconds of all steps, those with decoding, and the number of insights."""
    partition = CameraPartition(site.site_id, lined(plan), insight_policy(site))
    began = time.process_time()
    steps = [partition.read(payload, number) for number, payload in enumerate(payloads)]
    read = time.process_time()
    outcomes = [*(step() for step in steps), partition.flush()]
    ended = time.process_time()
    insights = sum(len(o.insights) for o in outcomes if isinstance(o, Outcome))
    return ended - read, ended - began, insights


def _tracks(payload: bytes) -> int:
    event = decode(payload)
    return len(event.tracks) if isinstance(event, TracksEvent) else 0


def _median_rate(number: int, seconds: Sequence[float]) -> int:
    return round(number / sorted(seconds)[len(seconds) // 2])
