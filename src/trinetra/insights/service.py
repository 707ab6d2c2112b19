"""The insight engine: reads identities, keeps insights, tells them on; any number share the work.

It works in two steps, one behind the other in the same process. What a camera shows is found by
whoever owns the camera's partition of identities; who was seen there goes on as sightings, by
customer, and whoever owns a customer's partition of sightings makes the visits of them.

For every batch: effects (the store), then events, state and offsets of each partition in one
commit. All of it follows from the records of a partition in their order, and from the state its
last owner left there. So a batch that is delivered again, here or elsewhere, writes the same rows
and events again, and what was never committed was never told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import TypeVar

from trinetra.customers.customer_feed import StoreCustomerSync, StoreRetention
from trinetra.customers.erasure_participant import ErasureParticipant
from trinetra.errors import (
    EventLogUnavailable,
    MalformedEvent,
    PartitionsLost,
    StorageFull,
    StoreUnavailable,
)
from trinetra.events import topics
from trinetra.events.schema import Visit
from trinetra.events.topics import Topic
from trinetra.insights.batch import Batch, Part
from trinetra.insights.config import CameraInsights, InsightPolicy
from trinetra.insights.partitions import CameraPartition, CustomerPartition, Held, InsightPartition
from trinetra.insights.tally import InsightStatus, Tally
from trinetra.ports import (
    Clock,
    Delivery,
    EventLog,
    InsightStore,
    Progress,
    Record,
    Subscription,
    TopicPartition,
)
from trinetra.redaction import mask_urls
from trinetra.streaming.dead_letter import reject
from trinetra.streaming.waiting import gather_or_cancel, run_until
from trinetra.telemetry import (
    CONSUMER_LAG,
    EVENTS_LATE,
    INSIGHTS,
    STATE_REJECTED,
    get_logger,
)
from trinetra.values import CameraId, CustomerId, SiteId

GROUP = "insight-engine-group"
_INPUTS = (topics.IDENTITIES, topics.SIGHTINGS)
_STATE_OF = {
    topics.IDENTITIES.name: topics.INSIGHT_STATE,
    topics.SIGHTINGS.name: topics.VISIT_STATE,
}
_RETRY_S = (0.1, 2.0)
T = TypeVar("T")


class _StopsWaitingError(Exception):
    """The engine was told to stop while it waited for a server; nothing was committed."""


class InsightEngine:
    """Turns who is where into footfall, stays, occupancy and visits.

    ``concludes_at_stop``: nobody goes on with the state, so that stopping means to work off the
    log and to end what goes on; otherwise it means to leave it to the next owner at once.
    ``linger_s``: the rest after a poll that brought little, so that a commit is worth its price.
    """

    name = "insight-engine"

    def __init__(
        self,
        site_id: SiteId,
        log: EventLog,
        store: InsightStore,
        plans: Mapping[CameraId, CameraInsights],
        policy: InsightPolicy | None = None,
        *,
        customer_sync: StoreCustomerSync | None = None,
        erasures: ErasureParticipant | None = None,
        retention: StoreRetention | None = None,
        clock: Clock,
        concludes_at_stop: bool = True,
        max_records: int = 500,
        wait_s: float = 0.5,
        linger_s: float = 0.0,
    ) -> None:
        self._site_id = site_id
        self._log = log
        self._store = store
        self._plans = plans
        self._policy = policy or InsightPolicy()
        self._customer_sync = customer_sync
        self._erasures = erasures
        self._retention = retention
        self._clock = clock
        self._concludes_at_stop = concludes_at_stop
        self._max_records = max_records
        self._wait_s = wait_s
        self._linger_s = linger_s
        self._held: dict[TopicPartition, Held] = {}
        self._next: dict[TopicPartition, int] = {}
        self._tally = Tally()
        self._events = self._rejected = self._repeated = 0
        self._erased = self._dropped = 0
        self._is_reading = False
        self._waits_for: str | None = None
        self._stopping = asyncio.Event()
        self._logger = get_logger(self.name)

    def ready(self) -> bool:
        """Return whether the engine reads the log, and no outage holds it up."""
        return self._is_reading and self._waits_for is None

    def status(self) -> InsightStatus:
        """Return the counts so far."""
        return InsightStatus(
            events=self._events,
            rejected=self._rejected,
            repeated=self._repeated,
            crossings_in=self._tally.crossings_in,
            crossings_out=self._tally.crossings_out,
            stays=self._tally.stays,
            open_stays=sum(held.share.open_stays for held in self._held.values()),
            visits=self._tally.visits,
            partitions=len(self._held),
            waits_for=self._waits_for,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set, and through every outage of the log and the store.

        Raises StorageFull; what was not committed comes again at the next start.
        """
        self._stopping = stopping
        subscription: Subscription | None = None
        try:
            subscription = await self._patiently(lambda: self._log.subscribe(_INPUTS, GROUP))
            self._is_reading = True
            await self._work(subscription)
        except _StopsWaitingError:
            self._logger.warning("stopped during an outage", waits_for=self._waits_for)
        except StorageFull as cause:
            self._logger.critical(
                "storage_full", cause=str(cause), todo="free space under the data folder, restart"
            )
            raise
        finally:
            self._is_reading = False
            for reader in (self._customer_sync, self._erasures, subscription):
                if reader is not None:
                    await reader.close()

    async def _work(self, subscription: Subscription) -> None:
        while True:
            draining = self._stopping.is_set()
            if draining and not self._concludes_at_stop:
                return
            count = await self._cycle(subscription)
            if draining and not count:
                await self._conclude(subscription)
                return
            if 0 < count < self._max_records and self._linger_s and not self._stopping.is_set():
                await self._pause(self._linger_s)

    async def _cycle(self, subscription: Subscription) -> int:
        """Poll once and work on what came; return how many records that were."""
        deliveries = await self._patiently(
            lambda: subscription.poll(max_records=self._max_records, wait_s=self._wait_s)
        )
        if self._customer_sync is not None:
            await self._patiently(self._customer_sync.renew)
        if self._retention is not None:
            await self._patiently(self._retention.renew)
        await self._take_over(subscription.assignment())
        await self._forget_people(subscription)
        if deliveries:
            await self._handle(subscription, deliveries)
            CONSUMER_LAG.labels(self.name).set(await self._patiently(subscription.lag))
        return len(deliveries)

    async def _take_over(self, assignment: Mapping[TopicPartition, int]) -> None:
        """Forget what went to others, and go on from what others left of what is ours now."""
        for where in self._held.keys() - assignment.keys():
            self._forget(where)
        new = [w for w, n in assignment.items() if w not in self._held or self._held[w].number != n]
        for where in new:
            self._forget(where)
        shares = await gather_or_cancel(self._restored(where) for where in new)
        for where, share in zip(new, shares, strict=True):
            self._held[where] = Held(assignment[where], share)

    async def _restored(self, where: TopicPartition) -> InsightPartition:
        topic, partition = where
        share: InsightPartition = CustomerPartition(self._site_id, self._policy, self._is_erased)
        if topic == topics.IDENTITIES.name:
            share = CameraPartition(self._site_id, self._plans, self._policy, self._is_erased)
        memories = await self._patiently(lambda: self._log.latest(_STATE_OF[topic], partition))
        for key, fault in share.resume(memories).items():
            STATE_REJECTED.labels(_STATE_OF[topic].name).inc()
            self._logger.error(
                "begins anew", topic=topic, partition=partition, key=key, fault=fault
            )
        return share

    async def _forget_people(self, subscription: Subscription) -> None:
        """Forget whom the book erased, write that down, and only then confirm it."""
        erased = len(self._customer_sync.people.erased) if self._customer_sync else 0
        if erased > self._erased:
            self._erased = erased
            self._dropped += sum(held.share.forget() for held in self._held.values())
        if not await self._write_down(subscription) or self._erasures is None:
            return
        for erasure in await self._erasures.due():
            if all(map(self._is_erased, erasure.ids)):  # or the book is behind
                await self._erasures.acknowledge(erasure, {"open_visits": self._dropped})
                self._dropped = 0

    async def _write_down(self, subscription: Subscription) -> bool:
        """Commit what changed though no record came; return whether all of that came through."""
        batch: Batch = {where: Part() for where in self._held}
        for where, part in batch.items():
            self._remember(where, part)
        return not await self._commit(subscription, {w: p for w, p in batch.items() if p.outputs})

    def _is_erased(self, customer_id: CustomerId) -> bool:
        return self._customer_sync is not None and self._customer_sync.people.is_erased(customer_id)

    def _forget(self, where: TopicPartition) -> None:
        self._held.pop(where, None)
        self._next.pop(where, None)

    async def _handle(self, subscription: Subscription, deliveries: Iterable[Delivery]) -> None:
        batch = self._read(deliveries)
        await self._meet_strangers(subscription, batch)
        for where, part in batch.items():
            for key, step in part.steps:
                outcome = step()
                if outcome is None:
                    self._repeated += 1
                    EVENTS_LATE.labels(key, "repeated").inc()
                else:
                    part.add(outcome)
            self._remember(where, part)
        await self._finish(subscription, batch)

    def _read(self, deliveries: Iterable[Delivery]) -> Batch:
        """Return what is to be done about every partition, with dead letters among the outputs."""
        batch: Batch = {}
        for delivery in deliveries:
            where = delivery.topic, delivery.partition
            part = batch.setdefault(where, Part(delivery.offset, delivery.offset))
            part.next_offset = delivery.offset + 1
            try:
                step = self._held[where].share.read(delivery.value, delivery.offset)
            except MalformedEvent as cause:
                self._rejected += 1
                part.outputs.append(reject(delivery, cause, service=self.name))
            else:
                self._events += delivery.topic == topics.IDENTITIES.name
                part.steps.append((delivery.key, step))
        return batch

    async def _meet_strangers(self, subscription: Subscription, batch: Batch) -> None:
        """Look up the last visit of customers who are new, and commit that before anything else.

        Once their next visit is in the store, a look-up would take it for the last one.
        """
        notes: Batch = {}
        for where, part in batch.items():
            share = self._held[where].share
            if isinstance(share, CustomerPartition):
                for customer_id in share.unknown_customers():
                    share.meet(customer_id, await self._last_visit(customer_id))
                share.expect()
                note = Part(part.first_offset, part.first_offset)
                self._remember(where, note)
                if note.outputs:
                    notes[where] = note
        for where in await self._commit(subscription, notes):
            del batch[where]

    async def _last_visit(self, customer_id: CustomerId) -> Visit | None:
        found = await self._patiently(lambda: self._store.last_visit(customer_id))
        return found if isinstance(found, Visit) else None

    def _remember(self, where: TopicPartition, part: Part) -> None:
        """Add to the outputs what the partition's next owner must know."""
        changes = self._held[where].share.changes()
        topic, partition = _STATE_OF[where[0]], where[1]
        part.outputs += [Record(topic, key, value, partition) for key, value in changes.items()]

    async def _finish(self, subscription: Subscription, batch: Batch) -> None:
        """Put what was found into the store, then everything else into the log."""

        async def confirm() -> None:
            # After an outage others may have gone on with a partition: what they stored is newer.
            still = {w: Part(p.first_offset, p.first_offset) for w, p in batch.items()}
            for where in await self._commit(subscription, still):
                del batch[where]

        await self._patiently(partial(self._keep, batch), before_retry=confirm)
        await self._commit(subscription, batch)

    async def _keep(self, batch: Batch) -> None:
        """Put insights into the store, of each id the latest."""
        latest = {i.event_id: i for part in batch.values() for i in part.insights}
        if not latest:
            return
        await self._store.record(list(latest.values()))
        for insight in latest.values():
            self._tally.count(insight)
            INSIGHTS.labels(type(insight).__struct_config__.tag).inc()

    async def _commit(self, subscription: Subscription, batch: Batch) -> Collection[TopicPartition]:
        """Commit what is still ours; of the rest, return and forget it: others do it anew."""
        if not batch:
            return ()
        progress = [Progress(w, part.next_offset, part.outputs) for w, part in batch.items()]
        self._next.update({w: p.next_offset for w, p in batch.items() if p.next_offset is not None})
        try:
            await subscription.commit(progress)
        except PartitionsLost as lost:
            for where in sorted(lost.partitions):
                self._logger.warning("partition_lost", topic=where[0], partition=where[1])
                self._forget(where)
            return lost.partitions
        return ()

    async def _conclude(self, subscription: Subscription) -> None:
        """End what goes on at the cameras, then, with what that tells of them, all visits."""
        await self._flush(subscription, topics.IDENTITIES)
        while await self._patiently(subscription.lag):
            if not await self._cycle(subscription):
                break
        await self._flush(subscription, topics.SIGHTINGS)

    async def _flush(self, subscription: Subscription, topic: Topic) -> None:
        batch: Batch = {}
        for where, offset in self._next.items():
            if where[0] == topic.name:
                batch[where] = Part(offset, offset)
                batch[where].add(self._held[where].share.flush())
                self._remember(where, batch[where])
        await self._finish(subscription, batch)

    async def _patiently(
        self,
        ask: Callable[[], Awaitable[T]],
        before_retry: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Return what the log or the store answers, however long that takes.

        Raises _StopsWaitingError when told to stop meanwhile, unless the work has to be finished.
        """
        retry_s, longest_s = _RETRY_S
        while True:
            try:
                answer = await ask()
            except (EventLogUnavailable, StoreUnavailable) as cause:
                self._wait_for(mask_urls(str(cause)))
            else:
                self._wait_for(None)
                return answer
            await self._pause(retry_s)
            retry_s = min(2 * retry_s, longest_s)
            if before_retry is not None:
                await before_retry()

    def _wait_for(self, outage: str | None) -> None:
        if outage and self._waits_for is None:
            self._logger.warning("waits", cause=outage)
        elif outage is None and self._waits_for:
            self._logger.info("goes on", waited_for=self._waits_for)
        self._waits_for = outage

    async def _pause(self, seconds: float) -> None:
        """Return after a time or, the first time, when told to stop."""
        if self._stopping.is_set() and not self._concludes_at_stop:
            raise _StopsWaitingError
        pause = self._clock.sleep(seconds)
        await (pause if self._stopping.is_set() else run_until(self._stopping, pause))
