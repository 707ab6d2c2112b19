"""identity-resolver: tracks detections, identifies tracks, and tells identities and alerts.

A batch is resolved in three passes: every camera's frames advance its tracker; the gallery is
searched once for all faces that may matter; then the frames are decided in the order of capture.
The gallery gets new identities only after the commit (docs/adr/0009): after a crash, the next owner
finds the log, the state and the gallery as they were when the batch began.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple

from trinetra.errors import MalformedEvent
from trinetra.events.schema import DetectionEvent, TrackPlate
from trinetra.events.topics import DETECTIONS, RESOLVER_STATE
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.lookup import LookupBatch, LookupResults
from trinetra.identities.decision.plates import without_foreign_plates
from trinetra.identities.decision.track_identity import (
    Arrival,
    CameraState,
    FrameOutcome,
    advance,
)
from trinetra.identities.decision.validation import read
from trinetra.identities.face_identifier import FaceIdentifier
from trinetra.identities.outputs import Outputs
from trinetra.identities.policy import ResolverPolicy
from trinetra.identities.state.partition import released
from trinetra.identities.tracking.reorder_buffer import Slot
from trinetra.ports import Delivery, EventLog, TopicPartition
from trinetra.streaming.background import BackgroundTask
from trinetra.streaming.dead_letter import reject
from trinetra.streaming.processor import PartitionOutput
from trinetra.streaming.retry import Retrier
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.telemetry import (
    ACTIVE_IDENTITIES,
    EVENTS_LATE,
    EVENTS_REJECTED,
    FACES_IGNORED,
    PLATES_IGNORED,
    get_logger,
)
from trinetra.values import CameraId, Instant, TrackId, seconds_between

NAME = "identity-resolver"
_FRAMES_PER_TURN = 8
_Committed = Mapping[TopicPartition, PartitionOutput]
log = get_logger(NAME)


def identity_resolver(
    event_log: EventLog,
    context: ResolverContext,
    policy: ResolverPolicy | None = None,
    tasks: Sequence[BackgroundTask] = (),
) -> StreamRunner:
    """Return the service: one member of the resolver group."""
    policy = policy or ResolverPolicy()
    return StreamRunner(
        NAME,
        event_log,
        context.clock,
        [IdentityProcessor(context, policy)],
        tasks=tasks,
        policy=RunnerPolicy(
            max_records=policy.poll_records,
            poll_wait_s=policy.poll_wait_s,
            drains_at_stop=policy.ends_tracks_at_stop,
            keeps_state=not policy.ends_tracks_at_stop,
        ),
    )


class _Frame(NamedTuple):
    """One detection event on its way through a batch."""

    home: TopicPartition
    camera: CameraState
    event: DetectionEvent
    outcome: FrameOutcome


class _SessionTurn(NamedTuple):
    """A camera whose next session begins, and the time of its first frame."""

    camera: CameraState
    session: int
    starts_at: Instant


class IdentityProcessor:
    """Resolves the cameras of the owned partitions of detections."""

    topic = DETECTIONS
    state_topic = RESOLVER_STATE

    def __init__(self, context: ResolverContext, policy: ResolverPolicy) -> None:
        self._context = context
        self._policy = policy
        self._partitions = context.partitions
        self._identifier = FaceIdentifier(context)
        self._outputs = Outputs(context.site_id)
        self._expired_at: Instant | None = None
        self._foreign_plates: set[CameraId] = set()

    @property
    def held_back(self) -> int:
        """How many records wait in reorder buffers, or follow one that does."""
        return sum(state.uncommitted for state in self._partitions.values())

    def status(self) -> dict[str, object]:
        """Return figures for the health page."""
        states = self._partitions.values()
        return {
            "cameras": sum(len(state.cameras) for state in states),
            "active_identities": len(self._context.registry),
            "entries_to_store": sum(len(state.outbox) for state in states),
        }

    # --- partitions ---------------------------------------------------------------------------

    def restore(self, where: TopicPartition, number: int, state: Mapping[str, bytes]) -> None:
        """Take a partition over, its tracks going on where they were committed."""
        window = self._policy.window
        restored = self._identifier.restore_partition(where, number, state, window)
        for camera in restored.cameras.values():
            camera.heard_s = self._context.clock.monotonic()
        self._partitions[where] = restored
        if not self._policy.ends_tracks_at_stop:
            log.info("partition taken over", partition=where[1], cameras=len(restored.cameras))

    def revoke(self, where: TopicPartition) -> None:
        """Drop a partition and what was made of it since its last commit."""
        self._partitions.pop(where, None)
        self._outputs.forget(where)

    # --- batches ------------------------------------------------------------------------------

    async def process(
        self, deliveries: Sequence[Delivery], retrier: Retrier
    ) -> AsyncIterator[_Committed]:
        """Resolve what is complete and in order; outages of the gallery hold nothing up."""
        del retrier
        self._tell_left_out()
        waiting = deque(deliveries)
        while (turn := self._admit(waiting)) is not None:
            await self._begin_session(turn)
        await self._resolve(self._is_idle)
        self._tell_silence()
        self._end_tracks(self._is_silent)
        yield self._take_outputs()

    async def flush(self) -> AsyncIterator[_Committed]:
        """Resolve what the reorder buffers still hold, and end every track."""
        await self._resolve(lambda _: True)
        self._end_tracks(lambda _: True)
        yield self._take_outputs()
        if unstored := sum(len(state.outbox) for state in self._partitions.values()):
            log.error("gallery entries lost at the end", entries=unstored)

    async def before_commit(self, outputs: _Committed) -> None:
        """Nothing precedes the events: the gallery follows them (docs/adr/0009)."""

    async def after_commit(self, committed: _Committed) -> None:
        """Store committed identities in the gallery; what it refuses waits in the outboxes."""
        for where, output in committed.items():
            self._partitions[where].note_committed(output.next_offset)
        self._outputs.note_committed(self._context.clock.now())
        outboxes = [state.outbox for state in self._partitions.values()]
        accepted = await self._context.gallery_client.store(outboxes)
        self._context.merge_queue.offer_stored(accepted)

    def _take_outputs(self) -> _Committed:
        """Return each partition's output up to the first event that is held back."""
        records = self._outputs.take()
        outputs = {}
        for where, state in self._partitions.items():
            made = records.get(where, [])
            if made or state.has_news:
                # Encoding tracks costs more than anything else here: skip it for state not kept.
                ends = self._policy.ends_tracks_at_stop
                changes = {} if ends else state.take_changes(self._context.model)
                outputs[where] = PartitionOutput(state.next_offset, made, changes)
        return outputs

    def _tell_left_out(self) -> None:
        """Tell of tracks whose person was erased: no frame of their camera does."""
        for where, state in self._partitions.items():
            for camera, identity in state.take_erased():
                if camera.last is not None:
                    self._outputs.add_change(where, camera.last, identity)

    # --- frame order --------------------------------------------------------------------------

    def _admit(self, deliveries: deque[Delivery]) -> "_SessionTurn | None":
        """Put readable events into their cameras' reorder buffers, others into dead letters.

        Stops before an event of a camera's next session, and returns it; None at the end.
        """
        while deliveries:
            delivery = deliveries.popleft()
            where = (delivery.topic, delivery.partition)
            state = self._partitions[where]
            state.advance_to(delivery.offset)
            try:
                event = read(delivery.value, self._context.site_id)
            except MalformedEvent as fault:
                self._outputs.add(where, reject(delivery, fault, service=NAME))
                continue
            camera = state.camera(event.camera_id, self._policy.window)
            camera.heard_s, camera.told_silent = self._context.clock.monotonic(), False
            arrival = Arrival(event, delivery.offset)
            session = event.session or 0
            slot = Slot(event.frame_seq, event.captured_at, arrival, session)
            admission = camera.window.admit(slot)
            if admission == "next_session":
                deliveries.appendleft(delivery)
                return _SessionTurn(camera, session, event.captured_at)
            if admission != "accepted":
                EVENTS_LATE.labels(event.camera_id, admission).inc()

        return None

    async def _begin_session(self, turn: "_SessionTurn") -> None:
        """End a camera's session with its last frame: no track continues in the next one."""
        await self._resolve(lambda camera: camera is turn.camera or self._is_idle(camera))
        self._end_tracks(lambda camera: camera is turn.camera)
        turn.camera.window.begin(turn.session)
        for registry in (self._context.registry, self._context.linked):
            registry.retract(turn.camera.camera_id, turn.starts_at)
        log.info("camera session began", camera=turn.camera.camera_id, session=turn.session)

    async def _resolve(self, gives_up: Callable[[CameraState], bool]) -> None:
        """Resolve what need not wait any longer, over all cameras in the order of capture.

        A camera that ``gives_up`` waits no longer for missing frames.
        """
        batch = LookupBatch()
        frames: list[_Frame] = []
        for home, camera, event in released(self._partitions, gives_up):
            frames.append(_Frame(home, camera, event, self._advance(home, camera, event)))
            batch.note(frames[-1].outcome)
            await self._take_turns(len(frames))
        if not frames:
            return
        results = await self._context.gallery_client.lookup(batch)
        for number, frame in enumerate(frames):
            self._decide(frame, results)
            await self._take_turns(number)
        await self._expire(frames[-1].event.captured_at)
        ACTIVE_IDENTITIES.set(len(self._context.registry))

    async def _take_turns(self, number: int) -> None:
        """Let the other services of this process, and the log's own tasks, run now and then."""
        if number % _FRAMES_PER_TURN == 0:
            await asyncio.sleep(0)

    def _is_idle(self, camera: CameraState) -> bool:
        """Return whether a camera was silent for so long that a gap will not close."""
        return self._context.clock.monotonic() - camera.heard_s > self._policy.reorder_span_s

    def _advance(
        self, home: TopicPartition, camera: CameraState, event: DetectionEvent
    ) -> FrameOutcome:
        self._partitions[home].changed.add(camera.camera_id)
        outcome = advance(
            camera,
            self._without_foreign_plates(self._identifier.without_foreign_faces(event)),
            site_id=self._context.site_id,
            dimension=self._context.dimension,
            policy=self._policy.tracker,
        )
        for fault in outcome.faults:
            EVENTS_REJECTED.labels(DETECTIONS.name).inc()
            FACES_IGNORED.labels(camera.camera_id, "wrong_dimension").inc()
            log.warning("face ignored", event_id=event.event_id, fault=str(fault))
        return outcome

    def _without_foreign_plates(self, event: DetectionEvent) -> DetectionEvent:
        """Return the event without plates that the key of the site does not open."""
        ours, ignored = without_foreign_plates(event, self._context.plates)
        if ignored:
            PLATES_IGNORED.labels(event.camera_id).inc(ignored)
            if event.camera_id not in self._foreign_plates:
                self._foreign_plates.add(event.camera_id)
                log.warning(
                    "license plates ignored, which another key sealed: give every worker and "
                    "resolver the same TRINETRA_PLATE_KEY",
                    camera=event.camera_id,
                )
        return ours

    def _decide(self, frame: _Frame, results: LookupResults | None) -> None:
        home, camera, event, outcome = frame
        changed, alerts = self._identifier.identify(
            home, camera.camera_id, outcome, event.captured_at, results
        )
        changed += self._identifier.finalize_tracks(home, outcome.ended)
        camera.drop_left_out_bodies()
        plates: Mapping[TrackId, TrackPlate] = {}
        if self._context.plates is not None:
            plates, listed = self._context.plates.decide(event, outcome)
            alerts = [*alerts, *listed]
        self._outputs.add_frame(home, event, outcome, changed, alerts, plates)

    async def _expire(self, captured_at: Instant) -> None:
        due = self._expired_at is None or (
            abs(seconds_between(self._expired_at, captured_at)) >= self._policy.expire_every_s
        )
        if due:
            self._expired_at = captured_at
            await self._identifier.expire(captured_at)

    # --- the end of tracks --------------------------------------------------------------------

    def _tell_silence(self) -> None:
        """Tell once that a camera has been silent since its last frame; its tracks stay open."""
        now_s = self._context.clock.monotonic()
        for where, state in self._partitions.items():
            for camera in state.cameras.values():
                if camera.last is None or camera.told_silent:
                    continue
                if now_s - camera.heard_s > self._policy.unseen_after_s:
                    camera.told_silent = True
                    self._outputs.add_end(where, camera.last, (), ())

    def _is_silent(self, camera: CameraState) -> bool:
        """Return whether a camera has tracks, and nothing came from it for long."""
        silent_s = self._context.clock.monotonic() - camera.heard_s
        return bool(camera.tracker.tracks) and silent_s > self._policy.silent_after_s

    def _end_tracks(self, is_over: Callable[[CameraState], bool]) -> None:
        """End all tracks of the cameras that will show nothing more of them."""
        for where, state in self._partitions.items():
            for camera in filter(is_over, state.cameras.values()):
                ended = state.end_tracks(camera)
                if ended and camera.last is not None:
                    changed = self._identifier.finalize_tracks(where, ended)
                    self._outputs.add_end(where, camera.last, changed, ended)
