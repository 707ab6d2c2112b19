"""Decides who a track is, from its gallery matches and the gate, and explains the decision."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from trinetra.events.schema import Evidence, GateEvidence
from trinetra.identities.decision.matching import (
    LEFT_OUT,
    MOTIONLESS,
    Decision,
    MatchingPolicy,
    candidates_of,
    decide,
    margin_of,
    rank,
    reconsider,
    wants_to_be_left_out,
    without_faces,
)
from trinetra.identities.decision.track_identity import TrackIdentity, TrackObservation
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph, judge
from trinetra.identities.tracking.track_faces import TrackFaces, mean_quality
from trinetra.values import CameraId, CustomerId, GalleryMatch


@dataclass(frozen=True, slots=True)
class ExplainedDecision:
    """A decision with the evidence that led to it; ``gate`` is set when a match was strong."""

    decision: Decision
    gate: GateEvidence | None
    evidence: Evidence


def resolve(
    observation: TrackObservation,
    matches: Sequence[GalleryMatch],
    *,
    camera_id: CameraId,
    in_view: frozenset[CustomerId],
    registry: ActiveRegistry,
    graph: SiteGraph,
    policy: MatchingPolicy,
    model: str,
) -> ExplainedDecision:
    """Return the decision on a track, given its matches and where those identities were seen.

    A track that has a decision keeps it unless ``reconsider`` finds strong evidence for another.
    """
    ranked = rank(matches, policy)
    # Checked before anything else, so that neither candidates nor gate reach an event.
    if wants_to_be_left_out(ranked, policy):
        return ExplainedDecision(LEFT_OUT, None, explain(observation.evidence, model, policy))
    present = observation.identity.decision
    gate = None
    if ranked and ranked[0].score >= policy.similarity:
        best = ranked[0].customer_id
        elsewhere = registry.elsewhere(best, camera_id)
        gate = judge(graph, best, elsewhere, observation.segment(camera_id, graph), registry.times)
    good = observation.evidence.usable
    decision = decide(ranked, gate, good_faces=good, in_view=in_view, policy=policy)
    if decision.status == "new" and not observation.identity.life.has_moved:
        decision = MOTIONLESS
    if present is not None and observation.identity.is_settled:
        decision = reconsider(present, decision, ranked, policy)
    explained = explain(observation.evidence, model, policy)
    margin = margin_of(ranked)
    return ExplainedDecision(
        decision,
        gate,
        msgspec.structs.replace(
            explained,
            candidates=candidates_of(ranked),
            margin=None if margin is None else round(margin, 4),
            gate=(gate,) if gate else (),
        ),
    )


def explain(evidence: TrackFaces, model: str, policy: MatchingPolicy) -> Evidence:
    """Return the evidence about a track's faces for an identity event."""
    shots = evidence.shots
    return Evidence(
        faces_seen=evidence.faces_seen,
        faces_used=len(shots),
        best_face_px=round(evidence.best_face_px, 1),
        quality=round(mean_quality(shots), 3),
        model=model,
        thresholds=policy.thresholds(),
        known_since=evidence.known_since,
    )


def unrecognized(identity: TrackIdentity, model: str, policy: MatchingPolicy) -> ExplainedDecision:
    """Return the final decision on a track that ends without one."""
    evidence = identity.evidence
    if evidence.shots:
        decision = Decision("unknown", ("too_few_good_faces",))
    else:
        decision = without_faces(evidence.unusable, evidence.faces_seen)
    return ExplainedDecision(decision, None, explain(evidence, model, policy))
