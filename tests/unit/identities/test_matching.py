"""The open-set decision: known, new or unknown, with its reasons."""

import pytest

from trinetra.events.schema import Candidate, GateEvidence, Thresholds
from trinetra.identities.decision.matching import (
    Decision,
    MatchingPolicy,
    Ranked,
    candidates_of,
    decide,
    margin_of,
    rank,
    reconsider,
    wants_to_be_left_out,
    without_faces,
)
from trinetra.values import CustomerId, GalleryMatch, IdentityKind

POLICY = MatchingPolicy()
ANNA, BEN = CustomerId("cus_anna"), CustomerId("cus_ben")


def ranked(*scores: tuple[CustomerId, float]) -> list[Ranked]:
    return [Ranked(customer, IdentityKind.ANONYMOUS, score) for customer, score in scores]


def outcome(rows: list[Ranked], faces: int = 3, **more: object) -> tuple[str, tuple[str, ...]]:
    options = {"gate": None, "in_view": frozenset(), **more}
    decision = decide(
        rows, options["gate"], good_faces=faces, in_view=options["in_view"], policy=POLICY
    )
    return decision.status, decision.reasons


def verdict(word: str) -> GateEvidence:
    return GateEvidence(customer_id=ANNA, verdict=word, reason="x")


def test_the_specified_threshold_is_cosine_044_on_the_calibrated_scale() -> None:
    assert POLICY.score(0.44) == pytest.approx(0.72)


def test_a_similar_face_is_known() -> None:
    assert outcome(ranked((ANNA, 0.85), (BEN, 0.55)), gate=verdict("plausible")) == (
        "known",
        ("similar", "gate_plausible"),
    )


def test_a_face_like_nobody_is_new_once_there_are_enough_good_faces() -> None:
    assert outcome(ranked((ANNA, 0.52)), faces=2) == ("unknown", ("collecting_faces",))
    assert outcome(ranked((ANNA, 0.52)), faces=3) == ("new", ("no_match",))
    assert outcome([], faces=3) == ("new", ("no_match",))


def test_a_face_that_might_be_somebody_needs_more_faces_to_be_new() -> None:
    assert outcome(ranked((ANNA, 0.69)), faces=3) == ("unknown", ("resembles_somebody",))
    assert outcome(ranked((ANNA, 0.69)), faces=8) == ("new", ("no_match",))


def test_two_equally_similar_identities_are_ambiguous() -> None:
    assert outcome(ranked((ANNA, 0.85), (BEN, 0.84))) == ("unknown", ("ambiguous",))


def test_an_impossible_transition_is_neither_known_nor_new() -> None:
    rows = ranked((ANNA, 0.95))
    assert outcome(rows, faces=9, gate=verdict("impossible")) == ("unknown", ("gate_impossible",))


def test_nobody_is_twice_in_one_frame() -> None:
    rows = ranked((ANNA, 0.9))
    assert outcome(rows, in_view=frozenset({ANNA})) == ("unknown", ("already_in_view",))


def test_an_identity_ranks_by_its_best_embedding() -> None:
    matches = [
        GalleryMatch("1", ANNA, IdentityKind.ANONYMOUS, 0.5),
        GalleryMatch("2", BEN, IdentityKind.STAFF, 0.6),
        GalleryMatch("3", ANNA, IdentityKind.ANONYMOUS, 0.9),
    ]
    rows = rank(matches, POLICY)
    assert [r.customer_id for r in rows] == [ANNA, BEN]
    assert margin_of(rows) == pytest.approx(0.15)
    assert margin_of(rows[:1]) is None


def test_a_track_without_usable_faces_says_why() -> None:
    assert without_faces({"too_small": 9, "blurred": 1}, 10).reasons == (
        "face_blurred",
        "face_too_small",
    )
    assert without_faces({}, 0).reasons == ("no_face",)


# --- a track that has a decision already -------------------------------------------------------


def known(customer: CustomerId) -> Decision:
    return Decision("known", ("similar", "gate_unknown"), customer, IdentityKind.ANONYMOUS)


NEW = Decision("new", ("no_match",), kind=IdentityKind.ANONYMOUS)
UNKNOWN = Decision("unknown", ("ambiguous",))


@pytest.mark.parametrize(
    ("fresh", "scores", "expected"),
    [
        (known(BEN), ((BEN, 0.90), (ANNA, 0.80)), known(BEN)),
        (known(BEN), ((BEN, 0.82), (ANNA, 0.78)), known(ANNA)),
        (known(ANNA), ((ANNA, 0.80),), known(ANNA)),
        (NEW, ((ANNA, 0.70),), known(ANNA)),
        (NEW, ((ANNA, 0.60),), NEW),
        (UNKNOWN, ((BEN, 0.80), (ANNA, 0.79)), known(ANNA)),
    ],
)
def test_a_decision_gives_way_to_a_clear_lead_and_to_nothing_less(
    fresh: Decision, scores: tuple, expected: Decision
) -> None:
    assert reconsider(known(ANNA), fresh, ranked(*scores), POLICY) == expected


def test_somebody_new_stays_so_until_the_consolidation_says_otherwise() -> None:
    new = Decision("new", ("no_match",), ANNA, IdentityKind.ANONYMOUS)
    assert reconsider(new, known(BEN), ranked((BEN, 0.99), (ANNA, 0.9)), POLICY) is new


def test_a_track_whose_person_is_seen_elsewhere_takes_any_name_but_no_other_doubt() -> None:
    elsewhere = Decision("unknown", ("seen_on_another_track",))
    assert reconsider(elsewhere, known(BEN), ranked((BEN, 0.8)), POLICY) == known(BEN)
    assert reconsider(elsewhere, UNKNOWN, ranked((BEN, 0.8)), POLICY) is elsewhere


# --- limits --------------------------------------------------------------------------------------

EXACT = MatchingPolicy(similarity=0.75, margin=0.125, new_below=0.5)
"""Limits that binary fractions represent exactly, so that a score can lie on them."""


def decided(
    rows: list[Ranked], faces: int = 8, in_view: frozenset[CustomerId] = frozenset()
) -> str:
    decision = decide(rows, None, good_faces=faces, in_view=in_view, policy=EXACT)
    return f"{decision.status} {decision.reasons[0]}"


def opted_out(customer: CustomerId, score: float) -> Ranked:
    return Ranked(customer, IdentityKind.OPTED_OUT, score)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (((ANNA, 0.75),), "known similar"),
        (((ANNA, 0.74),), "new no_match"),
        (((ANNA, 0.875), (BEN, 0.75)), "known similar"),
        (((ANNA, 0.875), (BEN, 0.76)), "unknown ambiguous"),
    ],
)
def test_a_score_on_the_limit_counts_as_reaching_it(rows: tuple, expected: str) -> None:
    assert decided(ranked(*rows)) == expected


def test_a_score_from_new_below_on_is_in_doubt() -> None:
    assert decided(ranked((ANNA, 0.5)), faces=3) == "unknown resembles_somebody"
    assert decided(ranked((ANNA, 0.49)), faces=3) == "new no_match"


def test_a_known_face_is_named_for_its_customer_and_kind() -> None:
    decision = decide(
        [Ranked(ANNA, IdentityKind.VIP, 0.9)],
        None,
        good_faces=1,
        in_view=frozenset({BEN}),
        policy=EXACT,
    )
    assert (decision.customer_id, decision.kind) == (ANNA, IdentityKind.VIP)
    assert decision.reasons == ("similar", "gate_unknown")


def test_a_new_identity_is_anonymous_and_has_no_id_yet() -> None:
    decision = decide([], None, good_faces=3, in_view=frozenset(), policy=EXACT)
    assert (decision.customer_id, decision.kind) == (None, IdentityKind.ANONYMOUS)


def test_a_face_in_doubt_of_an_opted_out_person_is_never_enrolled() -> None:
    assert decided([opted_out(ANNA, 0.6)], faces=1000) == "unknown resembles_somebody"
    assert decided([opted_out(ANNA, 0.4)], faces=8) == "new no_match"


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        ([opted_out(ANNA, 0.75)], True),
        ([opted_out(ANNA, 0.74)], False),
        ([*ranked((BEN, 0.875)), opted_out(ANNA, 0.76)], True),
        ([*ranked((BEN, 0.875)), opted_out(ANNA, 0.75)], False),
        (ranked((BEN, 0.9)), False),
        ([], False),
    ],
)
def test_a_match_with_an_opted_out_person_or_as_good_as_one_is_left_out(
    rows: list[Ranked], left_out: bool
) -> None:
    assert wants_to_be_left_out(rows, EXACT) is left_out


def test_the_candidates_of_an_event_never_name_an_opted_out_person() -> None:
    rows = [opted_out(ANNA, 0.9), *ranked((BEN, 0.123456))]
    assert candidates_of(rows) == (Candidate(BEN, 0.1235),)


def test_scores_stay_on_their_scale_and_rise_with_the_cosine() -> None:
    steep = MatchingPolicy(scale_offset=0.25, scale_gain=1.0)
    cosines = (-1.0, -0.25, 0.0, 0.5, 0.75, 1.0)
    assert [steep.score(cosine) for cosine in cosines] == [0.0, 0.0, 0.25, 0.75, 1.0, 1.0]


def test_equal_scores_rank_by_id_whatever_the_order_of_the_matches() -> None:
    matches = [GalleryMatch(c, c, IdentityKind.ANONYMOUS, 0.5) for c in (BEN, ANNA)]
    assert rank(matches, POLICY) == rank(matches[::-1], POLICY)
    assert [r.customer_id for r in rank(matches, POLICY)] == [ANNA, BEN]


def test_an_event_reports_the_limits_that_decided() -> None:
    policy = MatchingPolicy(similarity=0.8, margin=0.1, min_quality=0.4, min_face_px=50.0)
    assert policy.thresholds() == Thresholds(
        similarity=0.8, margin=0.1, quality=0.4, min_face_px=50.0
    )


@pytest.mark.parametrize(
    ("fresh", "scores", "gives_way"),
    [
        (known(BEN), ((BEN, 1.0), (ANNA, 0.75)), True),
        (known(BEN), ((BEN, 1.0), (ANNA, 0.76)), False),
        (known(BEN), ((BEN, 0.9),), True),
        (NEW, ((ANNA, 0.49),), True),
        (NEW, ((ANNA, 0.5),), False),
        (NEW, ((BEN, 0.6),), True),
    ],
)
def test_a_decision_gives_way_at_twice_the_margin_or_below_the_limit_for_strangers(
    fresh: Decision, scores: tuple, gives_way: bool
) -> None:
    outcome = reconsider(known(ANNA), fresh, ranked(*scores), EXACT)
    assert outcome == (fresh if gives_way else known(ANNA))


def test_near_the_threshold_no_number_of_faces_makes_a_new_identity() -> None:
    policy = MatchingPolicy(similarity=0.85, new_below=0.75, never_new_from=0.8)
    for score, status in ((0.74, "new"), (0.79, "new"), (0.8, "unknown"), (0.84, "unknown")):
        ranked = [Ranked(CustomerId("ann"), IdentityKind.ANONYMOUS, score)]
        found = decide(ranked, None, good_faces=100, in_view=frozenset(), policy=policy)
        assert found.status == status
