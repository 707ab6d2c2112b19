"""Latency from the capture of a frame to its identities in the event log.

The clips play at their own speed, in a loop, as cameras would. The capture time of every event of
the resolver is compared with the clock when a subscriber receives it. Measured once with everything
in one process, and once with a process for each service on Redis and Kafka.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.benchmarks.bare import delete_topics
from trinetra.devservers.kafka import KafkaBroker, find_kafka
from trinetra.devservers.redis import RedisServer
from trinetra.errors import ServerUnavailable
from trinetra.events.codec import decode
from trinetra.events.schema import AnyEvent, IdentityEvent, TracksEvent
from trinetra.events.topics import IDENTITIES
from trinetra.hosting import host
from trinetra.models.progress import ProgressSink
from trinetra.ports import read_up_to
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.wiring.assembly import Playback
from trinetra.wiring.networks import load_networks
from trinetra.wiring.platform import embedded
from trinetra.wiring.profiles import choose_profile, ensure_models

_SERVICES = ("resolve", "insight", "infer", "ingest")
_WARM_UP_S = 10.0
_STARTS_WITHIN_S = 120.0
_STOPS_WITHIN_S = 40.0
_TAIL = 2000


@dataclass(slots=True)
class _Meter:
    """Seconds from capture to now, of every event seen while it measures."""

    measuring: bool = False
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    tracks_s: list[float] = field(default_factory=list)
    identities_s: list[float] = field(default_factory=list)

    def note(self, event: AnyEvent) -> None:
        self.seen.set()
        if not self.measuring:
            return
        passed_s = (datetime.now(UTC) - event.captured_at).total_seconds()
        if isinstance(event, IdentityEvent):
            self.identities_s.append(passed_s)
        elif isinstance(event, TracksEvent):
            self.tracks_s.append(passed_s)

    def figures(self, name: str) -> dict[str, Any]:
        return {
            **_percentiles(f"{name}_identity", self.identities_s),
            **_percentiles(f"{name}_tracks", self.tracks_s),
        }


def run(
    site: Site,
    settings: Settings,
    progress: ProgressSink,
    *,
    seconds: float = 30.0,
    redis_url: str | None = None,
    kafka_servers: str | None = None,
) -> dict[str, Any]:
    """Return latency percentiles in one process and in four; starts the servers not given.

    The cameras of ``site`` are recordings. Raises ServerMissing, and ServerUnavailable if a service
    ends or no event comes.
    """
    figures = asyncio.run(_embedded(site, settings, progress, seconds))
    with tempfile.TemporaryDirectory(prefix="trinetra-latency-") as name, ExitStack() as stack:
        folder = Path(name)
        if redis_url is None:
            redis_url = stack.enter_context(RedisServer(folder / "redis")).url
        if kafka_servers is None:
            program = find_kafka(settings.cache_dir)
            broker = stack.enter_context(KafkaBroker(folder / "kafka", program, jvm=()))
            kafka_servers = broker.address
        servers = _Servers(redis_url, kafka_servers, f"bench-{uuid.uuid4().hex[:8]}")
        figures |= asyncio.run(_distributed(site, servers, folder, seconds))
    return {"cameras": len(site.cameras), "seconds": seconds, **figures}


async def _measure(meter: _Meter, failed: Callable[[], str | None], seconds: float) -> None:
    """Wait for the first event, warm up, then measure.

    Raises ServerUnavailable if a service ended, or no event came.
    """
    began_s = time.monotonic()
    while not meter.seen.is_set():
        reason = failed()
        if reason is None and time.monotonic() - began_s > _STARTS_WITHIN_S:
            reason = f"no event came within {_STARTS_WITHIN_S:g} s"
        if reason is not None:
            raise ServerUnavailable(reason)
        await asyncio.sleep(0.1)
    await asyncio.sleep(_WARM_UP_S)
    meter.measuring = True
    await asyncio.sleep(seconds)
    meter.measuring = False
    if reason := failed():
        raise ServerUnavailable(reason)


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, Any]:
    found = {f"{name}_events": len(seconds)}
    if not seconds:
        return found
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {**found, f"{name}_p50_ms": round(float(p50), 1), f"{name}_p99_ms": round(float(p99), 1)}


# --- in one process ---------------------------------------------------------------------------


async def _embedded(
    site: Site, settings: Settings, progress: ProgressSink, seconds: float
) -> dict[str, Any]:
    profile = choose_profile(settings)
    networks = load_networks(profile, ensure_models(profile, settings, progress), settings, site)
    meter = _Meter()
    with tempfile.TemporaryDirectory(prefix="trinetra-latency-") as folder:
        fresh = settings.model_copy(update={"data_dir": Path(folder)})
        now = datetime.now(UTC)
        playback = Playback({camera.camera_id: now for camera in site.cameras})
        async with embedded(site, fresh, networks, playback, environ=os.environ) as platform:
            running = asyncio.create_task(
                host(platform.services, stop=asyncio.Event(), drain_deadline_s=0.0)
            )
            watching = asyncio.create_task(_watch(platform.recorder.recent.watch(), meter))
            try:
                await _measure(
                    meter, lambda: "the platform ended" if running.done() else None, seconds
                )
            finally:
                # Not drained: events that are still on their way are not measured any more.
                watching.cancel()
                running.cancel()
                await asyncio.wait({watching, running})
    return meter.figures("embedded")


async def _watch(lines: AsyncIterator[bytes], meter: _Meter) -> None:
    async for line in lines:
        meter.note(decode(line.strip()))


# --- a process for each service ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Servers:
    redis_url: str
    kafka: str
    namespace: str

    def environment(self, data_dir: Path) -> dict[str, str]:
        """Return the environment of a service that uses these servers."""
        return {
            **os.environ,
            "TRINETRA_FRAME_BUFFER": "redis",
            "TRINETRA_REDIS_URL": self.redis_url,
            "TRINETRA_EVENT_LOG": "kafka",
            "TRINETRA_KAFKA_SERVERS": self.kafka,
            "TRINETRA_NAMESPACE": self.namespace,
            "TRINETRA_STORE_URL": f"sqlite:///{data_dir / 'insights.db'}",
            "TRINETRA_DATA_DIR": str(data_dir),
            **{f"TRINETRA_{service.upper()}_PORT": "0" for service in _SERVICES},
        }


async def _distributed(
    site: Site, servers: _Servers, folder: Path, seconds: float
) -> dict[str, Any]:
    meter = _Meter()
    async with _log(servers, site.site_id) as log:
        reading = asyncio.create_task(_follow(log, meter))
        try:
            with _services(site, servers, folder) as failed:
                await _measure(meter, failed, seconds)
        finally:
            reading.cancel()
            await asyncio.wait({reading})
    return meter.figures("distributed")


async def _follow(log: KafkaEventLog, meter: _Meter) -> None:
    subscription = await log.subscribe([IDENTITIES], "latency")
    while True:
        got = await subscription.poll(max_records=500, wait_s=1)
        for delivery in got:
            meter.note(decode(delivery.value))
        await subscription.commit(read_up_to(got))


@asynccontextmanager
async def _log(servers: _Servers, site_id: str) -> AsyncIterator[KafkaEventLog]:
    """Create the topics of the run, open the log, and delete the topics at the end."""
    connection, clock = KafkaConnection(servers.kafka), SystemClock()
    topics = await create_topics(connection, Layout(site_id, servers.namespace), clock)
    try:
        async with KafkaEventLog.open(
            connection,
            instance="latency",
            site_id=site_id,
            clock=clock,
            namespace=servers.namespace,
        ) as log:
            yield log
    finally:
        await delete_topics(servers.kafka, topics)


@contextmanager
def _services(site: Site, servers: _Servers, folder: Path) -> Iterator[Callable[[], str | None]]:
    """Run every service; yields a function that returns why one has ended, None if all run."""
    file = folder / "site.yaml"
    file.write_text(site.model_dump_json(by_alias=True, exclude_unset=True))  # JSON is YAML
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for service in _SERVICES:
            with (folder / f"{service}.log").open("wb") as log:
                running[service] = subprocess.Popen(  # noqa: S603  our own program
                    [sys.executable, "-m", "trinetra.cli", service, "--site", str(file)],
                    env=servers.environment(folder / "data"),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        yield lambda: _told_by_ended(running, folder)
    finally:
        for process in reversed(running.values()):
            _end(process)


def _told_by_ended(running: Mapping[str, subprocess.Popen[bytes]], folder: Path) -> str | None:
    for service, process in running.items():
        if process.poll() is not None:
            said = (folder / f"{service}.log").read_text(errors="replace")[-_TAIL:]
            return f"trinetra {service} ended with {process.returncode}:\n{said}"
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
