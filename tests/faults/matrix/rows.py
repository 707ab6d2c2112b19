"""The faults, one function each; the first line of its docstring names the row in the report."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import redis.asyncio
from tests.faults.matrix.bench import Bench
from tests.servers.proxy import Proxy

from trinetra.events.schema import (
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    LineCrossing,
    Occupancy,
    TracksEvent,
    Visit,
    ZoneStay,
)

_CHANCE = random.Random(20261122)
_OUTPUTS: dict[str, tuple[type[AnyEvent], ...]] = {
    "ingest": (DetectionEvent,),
    "infer": (DetectionEvent,),
    "resolve": (TracksEvent,),
    "insight": (LineCrossing, ZoneStay, Occupancy, Visit),
}


@dataclass(frozen=True, slots=True)
class Extent:
    """How hard a run tries: kills of each service, and how long things stay away, in seconds."""

    kills: int
    gallery_away_s: float
    stopped_s: float
    server_away_s: float
    stalled_s: float


SHORT = Extent(kills=1, gallery_away_s=8.0, stopped_s=10.0, server_away_s=3.0, stalled_s=5.0)
LONG = Extent(kills=20, gallery_away_s=60.0, stopped_s=30.0, server_away_s=10.0, stalled_s=20.0)
_CLOCK_READ_S = 1.5
"""libfaketime reads a stepped clock after up to a second; what is seen before proves nothing."""
Fault = Callable[[Bench, Extent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    """One fault, and what it needs around it.

    ``load_s`` is how long the detections last. ``more`` names services of which there are two;
    ``through_proxy`` puts proxies between the services and their servers; ``ingests`` reads clips
    by the real ingestor instead of feeding known frames; with ``steps_clock`` its host's clock can
    be stepped, and the clips are served as live cameras.
    """

    fault: Fault
    load_s: Callable[[Extent], float]
    more: tuple[str, ...] = ()
    through_proxy: bool = False
    ingests: bool = False
    steps_clock: bool = False
    shuffled: bool = False
    environ: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What is done, in a few words."""
        return (self.fault.__doc__ or "").splitlines()[0].rstrip(".")


async def nothing(_bench: Bench, _extent: Extent) -> None:
    """No fault."""


async def kill_ingest(bench: Bench, extent: Extent) -> None:
    """SIGKILL of the stream-ingestor."""
    await _kill_again_and_again(bench, extent, "ingest")


async def kill_infer(bench: Bench, extent: Extent) -> None:
    """SIGKILL of the inference-worker."""
    await _kill_again_and_again(bench, extent, "infer")


async def kill_resolve(bench: Bench, extent: Extent) -> None:
    """SIGKILL of the identity-resolver."""
    await _kill_again_and_again(bench, extent, "resolve")


async def kill_insight(bench: Bench, extent: Extent) -> None:
    """SIGKILL of the insight-engine."""
    await _kill_again_and_again(bench, extent, "insight")


async def take_over(bench: Bench, _extent: Extent) -> None:
    """SIGKILL of one of two resolvers, which does not come back."""
    await _after(1, 3)
    active = {seen.event.camera_id for seen in bench.ledger.of(TracksEvent)}
    await asyncio.to_thread(bench.processes["resolve"].kill)
    killed_s = time.monotonic()

    def all_go_on() -> bool:
        new = bench.ledger.of(TracksEvent, since_s=killed_s)
        return active <= {seen.event.camera_id for seen in new}

    await bench.recovered_when(all_go_on)


async def kill_kafka(bench: Bench, extent: Extent) -> None:
    """SIGKILL of the Kafka broker, and its restart."""
    await _after(1, 3)
    await asyncio.to_thread(bench.servers.kafka.kill)
    await asyncio.sleep(extent.server_away_s)
    await asyncio.to_thread(bench.servers.kafka.start)
    await bench.recovered(IdentityEvent, TracksEvent)


async def restart_redis(bench: Bench, extent: Extent) -> None:
    """SIGKILL of Redis, and its restart, empty."""
    await _after(1, 3)
    bench.buffered = await _buffered(bench)
    await asyncio.to_thread(bench.servers.redis.kill)
    await asyncio.sleep(extent.server_away_s)
    await asyncio.to_thread(bench.servers.redis.start)
    await bench.recovered(DetectionEvent, cameras=bench.frame_cameras)


async def flush_redis(bench: Bench, _extent: Extent) -> None:
    """FLUSHALL of Redis."""
    await _after(1, 3)
    bench.buffered = await _buffered(bench)
    async with redis.asyncio.from_url(bench.servers.redis.url) as client:
        await client.flushall()
    await bench.recovered(DetectionEvent, cameras=bench.frame_cameras)


async def gallery_away(bench: Bench, extent: Extent) -> None:
    """The gallery's server is killed, and comes back after a while."""
    await _after(1, 3)
    await asyncio.to_thread(bench.servers.gallery.kill)
    await asyncio.sleep(extent.gallery_away_s)
    await asyncio.to_thread(bench.servers.gallery.start)
    back_s = time.monotonic()

    def somebody_is_known() -> bool:
        new = bench.ledger.of(IdentityEvent, since_s=back_s)
        return any(seen.event.customer_id for seen in new)

    await bench.recovered_when(somebody_is_known)


async def stop_worker(bench: Bench, extent: Extent) -> None:
    """SIGSTOP of one of two workers, which then goes on."""
    await _stand_still(bench, extent, "infer", bench.frame_cameras)


async def stop_resolver(bench: Bench, extent: Extent) -> None:
    """SIGSTOP of one of two resolvers, which then goes on (a zombie)."""
    await _stand_still(bench, extent, "resolve", None)


async def slow_network(bench: Bench, extent: Extent) -> None:
    """Redis and Kafka answer slowly."""
    await _disturb(bench, extent, lambda proxy: proxy.slow(latency_s=0.3, bytes_per_s=400_000))


async def cut_network(bench: Bench, extent: Extent) -> None:
    """All connections to Redis and Kafka are reset, and refused for a while."""
    await _disturb(bench, extent, Proxy.refuse)


async def half_open_network(bench: Bench, extent: Extent) -> None:
    """Connections to Redis and Kafka stay, but nothing passes."""
    await _disturb(bench, extent, Proxy.stall)


async def full_spool(bench: Bench, extent: Extent) -> None:
    """Kafka is away until the worker's spool of 1 MB is full."""
    await _after(1, 2)
    await asyncio.to_thread(bench.servers.kafka.kill)
    full = "spool is full"
    await asyncio.to_thread(bench.processes["infer"].until, lambda page: full in str(page))
    await asyncio.sleep(extent.server_away_s)
    await asyncio.to_thread(bench.servers.kafka.start)
    await bench.recovered(DetectionEvent, cameras=bench.frame_cameras)


async def clock_jumps(bench: Bench, _extent: Extent) -> None:
    """The clock of the ingestor's host is set hours ahead and behind, also while it restarts."""
    for ahead_s in (3_600, 0, -3_600, 19_800, -19_800, 0):
        await _after(2, 3)
        bench.ingest_clock.set(ahead_s)
        await _tracks_everything(bench)
    # As of a hardware clock in local time, set right while the service was down.
    bench.ingest_clock.set(-19_800)
    await _tracks_everything(bench)
    process = bench.processes["ingest"]
    await asyncio.to_thread(process.kill)
    bench.ingest_clock.set(0)
    process.start()
    await _tracks_everything(bench)


async def _tracks_everything(bench: Bench) -> None:
    """Note how long it takes until every camera of the ingestor is tracked again."""
    since_s = time.monotonic() + _CLOCK_READ_S

    def all_go_on() -> bool:
        new = bench.ledger.of(TracksEvent, since_s=since_s)
        frames = [seen.event for seen in new if seen.event.silent is not True]
        return bench.frame_cameras <= {event.camera_id for event in frames}

    await bench.recovered_when(all_go_on)


async def shuffled_delivery(_bench: Bench, _extent: Extent) -> None:
    """Every tenth detection is delivered twice, and neighbours change places."""


async def _kill_again_and_again(bench: Bench, extent: Extent, service: str) -> None:
    for _ in range(extent.kills):
        await _after(0.5, 3)
        process = bench.processes[service]
        await asyncio.to_thread(process.kill)
        process.start()
        if service == "ingest":
            await _sees_again(bench)
        else:
            cameras = bench.frame_cameras if service == "infer" else None
            await bench.recovered(*_OUTPUTS[service], cameras=cameras)


async def _sees_again(bench: Bench) -> None:
    """Note how long it takes until there is something captured from now on."""
    back_at = datetime.now(UTC)

    def is_back() -> bool:
        seen = bench.ledger.of(DetectionEvent)
        return any(
            s.event.captured_at > back_at and s.event.camera_id in bench.frame_cameras for s in seen
        )

    await bench.recovered_when(is_back)


async def _stand_still(
    bench: Bench, extent: Extent, service: str, cameras: frozenset[str] | None
) -> None:
    await _after(1, 3)
    process = bench.processes[service]
    process.send(signal.SIGSTOP)
    await asyncio.sleep(extent.stopped_s)
    process.send(signal.SIGCONT)
    await bench.recovered(*_OUTPUTS[service], cameras=cameras)


async def _disturb(bench: Bench, extent: Extent, how: Callable[[Proxy], None]) -> None:
    await _after(1, 3)
    for proxy in bench.servers.proxies:
        await asyncio.to_thread(how, proxy)
    await asyncio.sleep(extent.stalled_s)
    for proxy in bench.servers.proxies:
        await asyncio.to_thread(proxy.heal)
    await bench.recovered(DetectionEvent, cameras=bench.frame_cameras)
    await bench.recovered(TracksEvent)


async def _after(least_s: float, most_s: float) -> None:
    """Let the load run for a moment that nothing in the product can know."""
    await asyncio.sleep(_CHANCE.uniform(least_s, most_s))


async def _buffered(bench: Bench) -> int:
    async with redis.asyncio.from_url(bench.servers.redis.url) as client:
        keys = [f"{bench.namespace}:frames:{camera}" for camera in bench.frame_cameras]
        return sum([await client.xlen(key) for key in keys])


def _brief(_: Extent) -> float:
    return 20.0


ROWS = (
    Row(nothing, _brief),
    Row(kill_ingest, lambda e: 9.0 * e.kills + 10, ingests=True),
    Row(kill_infer, lambda e: 9.0 * e.kills + 10),
    Row(kill_resolve, lambda e: 9.0 * e.kills + 10),
    Row(kill_insight, lambda e: 9.0 * e.kills + 10),
    Row(take_over, lambda _: 30.0, more=("resolve",)),
    Row(kill_kafka, lambda e: e.server_away_s + 25),
    Row(restart_redis, lambda e: e.server_away_s + 15),
    Row(flush_redis, _brief),
    Row(gallery_away, lambda e: e.gallery_away_s + 20),
    Row(stop_worker, lambda e: e.stopped_s + 15, more=("infer",)),
    Row(stop_resolver, lambda e: e.stopped_s + 15, more=("resolve",)),
    Row(slow_network, lambda e: e.stalled_s + 20, through_proxy=True),
    Row(cut_network, lambda e: e.stalled_s + 20, through_proxy=True),
    Row(half_open_network, lambda e: e.stalled_s + 20, through_proxy=True),
    Row(full_spool, lambda e: e.server_away_s + 40, environ=(("TRINETRA_SPOOL_MAX_MB", "1"),)),
    Row(clock_jumps, lambda _: 60.0, ingests=True, steps_clock=True),
    Row(shuffled_delivery, _brief, shuffled=True),
)
