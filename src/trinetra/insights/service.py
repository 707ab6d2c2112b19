"""The insight engine: reads identities, keeps insights, tells them on.

For every batch: effects (the store), then events (the log), then offsets; the last two in one
commit. Ids follow from the input, so a batch that is delivered again after a crash writes the same
rows and events again. What lives in memory only (open stays, sides of lines) begins anew then.

Visits span cameras: let one engine own all partitions, or visits are counted per engine.
"""

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trinetra.errors import MalformedEvent, PartitionsLost, StorageFull
from trinetra.events import topics
from trinetra.events.codec import decode, encode
from trinetra.events.schema import (
    AnyEvent,
    IdentityEvent,
    InsightEvent,
    TracksEvent,
    Visit,
)
from trinetra.insights.machine import InsightMachine
from trinetra.insights.plan import CameraInsights, InsightPolicy
from trinetra.insights.tally import Tally
from trinetra.ports import (
    Delivery,
    EventLog,
    InsightStore,
    Progress,
    Record,
    Subscription,
    TopicPartition,
)
from trinetra.rejection import reject
from trinetra.telemetry import CONSUMER_LAG, EVENTS_LATE, INSIGHTS, get_logger
from trinetra.values import CameraId, SiteId

Input = TracksEvent | IdentityEvent


@dataclass(frozen=True, slots=True)
class InsightStatus:
    """What the engine has done so far; insights are distinct ones."""

    events: int
    rejected: int
    repeated: int
    crossings_in: int
    crossings_out: int
    stays: int
    open_stays: int
    visits: int


class InsightEngine:
    """Turns who is where into footfall, stays, occupancy and visits."""

    name = "insight-engine"

    def __init__(
        self,
        site_id: SiteId,
        log: EventLog,
        store: InsightStore,
        plans: Mapping[CameraId, CameraInsights],
        policy: InsightPolicy | None = None,
        *,
        max_records: int = 500,
        wait_s: float = 0.5,
    ) -> None:
        self._site_id = site_id
        self._log = log
        self._store = store
        self._max_records = max_records
        self._wait_s = wait_s
        self._machine = InsightMachine(site_id, plans, policy or InsightPolicy())
        self._partition_of: dict[CameraId, TopicPartition] = {}
        self._tally = Tally()
        self._events = self._rejected = self._repeated = 0
        self._ready = False
        self._logger = get_logger(self.name)

    def ready(self) -> bool:
        """Return whether the engine reads the log."""
        return self._ready

    def status(self) -> InsightStatus:
        """Return the counts so far."""
        return InsightStatus(
            events=self._events,
            rejected=self._rejected,
            repeated=self._repeated,
            crossings_in=self._tally.crossings_in,
            crossings_out=self._tally.crossings_out,
            stays=self._tally.stays,
            open_stays=self._machine.open_stays,
            visits=self._machine.visits.visits_begun,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set and the log has no more; then end all stays and return.

        Raises StorageFull and EventLogUnavailable; what was not committed comes again at the next
        start.
        """
        subscription = await self._log.subscribe([topics.IDENTITIES], self.name)
        self._ready = True
        try:
            await self._work(subscription, stopping)
        except StorageFull as cause:
            self._logger.critical(
                "storage_full", cause=str(cause), todo="free space under the data folder, restart"
            )
            raise
        finally:
            self._ready = False
            await subscription.close()

    async def _work(self, subscription: Subscription, stopping: asyncio.Event) -> None:
        while True:
            draining = stopping.is_set()
            deliveries = await subscription.poll(max_records=self._max_records, wait_s=self._wait_s)
            if deliveries:
                await self._handle(subscription, deliveries)
                CONSUMER_LAG.labels(self.name).set(await subscription.lag())
            elif draining:
                break
        await self._conclude()

    async def _handle(self, subscription: Subscription, deliveries: list[Delivery]) -> None:
        rejected, inputs = self._read(deliveries)
        outputs: dict[TopicPartition, list[Record]] = defaultdict(list)
        insights: list[InsightEvent] = []
        for where, event in inputs:
            found = await self._step(event)
            insights += found
            outputs[where] += _records(found)
        await self._keep(insights)
        ended = self._machine.finish_visits()
        await self._keep(ended)
        for where, letter in rejected:
            outputs[where].append(letter)
        await self._commit(subscription, deliveries, outputs, _records(ended))

    async def _step(self, event: Input) -> list[InsightEvent]:
        """Step the machine, having looked up the last visit of everyone it does not know."""
        self._events += 1
        if not self._machine.is_news(event):
            self._repeated += 1
            EVENTS_LATE.labels(event.camera_id, "repeated").inc()
            return []
        for customer_id in sorted(self._machine.unfamiliar(event)):
            visit = await self._store.last_visit(customer_id)
            if isinstance(visit, Visit):
                self._machine.visits.restore(visit)
        return self._machine.step(event)

    async def _keep(self, insights: Sequence[InsightEvent]) -> None:
        """Put insights into the store, of each id the latest."""
        latest = {insight.event_id: insight for insight in insights}
        if not latest:
            return
        await self._store.record(list(latest.values()))
        for insight in latest.values():
            self._tally.count(insight)
            INSIGHTS.labels(type(insight).__struct_config__.tag).inc()

    async def _commit(
        self,
        subscription: Subscription,
        deliveries: Iterable[Delivery],
        outputs: Mapping[TopicPartition, Sequence[Record]],
        ended: Sequence[Record],
    ) -> None:
        offsets = {(d.topic, d.partition): d.offset + 1 for d in deliveries}
        progress = [
            Progress(where, offset, [*outputs.get(where, ()), *(ended if number == 0 else ())])
            for number, (where, offset) in enumerate(offsets.items())
        ]
        try:
            await subscription.commit(progress)
        except PartitionsLost as lost:
            for topic, partition in sorted(lost.partitions):
                self._logger.warning("partition_lost", topic=topic, partition=partition)
                self._forget((topic, partition))

    def _forget(self, where: TopicPartition) -> None:
        for camera_id in [c for c, owner in self._partition_of.items() if owner == where]:
            self._machine.forget_camera(camera_id)
            del self._partition_of[camera_id]

    async def _conclude(self) -> None:
        insights = self._machine.flush()
        await self._keep(insights)
        await self._log.append(_records(insights))

    def _read(
        self, deliveries: Iterable[Delivery]
    ) -> tuple[list[tuple[TopicPartition, Record]], list[tuple[TopicPartition, Input]]]:
        """Return the dead letters, and the events merged over partitions by captured_at."""
        rejected: list[tuple[TopicPartition, Record]] = []
        queues: dict[TopicPartition, list[tuple[TopicPartition, Input]]] = defaultdict(list)
        for delivery in deliveries:
            where = delivery.topic, delivery.partition
            try:
                event = self._checked(decode(delivery.value))
            except MalformedEvent as cause:
                self._rejected += 1
                rejected.append((where, reject(delivery, cause, service=self.name)))
            else:
                self._partition_of[event.camera_id] = where
                queues[where].append((where, event))
        merged = heapq.merge(*queues.values(), key=lambda item: item[1].captured_at)
        return rejected, list(merged)

    def _checked(self, event: AnyEvent) -> Input:
        """Return the event if this engine can use it; raises MalformedEvent."""
        if not isinstance(event, TracksEvent | IdentityEvent):
            kind = type(event).__struct_config__.tag
            raise MalformedEvent(f"event {event.event_id}: a {kind} event is not read here")
        if event.site_id != self._site_id:
            raise MalformedEvent(
                f"event {event.event_id}: it is of site {event.site_id}, not {self._site_id}"
            )
        if isinstance(event, TracksEvent) and min(event.frame_width, event.frame_height) < 1:
            raise MalformedEvent(f"event {event.event_id}: the frame has no pixels")
        return event


def _records(insights: Iterable[InsightEvent]) -> list[Record]:
    return [Record(topics.INSIGHTS, insight.camera_id, encode(insight)) for insight in insights]
