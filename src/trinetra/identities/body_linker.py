"""Links tracks without a usable face to customers of the same visit, and ends links that fail.

The rules are in ``decision/body_link.py``. Only the cameras of this resolver are compared: bodies
are in the state of their camera's partition, and never on a topic that is kept for days.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from trinetra.events.schema import BodyEvidence, GateEvidence
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.body_link import (
    BODY_DIFFERS,
    KnownBody,
    Resemblance,
    choose,
    rank_bodies,
)
from trinetra.identities.decision.identity_decision import explain
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import (
    FrameOutcome,
    TrackIdentity,
    TrackObservation,
)
from trinetra.identities.gate.topology import Sighting, judge
from trinetra.identities.tracking.track_faces import mean_size_px
from trinetra.ports import TopicPartition
from trinetra.telemetry import BODY_LINKS
from trinetra.values import CameraId, CustomerId, IdentityKind, Instant, seconds_between

_EVERY = 5
"""Pictures of a body after which its link is reviewed."""
_IN_VIEW = Decision("unknown", ("already_in_view",))
_PERSON = "person"


class _Whereabouts(NamedTuple):
    """Whether a customer can be on a track, and the gate's finding if another camera saw them."""

    possible: bool
    gate: GateEvidence | None = None


class BodyLinker:
    """Keeps the bodies of identified customers, and links tracks by them, frame by frame."""

    def __init__(self, context: ResolverContext) -> None:
        self._context = context
        self._policy = context.policy.links

    def step(
        self, home: TopicPartition, camera_id: CameraId, outcome: FrameOutcome
    ) -> list[TrackIdentity]:
        """Note the bodies of a frame, link and review its tracks; return the tracks that changed.

        ``home`` is the camera's partition.
        """
        if not self._policy.false_link_rate:
            return []
        doubled = [seen.identity for seen in outcome.visible if _is_doubled(seen, outcome)]
        for identity in doubled:
            self._end(camera_id, identity, _IN_VIEW)
        for seen in outcome.visible:
            self._note(home, camera_id, seen)
        due = [seen for seen in outcome.visible if _has_new_picture(seen)]
        return doubled + [s.identity for s in due if self._look_at(camera_id, s, outcome)]

    def unlearn(self, camera_id: CameraId, decision: Decision | None) -> None:
        """Drop the body that a track showed of a customer: the track may be another person."""
        if decision is not None and decision.customer_id is not None and not decision.linked:
            customer_id = decision.own_id or decision.customer_id
            for state in self._context.partitions.values():
                state.bodies.discard(customer_id, camera_id)

    def expire(self, now: Instant) -> None:
        """Drop what belongs to visits that have ended."""
        self._context.linked.evict(now)
        for state in self._context.partitions.values():
            state.bodies.evict(now, self._policy.max_absence_s)

    def _note(self, home: TopicPartition, camera_id: CameraId, seen: TrackObservation) -> None:
        """Keep the body of a track that was identified by face."""
        decision = seen.identity.decision
        if seen.body is None or decision is None or decision.customer_id is None:
            return
        if not decision.linked and seen.evidence.segment == seen.identity.segment:
            customer_id = decision.own_id or decision.customer_id
            self._context.partitions[home].bodies.note(customer_id, camera_id, seen.body)

    def _look_at(self, camera_id: CameraId, seen: TrackObservation, outcome: FrameOutcome) -> bool:
        """Link or review a track; return whether its decision changed."""
        identity = seen.identity
        pictures = seen.body.seen if seen.body else 0
        if identity.is_linked:
            return pictures % _EVERY == 0 and self._review(camera_id, seen)
        if identity.customer_id or identity.is_left_out or seen.evidence.usable:
            return False
        return pictures in self._policy.looks and self._link(camera_id, seen, outcome)

    def _link(self, camera_id: CameraId, seen: TrackObservation, outcome: FrameOutcome) -> bool:
        in_view = outcome.in_view(seen, linked=True)

        def can_be_here(customer_id: CustomerId) -> bool:
            return (
                customer_id not in in_view
                and self._whereabouts(customer_id, camera_id, seen).possible
            )

        found = choose(self._ranked(camera_id, seen), can_be_here, self._policy)
        if found is None or seen.body is None:
            return False
        best, rival = found
        own_id, customer_id = best.known.customer_id, best.customer_id
        _, kind = self._context.directory.as_known(own_id, IdentityKind.ANONYMOUS)
        gate = self._whereabouts(customer_id, camera_id, seen).gate
        seen.identity.decision = Decision(
            "known",
            ("same_body", "gate_plausible" if gate else "same_view"),
            customer_id,
            kind,
            own_id if own_id != customer_id else None,
            linked=True,
        )
        self._explain(seen.identity, best.evidence(seen.body, self._policy, rival), gate)
        BODY_LINKS.labels(camera_id, "linked").inc()
        return True

    def _review(self, camera_id: CameraId, seen: TrackObservation) -> bool:
        """End a link that later pictures or sightings contradict; return whether it ended."""
        identity, customer_id = seen.identity, seen.identity.customer_id
        if customer_id is None or seen.body is None:
            return False
        ranked = self._ranked(camera_id, seen)
        found = next((one for one in ranked if one.customer_id == customer_id), None)
        if found is not None and found.lead < -self._policy.margin:
            self._end(camera_id, identity, BODY_DIFFERS)
            self._explain(identity, found.evidence(seen.body, self._policy), None)
            return True
        gate = self._whereabouts(customer_id, camera_id, seen).gate
        if gate and gate.verdict == "impossible":
            self._end(camera_id, identity, Decision("unknown", ("gate_impossible",)))
            return True
        return False

    def _end(self, camera_id: CameraId, identity: TrackIdentity, why: Decision) -> None:
        identity.decision = why
        self._explain(identity, None, None)
        BODY_LINKS.labels(camera_id, "ended").inc()

    def _explain(
        self, identity: TrackIdentity, body: BodyEvidence | None, gate: GateEvidence | None
    ) -> None:
        face_px = mean_size_px(identity.evidence.shots)
        policy = self._context.rules.policy("gallery", face_px)
        identity.explained = msgspec.structs.replace(
            explain(identity.evidence, self._context.model, policy),
            body=body,
            gate=(gate,) if gate else (),
        )

    def _ranked(self, camera_id: CameraId, seen: TrackObservation) -> list[Resemblance]:
        if seen.body is None or seen.body.seen < self._policy.least_seen:
            return []
        return rank_bodies(seen.body, camera_id, self._known(seen.seen_at), self._policy)

    def _known(self, now: Instant) -> Iterator[tuple[CustomerId, KnownBody]]:
        """Yield the bodies of all customers who may be here, with their canonical ids."""
        directory = self._context.directory
        for state in self._context.partitions.values():
            for known in state.bodies.known.values():
                absent_s = seconds_between(known.body.last_at, now)
                if abs(absent_s) > self._policy.max_absence_s:
                    continue
                customer_id, kind = directory.as_known(known.customer_id, IdentityKind.ANONYMOUS)
                is_gone = directory.is_erased(known.customer_id) or directory.is_erased(customer_id)
                if not is_gone and kind is not IdentityKind.OPTED_OUT:
                    yield customer_id, known

    def _whereabouts(
        self, customer_id: CustomerId, camera_id: CameraId, seen: TrackObservation
    ) -> _Whereabouts:
        """Return whether a customer can be on a track, given all sightings within the visit."""
        here = seen.segment(camera_id, self._context.graph)
        sightings = [
            sighting
            for registry in (self._context.registry, self._context.linked)
            if (presence := registry.get(customer_id))
            for sighting in presence.sightings.values()
        ]
        others = [sighting for sighting in sightings if sighting.camera_id != camera_id]
        gate = judge(self._context.graph, customer_id, others, here) if others else None
        # A person is on one track of a view at a time, so the last one must be over.
        over = all(s.last_at < here.first_at for s in sightings if s.camera_id == camera_id)
        recent = any(self._is_within_visit(sighting, here) for sighting in sightings)
        walkable = gate is None or gate.verdict == "plausible"
        return _Whereabouts(over and recent and walkable, gate)

    def _is_within_visit(self, sighting: Sighting, here: Sighting) -> bool:
        return seconds_between(sighting.last_at, here.first_at) <= self._policy.max_absence_s


def _is_doubled(seen: TrackObservation, outcome: FrameOutcome) -> bool:
    """Return whether a linked track's customer is visible on another track as well."""
    identity = seen.identity
    return identity.is_linked and identity.customer_id in outcome.in_view(seen, linked=True)


def _has_new_picture(seen: TrackObservation) -> bool:
    is_person = seen.identity.label == _PERSON
    return is_person and seen.body is not None and seen.body.last_at == seen.seen_at
