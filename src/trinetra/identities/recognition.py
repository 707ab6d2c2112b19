"""The part of the resolver that asks the gallery, and lives on when the gallery does not answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trinetra.errors import GalleryUnavailable
from trinetra.events.schema import AlertEvent
from trinetra.identities.alarm import gallery_unavailable, impossible_transition
from trinetra.identities.evidence import consistent_shots, fuse
from trinetra.identities.lifecycle import RetentionPolicy, customer_of, enrol, renew
from trinetra.identities.matching import Decision, MatchingPolicy
from trinetra.identities.registry import ActiveRegistry
from trinetra.identities.resolver import (
    FrameOutcome,
    Judgement,
    TrackIdentity,
    explain,
    resolve,
    unrecognised,
)
from trinetra.identities.topology import SiteGraph
from trinetra.ports import Clock, Gallery
from trinetra.telemetry import GALLERY_S, GALLERY_UP, GATE_VERDICTS, get_logger
from trinetra.values import (
    CameraId,
    Embedding,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    Instant,
    SiteId,
)

_PERSON = "person"
log = get_logger("identity-resolver")


@dataclass(frozen=True, slots=True)
class RecognitionPolicy:
    """How the gallery is asked, and how long to leave it alone after it failed."""

    matching: MatchingPolicy = field(default_factory=MatchingPolicy)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    top_k: int = 10
    gallery_retry_s: float = 2.0


@dataclass(slots=True)
class Recogniser:
    """Decides who tracks are, with a gallery, a registry and the site's topology."""

    site_id: SiteId
    gallery: Gallery
    registry: ActiveRegistry
    graph: SiteGraph
    clock: Clock
    model: str
    dimension: int
    policy: RecognitionPolicy = field(default_factory=RecognitionPolicy)
    _down_until_s: float = 0.0
    _was_down: bool = False

    async def recognise(
        self, camera_id: CameraId, outcome: FrameOutcome, captured_at: Instant
    ) -> tuple[list[TrackIdentity], list[AlertEvent]]:
        """Decide the tracks of a frame that are due; return those that changed, and alerts."""
        due = [identity for _, identity, _ in outcome.visible if identity.is_due]
        changed: list[TrackIdentity] = []
        alerts: list[AlertEvent] = []
        matches = await self._search(due)
        if matches is None:
            changed = [i for i in due if self._fall_back(i)]
            alerts += self._gallery_alert(camera_id, captured_at)
        enrolled: list[GalleryEntry] = []
        for identity, found in zip(due, matches or (), strict=False):
            nearby = [*found, *_compare(identity, enrolled)]
            judgement = self._judge(camera_id, identity, nearby, outcome)
            alerts += self._gate_alert(camera_id, identity, judgement, captured_at)
            if await self._accept(identity, judgement, enrolled):
                changed.append(identity)
        self._note_presence(camera_id, outcome)
        return changed, alerts

    async def conclude(self, ended: Sequence[TrackIdentity]) -> list[TrackIdentity]:
        """Settle people's tracks that are over: undecided ones, and faces to remember anew."""
        changed = []
        for identity in ended:
            if identity.label != _PERSON:
                continue
            if identity.decision is None:
                judgement = unrecognised(identity, self.model, self.policy.matching)
                identity.decision, identity.explained = judgement.decision, judgement.explained
                changed.append(identity)
            elif identity.decision.status == "known":
                await self._renew(identity)
        return changed

    async def expire(self, now: Instant) -> None:
        """Let the registry and the gallery forget what their retention says."""
        self.registry.evict(now)
        try:
            await self.gallery.delete_expired(now)
        except GalleryUnavailable as cause:
            self._mark_down(cause)

    async def _search(self, due: Sequence[TrackIdentity]) -> list[list[GalleryMatch]] | None:
        """Return the matches of each track, or None when the gallery does not answer."""
        if not due:
            return []
        if self.clock.monotonic() < self._down_until_s:
            return None
        probes = [_probe(identity) for identity in due]
        try:
            with GALLERY_S.labels("search").time():
                found = await self.gallery.search(probes, self.policy.top_k)
        except GalleryUnavailable as cause:
            self._mark_down(cause)
            return None
        self._mark_up()
        return found

    def _judge(
        self,
        camera_id: CameraId,
        identity: TrackIdentity,
        found: Sequence[GalleryMatch],
        outcome: FrameOutcome,
    ) -> Judgement:
        identity.asked_at = identity.evidence.usable
        identity.gallery_missed = False
        judgement = resolve(
            identity,
            found,
            camera_id=camera_id,
            in_view=outcome.in_view(identity.track_id),
            registry=self.registry,
            graph=self.graph,
            policy=self.policy.matching,
            model=self.model,
        )
        if judgement.gate:
            GATE_VERDICTS.labels(camera_id, judgement.gate.verdict).inc()
        return judgement

    async def _accept(
        self, identity: TrackIdentity, judgement: Judgement, enrolled: list[GalleryEntry]
    ) -> bool:
        """Take a decision over, enrolling a new identity first; return whether it is news."""
        decision = judgement.decision
        if decision.status == "new":
            decision = await self._enrol(identity, decision, enrolled)
        news = decision != identity.decision
        identity.decision, identity.explained = decision, judgement.explained
        return news

    async def _enrol(
        self, identity: TrackIdentity, decision: Decision, enrolled: list[GalleryEntry]
    ) -> Decision:
        customer_id = customer_of(identity.track_id)
        shots = consistent_shots(identity.evidence.shots)
        entries = enrol(customer_id, IdentityKind.ANONYMOUS, shots, self.policy.retention)
        if not await self._upsert(entries):
            identity.gallery_missed = True
            return Decision("unknown", ("gallery_unavailable",))
        enrolled += entries
        return replace(decision, customer_id=customer_id)

    async def _renew(self, identity: TrackIdentity) -> None:
        decision = identity.decision
        shots = consistent_shots(identity.evidence.shots)
        if decision is None or decision.customer_id is None or decision.kind is None:
            return
        if len(shots) >= self.policy.matching.enrol_after_faces:
            await self._upsert(
                [renew(decision.customer_id, decision.kind, shots, self.policy.retention)]
            )

    async def _upsert(self, entries: Sequence[GalleryEntry]) -> bool:
        try:
            with GALLERY_S.labels("upsert").time():
                await self.gallery.upsert(entries)
        except GalleryUnavailable as cause:
            self._mark_down(cause)
            return False
        return True

    def _fall_back(self, identity: TrackIdentity) -> bool:
        """Let a track go out as unknown; it is asked again as soon as the gallery is back."""
        identity.gallery_missed = True
        decision = Decision("unknown", ("gallery_unavailable",))
        news = decision != identity.decision
        identity.decision = decision
        identity.explained = explain(identity.evidence, self.model, self.policy.matching)
        return news

    def _note_presence(self, camera_id: CameraId, outcome: FrameOutcome) -> None:
        for _, identity, _ in outcome.visible:
            if identity.decision and identity.decision.customer_id and identity.decision.kind:
                stretch = identity.stretch(camera_id)
                self.registry.see(identity.decision.customer_id, identity.decision.kind, stretch)

    def _gate_alert(
        self,
        camera_id: CameraId,
        identity: TrackIdentity,
        judgement: Judgement,
        captured_at: Instant,
    ) -> list[AlertEvent]:
        """Return the alert for an impossible transition, once per track and identity."""
        gate = judgement.gate
        if gate is None or gate.verdict != "impossible" or gate.customer_id in identity.alerted:
            return []
        identity.alerted.add(gate.customer_id)
        where = (self.site_id, camera_id, captured_at)
        return [impossible_transition(*where, identity.track_id, gate)]

    def _gallery_alert(self, camera_id: CameraId, captured_at: Instant) -> list[AlertEvent]:
        """Return the alert that identities go out as unknown, once per outage."""
        if self._was_down:
            return []
        self._was_down = True
        return [gallery_unavailable(self.site_id, camera_id, captured_at)]

    def _mark_down(self, cause: GalleryUnavailable) -> None:
        self._down_until_s = self.clock.monotonic() + self.policy.gallery_retry_s
        GALLERY_UP.set(0)
        log.warning("gallery unavailable", cause=str(cause))

    def _mark_up(self) -> None:
        GALLERY_UP.set(1)
        self._was_down = False


def _probe(identity: TrackIdentity) -> Embedding:
    return fuse(consistent_shots(identity.evidence.shots))


def _compare(identity: TrackIdentity, enrolled: Sequence[GalleryEntry]) -> list[GalleryMatch]:
    """Return how a track resembles those enrolled since its search, in the very same frame."""
    if not enrolled:
        return []
    probe = _probe(identity)
    return [
        GalleryMatch(e.entry_id, e.customer_id, e.kind, float(probe @ e.embedding))
        for e in enrolled
    ]
