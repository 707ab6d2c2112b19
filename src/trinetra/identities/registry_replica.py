"""Replica of the active registry: each resolver reads the sightings of all resolvers.

Every resolver reads all identity events, including its own: adding a sighting twice changes
nothing, so it does not matter which resolver owned a partition at what time. Before the first
decision on a newly assigned partition, the events of its last owner have been read; after a start,
all events within the time to live. A sighting by another resolver is known here once it is
committed and read, some tenths of a second later; until then the gate cannot take it into account.
"""

from collections.abc import Iterable

from trinetra.errors import EventLogUnavailable, MalformedEvent
from trinetra.events.topics import IDENTITIES
from trinetra.identities.context import ResolverContext
from trinetra.identities.gate.registry_events import registry_events, session_frame
from trinetra.ports import Delivery, EventLog, TopicPartition, TopicReader
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import EVENTS_REJECTED, REGISTRY_REPLICA_LAG, get_logger
from trinetra.values import CameraId, after

_AT_ONCE = 500
_MOST_POLLS = 8
_POLL_S = 0.1
_PATIENCE_S = 10.0
"""Longest time that decisions wait for earlier events; the rest is read between batches."""
_RETRY_S = 2.0
_MEASURE_S = 5.0
log = get_logger("identity-resolver")


class RegistryReplica:
    """Background task of the resolver that adds sightings from the identities topic."""

    def __init__(self, context: ResolverContext, event_log: EventLog) -> None:
        self._context = context
        self._clock = context.clock
        self._log = event_log
        self._reader: TopicReader | None = None
        self._numbers: dict[TopicPartition, int] = {}
        self._sessions: dict[CameraId, int] = {}
        self._outage = OutageTracker(
            self._clock, log, "event log with sightings of other resolvers", retry_s=_RETRY_S
        )
        self._measure_at_s = 0.0

    async def tend(self) -> None:
        """Read new events, or all of them if partitions have been assigned since last time."""
        if not self._outage.may_ask:
            return
        numbers = self._context.numbers()
        came = numbers.items() - self._numbers.items()
        try:
            reader = await self._following()
            if came:
                await self._catch_up(reader)
            else:
                await self._read_on(reader)
            self._numbers = numbers
            await self._measure(reader)
            self._outage.end()
        except EventLogUnavailable as cause:
            self._outage.note(cause)

    async def close(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            await self._reader.close()

    async def _following(self) -> TopicReader:
        if self._reader is None:
            # Older sightings would be evicted at once: the registry's horizon bounds the replay.
            since = after(self._clock.now(), -self._context.registry.ttl_s)
            self._reader = await self._log.open_reader([IDENTITIES], since=since)
        return self._reader

    async def _catch_up(self, reader: TopicReader) -> None:
        begun_s, records = self._clock.monotonic(), 0
        while behind := await reader.lag():
            took_s = self._clock.monotonic() - begun_s
            if took_s > _PATIENCE_S:
                log.warning("deciding before all earlier sightings were read", unread=behind)
                return
            deliveries = await reader.poll(max_records=_AT_ONCE, wait_s=_POLL_S)
            self._take(deliveries)
            records += len(deliveries)
        if records > _AT_ONCE:
            log.info("the registry has read all recent sightings", records=records)

    async def _read_on(self, reader: TopicReader) -> None:
        for _ in range(_MOST_POLLS):
            deliveries = await reader.poll(max_records=_AT_ONCE, wait_s=0)
            self._take(deliveries)
            if len(deliveries) < _AT_ONCE:
                return

    async def _measure(self, reader: TopicReader) -> None:
        now_s = self._clock.monotonic()
        if now_s >= self._measure_at_s:
            self._measure_at_s = now_s + _MEASURE_S
            REGISTRY_REPLICA_LAG.set(await reader.lag())

    def _take(self, deliveries: Iterable[Delivery]) -> None:
        registry, directory = self._context.registry, self._context.directory
        graph = self._context.graph
        for delivery in deliveries:
            try:
                self._follow_session(delivery)
                for customer_id, kind, sighting in registry_events(delivery.value, graph):
                    if not directory.is_erased(customer_id):
                        registry.see(*directory.as_known(customer_id, kind), sighting)
            except MalformedEvent:
                EVENTS_REJECTED.labels(IDENTITIES.name).inc()

    def _follow_session(self, delivery: Delivery) -> None:
        """Retract what a camera saw after the instant at which its next session begins."""
        camera_id = CameraId(delivery.key)
        frame = session_frame(delivery.value, self._sessions.get(camera_id))
        if frame is not None:
            self._sessions[camera_id] = frame.session
            self._context.registry.retract(camera_id, frame.captured_at)
