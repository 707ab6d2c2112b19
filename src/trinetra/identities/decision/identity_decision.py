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
    Ranked,
    candidates_of,
    decide,
    keep_link,
    margin_of,
    rank,
    reconsider,
    wants_to_be_left_out,
    without_faces,
)
from trinetra.identities.decision.open_set import MatchingRules
from trinetra.identities.decision.track_identity import TrackIdentity, TrackObservation
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph, judge
from trinetra.identities.tracking.track_faces import TrackFaces, mean_quality, mean_size_px
from trinetra.values import CameraId, CustomerId, GalleryMatch, IdentityKind


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
    rules: MatchingRules,
    model: str,
) -> ExplainedDecision:
    """Return the decision on a track, given its matches and where those identities were seen.

    A track that has a decision keeps it unless ``reconsider`` finds strong evidence for another.
    """
    ranked = rank(matches, rules.given)
    policy = _policy(ranked, observation.evidence, registry, rules)
    # Checked before anything else, so that neither candidates nor gate reach an event.
    if wants_to_be_left_out(ranked, rules.given):
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
    if present is not None and present.linked:
        decision = keep_link(present, decision, ranked, policy)
    elif present is not None and observation.identity.is_settled:
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


def _policy(
    ranked: Sequence[Ranked], evidence: TrackFaces, registry: ActiveRegistry, rules: MatchingRules
) -> MatchingPolicy:
    """Return the thresholds for the best candidate.

    For a person who opted out they are the given ones, whatever the size of the gallery: few people
    opt out, and a doubt counts for their wish, not for the target.
    """
    if ranked and ranked[0].kind is IdentityKind.OPTED_OUT:
        return rules.given
    is_on_site = bool(ranked) and registry.get(ranked[0].customer_id) is not None
    return rules.policy("on_site" if is_on_site else "gallery", mean_size_px(evidence.shots))


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
        basis=policy.basis,
    )


def unrecognized(identity: TrackIdentity, model: str, policy: MatchingPolicy) -> ExplainedDecision:
    """Return the final decision on a track that ends without one."""
    evidence = identity.evidence
    if evidence.shots:
        decision = Decision("unknown", ("too_few_good_faces",))
    else:
        decision = without_faces(evidence.unusable, evidence.faces_seen)
    return ExplainedDecision(decision, None, explain(evidence, model, policy))
