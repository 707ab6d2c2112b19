"""The part of the resolver that decides who tracks are, from what the gallery and the book say."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from trinetra.events.customers import People
from trinetra.events.schema import AlertEvent, DetectionEvent
from trinetra.events.topics import RESOLVER_STATE
from trinetra.identities.decision.alerts import Arrivals, impossible_transition
from trinetra.identities.decision.canonical_ids import as_known
from trinetra.identities.decision.drift import DriftWatch, Quantity, Reference
from trinetra.identities.decision.duplicates import AmbiguousFace
from trinetra.identities.decision.identity_decision import (
    ExplainedDecision,
    explain,
    resolve,
    unrecognised,
)
from trinetra.identities.decision.lifecycle import (
    RetentionPolicy,
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
    FrameOutcome,
    TrackIdentity,
    TrackObservation,
)
from trinetra.identities.decision.validation import other_model, without_embeddings
from trinetra.identities.drift_monitor import DriftMonitor
from trinetra.identities.gallery_client import MOST_FRESH, GalleryClient, Outbox, resembling
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.gate.transition_times import SURPRISING
from trinetra.identities.state.partition import PartitionState
from trinetra.identities.state.snapshot import restore
from trinetra.identities.tracking.track_faces import TrackFaces
from trinetra.ports import Clock, Gallery, TopicPartition
from trinetra.telemetry import (
    FACES_IGNORED,
    GATE_TRANSITION_OUTLIERS,
    GATE_VERDICTS,
    STATE_REJECTED,
    get_logger,
)
from trinetra.values import (
    CameraId,
    CustomerId,
    IdentityKind,
    Instant,
    SiteId,
)

_PERSON = "person"
_UNAVAILABLE = Decision("unknown", ("gallery_unavailable",))
log = get_logger("identity-resolver")


@dataclass(frozen=True, slots=True)
class IdentificationPolicy:
    """How the gallery is asked, and how long to leave it alone after it failed.

    Somebody who is announced is announced again only after ``alert_cooldown_s``.
    While ``most_waiting`` entries of a partition wait for the gallery, nobody new is enrolled
    there: a gallery that takes nothing for days must not fill memory and the log.
    """

    matching: MatchingPolicy = field(default_factory=MatchingPolicy)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    top_k: int = 10
    gallery_retry_s: float = 2.0
    most_waiting: int = 10_000
    alert_cooldown_s: float = 300.0


@dataclass(slots=True)
class FaceIdentifier:
    """Decides who tracks are, with a gallery, a registry and the site's topology.

    ``doubts`` are the fused faces of tracks that resembled two people; ``withdrawn`` are to be
    deleted: they were stored before it was known here that their people opted out or were erased.
    ``references`` are what the cameras' faces are held against.
    """

    site_id: SiteId
    gallery: Gallery
    registry: ActiveRegistry
    graph: SiteGraph
    clock: Clock
    model: str
    dimension: int
    policy: IdentificationPolicy = field(default_factory=IdentificationPolicy)
    people: People = field(default_factory=People)
    doubts: deque[AmbiguousFace] = field(default_factory=lambda: deque(maxlen=MOST_FRESH))
    withdrawn: set[CustomerId] = field(default_factory=set)
    references: Mapping[Quantity, Reference] = field(default_factory=dict)
    faces: GalleryClient = field(init=False)
    _arrivals: Arrivals = field(init=False)
    _drift: DriftMonitor = field(init=False)
    _foreign: set[tuple[CameraId, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        policy = self.policy
        self.faces = GalleryClient(
            self.gallery,
            self.clock,
            self.people,
            policy.top_k,
            policy.gallery_retry_s,
            policy.most_waiting,
        )
        self._arrivals = Arrivals(self.site_id, policy.alert_cooldown_s)
        self._drift = DriftMonitor(self.site_id, DriftWatch(self.references))

    def identify(
        self,
        camera_id: CameraId,
        outcome: FrameOutcome,
        captured_at: Instant,
        answers: LookupResults | None,
        outboxes: Mapping[TopicPartition, Outbox],
        home: TopicPartition,
    ) -> tuple[list[TrackIdentity], list[AlertEvent]]:
        """Decide the tracks of a frame that are due; return those that changed, and alerts.

        New identities go into the outbox of ``home``; those in any of the outboxes are known.
        """
        changed = self._follow(outcome)
        changed += [s.identity for s in outcome.visible if self._heed_book(s.identity)]
        due = [seen for seen in outcome.visible if seen.is_due]  # and whom the book left in view
        alerts: list[AlertEvent] = []
        if due and answers is None:
            changed += [seen.identity for seen in due if self._fall_back(seen)]
            alerts += self._gallery_alert(camera_id, captured_at)
        elif answers is not None:
            for seen in due:
                if question_of(seen) not in answers.probes:
                    continue  # not foreseen when the batch was asked about; a later face is
                decided = self._judge(camera_id, seen, answers, outboxes, outcome)
                alerts += self._gate_alert(camera_id, seen.identity, decided, captured_at)
                if self._accept(seen, decided, outboxes[home]):
                    changed.append(seen.identity)
                if seen.identity.decision == _UNAVAILABLE:  # new, and no room to enrol
                    alerts += self._gallery_alert(camera_id, captured_at)
        changed += self._part(outcome)
        changed = list({identity.track_id: identity for identity in changed}.values())
        self._note_presence(camera_id, outcome)
        alerts += self._arrivals_of(changed, camera_id, captured_at)
        return changed, alerts + self._drift.alerts(captured_at)

    def finalize_tracks(
        self, ended: Sequence[TrackIdentity], outbox: Outbox
    ) -> list[TrackIdentity]:
        """Settle people's tracks that are over: undecided ones, and faces to remember anew."""
        changed = []
        for identity in ended:
            if identity.label != _PERSON:
                continue
            if identity.decision is None:
                decided = unrecognised(identity, self.model, self.policy.matching)
                identity.decision, identity.explained = decided.decision, decided.evidence
                changed.append(identity)
            elif identity.decision.status == "known":
                self._renew(identity, outbox)
        return changed

    def take_over(
        self,
        where: TopicPartition,
        number: int,
        values: Mapping[str, bytes],
        window: tuple[int, float],
    ) -> PartitionState:
        """Return what a partition's last owner left, its people noted as where they were seen."""
        found = restore(values, model=self.model, dimension=self.dimension, window=window)
        for fault in found.faults:
            STATE_REJECTED.labels(RESOLVER_STATE.name).inc()
            log.warning("state dropped", partition=where[1], fault=fault)
        for camera in found.cameras.values():
            size = (camera.last.frame_width, camera.last.frame_height) if camera.last else None
            for track in camera.tracker.tracks:
                identity = camera.identities[track.track_id]
                identity.explained = explain(identity.evidence, self.model, self.policy.matching)
                seen = TrackObservation(
                    identity, identity.evidence, track.xyxy, track.seen_at, size
                )
                self._note(camera.camera_id, seen)
        return PartitionState.restored(number, values, found)

    def with_our_faces(self, event: DetectionEvent) -> DetectionEvent:
        """Return the event without what another model read in its faces: it compares to nothing."""
        foreign = other_model(event, self.model)
        if foreign is None:
            self._drift.see(event)
            return event
        ours, ignored = without_embeddings(event)
        FACES_IGNORED.labels(event.camera_id, "other_model").inc(ignored)
        if ignored and (event.camera_id, foreign) not in self._foreign:
            self._foreign.add((event.camera_id, foreign))
            names = {"theirs": foreign, "ours": self.model}
            log.warning("faces of another model ignored", camera=event.camera_id, **names)
        return ours

    async def expire(self, now: Instant) -> None:
        """Let the registry and the gallery forget what their retention says."""
        self.registry.evict(now)
        # A camera's clock may be far ahead: no face goes before its time on ours.
        await self.faces.forget_expired(min(now, self.clock.now()))

    def _follow(self, outcome: FrameOutcome) -> list[TrackIdentity]:
        """Drop decisions about people whose tracks went over to others; return these tracks."""
        gone = [seen for seen in outcome.visible if seen.identity.follow(seen.evidence)]
        for seen in gone:
            self._let_go(seen, GONE_OVER)
        return [seen.identity for seen in gone]

    def _part(self, outcome: FrameOutcome) -> list[TrackIdentity]:
        """Drop decisions about people who are seen on another track; return the tracks."""
        doubles = outcome.doubles()
        for seen, since in doubles:
            self._let_go(seen, SEEN_ELSEWHERE)
            seen.identity.since, seen.identity.asked_at = since, seen.evidence.usable
        return [seen.identity for seen, _ in doubles]

    def _heed_book(self, identity: TrackIdentity) -> bool:
        """Let a track follow what the book says of its person; return whether that is news."""
        if self.people.erased and identity.is_of(self.people.is_erased):
            identity.explained = explain(TrackFaces(), self.model, self.policy.matching)
            identity.leave_out(ERASED)
            return True
        is_news = rename(identity, self.people)
        decision = identity.decision
        if decision is None or decision.customer_id is None:
            return is_news
        kind = self.people.kind_of(decision.customer_id) or decision.kind
        if kind is IdentityKind.OPTED_OUT:
            self._leave_out(identity)
        elif kind != decision.kind:
            identity.decision = replace(decision, kind=kind)
        return is_news or identity.decision != decision

    def _leave_out(self, identity: TrackIdentity) -> None:
        """Keep nothing of a track whose person opted out, and have what it enrolled deleted."""
        decision = identity.decision
        if decision is not None and decision.status == "new" and decision.customer_id is not None:
            self.withdrawn.add(decision.customer_id)
            self.registry.forget(decision.customer_id)
        identity.leave_out()

    def _arrivals_of(
        self, changed: Sequence[TrackIdentity], camera_id: CameraId, captured_at: Instant
    ) -> list[AlertEvent]:
        """Return the alerts for those who were recognised just now and whom somebody waits for."""
        return [
            alert
            for identity in changed
            if (decision := identity.decision) and decision.customer_id and decision.kind
            for alert in self._arrivals.announce(
                camera_id, captured_at, identity.track_id, decision.customer_id, decision.kind
            )
        ]

    def _let_go(self, seen: TrackObservation, why: Decision) -> None:
        seen.identity.decision = why
        seen.identity.explained = explain(seen.evidence, self.model, self.policy.matching)

    def _judge(
        self,
        camera_id: CameraId,
        seen: TrackObservation,
        answers: LookupResults,
        outboxes: Mapping[TopicPartition, Outbox],
        outcome: FrameOutcome,
    ) -> ExplainedDecision:
        identity, question = seen.identity, question_of(seen)
        identity.asked_at = seen.evidence.usable
        identity.gallery_missed = False
        newer = resembling(answers.probes[question], outboxes)
        found = merge(answers.matches[question], newer, self.policy.top_k)
        self.withdrawn |= {m.customer_id for m in found if self.people.is_erased(m.customer_id)}
        decided = resolve(
            seen,
            as_known(self.people, found),
            camera_id=camera_id,
            in_view=outcome.in_view(seen),
            registry=self.registry,
            graph=self.graph,
            policy=self.policy.matching,
            model=self.model,
        )
        if decided.gate:
            GATE_VERDICTS.labels(camera_id, decided.gate.verdict).inc()
            if abs(decided.gate.surprise or 0.0) > SURPRISING:
                GATE_TRANSITION_OUTLIERS.labels(camera_id).inc()
        self._watch_score(camera_id, decided)
        if decided.decision == AMBIGUOUS:
            self.doubts.append(AmbiguousFace(answers.probes[question], seen.seen_at))
        if decided.decision is identity.decision:
            return decided
        return replace(decided, decision=with_own_id(decided.decision, found, self.people))

    def _watch_score(self, camera_id: CameraId, decided: ExplainedDecision) -> None:
        """Let drift know how much a recognised person looked like the faces on file."""
        who = decided.decision.customer_id
        for candidate in decided.evidence.candidates:
            if decided.decision.status == "known" and candidate.customer_id == who:
                self._drift.match(camera_id, candidate.score)

    def _accept(self, seen: TrackObservation, decided: ExplainedDecision, outbox: Outbox) -> bool:
        """Take a decision over, enrolling a new identity first; return whether it is news."""
        identity, decision = seen.identity, decided.decision
        if decision == identity.decision:
            return False  # what was announced of it stands
        if decision == LEFT_OUT:
            identity.explained = decided.evidence
            self._leave_out(identity)
            return True
        if decision.status == "new" and not self.faces.has_room(outbox):
            if identity.is_settled:
                return False
            # Not as missed, which is asked again at the next face: this batch has no such question.
            decision = _UNAVAILABLE
        elif decision.status == "new" and self.people.is_erased(_own_id(identity)):
            decision = ERASED  # the frames that this person came from are delivered again
        elif decision.status == "new":
            decision = replace(decision, customer_id=self._enroll(seen, outbox))
        news = decision != identity.decision
        identity.decision, identity.explained = decision, decided.evidence
        return news

    def _enroll(self, seen: TrackObservation, outbox: Outbox) -> CustomerId:
        customer_id = _own_id(seen.identity)
        shots = seen.evidence.shots
        for entry in enroll(customer_id, IdentityKind.ANONYMOUS, shots, self.policy.retention):
            outbox[entry.entry_id] = entry
        return customer_id

    def _renew(self, identity: TrackIdentity, outbox: Outbox) -> None:
        decision, shots = identity.decision, identity.evidence.shots
        if decision is None or decision.customer_id is None or decision.kind is None:
            return
        if len(shots) >= self.policy.matching.enrol_after_faces:
            own_id = decision.own_id or decision.customer_id
            if self.people.is_erased(own_id):
                return
            kind = own_kind(own_id, self.people) if decision.own_id else decision.kind
            entry = renew(own_id, kind, shots, self.policy.retention)
            if entry.entry_id in outbox or self.faces.has_room(outbox):
                outbox[entry.entry_id] = entry

    def _fall_back(self, seen: TrackObservation) -> bool:
        """Let a track go out as unknown; it is asked again as soon as the gallery is back.

        Who was decided on already stays that.
        """
        identity = seen.identity
        identity.gallery_missed = True
        if identity.is_settled:
            return False
        news = identity.decision != _UNAVAILABLE
        identity.decision = _UNAVAILABLE
        identity.explained = explain(seen.evidence, self.model, self.policy.matching)
        return news

    def _note_presence(self, camera_id: CameraId, outcome: FrameOutcome) -> None:
        for seen in outcome.visible:
            self._note(camera_id, seen)

    def _note(self, camera_id: CameraId, seen: TrackObservation) -> None:
        decision = seen.identity.decision
        if decision and decision.customer_id and decision.kind:
            self.registry.see(
                decision.customer_id, decision.kind, seen.stretch(camera_id, self.graph)
            )

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
        where = (self.site_id, camera_id, captured_at)
        return [impossible_transition(*where, identity.track_id, gate)]

    def _gallery_alert(self, camera_id: CameraId, captured_at: Instant) -> list[AlertEvent]:
        """Return the alert that identities go out as unknown, once per outage."""
        if not self.faces.is_first_of_outage():
            return []
        return self._arrivals.gallery_unavailable(camera_id, captured_at)


def _own_id(identity: TrackIdentity) -> CustomerId:
    """Return the identity that a track would bring into being."""
    return customer_of(identity.track_id, identity.stretch)
