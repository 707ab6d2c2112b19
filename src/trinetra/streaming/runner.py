"""Stateful stream consumption: poll, take over partitions, process, commit, drain.

One runner drives the processors of one service over one subscription. A commit has five steps:

1. effects that must be durable before any event tells of them (idempotent, retried),
2. collecting each partition's events, state changes and offset,
3. committing these atomically per partition,
4. dropping partitions that the event log says belong to others by now,
5. effects that may only follow from committed events (docs/adr/0009).

After a crash between any two steps the next owner of a partition restores the state of the last
commit, receives the same records, and does the same again (docs/adr/0010).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from trinetra.errors import EventLogUnavailable, PartitionsLost, StoreUnavailable
from trinetra.ports import (
    Clock,
    Delivery,
    EventLog,
    Progress,
    Record,
    Subscription,
    TopicPartition,
)
from trinetra.streaming.background import BackgroundTask
from trinetra.streaming.concurrency import gather_or_cancel, run_until
from trinetra.streaming.processor import PartitionOutput, Processor
from trinetra.streaming.retry import Backoff, OutageTracker, Retrier, StoppedError
from trinetra.telemetry import CONSUMER_LAG, get_logger

Outputs = Mapping[TopicPartition, PartitionOutput]
AnyProcessor = Processor[Any]
_Step = tuple[AnyProcessor, Outputs]
_JOINING = "joining the consumer group"
_FIRST_TEND = "reading the customer log and recent sightings"


@dataclass(frozen=True, slots=True)
class RunnerPolicy:
    """How records are read, and what a stop means.

    ``drains_at_stop``: no other process continues, so a stop reads the log to its end and flushes
    the processors; otherwise it leaves the committed state to the next owner at once.
    ``keeps_state``: state changes are committed and restored. ``linger_s``: pause after a poll that
    brought few records, so that a commit pays for its price.
    """

    max_records: int = 256
    poll_wait_s: float = 0.5
    linger_s: float = 0.0
    drains_at_stop: bool = True
    keeps_state: bool = True
    backoff: Backoff = field(default_factory=Backoff)


class StreamRunner:
    """A service made of processors, in the order in which data flows through them."""

    def __init__(
        self,
        name: str,
        event_log: EventLog,
        clock: Clock,
        processors: Sequence[AnyProcessor],
        *,
        tasks: Sequence[BackgroundTask] = (),
        policy: RunnerPolicy | None = None,
    ) -> None:
        """Take what the service is made of; its consumer group is ``<name>-group``."""
        self.name = name
        self._event_log = event_log
        self._clock = clock
        self._processors = {processor.topic.name: processor for processor in processors}
        self._tasks = tasks
        self._policy = policy or RunnerPolicy()
        self._log = get_logger(name)
        self._owned: dict[TopicPartition, int] = {}
        self._offsets: dict[TopicPartition, int] = {}
        self._tended = False
        self._phase: str | None = _JOINING
        self._stopping = asyncio.Event()
        self._outage = OutageTracker(clock, self._log, "event log or store")
        self._retrier = self._new_retrier()

    def ready(self) -> bool:
        """Return whether the service reads its topics and no outage holds it up."""
        return self._waits_for is None

    def status(self) -> dict[str, object]:
        """Return what the health page shows."""
        owned = sorted(f"{topic}[{number}]" for topic, number in self._owned)
        detail: dict[str, object] = {"partitions": owned}
        for processor in self._processors.values():
            detail |= processor.status()
        waits_for = self._waits_for
        return detail if waits_for is None else {**detail, "waiting": waits_for}

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until told to stop, through every outage; then drain, see RunnerPolicy.

        Raises StorageFull; what was not committed is delivered again at the next start.
        """
        self._stopping, self._retrier = stopping, self._new_retrier(stopping)
        async with AsyncExitStack() as closing:  # each is closed, whatever happens to the others
            closing.callback(self._leave)
            for task in reversed(self._tasks):
                closing.push_async_callback(task.close)
            try:
                subscription = await self._retrier.call(self._subscribe)
                closing.push_async_callback(subscription.close)
                self._phase = None
                await self._consume(subscription)
            except StoppedError as stop:
                self._log.warning("stopped during an outage", cause=str(stop.__cause__))

    # --- the loop -----------------------------------------------------------------------------

    async def _consume(self, subscription: Subscription) -> None:
        while not self._stopping.is_set():
            count = await self._cycle(subscription)
            if self._policy.linger_s and 0 < count < self._policy.max_records:
                await run_until(self._stopping, self._clock.sleep(self._policy.linger_s))
        if self._policy.drains_at_stop:
            await self._drain(subscription)

    async def _drain(self, subscription: Subscription) -> None:
        """Work off the log, then flush each processor and work off what that leads to.

        At least one cycle runs, so that the background tasks are tended also where nothing waits.
        """
        await self._cycle(subscription)
        for processor in self._processors.values():
            while not await self._is_drained(subscription):
                await self._cycle(subscription)
            await self._commit_steps(subscription, [(processor, processor.flush())])

    async def _is_drained(self, subscription: Subscription) -> bool:
        held_back = sum(processor.held_back for processor in self._processors.values())
        return await self._retrier.call(subscription.lag) <= held_back

    async def _cycle(self, subscription: Subscription) -> int:
        """Poll once and process what came; return how many records that were."""
        policy = self._policy
        CONSUMER_LAG.labels(self.name).set(await self._retrier.call(subscription.lag))
        poll = partial(subscription.poll, max_records=policy.max_records, wait_s=policy.poll_wait_s)
        deliveries = await self._retrier.call(poll)
        await self._take_over(subscription.assignment())
        if not await self._tend():
            return 0
        by_topic: dict[str, list[Delivery]] = {name: [] for name in self._processors}
        for delivery in deliveries:
            if (delivery.topic, delivery.partition) in self._owned:
                by_topic[delivery.topic].append(delivery)
                self._offsets.setdefault((delivery.topic, delivery.partition), delivery.offset)
        await self._commit_steps(
            subscription,
            [(p, p.process(by_topic[n], self._retrier)) for n, p in self._processors.items()],
        )
        return len(deliveries)

    async def _tend(self) -> bool:
        """Tend the background tasks; return False if a stop cut their first turn short.

        The first turn may take a while (they read who is known and who was seen); nothing is
        processed before it has ended.
        """
        if self._tended or self._policy.drains_at_stop:
            await self._tend_all()
        else:
            self._phase = _FIRST_TEND
            await run_until(self._stopping, self._tend_all())
        return self._tended

    async def _tend_all(self) -> None:
        for task in self._tasks:
            await self._retrier.call(task.tend)
        self._tended, self._phase = True, None

    # --- partitions ---------------------------------------------------------------------------

    async def _take_over(self, assignment: Mapping[TopicPartition, int]) -> None:
        """Revoke partitions that went to other members, and restore those that are new here."""
        for where in self._owned.keys() - assignment.keys():
            self._revoke(where)
        new = [where for where, number in assignment.items() if self._owned.get(where) != number]
        for where in new:
            self._revoke(where)
        states = await gather_or_cancel(self._read_state(where) for where in new)
        for where, state in zip(new, states, strict=True):
            self._processors[where[0]].restore(where, assignment[where], state)
            self._owned[where] = assignment[where]

    async def _read_state(self, where: TopicPartition) -> dict[str, bytes]:
        topic = self._processors[where[0]].state_topic
        if topic is None or not self._policy.keeps_state:
            return {}
        return await self._retrier.call(partial(self._event_log.latest, topic, where[1]))

    def _revoke(self, where: TopicPartition) -> None:
        self._offsets.pop(where, None)
        if self._owned.pop(where, None) is not None:
            self._processors[where[0]].revoke(where)

    # --- commits ------------------------------------------------------------------------------

    async def _commit_steps(
        self,
        subscription: Subscription,
        running: Sequence[tuple[AnyProcessor, AsyncIterator[Outputs]]],
    ) -> None:
        """Commit what the processors yield, step by step and all of them together."""
        while running:
            steps: list[_Step] = []
            for processor, iterator in running:
                outputs = await anext(iterator, None)
                if outputs is not None:
                    steps.append((processor, outputs))
            await self._commit(subscription, steps)
            going_on = [processor for processor, _ in steps]
            running = [each for each in running if each[0] in going_on]

    async def _commit(self, subscription: Subscription, steps: Sequence[_Step]) -> None:
        for processor, outputs in steps:
            await self._apply(subscription, processor, outputs)  # 1. effects before events
        progress = [  # 2. events, state and offsets
            self._progress(where, output)
            for _, outputs in steps
            for where, output in self._still_owned(outputs).items()
            if not output.is_empty
        ]
        await self._commit_progress(subscription, progress)  # 3. and 4.
        for processor, outputs in steps:
            await processor.after_commit(self._still_owned(outputs))  # 5. effects after events

    async def _apply(
        self, subscription: Subscription, processor: AnyProcessor, outputs: Outputs
    ) -> None:
        """Apply effects before the commit; after an outage, only for partitions still owned.

        During the outage another member may have taken a partition over: what it stored is newer
        and must not be overwritten. A commit that moves nothing tells.
        """

        async def drop_lost_partitions() -> None:
            owned = [Progress(w, self._offsets.get(w)) for w in self._still_owned(outputs)]
            await self._commit_progress(subscription, owned)

        async def apply() -> None:
            await processor.before_commit(self._still_owned(outputs))

        await self._retrier.call(apply, before_retry=drop_lost_partitions)

    def _still_owned(self, outputs: Outputs) -> Outputs:
        return {where: output for where, output in outputs.items() if where in self._owned}

    def _progress(self, where: TopicPartition, output: PartitionOutput) -> Progress:
        records = output.records
        topic = self._processors[where[0]].state_topic
        if topic is not None and self._policy.keeps_state:
            state = [Record(topic, key, value, where[1]) for key, value in output.state.items()]
            records = [*records, *state]
        return Progress(where, output.next_offset, records)

    async def _commit_progress(
        self, subscription: Subscription, progress: Collection[Progress]
    ) -> None:
        if not progress:
            return
        try:
            await subscription.commit(list(progress))
        except PartitionsLost as lost:
            self._log.warning(
                "partitions lost", cause=str(lost), partitions=sorted(lost.partitions)
            )
            for where in lost.partitions:
                self._revoke(where)
        for part in progress:
            if part.where in self._owned and part.next_offset is not None:
                self._offsets[part.where] = part.next_offset

    # --- waiting ------------------------------------------------------------------------------

    @property
    def _waits_for(self) -> str | None:
        return self._outage.cause or self._phase

    def _leave(self) -> None:
        self._phase = "stopped"
        for where in list(self._owned):
            self._revoke(where)

    def _new_retrier(self, stopping: asyncio.Event | None = None) -> Retrier:
        return Retrier(
            self._outage,
            self._clock,
            stopping or self._stopping,
            retry_on=(EventLogUnavailable, StoreUnavailable),
            backoff=self._policy.backoff,
            outlasts_stop=self._policy.drains_at_stop,
        )

    async def _subscribe(self) -> Subscription:
        topics = [processor.topic for processor in self._processors.values()]
        return await self._event_log.subscribe(topics, f"{self.name}-group")
