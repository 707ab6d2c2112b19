"""identity-resolver: reads detections, tracks and recognises, writes identities and alerts.

A batch is resolved in three passes: every camera's frames are stepped through its tracker; the
gallery is asked once about all the faces that may matter; then the frames are decided in the order
of capture. What came of a partition's records, the changes of its state and its offset are one
commit; only then does the gallery get the new identities. So after a crash the next owner finds the
log, the state and the gallery as they were when the batch began, and does the same again; who was
seen lately, here and by others, a companion reads in the log.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from trinetra.errors import EventLogUnavailable, MalformedEvent, PartitionsLost
from trinetra.events.schema import DetectionEvent
from trinetra.events.topics import (
    DETECTIONS,
    RESOLVER_STATE,
)
from trinetra.identities.decision.lookup import LookupBatch, LookupResults
from trinetra.identities.decision.track_identity import (
    Arrival,
    CameraState,
    FrameOutcome,
    advance,
)
from trinetra.identities.decision.validation import read
from trinetra.identities.face_identifier import FaceIdentifier
from trinetra.identities.gallery_client import Outbox
from trinetra.identities.outputs import Outputs
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.state.partition import PartitionState, released
from trinetra.identities.tracking.reorder_buffer import Slot
from trinetra.ports import (
    Delivery,
    EventLog,
    Progress,
    Record,
    Subscription,
    TopicPartition,
)
from trinetra.streaming.dead_letter import reject
from trinetra.streaming.waiting import run_until
from trinetra.telemetry import (
    ACTIVE_IDENTITIES,
    CONSUMER_LAG,
    EVENTS_LATE,
    EVENTS_REJECTED,
    FACES_IGNORED,
    get_logger,
)
from trinetra.values import Instant, seconds_between

GROUP = "identity-resolver-group"
_FRAMES_PER_TURN = 8
log = get_logger("identity-resolver")
T = TypeVar("T")


class BackgroundTask(Protocol):
    """Work of the resolver that goes on between batches; it outlives its servers' outages."""

    async def tend(self, held: Mapping[TopicPartition, PartitionState]) -> None:
        """Do what is due, given the partitions held here, without blocking for long."""

    async def close(self) -> None:
        """Finish; may be called more than once."""


class _Frame(NamedTuple):
    """One event on its way through a batch."""

    home: TopicPartition
    camera: CameraState
    event: DetectionEvent
    outcome: FrameOutcome


class IdentityResolver:
    """One member of the resolver group; it owns the cameras of its partitions."""

    name = "identity-resolver"

    def __init__(
        self,
        event_log: EventLog,
        face_identifier: FaceIdentifier,
        policy: ResolverPolicy | None = None,
        background_tasks: Sequence[BackgroundTask] = (),
    ) -> None:
        self._log = event_log
        self._face_identifier = face_identifier
        self._background_tasks = background_tasks
        self._policy = policy or ResolverPolicy()
        self._held: dict[TopicPartition, PartitionState] = {}
        self._outputs = Outputs(face_identifier.site_id)
        self._expired_at: Instant | None = None
        self._tended = False
        self._waits_for: str | None = "joining the group"

    def ready(self) -> bool:
        """Return whether the service reads its topic."""
        return self._waits_for is None

    def status(self) -> dict[str, object]:
        """Return what the health page shows."""
        detail: dict[str, object] = {
            "partitions": sorted(partition for _, partition in self._held),
            "cameras": sum(len(state.cameras) for state in self._held.values()),
            "active_identities": len(self._face_identifier.registry),
            "entries_to_store": sum(len(state.outbox) for state in self._held.values()),
        }
        return detail if self._waits_for is None else {**detail, "waiting": self._waits_for}

    async def run(self, stopping: asyncio.Event) -> None:
        """Resolve until told to stop; see ``ResolverPolicy`` for what is done at the end.

        An event log that does not answer is waited for.
        """
        join = partial(self._log.subscribe, [DETECTIONS], GROUP)
        subscription = await self._patiently(join, stopping)
        if subscription is None:
            return
        async with AsyncExitStack() as closing:  # each is closed, whatever becomes of the others
            for background_task in reversed(self._background_tasks):
                closing.push_async_callback(background_task.close)
            closing.push_async_callback(subscription.close)
            closing.callback(self._note_end)
            while not (stopping.is_set() and await self._is_drained(subscription)):
                await self._cycle(subscription, stopping)
            if self._policy.ends_tracks_at_stop:
                await self._flush(subscription)

    def _note_end(self) -> None:
        self._waits_for = "stopped"

    async def _cycle(self, subscription: Subscription, stopping: asyncio.Event) -> None:
        deliveries = await self._patiently(partial(self._poll, subscription), stopping)
        if deliveries is None or not await self._follow(subscription, stopping):
            return
        if not await self._tend(stopping):
            return
        self._admit(deliveries)
        await self._resolve(everything=False)
        self._end_tracks(self._is_silent)
        await self._commit(subscription)
        await self._store()

    async def _tend(self, stopping: asyncio.Event) -> bool:
        """Let the companions work; False when told to stop before they did so once.

        The first time may take a while: what is decided before is decided without them.
        """
        if self._tended or self._policy.ends_tracks_at_stop:
            await self._tend_all()
        else:
            self._waits_for = "taking up who is whom and who was seen lately"
            await run_until(stopping, self._tend_all())
        return self._tended

    async def _tend_all(self) -> None:
        for background_task in self._background_tasks:
            await background_task.tend(self._held)
        for where, state in self._held.items():
            for camera, identity in state.take_left_out():
                if camera.last is not None:
                    self._outputs.add_change(where, camera.last, identity)
        self._tended, self._waits_for = True, None

    async def _poll(self, subscription: Subscription) -> list[Delivery]:
        CONSUMER_LAG.labels(self.name).set(await subscription.lag())
        return await subscription.poll(
            max_records=self._policy.poll_records, wait_s=self._policy.poll_wait_s
        )

    async def _is_drained(self, subscription: Subscription) -> bool:
        """Return whether nothing is left to read, or can be read, before the end."""
        if not self._policy.ends_tracks_at_stop or self._waits_for is not None:
            return True
        uncommitted = sum(state.uncommitted for state in self._held.values())
        return await subscription.lag() <= uncommitted

    async def _patiently(
        self, ask: Callable[[], Awaitable[T]], stopping: asyncio.Event
    ) -> T | None:
        """Return what the event log answers, waiting for it; None when told to stop before."""
        retry_s = self._policy.retry_first_s
        while True:
            try:
                answer = await ask()
            except EventLogUnavailable as cause:
                if retry_s == self._policy.retry_first_s:  # once per outage
                    log.warning("event log unavailable", cause=str(cause))
                self._waits_for = str(cause)
            else:
                self._waits_for = None
                return answer
            if stopping.is_set():
                return None
            await run_until(stopping, self._face_identifier.clock.sleep(retry_s))
            retry_s = min(2 * retry_s, self._policy.retry_max_s)

    # --- whose partitions these are -----------------------------------------------------------

    async def _follow(self, subscription: Subscription, stopping: asyncio.Event) -> bool:
        """Forget partitions that went, restore those that came; False when told to stop before."""
        assigned = subscription.assignment()
        for where in self._held.keys() - assigned.keys():
            self._forget(where)
        for where, number in assigned.items():
            held = self._held.get(where)
            if held is not None and held.number == number:
                continue
            self._forget(where)
            state = await self._patiently(partial(self._restore, where, number), stopping)
            if state is None:
                return False
            self._held[where] = state
        return True

    def _forget(self, where: TopicPartition) -> None:
        self._held.pop(where, None)
        self._outputs.forget(where)

    async def _restore(self, where: TopicPartition, number: int) -> PartitionState:
        """Return the state that the last owner left, its people noted as being where they were."""
        if self._policy.ends_tracks_at_stop:
            return PartitionState(number)
        values = await self._log.latest(RESOLVER_STATE, where[1])
        state = self._face_identifier.take_over(where, number, values, self._policy.window)
        for camera in state.cameras.values():
            camera.heard_s = self._face_identifier.clock.monotonic()
        log.info("partition taken over", partition=where[1], cameras=len(state.cameras))
        return state

    # --- through the windows ------------------------------------------------------------------

    def _admit(self, deliveries: Iterable[Delivery]) -> None:
        """Put readable events into their cameras' windows, and the others to the dead letters."""
        for delivery in deliveries:
            where = (delivery.topic, delivery.partition)
            state = self._held.get(where)
            if state is None:
                continue
            state.advance_to(delivery.offset)
            try:
                event = read(delivery.value, self._face_identifier.site_id)
            except MalformedEvent as fault:
                self._outputs.add(where, reject(delivery, fault, service=self.name))
            else:
                self._admit_event(state, Arrival(event, delivery.offset))

    def _admit_event(self, state: PartitionState, arrival: Arrival) -> None:
        event = arrival.event
        camera = state.camera(event.camera_id, self._policy.window)
        camera.heard_s = self._face_identifier.clock.monotonic()
        admission = camera.window.admit(Slot(event.frame_seq, event.captured_at, arrival))
        if admission != "accepted":
            EVENTS_LATE.labels(event.camera_id, admission).inc()

    async def _resolve(self, *, everything: bool) -> None:
        """Resolve what need not wait any longer, over all cameras in the order of capture."""
        lookup = LookupBatch()
        frames: list[_Frame] = []
        now_s = self._face_identifier.clock.monotonic()
        for home, camera, event in released(
            self._held, lambda camera: everything or self._is_idle(camera, now_s)
        ):
            frames.append(_Frame(home, camera, event, self._advance(home, camera, event)))
            lookup.note(frames[-1].outcome)
            await self._take_turns(len(frames))
        if not frames:
            return
        answers = await self._face_identifier.faces.ask(lookup)
        outboxes = {where: state.outbox for where, state in self._held.items()}
        for number, frame in enumerate(frames):
            self._decide(frame, answers, outboxes)
            await self._take_turns(number)
        await self._expire(frames[-1].event.captured_at)
        ACTIVE_IDENTITIES.set(len(self._face_identifier.registry))

    async def _take_turns(self, number: int) -> None:
        """Let the other services of this process, and the log's own tasks, go on now and then."""
        if number % _FRAMES_PER_TURN == 0:
            await asyncio.sleep(0)

    def _is_idle(self, camera: CameraState, now_s: float) -> bool:
        """Return whether nothing came from a camera for so long that a gap will not close."""
        return now_s - camera.heard_s > self._policy.reorder_span_s

    def _advance(
        self, home: TopicPartition, camera: CameraState, event: DetectionEvent
    ) -> FrameOutcome:
        face_identifier = self._face_identifier
        self._held[home].changed.add(camera.camera_id)
        outcome = advance(
            camera,
            face_identifier.with_our_faces(event),
            site_id=face_identifier.site_id,
            dimension=face_identifier.dimension,
            policy=self._policy.tracker,
        )
        for fault in outcome.faults:
            EVENTS_REJECTED.labels(DETECTIONS.name).inc()
            FACES_IGNORED.labels(camera.camera_id, "wrong_dimension").inc()
            log.warning("face ignored", event_id=event.event_id, fault=str(fault))
        return outcome

    def _decide(
        self,
        frame: _Frame,
        answers: LookupResults | None,
        outboxes: Mapping[TopicPartition, Outbox],
    ) -> None:
        home, camera, event, outcome = frame
        changed, alerts = self._face_identifier.identify(
            camera.camera_id, outcome, event.captured_at, answers, outboxes, home
        )
        changed += self._face_identifier.finalize_tracks(outcome.ended, outboxes[home])
        self._outputs.add_frame(home, event, outcome, changed, alerts)

    async def _expire(self, captured_at: Instant) -> None:
        due = self._expired_at is None or (
            abs(seconds_between(self._expired_at, captured_at)) >= self._policy.expire_every_s
        )
        if due:
            self._expired_at = captured_at
            await self._face_identifier.expire(captured_at)

    def _is_silent(self, camera: CameraState) -> bool:
        """Return whether a camera has tracks, and nothing came from it for long."""
        silent_s = self._face_identifier.clock.monotonic() - camera.heard_s
        return bool(camera.tracker.tracks) and silent_s > self._policy.silent_after_s

    def _end_tracks(self, is_over: Callable[[CameraState], bool]) -> None:
        """End all tracks of cameras that will show nothing more of them."""
        for where, state in self._held.items():
            for camera in filter(is_over, state.cameras.values()):
                ended = state.end_tracks(camera)
                if ended and camera.last is not None:
                    changed = self._face_identifier.finalize_tracks(ended, state.outbox)
                    self._outputs.add_end(where, camera.last, changed, ended)

    async def _flush(self, subscription: Subscription) -> None:
        """Resolve what the windows still hold, end every track and commit that."""
        await self._resolve(everything=True)
        self._end_tracks(lambda _: True)
        await self._commit(subscription)
        await self._store()
        if unstored := sum(len(state.outbox) for state in self._held.values()):
            log.error("gallery entries lost at the end", entries=unstored)

    # --- out of this process ------------------------------------------------------------------

    async def _commit(self, subscription: Subscription) -> None:
        """Commit each partition up to the first event that is held back; forget what was lost."""
        outputs = self._outputs.take()
        progress = [
            part
            for where, state in self._held.items()
            if (part := self._progress(where, state, outputs.get(where, [])))
        ]
        if not progress:
            return
        lost: frozenset[TopicPartition] = frozenset()
        try:
            await subscription.commit(progress)
        except PartitionsLost as loss:
            log.warning("partitions lost", cause=str(loss), partitions=sorted(loss.partitions))
            lost = loss.partitions
        for where in lost:
            self._forget(where)
        for part in progress:
            if part.where not in lost:
                self._held[part.where].note_committed(part.next_offset)
        self._outputs.note_committed(self._face_identifier.clock.now())

    def _progress(
        self, where: TopicPartition, state: PartitionState, outputs: list[Record]
    ) -> Progress | None:
        """Return what is to be committed of a partition, or None when nothing happened in it."""
        if not (outputs or state.has_news):
            return None
        if not self._policy.ends_tracks_at_stop:
            changes = state.take_changes(self._face_identifier.model)
            outputs += [Record(RESOLVER_STATE, k, v, where[1]) for k, v in changes.items()]
        return Progress(where, state.next_offset, outputs)

    async def _store(self) -> None:
        """Give the gallery what was committed; what it does not take now waits in the outboxes."""
        await self._face_identifier.faces.store([state.outbox for state in self._held.values()])
