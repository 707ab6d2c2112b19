"""alert-service: turns alert events and insights into notices, with their deliveries.

Notices and deliveries go into the store before the commit that moves the offsets on: after a crash
the same events are read again, and lead to the same ids.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from trinetra.alerts.notices import NoticeWriter
from trinetra.alerts.partition import AlertPartition
from trinetra.alerts.rules.plan import AlertPlan
from trinetra.alerts.rules.reported import reported
from trinetra.alerts.rules.signal import Signal
from trinetra.errors import MalformedEvent
from trinetra.events.codec import decode
from trinetra.events.schema import (
    AlertEvent,
    CameraCoverage,
    LineCrossing,
    Occupancy,
    SiteOccupancy,
)
from trinetra.events.topics import ALERT_STATE, ALERTS, INSIGHTS, Topic
from trinetra.ports import Clock, Delivery, TopicPartition
from trinetra.streaming.dead_letter import reject
from trinetra.streaming.processor import PartitionOutput
from trinetra.streaming.retry import Retrier
from trinetra.telemetry import STATE_REJECTED, get_logger

NAME = "alert-service"
log = get_logger(NAME)
_JUDGED = Occupancy | SiteOccupancy | LineCrossing | CameraCoverage
"""The insights that rules are about."""


@dataclass(slots=True)
class AlertOutput(PartitionOutput):
    """What was found in one partition's records; ``signals`` go into the store as notices."""

    signals: list[Signal] = field(default_factory=list)


_Outputs = dict[TopicPartition, AlertOutput]


class _AlertProcessor:
    """What both processors do alike: reading records, storing notices before the commit."""

    topic: Topic
    held_back = 0

    def __init__(self, writer: NoticeWriter) -> None:
        self._writer = writer
        self._read_count = self._rejected = 0

    async def flush(self) -> AsyncIterator[_Outputs]:
        """End nothing: a condition that holds goes on after a restart."""
        yield {}

    async def before_commit(self, outputs: Mapping[TopicPartition, AlertOutput]) -> None:
        """Store notices and deliveries. Raises StorageFull or StoreUnavailable."""
        signals = [signal for output in outputs.values() for signal in output.signals]
        if signals:
            await self._writer.record(signals)

    async def after_commit(self, committed: Mapping[TopicPartition, AlertOutput]) -> None:
        """Do nothing more: deliveries wait in the store."""

    def status(self) -> dict[str, object]:
        """Return how many records were read."""
        return {self.topic.name: self._read_count, f"{self.topic.name}.rejected": self._rejected}

    def _decoded(self, delivery: Delivery, output: AlertOutput) -> object:
        """Return the event of a record, or None for one that cannot be read."""
        output.next_offset = delivery.offset + 1
        try:
            event = decode(delivery.value)
        except MalformedEvent as fault:
            self._rejected += 1
            output.records.append(reject(delivery, fault, service=NAME))
            return None
        self._read_count += 1
        return event


class ReportedProcessor(_AlertProcessor):
    """Alert events, each of which stands for itself; has no state."""

    topic = ALERTS
    state_topic = None

    def __init__(self, plan: AlertPlan, writer: NoticeWriter) -> None:
        super().__init__(writer)
        self._plan = plan
        self._owned: set[TopicPartition] = set()

    def change(self, plan: AlertPlan) -> None:
        """Apply other rules from the next batch on."""
        self._plan = plan

    def restore(self, where: TopicPartition, number: int, state: Mapping[str, bytes]) -> None:
        """Take a partition over."""
        del number, state
        self._owned.add(where)

    def revoke(self, where: TopicPartition) -> None:
        """Drop a partition."""
        self._owned.discard(where)

    async def process(
        self, deliveries: Sequence[Delivery], retrier: Retrier
    ) -> AsyncIterator[_Outputs]:
        """Judge the alert events of a batch; those that cannot be read become dead letters."""
        del retrier
        outputs: _Outputs = {}
        for delivery in deliveries:
            output = outputs.setdefault((delivery.topic, delivery.partition), AlertOutput())
            event = self._decoded(delivery, output)
            if isinstance(event, AlertEvent):
                output.signals += reported(self._plan, event)
        yield {where: output for where, output in outputs.items() if where in self._owned}


class InsightProcessor(_AlertProcessor):
    """Insights, with the conditions of each camera as state."""

    topic = INSIGHTS
    state_topic = ALERT_STATE

    def __init__(self, plan: AlertPlan, writer: NoticeWriter, clock: Clock) -> None:
        super().__init__(writer)
        self._plan = plan
        self._clock = clock
        self._partitions: dict[TopicPartition, AlertPartition] = {}

    def change(self, plan: AlertPlan) -> None:
        """Apply other rules from the next batch on."""
        self._plan = plan
        for partition in self._partitions.values():
            partition.change(plan)

    def restore(self, where: TopicPartition, number: int, state: Mapping[str, bytes]) -> None:
        """Take a partition over; the state of a camera that cannot be read starts anew."""
        del number
        self._partitions[where] = partition = AlertPartition(self._plan)
        for key, fault in partition.resume(state).items():
            STATE_REJECTED.labels(self.state_topic.name).inc()
            log.error("state dropped", topic=where[0], partition=where[1], key=key, fault=fault)

    def revoke(self, where: TopicPartition) -> None:
        """Drop a partition."""
        self._partitions.pop(where, None)

    async def process(
        self, deliveries: Sequence[Delivery], retrier: Retrier
    ) -> AsyncIterator[_Outputs]:
        """Judge the insights of a batch, then what the passing of time calls for."""
        del retrier
        outputs: _Outputs = {}
        for delivery in deliveries:
            where = delivery.topic, delivery.partition
            output = outputs.setdefault(where, AlertOutput())
            event = self._decoded(delivery, output)
            if isinstance(event, _JUDGED) and where in self._partitions:
                output.signals += self._partitions[where].step(event)
        now = self._clock.now()
        for where, partition in self._partitions.items():
            signals = partition.look(now)
            state = partition.changes()
            if signals or state:
                output = outputs.setdefault(where, AlertOutput())
                output.signals += signals
                output.state = state
        yield {where: output for where, output in outputs.items() if where in self._partitions}
