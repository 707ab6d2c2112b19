"""insight-engine: turns identities into crossings, stays, occupancy and visits.

Two processors, one behind the other. The first finds what a camera shows, by the partitions of
identities, and passes sightings of customers on; the second makes visits of them, by the partitions
of sightings. Insights go into the store before the commit that tells of them: writing them again
after a crash changes nothing, since their ids follow from what they say.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from trinetra.customers.customer_feed import StoreCustomerSync
from trinetra.customers.erasure_participant import ErasureParticipant
from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.schema import InsightEvent, Purchase, Receipt, UnpaidStay, Visit
from trinetra.events.sightings import encode_sighting
from trinetra.events.topics import (
    ALERTS,
    IDENTITIES,
    INSIGHT_STATE,
    INSIGHTS,
    SIGHTINGS,
    VISIT_STATE,
    Topic,
)
from trinetra.insights.camera.camera_analytics import Outcome
from trinetra.insights.config import CameraInsights, InsightPolicy
from trinetra.insights.partitions import CameraPartition, CustomerPartition, Step
from trinetra.insights.receipts import ReceiptProcessor
from trinetra.insights.tally import Tally
from trinetra.ports import Clock, Delivery, EventLog, InsightStore, Record, TopicPartition
from trinetra.streaming.background import BackgroundTask
from trinetra.streaming.dead_letter import reject
from trinetra.streaming.processor import PartitionOutput
from trinetra.streaming.retry import Retrier
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.telemetry import EVENTS_LATE, STATE_REJECTED, get_logger
from trinetra.telemetry import INSIGHTS as INSIGHTS_FOUND
from trinetra.values import CameraId, CustomerId, SiteId

NAME = "insight-engine"
log = get_logger(NAME)


@dataclass(slots=True)
class InsightOutput(PartitionOutput):
    """What was found in one partition's records; ``insights`` go into the store."""

    insights: list[InsightEvent] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add what one record led to; alerts are told of by the alert service."""
        self.insights += outcome.insights
        self.records += [Record(INSIGHTS, _key(i), encode(i)) for i in outcome.insights]
        self.records += [
            Record(SIGHTINGS, s.customer_id, encode_sighting(s)) for s in outcome.sightings
        ]
        self.records += [Record(ALERTS, a.camera_id, encode(a)) for a in outcome.alerts]


def _key(insight: InsightEvent) -> str:
    """Return the key that keeps the versions of one insight in order.

    A visit's camera may still change, its customer does not; receipts belong to a till.
    """
    if isinstance(insight, Receipt | Purchase | UnpaidStay):
        return insight.till_id
    return insight.customer_id if isinstance(insight, Visit) else insight.camera_id


_Outputs = dict[TopicPartition, InsightOutput]
_Steps = dict[TopicPartition, list[tuple[str, Step]]]


@dataclass(slots=True)
class InsightCounts:
    """What the engine's processors have done so far: records read by topic, insights found."""

    read: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    repeated: int = 0
    tally: Tally = field(default_factory=Tally)


PartitionT = TypeVar("PartitionT", CameraPartition, CustomerPartition)


class _InsightProcessor(Generic[PartitionT]):
    """What both processors do alike: partitions, decoding, stepping, storing."""

    topic: Topic
    state_topic: Topic
    held_back = 0

    def __init__(
        self,
        new_partition: Callable[[], PartitionT],
        store: InsightStore,
        counts: InsightCounts,
    ) -> None:
        self.partitions: dict[TopicPartition, PartitionT] = {}
        self._new_partition: Callable[[], PartitionT] = new_partition
        self._store = store
        self._counts = counts

    def restore(self, where: TopicPartition, number: int, state: Mapping[str, bytes]) -> None:
        """Take a partition over; the key of a value that cannot be read starts anew."""
        del number
        self.partitions[where] = partition = self._new_partition()
        for key, fault in partition.resume(state).items():
            STATE_REJECTED.labels(self.state_topic.name).inc()
            log.error("state dropped", topic=where[0], partition=where[1], key=key, fault=fault)

    def revoke(self, where: TopicPartition) -> None:
        """Drop a partition."""
        self.partitions.pop(where, None)

    async def process(
        self, deliveries: Sequence[Delivery], retrier: Retrier
    ) -> AsyncIterator[_Outputs]:
        """Step through the records of a batch, and tell what state changed without one."""
        outputs, steps = self._read(deliveries)
        self._begin(outputs)
        if notes := await self._prepare(outputs, retrier):
            yield notes
        for where, output in outputs.items():
            if where in self.partitions:
                self._step(output, steps.get(where, ()))
        for where, partition in self.partitions.items():
            if state := partition.changes():
                outputs.setdefault(where, InsightOutput()).state = state
        yield self._owned(outputs)

    async def flush(self) -> AsyncIterator[_Outputs]:
        """End everything that is going on."""
        outputs: _Outputs = {}
        for where, partition in self.partitions.items():
            outputs[where] = InsightOutput()
            outputs[where].add(partition.flush())
            outputs[where].state = partition.changes()
        yield outputs

    async def before_commit(self, outputs: Mapping[TopicPartition, InsightOutput]) -> None:
        """Store the insights, of each id the latest. Raises StorageFull or StoreUnavailable."""
        latest = {i.event_id: i for output in outputs.values() for i in output.insights}
        if latest:
            await self._store.record(list(latest.values()))

    async def after_commit(self, committed: Mapping[TopicPartition, InsightOutput]) -> None:
        """Count distinct insights."""
        latest = {i.event_id: i for output in committed.values() for i in output.insights}
        for insight in latest.values():
            self._counts.tally.count(insight)
            INSIGHTS_FOUND.labels(type(insight).__struct_config__.tag).inc()

    @property
    def has_changes(self) -> bool:
        """Whether state has changed that is not yet on its way into a commit."""
        return any(partition.has_changes for partition in self.partitions.values())

    def forget(self) -> int:
        """Forget erased customers; return how many visits were going on."""
        return sum(partition.forget() for partition in self.partitions.values())

    def _begin(self, outputs: _Outputs) -> None:
        """Add what happens between two batches."""

    async def _prepare(self, where: Iterable[TopicPartition], retrier: Retrier) -> _Outputs:
        """Return what must be committed before any record of these partitions is stepped."""
        del where, retrier
        return {}

    def _read(self, deliveries: Iterable[Delivery]) -> tuple[_Outputs, _Steps]:
        """Decode records into steps; those that cannot be read become dead letters."""
        outputs: _Outputs = {}
        steps: _Steps = {}
        for delivery in deliveries:
            where = delivery.topic, delivery.partition
            output = outputs.setdefault(where, InsightOutput())
            output.next_offset = delivery.offset + 1
            todo = steps.setdefault(where, [])
            try:
                step = self.partitions[where].read(delivery.value, delivery.offset)
            except MalformedEvent as fault:
                self._counts.rejected += 1
                output.records.append(reject(delivery, fault, service=NAME))
            else:
                self._counts.read[delivery.topic] += 1
                todo.append((delivery.key, step))
        return outputs, steps

    def _step(self, output: InsightOutput, steps: Iterable[tuple[str, Step]]) -> None:
        for key, step in steps:
            outcome = step()
            if outcome is None:
                self._counts.repeated += 1
                EVENTS_LATE.labels(key, "repeated").inc()
            else:
                output.add(outcome)

    def _owned(self, outputs: _Outputs) -> _Outputs:
        return {where: output for where, output in outputs.items() if where in self.partitions}


class CameraProcessor(_InsightProcessor[CameraPartition]):
    """Crossings, stays and occupancy, by camera; passes sightings of customers on."""

    topic = IDENTITIES
    state_topic = INSIGHT_STATE

    def __init__(
        self,
        site: "SiteInsights",
        new_partition: Callable[[], CameraPartition],
        store: InsightStore,
        counts: InsightCounts,
    ) -> None:
        super().__init__(new_partition, store, counts)
        self._site = site
        self._plans = site.cameras

    def _begin(self, outputs: _Outputs) -> None:
        """Take over lines and zones that were changed since the last batch."""
        if self._plans is self._site.cameras:
            return
        self._plans = self._site.cameras
        for where, partition in self.partitions.items():
            outputs.setdefault(where, InsightOutput()).add(partition.change(self._plans))

    def status(self) -> dict[str, object]:
        """Return the figures of both processors for the health page."""
        counts, tally = self._counts, self._counts.tally
        return {
            "events": counts.read[self.topic.name],
            "rejected": counts.rejected,
            "repeated": counts.repeated,
            "crossings_in": tally.crossings_in,
            "crossings_out": tally.crossings_out,
            "stays": tally.stays,
            "open_stays": sum(partition.open_stays for partition in self.partitions.values()),
            "visits": tally.visits,
        }


class VisitProcessor(_InsightProcessor[CustomerPartition]):
    """Visits of customers, over all cameras."""

    topic = SIGHTINGS
    state_topic = VISIT_STATE

    def status(self) -> dict[str, object]:
        """Return nothing: CameraProcessor tells the figures of both."""
        return {}

    async def _prepare(self, where: Iterable[TopicPartition], retrier: Retrier) -> _Outputs:
        """Look up the last visit of customers who are new here, to be committed first.

        Once their next visit is in the store, a repeated lookup would return that one instead.
        """
        notes: _Outputs = {}
        for each in where:
            partition = self.partitions[each]
            for customer_id in partition.unknown_customers():
                last = await retrier.call(partial(self._store.last_visit, customer_id))
                partition.meet(customer_id, last if isinstance(last, Visit) else None)
            partition.expect()
            if state := partition.changes():
                notes[each] = InsightOutput(state=state)
        return notes


class InsightErasure:
    """Erases customers from the engine's memory and state, and acknowledges it once committed."""

    def __init__(
        self,
        customer_sync: StoreCustomerSync,
        participant: ErasureParticipant | None,
        processors: Sequence[CameraProcessor | VisitProcessor],
    ) -> None:
        self._directory = customer_sync.directory
        self._participant = participant
        self._processors = processors
        self._erased = 0
        self._dropped_visits = 0

    async def tend(self) -> None:
        """Remove erased customers; acknowledge what is due and committed."""
        if len(self._directory.erased) > self._erased:
            self._erased = len(self._directory.erased)
            self._dropped_visits += sum(processor.forget() for processor in self._processors)
        if self._participant is None or any(p.has_changes for p in self._processors):
            return  # what changed is committed with the next batch
        for erasure in await self._participant.due():
            if all(map(self._directory.is_erased, erasure.ids)):  # or the customer log is behind
                removed = {"open_visits": self._dropped_visits}
                await self._participant.acknowledge(erasure, removed)
                self._dropped_visits = 0

    async def close(self) -> None:
        """Stop taking part in erasures."""
        if self._participant is not None:
            await self._participant.close()


@dataclass(slots=True)
class SiteInsights:
    """What the engine is told of a site: lines and zones of its cameras, rules of counting.

    ``cameras`` may be replaced while the engine runs: it counts by them from its next batch on.
    """

    site_id: SiteId
    cameras: Mapping[CameraId, CameraInsights] = field(default_factory=dict)
    policy: InsightPolicy = field(default_factory=InsightPolicy)


@dataclass(frozen=True, slots=True)
class CustomerUpkeep:
    """How the engine keeps in step with the customer log and erasures, and its other tasks."""

    customer_sync: StoreCustomerSync | None = None
    erasures: ErasureParticipant | None = None
    tasks: Sequence[BackgroundTask] = ()


def insight_engine(
    event_log: EventLog,
    store: InsightStore,
    clock: Clock,
    site: SiteInsights,
    upkeep: CustomerUpkeep | None = None,
    policy: RunnerPolicy | None = None,
    *,
    receipts: ReceiptProcessor | None = None,
) -> StreamRunner:
    """Return the service: one member of the engine's group; ``receipts`` reads transactions."""
    upkeep = upkeep or CustomerUpkeep()
    sync = upkeep.customer_sync
    is_erased = partial(_is_erased, sync)

    def new_camera() -> CameraPartition:
        return CameraPartition(site.site_id, site.cameras, site.policy, is_erased)

    new_customers = partial(CustomerPartition, site.site_id, site.policy, is_erased)
    counts = InsightCounts()
    processors = (
        CameraProcessor(site, new_camera, store, counts),
        VisitProcessor(new_customers, store, counts),
    )
    erasure = InsightErasure(sync, upkeep.erasures, processors) if sync else None
    tasks: list[BackgroundTask | None] = [sync, *upkeep.tasks, erasure]
    return StreamRunner(
        NAME,
        event_log,
        clock,
        [*processors, receipts] if receipts else processors,
        tasks=[task for task in tasks if task is not None],
        policy=policy or RunnerPolicy(max_records=500),
    )


def _is_erased(sync: StoreCustomerSync | None, customer_id: CustomerId) -> bool:
    return sync is not None and sync.directory.is_erased(customer_id)
