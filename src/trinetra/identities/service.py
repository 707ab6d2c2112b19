"""identity-resolver: reads detections, tracks and recognises, writes identities and alerts."""

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from trinetra.errors import MalformedEvent
from trinetra.events.codec import decode, encode
from trinetra.events.schema import AnyEvent, DetectionEvent
from trinetra.events.topics import ALERTS, DETECTIONS, IDENTITIES, Topic
from trinetra.identities.ordering import ReorderWindow, Slot
from trinetra.identities.recognition import Recogniser
from trinetra.identities.resolver import (
    CameraState,
    TrackIdentity,
    advance,
    end_all,
    farewell,
    identity_event,
    tracks_event,
)
from trinetra.identities.tracking import TrackerPolicy
from trinetra.ports import Delivery, EventLog, Progress, Record, Subscription, TopicPartition
from trinetra.rejection import reject
from trinetra.telemetry import (
    ACTIVE_IDENTITIES,
    CONSUMER_LAG,
    EVENTS_LATE,
    EVENTS_REJECTED,
    get_logger,
)
from trinetra.telemetry import ALERTS as ALERTS_RAISED
from trinetra.telemetry import IDENTITIES as IDENTITIES_DECIDED
from trinetra.values import CameraId, EventId, Instant, seconds_between

GROUP = "identity-resolver-group"
log = get_logger("identity-resolver")
Outputs = dict[TopicPartition, list[Record]]
"""What is to be written, by the partition whose records it came from."""


@dataclass(frozen=True, slots=True)
class ResolverPolicy:
    """How much is read at once, how long order is waited for, how often things expire."""

    tracker: TrackerPolicy = field(default_factory=TrackerPolicy)
    poll_records: int = 256
    poll_wait_s: float = 0.5
    reorder_pending: int = 16
    reorder_span_s: float = 1.0
    expire_every_s: float = 600.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A detection event and where it stood in the log."""

    event: DetectionEvent
    where: TopicPartition
    offset: int


class IdentityResolver:
    """One member of the resolver group; it owns the cameras of its partitions."""

    name = "identity-resolver"

    def __init__(
        self,
        event_log: EventLog,
        recogniser: Recogniser,
        policy: ResolverPolicy | None = None,
    ) -> None:
        self._log = event_log
        self._recogniser = recogniser
        self._policy = policy or ResolverPolicy()
        self._cameras: dict[CameraId, CameraState] = {}
        self._held: dict[EventId, _Arrival] = {}
        self._next: dict[TopicPartition, int] = {}
        self._heard_s: dict[CameraId, float] = {}
        self._home: dict[CameraId, TopicPartition] = {}
        self._outputs: Outputs = defaultdict(list)
        self._expired_at: Instant | None = None
        self._ready = False

    def ready(self) -> bool:
        """Return whether the service reads its topic."""
        return self._ready

    def status(self) -> dict[str, object]:
        """Return what the health page shows."""
        return {
            "cameras": len(self._cameras),
            "active_identities": len(self._recogniser.registry),
        }

    async def run(self, stopping: asyncio.Event) -> None:
        """Resolve until told to stop, then what is still in the log, then end every track."""
        subscription = await self._log.subscribe([DETECTIONS], GROUP)
        self._ready = True
        try:
            while not stopping.is_set() or await subscription.lag() > len(self._held):
                await self._cycle(subscription)
            await self._flush()
            await self._commit(subscription)
        finally:
            self._ready = False
            await subscription.close()

    async def _cycle(self, subscription: Subscription) -> None:
        policy = self._policy
        deliveries = await subscription.poll(
            max_records=policy.poll_records, wait_s=policy.poll_wait_s
        )
        self._admit(deliveries)
        await self._release(everything=False)
        await self._commit(subscription)
        CONSUMER_LAG.labels(self.name).set(await subscription.lag())

    def _admit(self, deliveries: Iterable[Delivery]) -> None:
        """Put readable events into their cameras' windows, and the others to the dead letters."""
        for delivery in deliveries:
            where = (delivery.topic, delivery.partition)
            self._next[where] = delivery.offset + 1
            try:
                event = decode(delivery.value)
            except MalformedEvent as fault:
                self._outputs[where].append(reject(delivery, fault, service=self.name))
                continue
            if isinstance(event, DetectionEvent):
                self._admit_event(_Arrival(event, where, delivery.offset))
            else:
                misplaced = MalformedEvent(f"a {type(event).__name__} does not belong here")
                self._outputs[where].append(reject(delivery, misplaced, service=self.name))

    def _admit_event(self, arrival: _Arrival) -> None:
        event = arrival.event
        camera = self._camera(event.camera_id)
        self._home[event.camera_id] = arrival.where
        self._heard_s[event.camera_id] = self._recogniser.clock.monotonic()
        admission = camera.window.admit(Slot(event.frame_seq, event.captured_at, event))
        if admission == "accepted":
            self._held[event.event_id] = arrival
        else:
            EVENTS_LATE.labels(event.camera_id, admission).inc()

    def _camera(self, camera_id: CameraId) -> CameraState:
        if camera_id not in self._cameras:
            window = ReorderWindow[DetectionEvent](
                self._policy.reorder_pending, self._policy.reorder_span_s
            )
            self._cameras[camera_id] = CameraState(camera_id, window)
        return self._cameras[camera_id]

    async def _release(self, *, everything: bool) -> None:
        """Resolve what need not wait any longer, over all cameras in the order of capture."""
        now_s = self._recogniser.clock.monotonic()
        turns = [
            camera.window.release(everything=everything or self._is_idle(camera, now_s))
            for camera in self._cameras.values()
        ]
        for slot in heapq.merge(*turns, key=lambda slot: slot.captured_at):
            arrival = self._held.pop(slot.item.event_id)
            camera = self._cameras[slot.item.camera_id]
            self._outputs[arrival.where] += await self._resolve(camera, slot.item)
            await asyncio.sleep(0)  # let the other services of this process have their turn

    def _is_idle(self, camera: CameraState, now_s: float) -> bool:
        """Return whether nothing came from a camera for so long that a gap will not close."""
        return now_s - self._heard_s[camera.camera_id] > self._policy.reorder_span_s

    async def _resolve(self, camera: CameraState, event: DetectionEvent) -> list[Record]:
        recogniser = self._recogniser
        outcome = advance(
            camera,
            event,
            site_id=recogniser.site_id,
            dimension=recogniser.dimension,
            policy=self._policy.tracker,
        )
        for fault in outcome.faults:
            EVENTS_REJECTED.labels(DETECTIONS.name).inc()
            log.warning("face ignored", event_id=event.event_id, fault=str(fault))
        changed, alerts = await recogniser.recognise(camera.camera_id, outcome, event.captured_at)
        changed += await recogniser.conclude(outcome.ended)
        await self._expire(event.captured_at)
        ACTIVE_IDENTITIES.set(len(recogniser.registry))
        for alert in alerts:
            ALERTS_RAISED.labels(alert.rule).inc()
        return [
            *self._announce(camera, changed, event.captured_at),
            _record(IDENTITIES, tracks_event(event, outcome)),
            *(_record(ALERTS, alert) for alert in alerts),
        ]

    def _announce(
        self, camera: CameraState, changed: Iterable[TrackIdentity], captured_at: Instant
    ) -> list[Record]:
        records = []
        for identity in changed:
            event = identity_event(
                identity, self._recogniser.site_id, camera.camera_id, captured_at
            )
            IDENTITIES_DECIDED.labels(camera.camera_id, event.status).inc()
            records.append(_record(IDENTITIES, event))
        return records

    async def _flush(self) -> None:
        """Resolve what the windows still hold and end every track."""
        await self._release(everything=True)
        for camera in self._cameras.values():
            ended = end_all(camera)
            if ended and camera.last is not None:
                changed = await self._recogniser.conclude(ended)
                outputs = self._outputs[self._home[camera.camera_id]]
                outputs += self._announce(camera, changed, camera.last.captured_at)
                outputs.append(_record(IDENTITIES, farewell(camera.last, ended)))

    async def _commit(self, subscription: Subscription) -> None:
        """Commit up to the first event that is still held back, so that a crash re-reads it."""
        next_offsets = dict(self._next)
        for arrival in self._held.values():
            next_offsets[arrival.where] = min(next_offsets[arrival.where], arrival.offset)
        outputs, self._outputs = self._outputs, defaultdict(list)
        progress = [Progress(at, offset, outputs[at]) for at, offset in next_offsets.items()]
        if progress:
            await subscription.commit(progress)

    async def _expire(self, captured_at: Instant) -> None:
        due = self._expired_at is None or (
            seconds_between(self._expired_at, captured_at) >= self._policy.expire_every_s
        )
        if due:
            self._expired_at = captured_at
            await self._recogniser.expire(captured_at)


def _record(topic: Topic, event: AnyEvent) -> Record:
    return Record(topic, event.camera_id, encode(event))
