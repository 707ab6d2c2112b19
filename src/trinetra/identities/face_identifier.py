"""Identifies tracks: which customer each one shows, from gallery matches and recent sightings.

The rules are in ``decision/`` and ``gate/``; this part feeds them with what the resolver knows,
keeps the tracks' decisions current, and says what changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trinetra.events.schema import AlertEvent, DetectionEvent, Evidence
from trinetra.events.topics import RESOLVER_STATE
from trinetra.identities.body_linker import BodyLinker
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.alerts import Arrivals, impossible_transition
from trinetra.identities.decision.canonical_ids import as_known, without_rivals
from trinetra.identities.decision.drift import DriftWatch
from trinetra.identities.decision.duplicates import AmbiguousFace
from trinetra.identities.decision.identity_decision import (
    ExplainedDecision,
    explain,
    resolve,
    unrecognized,
)
from trinetra.identities.decision.lifecycle import (
    customer_of,
    enroll,
    own_kind,
    rename,
    renew,
    with_own_id,
)
from trinetra.identities.decision.lookup import LookupResults, merge, question_of
from trinetra.identities.decision.matching import (
    AMBIGUOUS,
    ERASED,
    LEFT_OUT,
    Decision,
    MatchingPolicy,
)
from trinetra.identities.decision.track_identity import (
    GONE_OVER,
    SEEN_ELSEWHERE,
    EnrolledShots,
    FrameOutcome,
    TrackIdentity,
    TrackObservation,
)
from trinetra.identities.decision.validation import other_model, without_embeddings
from trinetra.identities.drift_monitor import DriftMonitor
from trinetra.identities.gallery_client import Outbox, waiting_matches
from trinetra.identities.gate.transition_times import SURPRISING
from trinetra.identities.state.partition import PartitionState
from trinetra.identities.state.snapshot import restore
from trinetra.identities.tracking.track_faces import TrackFaces, mean_size_px
from trinetra.ports import TopicPartition
from trinetra.telemetry import (
    ALWAYS_PRESENT,
    FACES_IGNORED,
    GATE_TRANSITION_OUTLIERS,
    GATE_VERDICTS,
    STATE_REJECTED,
    get_logger,
)
from trinetra.values import CameraId, CustomerId, IdentityKind, Instant

_PERSON = "person"
_ALWAYS_PRESENT_S = 12 * 3600.0
"""Longer than any visit; shorter than the time from opening to closing of many shops."""
_UNAVAILABLE = Decision("unknown", ("gallery_unavailable",))
log = get_logger("identity-resolver")


class FaceIdentifier:
    """Decides tracks frame by frame, in the order of capture over all cameras."""

    def __init__(self, context: ResolverContext) -> None:
        self._context = context
        self._directory = context.directory
        self._policy = context.policy
        self._arrivals = Arrivals(context.site_id, context.policy.alert_cooldown_s)
        self._linker = BodyLinker(context)
        self._drift = DriftMonitor(context.site_id, DriftWatch(context.references))
        self._always_present: set[CustomerId] = set()
        self._foreign: set[tuple[CameraId, str]] = set()

    def identify(
        self,
        home: TopicPartition,
        camera_id: CameraId,
        outcome: FrameOutcome,
        captured_at: Instant,
        results: LookupResults | None,
    ) -> tuple[list[TrackIdentity], list[AlertEvent]]:
        """Decide the tracks of a frame that are due; return those that changed, and alerts.

        ``results`` are the gallery's matches, None while it is unavailable. New identities go into
        the outbox of ``home``, the camera's partition; entries in any outbox count as known.
        """
        self._context.count_rivals()
        changed = self._drop_outdated(camera_id, outcome)
        changed += [s.identity for s in outcome.visible if self._apply_directory(s.identity)]
        due = [seen for seen in outcome.visible if seen.is_due]  # after opt-outs were applied
        alerts: list[AlertEvent] = []
        if due and results is None:
            changed += [seen.identity for seen in due if self._fall_back(seen)]
            alerts += self._gallery_alert(camera_id, captured_at)
        elif results is not None:
            for seen in due:
                if question_of(seen) not in results.probes:
                    continue  # not foreseen when the batch was looked up; a later face will be
                decided = self._decide(camera_id, seen, results, outcome)
                alerts += self._gate_alert(camera_id, seen.identity, decided, captured_at)
                outbox = self._context.partitions[home].outbox
                if self._accept(camera_id, seen, decided, outbox):
                    changed.append(seen.identity)
                if seen.identity.decision == _UNAVAILABLE:  # new, and no room to enroll
                    alerts += self._gallery_alert(camera_id, captured_at)
        changed += self._separate_doubles(camera_id, outcome)
        changed += self._linker.step(home, camera_id, outcome)
        changed = list({identity.track_id: identity for identity in changed}.values())
        for seen in outcome.visible:
            self._register(camera_id, seen)
        alerts += self._arrival_alerts(changed, camera_id, captured_at)
        return changed, alerts + self._drift.alerts(captured_at)

    def finalize_tracks(
        self, home: TopicPartition, ended: Sequence[TrackIdentity]
    ) -> list[TrackIdentity]:
        """Decide ended tracks that are undecided, and refresh the gallery's faces of the others.

        Return the tracks whose decision is new.
        """
        changed = []
        for identity in ended:
            if identity.label != _PERSON:
                continue
            if identity.decision is None:
                policy = self._policy_of(identity.evidence)
                decided = unrecognized(identity, self._context.model, policy)
                identity.decision, identity.explained = decided.decision, decided.evidence
                changed.append(identity)
            elif identity.decision.status == "known":
                self._renew(identity, self._context.partitions[home].outbox)
            else:
                self._store_better(identity, self._context.partitions[home].outbox)
        return changed

    def restore_partition(
        self,
        where: TopicPartition,
        number: int,
        values: Mapping[str, bytes],
        window: tuple[int, float],
    ) -> PartitionState:
        """Return a partition's committed state, its customers registered where they were seen."""
        context = self._context
        found = restore(values, model=context.model, dimension=context.dimension, window=window)
        for fault in found.faults:
            STATE_REJECTED.labels(RESOLVER_STATE.name).inc()
            log.warning("state dropped", partition=where[1], fault=fault)
        for camera in found.cameras.values():
            size = (camera.last.frame_width, camera.last.frame_height) if camera.last else None
            for track in camera.tracker.tracks:
                identity = camera.identities[track.track_id]
                identity.explained = self._explain(identity.evidence)
                seen = TrackObservation(
                    identity, identity.evidence, track.xyxy, track.seen_at, size
                )
                self._register(camera.camera_id, seen)
        return PartitionState.restored(number, values, found)

    def without_foreign_faces(self, event: DetectionEvent) -> DetectionEvent:
        """Return the event without embeddings of another model, which cannot be compared."""
        foreign = other_model(event, self._context.model)
        if foreign is None:
            self._drift.see(event)
            return event
        ours, ignored = without_embeddings(event)
        FACES_IGNORED.labels(event.camera_id, "other_model").inc(ignored)
        if ignored and (event.camera_id, foreign) not in self._foreign:
            self._foreign.add((event.camera_id, foreign))
            models = {"theirs": foreign, "ours": self._context.model}
            log.warning("faces of another model ignored", camera=event.camera_id, **models)
        return ours

    async def expire(self, now: Instant) -> None:
        """Delete what has outlived its retention from the registry and the gallery."""
        self._context.registry.evict(now)
        self._linker.expire(now)
        self._report_always_present()
        # A camera's clock may be far ahead: no face expires before its time on our clock.
        await self._context.gallery_client.delete_expired(min(now, self._context.clock.now()))
        await self._context.gallery_client.count_people()

    def _report_always_present(self) -> None:
        """Report identities that no customer can have: they never leave."""
        found = {
            presence.customer_id: presence
            for presence in self._context.registry.always_present(_ALWAYS_PRESENT_S)
            if presence.kind is not IdentityKind.STAFF
        }
        ALWAYS_PRESENT.set(len(found))
        for customer_id in found.keys() - self._always_present:
            log.warning(
                "an identity is always in view: a poster or a screen, probably",
                customer_id=customer_id,
                since=found[customer_id].since.isoformat(),
                cameras=sorted(found[customer_id].sightings),
            )
        self._always_present = set(found)

    # --- keeping decisions current ------------------------------------------------------------

    def _drop_outdated(self, camera_id: CameraId, outcome: FrameOutcome) -> list[TrackIdentity]:
        """Drop decisions on tracks that have passed to another person; return these tracks."""
        gone = []
        for seen in outcome.visible:
            before = seen.identity.decision
            if seen.identity.follow(seen.evidence):
                self._linker.unlearn(camera_id, before)
                self._reset(seen, GONE_OVER)
                gone.append(seen.identity)
        return gone

    def _separate_doubles(self, camera_id: CameraId, outcome: FrameOutcome) -> list[TrackIdentity]:
        """Drop decisions for customers who are seen on another track; return the tracks."""
        doubles = outcome.doubles()
        for seen, since in doubles:
            self._linker.unlearn(camera_id, seen.identity.decision)
            seen.identity.body = None
            self._reset(seen, SEEN_ELSEWHERE)
            seen.identity.since, seen.identity.asked_at = since, seen.evidence.usable
        return [seen.identity for seen, _ in doubles]

    def _apply_directory(self, identity: TrackIdentity) -> bool:
        """Apply merges, kinds, opt-outs and erasures to a track; return whether that is news."""
        if self._directory.erased and identity.is_of(self._directory.is_erased):
            identity.explained = self._explain(TrackFaces())
            identity.leave_out(ERASED)
            return True
        is_news = rename(identity, self._directory)
        decision = identity.decision
        if decision is None or decision.customer_id is None:
            return is_news
        kind = self._directory.kind_of(decision.customer_id) or decision.kind
        if kind is IdentityKind.OPTED_OUT:
            self._leave_out(identity)
        elif kind != decision.kind:
            identity.decision = replace(decision, kind=kind)
        return is_news or identity.decision != decision

    def _leave_out(self, identity: TrackIdentity) -> None:
        """Keep nothing of a track whose person opted out; withdraw what it enrolled."""
        decision = identity.decision
        if decision is not None and decision.status == "new" and decision.customer_id is not None:
            self._context.withdrawn.add(decision.customer_id)
            self._context.forget(decision.customer_id)
        identity.leave_out()

    def _reset(self, seen: TrackObservation, reason: Decision) -> None:
        seen.identity.decision = reason
        seen.identity.explained = self._explain(seen.evidence)

    def _fall_back(self, seen: TrackObservation) -> bool:
        """Let a track go out as unknown until the gallery is back; return whether that is news.

        A track that is settled keeps its decision.
        """
        identity = seen.identity
        identity.gallery_missed = True
        if identity.is_settled or identity.is_linked:
            return False
        is_news = identity.decision != _UNAVAILABLE
        self._reset(seen, _UNAVAILABLE)
        return is_news

    # --- deciding -----------------------------------------------------------------------------

    def _decide(
        self,
        camera_id: CameraId,
        seen: TrackObservation,
        results: LookupResults,
        outcome: FrameOutcome,
    ) -> ExplainedDecision:
        identity, question = seen.identity, question_of(seen)
        identity.asked_at = seen.evidence.usable
        identity.gallery_missed = False
        outboxes = [state.outbox for state in self._context.partitions.values()]
        newer = waiting_matches(results.probes[question], outboxes)
        found = merge(results.matches[question], newer, self._policy.top_k)
        erased = {m.customer_id for m in found if self._directory.is_erased(m.customer_id)}
        self._context.withdrawn.update(erased)
        known = as_known(self._directory, found)
        decided = resolve(
            seen,
            without_rivals(self._directory, known, self._policy.matching),
            camera_id=camera_id,
            in_view=outcome.in_view(seen),
            registry=self._context.registry,
            graph=self._context.graph,
            rules=self._context.rules,
            model=self._context.model,
        )
        self._measure(camera_id, decided)
        if decided.decision == AMBIGUOUS:
            face = AmbiguousFace(results.probes[question], seen.seen_at)
            self._context.merge_queue.offer_ambiguous(face)
        if decided.decision is identity.decision:
            return decided
        return replace(decided, decision=with_own_id(decided.decision, found, self._directory))

    def _measure(self, camera_id: CameraId, decided: ExplainedDecision) -> None:
        """Count the gate's verdict, and the score of a recognized customer for drift."""
        if decided.gate:
            GATE_VERDICTS.labels(camera_id, decided.gate.verdict).inc()
            if abs(decided.gate.surprise or 0.0) > SURPRISING:
                GATE_TRANSITION_OUTLIERS.labels(camera_id).inc()
        if decided.decision.status != "known" or decided.decision.linked:
            return
        for candidate in decided.evidence.candidates:
            if candidate.customer_id == decided.decision.customer_id:
                self._drift.match(camera_id, candidate.score)

    def _accept(
        self,
        camera_id: CameraId,
        seen: TrackObservation,
        decided: ExplainedDecision,
        outbox: Outbox,
    ) -> bool:
        """Give a track its decision, enrolling a new identity first; return whether it is news."""
        identity, decision = seen.identity, decided.decision
        if decision == identity.decision:  # what was announced of it stands
            if identity.enrolled is None or identity.enrolled.is_clearly_worse(seen.evidence):
                self._store_better(identity, outbox)
            return False
        if decision == LEFT_OUT:
            identity.explained = decided.evidence
            self._leave_out(identity)
            return True
        if decision.status == "new" and not self._context.gallery_client.has_room(outbox):
            if identity.is_settled:
                return False
            # Not marked as missed, which is looked up at the next face: this batch has no such
            # question.
            decision = _UNAVAILABLE
        elif decision.status == "new" and self._directory.is_erased(_own_id(identity)):
            decision = ERASED  # the frames that this identity came from are delivered again
        elif decision.status == "new":
            decision = replace(decision, customer_id=self._enroll(seen, outbox))
        is_news = decision != identity.decision
        self._linker.unlearn(camera_id, identity.decision)
        identity.decision, identity.explained = decision, decided.evidence
        return is_news

    def _enroll(self, seen: TrackObservation, outbox: Outbox) -> CustomerId:
        customer_id = _own_id(seen.identity)
        self._put_shots(customer_id, seen.identity, seen.evidence, outbox)
        return customer_id

    def _put_shots(
        self, customer_id: CustomerId, identity: TrackIdentity, faces: TrackFaces, outbox: Outbox
    ) -> None:
        kind, retention = IdentityKind.ANONYMOUS, self._policy.retention
        for entry in enroll(customer_id, kind, faces.shots, retention):
            outbox[entry.entry_id] = entry
        identity.enrolled = EnrolledShots.of(faces)

    def _store_better(self, identity: TrackIdentity, outbox: Outbox) -> None:
        """Replace the stored faces of a new identity by the best ones seen so far.

        The first faces on a track are rarely its best: people come nearer.
        """
        decision, faces = identity.decision, identity.evidence
        if decision is None or decision.status != "new" or decision.customer_id is None:
            return
        if identity.segment != faces.segment or self._directory.is_erased(decision.customer_id):
            return
        stored = identity.enrolled
        if stored and faces.usable <= stored.usable:
            return
        if self._context.gallery_client.has_room(outbox):
            self._put_shots(decision.customer_id, identity, faces, outbox)

    def _renew(self, identity: TrackIdentity, outbox: Outbox) -> None:
        decision, shots = identity.decision, identity.evidence.shots
        if decision is None or decision.customer_id is None or decision.kind is None:
            return
        if decision.linked:
            return  # the faces on this track were not recognized as the customer's
        if identity.evidence.usable < self._policy.matching.enrol_after_faces:
            return
        own_id = decision.own_id or decision.customer_id
        if self._directory.is_erased(own_id):
            return
        kind = own_kind(own_id, self._directory) if decision.own_id else decision.kind
        entry = renew(own_id, kind, shots, self._policy.retention)
        if entry.entry_id in outbox or self._context.gallery_client.has_room(outbox):
            outbox[entry.entry_id] = entry

    def _explain(self, evidence: TrackFaces) -> Evidence:
        return explain(evidence, self._context.model, self._policy_of(evidence))

    def _policy_of(self, evidence: TrackFaces) -> MatchingPolicy:
        """Return the thresholds for a track without a candidate."""
        return self._context.rules.policy("gallery", mean_size_px(evidence.shots))

    # --- telling ------------------------------------------------------------------------------

    def _register(self, camera_id: CameraId, seen: TrackObservation) -> None:
        """Note in the registry that a customer is in a camera's view."""
        decision = seen.identity.decision
        if decision and decision.customer_id and decision.kind:
            sighting = seen.segment(camera_id, self._context.graph)
            registry = self._context.linked if decision.linked else self._context.registry
            registry.see(decision.customer_id, decision.kind, sighting)

    def _arrival_alerts(
        self, changed: Sequence[TrackIdentity], camera_id: CameraId, captured_at: Instant
    ) -> list[AlertEvent]:
        """Return the alerts for VIP and watchlist customers whose face was recognized just now."""
        return [
            alert
            for identity in changed
            if not identity.is_linked
            and (decision := identity.decision)
            and decision.customer_id
            and decision.kind
            for alert in self._arrivals.announce(
                camera_id, captured_at, identity.track_id, decision.customer_id, decision.kind
            )
        ]

    def _gate_alert(
        self,
        camera_id: CameraId,
        identity: TrackIdentity,
        decided: ExplainedDecision,
        captured_at: Instant,
    ) -> list[AlertEvent]:
        """Return the alert for an impossible transition, once per track and identity."""
        gate = decided.gate
        if gate is None or gate.verdict != "impossible" or gate.customer_id in identity.alerted:
            return []
        identity.alerted.add(gate.customer_id)
        where = (self._context.site_id, camera_id, captured_at)
        return [impossible_transition(*where, identity.track_id, gate)]

    def _gallery_alert(self, camera_id: CameraId, captured_at: Instant) -> list[AlertEvent]:
        """Return the alert that identities go out as unknown, once per outage."""
        if not self._context.gallery_client.is_first_of_outage():
            return []
        return self._arrivals.gallery_unavailable(camera_id, captured_at)


def _own_id(identity: TrackIdentity) -> CustomerId:
    """Return the id of the new identity that a track would make."""
    return customer_of(identity.track_id, identity.segment)
