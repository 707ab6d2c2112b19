"""Thresholds that follow from a target, the number of people, and the size of the faces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.decision.duplicates import MergePolicy
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.decision.open_set import (
    MatchingRules,
    OpenSetTarget,
    Rivals,
    ThresholdTable,
    step_up,
)
from trinetra.impostors import ImpostorTail

LARGE, SMALL = ImpostorTail(0.65, 0.02, 0.02), ImpostorTail(0.68, 0.02, 0.02)
TARGET = OpenSetTarget(0.001, {48.0: LARGE, 32.0: SMALL})
GIVEN = MatchingPolicy(similarity=0.72, new_below=0.66, margin=0.03)
TABLE = ThresholdTable(GIVEN, TARGET)
PEOPLE = st.integers(0, 10_000_000)


def test_steps_are_round_numbers_that_are_not_exceeded() -> None:
    assert [step_up(n) for n in (0, 1, 10, 11, 20, 21, 51, 999, 1001)] == [
        *(10, 10, 10, 20, 20, 50, 100, 1000, 2000)
    ]
    assert step_up(10**9) == 10_000_000


@given(people=PEOPLE)
def test_a_step_is_less_than_three_times_the_number(people: int) -> None:
    assert people <= step_up(people) < max(11, 2.51 * people)


@given(gallery=PEOPLE, on_site=st.integers(0, 5000), face_px=st.floats(10, 500))
def test_the_expected_false_positives_of_all_rivals_stay_within_the_target(
    gallery: int, on_site: int, face_px: float
) -> None:
    rivals = Rivals().updated(gallery, on_site)
    tail = LARGE if face_px >= 48 else SMALL
    expected = sum(
        number * tail.rate_at(TABLE.policy(rivals, among, face_px).similarity)
        for number, among in ((gallery, "gallery"), (on_site, "on_site"))
        if TABLE.policy(rivals, among, face_px).similarity < 1.0
    )
    assert expected <= TARGET.rate * 1.01  # thresholds are rounded to four digits


@given(few=PEOPLE, more=PEOPLE)
def test_more_people_never_lower_the_threshold(few: int, more: int) -> None:
    few, more = sorted((few, more))
    one, other = (
        TABLE.policy(Rivals(step_up(n), 10), "gallery", 80).similarity for n in (few, more)
    )
    assert one <= other


def test_a_person_on_site_is_recognized_at_a_lower_score_than_one_of_the_whole_gallery() -> None:
    rivals = Rivals().updated(10_000, 30)
    on_site, gallery = (TABLE.policy(rivals, among, 80) for among in ("on_site", "gallery"))
    assert on_site.similarity < gallery.similarity
    assert on_site.basis is not None
    assert (on_site.basis.people, on_site.basis.among, on_site.basis.face_px) == (50, "on_site", 48)


def test_small_faces_need_a_higher_score_and_yet_smaller_ones_are_treated_like_them() -> None:
    scores = [TABLE.policy(Rivals(), "gallery", px).similarity for px in (20, 32, 47, 48, 100)]
    assert scores[0] == scores[1] == scores[2] > scores[3] == scores[4]


@pytest.mark.parametrize("people", [10, 1000, 100_000])
def test_a_tenth_of_strangers_is_in_doubt_and_a_hundredth_never_new(people: int) -> None:
    rivals = Rivals(people, people)
    policies = [TABLE.policy(rivals, among, 80) for among in ("gallery", "on_site")]
    doubtful = sum(people * LARGE.rate_at(policy.new_below) for policy in policies)
    never = sum(people * LARGE.rate_at(policy.never_new_from) for policy in policies)
    assert (doubtful, never) == (pytest.approx(0.1, rel=0.01), pytest.approx(0.01, rel=0.01))


def test_the_margin_makes_a_stranger_four_times_rarer() -> None:
    policy = TABLE.policy(Rivals(1000, 10), "gallery", 80)
    ratio = LARGE.rate_at(policy.similarity) / LARGE.rate_at(policy.similarity + policy.margin)
    assert ratio == pytest.approx(4, rel=0.01)


def test_given_limits_stay_and_the_given_similarity_is_the_least_one() -> None:
    kept = OpenSetTarget(0.001, TARGET.tails, frozenset({"margin", "new_below"}))
    policy = ThresholdTable(GIVEN, kept).policy(Rivals(1000, 10), "gallery", 80)
    assert (policy.margin, policy.new_below) == (0.03, 0.66)
    lax = ThresholdTable(GIVEN, OpenSetTarget(0.5, TARGET.tails))
    assert lax.policy(Rivals(), "gallery", 80).similarity == GIVEN.similarity
    assert lax.policy(Rivals(), "gallery", 80).new_below <= GIVEN.similarity


def test_no_threshold_exceeds_the_highest_score() -> None:
    wide = OpenSetTarget(1e-6, {32.0: ImpostorTail(0.7, 0.02, 0.05)})
    table = ThresholdTable(GIVEN, wide)
    assert table.policy(Rivals(10_000_000, 10), "gallery", 80).similarity == 1.0
    assert table.merge_limits(Rivals(10_000_000, 10)) == (1.0, 1.0)


def test_without_a_target_the_given_policy_holds_for_any_number() -> None:
    rules = MatchingRules(GIVEN, None, Rivals(1_000_000, 1000))
    assert rules.policy("gallery", 20) is GIVEN


def test_a_number_that_hovers_around_a_step_does_not_change_the_threshold() -> None:
    rivals = Rivals().updated(101, 10)
    assert rivals.gallery == 200
    for people in (99, 101, 82, 130, 100):
        rivals = rivals.updated(people, 10)
        assert rivals.gallery == 200
    assert rivals.updated(79, 10).gallery == 100
    assert rivals.updated(3, 10).gallery == 10


@given(numbers=st.lists(PEOPLE, max_size=20))
def test_a_step_always_covers_the_number_of_people(numbers: list[int]) -> None:
    rivals = Rivals()
    for number in numbers:
        rivals = rivals.updated(number, number)
        assert rivals.gallery >= number


def test_false_merges_per_new_identity_are_a_tenth_of_the_false_matches() -> None:
    merge_at, propose_at = TABLE.merge_limits(Rivals(1000, 10))
    assert 1000 * SMALL.rate_at(propose_at) == pytest.approx(0.001)
    assert 1000 * SMALL.rate_at(merge_at) == pytest.approx(0.0001)
    raised = MergePolicy(0.84, 0.78).raised_to(merge_at, propose_at)
    assert (raised.merge_at, raised.propose_at) == (merge_at, propose_at)
    assert MergePolicy(1.01, 1.01).raised_to(merge_at, propose_at) == MergePolicy(1.01, 1.01)
