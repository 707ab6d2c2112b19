"""Time and memory of a full active identity registry: ``run(identities)``."""

import time
import tracemalloc
from datetime import timedelta
from typing import Any

import numpy as np

from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import Sighting
from trinetra.values import EPOCH, CameraId, CustomerId, IdentityKind

_CAMERAS = [CameraId(f"camera-{number}") for number in range(24)]
_VIEWS_EACH = 4
_UPDATES = 200_000
_WARM_UP = 1_000


def run(identities: int = 50_000) -> dict[str, Any]:
    """Return the time of an update, of a look-up for the gate and of an eviction, and the memory.

    Every identity was in four of 24 views. An update is ``see``: in three of four cases of a known
    identity, otherwise of a new one, which replaces the one not seen for the longest time.
    """
    tracemalloc.start()
    registry = _filled(identities)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    random = np.random.default_rng(7)
    who = random.integers(0, identities * 4 // 3, _UPDATES).tolist()
    where = random.integers(0, len(_CAMERAS), _UPDATES).tolist()
    updates, lookups = [], []
    for number, (person, camera) in enumerate(zip(who, where, strict=True)):
        sighting = _sighting(camera, identities * 0.001 + number * 0.001)
        customer = _name(person)
        began = time.perf_counter()
        registry.see(customer, IdentityKind.ANONYMOUS, sighting)
        seen = time.perf_counter()
        list(registry.elsewhere(customer, sighting.camera_id))
        lookups.append(time.perf_counter() - seen)
        updates.append(seen - began)
    began = time.perf_counter()
    evicted = registry.evict(EPOCH + timedelta(days=1))
    return {
        "identities": identities,
        "views_each": _VIEWS_EACH,
        "bytes_per_identity": round(taken / identities),
        **_percentiles("update", updates[_WARM_UP:]),
        **_percentiles("elsewhere", lookups[_WARM_UP:]),
        "evict_all_ms": round(1e3 * (time.perf_counter() - began), 1),
        "evicted": evicted,
    }


def _filled(identities: int) -> ActiveRegistry:
    registry = ActiveRegistry(max_identities=identities)
    for person in range(identities):
        for view in range(_VIEWS_EACH):
            sighting = _sighting(person + view, person * 0.001 + 20.0 * view)
            registry.see(_name(person), IdentityKind.ANONYMOUS, sighting)
    return registry


def _name(person: int) -> CustomerId:
    return CustomerId(f"cus_{person:024x}")  # as long as those that are derived


def _sighting(camera: int, at_s: float) -> Sighting:
    begin = EPOCH + timedelta(seconds=at_s)
    return Sighting(_CAMERAS[camera % len(_CAMERAS)], begin, begin + timedelta(seconds=5))


def _percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    p50, p99, most = np.percentile(seconds, [50, 99, 100]) * 1e6
    return {
        f"{name}_p50_us": round(float(p50), 1),
        f"{name}_p99_us": round(float(p99), 1),
        f"{name}_max_us": round(float(most), 1),
    }
