"""Event rate of the digital twin: ``run(seconds)``.

As many hours of the built-in shop as fit into the time, for shops of three sizes, into a file and
into the event log in memory; one process.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.twin.emission import Arrival
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.service import publish
from trinetra.twin.shop import built_in_shop

_SHOPPERS_PER_HOUR = {"small": 20.0, "medium": 60.0, "busy": 240.0}
_HOURS = 8.0


def run(seconds: float = 12.0) -> dict[str, Any]:
    """Return events per second and bytes per event for each size of shop."""
    share_s = seconds / len(_SHOPPERS_PER_HOUR) / 3
    figures: dict[str, Any] = {}
    for size, rate in _SHOPPERS_PER_HOUR.items():
        figures |= {f"{size}_{name}": value for name, value in _measure(rate, share_s).items()}
    return figures


def _measure(shoppers_per_hour: float, seconds: float) -> dict[str, Any]:
    twin = Twin(built_in_shop(), Scenario(shoppers_per_hour=shoppers_per_hour, hours=_HOURS))
    began = time.perf_counter()
    _ = twin.world
    simulated_s = time.perf_counter() - began
    return {
        "shoppers_per_hour": shoppers_per_hour,
        "simulation_s_per_hour": round(simulated_s / _HOURS, 3),
        **_into_file(twin, seconds),
        "file_with_truth_events_per_s": _with_truth(twin, seconds),
        "log_events_per_s": asyncio.run(_into_log(twin, seconds)),
    }


def _into_file(twin: Twin, seconds: float) -> dict[str, Any]:
    events = payload_bytes = 0
    began = time.perf_counter()
    with tempfile.TemporaryFile(prefix="trinetra-twin-") as file:
        for arrival in _until(twin, seconds):
            payload_bytes += file.write(arrival.payload + b"\n")
            events += 1
    passed_s = time.perf_counter() - began
    return {
        "file_events_per_s": round(events / passed_s),
        "bytes_per_event": round(payload_bytes / events),
    }


def _with_truth(twin: Twin, seconds: float) -> int:
    events = 0
    began = time.perf_counter()
    with tempfile.TemporaryFile(prefix="trinetra-twin-") as file:
        for batch in twin.batches():
            file.write(b"".join(arrival.payload + b"\n" for arrival in batch.arrivals))
            file.write(b"".join(line + b"\n" for line in batch.frames))
            events += len(batch.arrivals)
            if time.perf_counter() - began > seconds:
                break
    return round(events / (time.perf_counter() - began))


async def _into_log(twin: Twin, seconds: float) -> int:
    clock = SystemClock()
    began = time.perf_counter()
    published = await publish(_until(twin, seconds), MemoryEventLog(clock), clock)
    return round(published.events / (time.perf_counter() - began))


def _until(twin: Twin, seconds: float) -> Iterator[Arrival]:
    began = time.perf_counter()
    for batch in twin.batches(with_truth=False):
        yield from batch.arrivals
        if time.perf_counter() - began > seconds:
            return
