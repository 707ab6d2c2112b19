"""Explains the identity decision about a track, and what would have changed it."""

from collections.abc import Callable, Iterator

from trinetra.events.schema import BodyEvidence, Evidence, GateEvidence, IdentityEvent
from trinetra.explanation import templates as words
from trinetra.values import CustomerId

Naming = Callable[[CustomerId], str]
"""Returns the display text of a customer: the id, or a name."""
_PRIVATE = frozenset({"opted_out", "erased"})
"""Reasons of decisions that nothing in the pictures could have changed."""
_MAX_LISTED = 5
"""Maximum number of candidates to list."""


def headline(event: IdentityEvent, name: Naming) -> str:
    """Return the decision in one sentence."""
    who = name(event.customer_id) if event.customer_id else ""
    kind = f" ({words.kind(event.kind)})" if event.kind and event.kind != "anonymous" else ""
    match event.status:
        case "known" if who and event.linked:
            return f"{event.track_id} was linked to {who}{kind} by the body, without a face."
        case "known" if who:
            return f"{event.track_id} was recognized as {who}{kind}."
        case "known":
            return f"{event.track_id} was recognized as {words.kind(event.kind or 'opted_out')}."
        case "new":
            return f"{event.track_id} was a new person, from now on {who or 'without an id'}."
        case _:
            return f"{event.track_id} was not identified."


def because(event: IdentityEvent, name: Naming) -> Iterator[str]:
    """Yield the reasons for the decision, one sentence each."""
    yield from map(words.decision, event.reasons)
    evidence = event.evidence
    yield _faces(evidence)
    if evidence.body:
        yield _body(evidence.body, name)
    yield from _scores(evidence, name)
    for gate in evidence.gate:
        yield gate_sentence(gate, name)
    if evidence.faces_used:
        yield f"The faces were compared with model {evidence.model}."


def otherwise(event: IdentityEvent, name: Naming) -> Iterator[str]:
    """Yield what would have led to another decision, one sentence each."""
    evidence = event.evidence
    if _PRIVATE.intersection(event.reasons):
        return
    if not evidence.faces_used:
        size = evidence.thresholds.min_face_px
        yield (
            f"A sharp face of at least {size:g} px, turned to the camera, could have been compared "
            "with known customers."
        )
        return
    if not evidence.candidates:
        if event.status == "unknown":
            yield "More good pictures of the face would have been needed."
        return
    yield from _otherwise_scored(event, name)


def _otherwise_scored(event: IdentityEvent, name: Naming) -> Iterator[str]:
    evidence, limits = event.evidence, event.evidence.thresholds
    best = evidence.candidates[0]
    short = limits.similarity - best.score
    if short > 0:
        yield (
            f"The best match, {name(best.customer_id)}, was {short:.3f} short of the threshold "
            f"{limits.similarity:.3f} ({_origin(evidence)})."
        )
        if event.status == "unknown":
            yield "More or better pictures of the face could have decided it."
        return
    if event.status == "known":
        yield (
            f"With a threshold above {best.score:.3f} (policies.matching.similarity) this would "
            "not have been a match."
        )
    yield from _otherwise_led(evidence, event.status, name)
    for gate in evidence.gate:
        yield from _otherwise_walked(gate)


def _origin(evidence: Evidence) -> str:
    """Return the value of the site file that the threshold follows from."""
    derived = evidence.basis is not None
    key = "false_positive_identification_rate" if derived else "similarity"
    return f"policies.matching.{key}"


def _otherwise_led(evidence: Evidence, status: str, name: Naming) -> Iterator[str]:
    if evidence.margin is None or len(evidence.candidates) < 2:  # noqa: PLR2004  best and runner-up
        return
    needed, rival = evidence.thresholds.margin, name(evidence.candidates[1].customer_id)
    short = needed - evidence.margin
    if short > 0:
        yield (
            f"The lead over {rival} was {short:.3f} short of the {needed:.3f} needed "
            "(policies.matching.margin)."
        )
    elif status == "known":
        yield (
            f"If {rival} had scored {evidence.margin - needed:.3f} more, the match would have been "
            "ambiguous."
        )


def _otherwise_walked(gate: GateEvidence) -> Iterator[str]:
    if gate.verdict != "impossible" or not (gate.limit_mps and gate.distance_m):
        return
    shortest_m = max(0.0, gate.distance_m - (gate.slack_m or 0.0))
    needed_s = max(0.0, shortest_m / gate.limit_mps - (gate.slack_s or 0.0))
    yield (
        f"At {gate.limit_mps:g} m/s (topology.max_walking_speed_mps), allowing for all tolerances, "
        f"the walk takes {needed_s:.1f} s; only {gate.elapsed_s or 0.0:.1f} s had passed."
    )


def _faces(evidence: Evidence) -> str:
    if not evidence.faces_seen:
        return "No face was seen."
    seen = "One face was" if evidence.faces_seen == 1 else f"{evidence.faces_seen} faces were"
    used = (
        f"{evidence.faces_used or 'none'} of them used"
        if evidence.faces_seen > 1
        else ("and used" if evidence.faces_used else "but not used")
    )
    quality = f"; mean quality {evidence.quality:.2f}" if evidence.faces_used else ""
    return f"{seen} seen, {used}; the largest was {evidence.best_face_px:g} px wide{quality}."


def _body(body: BodyEvidence, name: Naming) -> str:
    lead = (
        "no other customer who can be here came near"
        if body.margin is None
        else f"it leads the next best by {body.margin:.2f}, where {body.least_margin:.2f} is needed"
    )
    return (
        f"{body.seen} pictures of the body resemble {name(body.customer_id)} at "
        f"{body.from_camera} with a cosine of {body.cosine:.2f}, where {body.threshold:.2f} is "
        f"needed among {body.compared} (policies.bodies.false_link_rate); {lead}."
    )


def _scores(evidence: Evidence, name: Naming) -> Iterator[str]:
    limits = evidence.thresholds
    if not evidence.candidates:
        if evidence.faces_used:
            yield "No known person looks similar enough to be a candidate."
        return
    best = evidence.candidates[0]
    lead = best.score - limits.similarity
    where = f"{abs(lead):.3f} {'above' if lead >= 0 else 'below'}"
    yield (
        f"{name(best.customer_id)} scored {best.score:.3f}, {where} the {limits.similarity:.3f} "
        "that a match needs."
    )
    yield from _basis(evidence)
    if lead >= 0 and evidence.margin is not None and len(evidence.candidates) > 1:
        rival = evidence.candidates[1]
        yield (
            f"The runner-up, {name(rival.customer_id)}, scored {rival.score:.3f}: a lead of "
            f"{evidence.margin:.3f} where {limits.margin:.3f} is needed."
        )
    if others := evidence.candidates[2:_MAX_LISTED]:
        listed = ", ".join(f"{name(c.customer_id)} {c.score:.3f}" for c in others)
        yield f"Next: {listed}."


def _basis(evidence: Evidence) -> Iterator[str]:
    basis = evidence.basis
    if basis is None:
        return
    where = "in the gallery" if basis.among == "gallery" else "on site"
    yield (
        f"That threshold follows from the target that at most {100 * basis.target:g} % of unknown "
        f"visitors are taken for a known person: it allows for {basis.people:,} people {where}, "
        f"the number rounded up, all lookups of a track, and faces from {basis.face_px:g} px."
    )


def gate_sentence(gate: GateEvidence, name: Naming) -> str:
    """Return the gate's finding for one candidate, with its numbers."""
    numbers = "; ".join(_numbers(gate))
    return f"{name(gate.customer_id)} {words.gate(gate.reason)}{': ' if numbers else ''}{numbers}."


def _numbers(gate: GateEvidence) -> Iterator[str]:
    if gate.from_camera is None:
        return
    when = f"{gate.elapsed_s:.1f} s earlier" if gate.elapsed_s else "at the same time"
    away = f", {gate.distance_m:g} m away" if gate.distance_m else ""
    way = f" via {', '.join(gate.route[1:-1])}" if gate.route[1:-1] else ""
    yield f"seen at {gate.from_camera} {when}{away}{way}"
    if gate.speed_mps is not None and gate.distance_m:
        yield _speed(gate)
    if gate.slack_m or gate.slack_s:
        yield f"plus or minus {gate.slack_m or 0:g} m and {gate.slack_s or 0:g} s"
    if gate.usual_s is not None and gate.surprise is not None:
        usual = f"half of all people take up to {gate.usual_s:.0f} s"
        yield f"{usual}, this is {gate.surprise:+.1f} standard deviations from that"


def _speed(gate: GateEvidence) -> str:
    limit = f", and people here walk at most {gate.limit_mps:g} m/s" if gate.limit_mps else ""
    if gate.least_speed_mps is None:
        return f"that is {gate.speed_mps:.2f} m/s{limit}"
    most = "any speed" if gate.most_speed_mps is None else f"{gate.most_speed_mps:.2f}"
    return (
        f"that is {gate.speed_mps:.2f} m/s (between {gate.least_speed_mps:.2f} and {most}){limit}"
    )
