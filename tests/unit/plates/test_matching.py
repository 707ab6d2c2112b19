"""Plates are compared with similar characters at a discount, and with patterns."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.plates.matching import ALIKE_COST, distance, matches, pattern_distance

TEXTS = st.text("AB01OI8", max_size=7)


@given(TEXTS, TEXTS, TEXTS)
def test_the_distance_is_a_metric(a, b, c):
    assert (distance(a, b) == 0) is (a == b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9


@given(TEXTS, TEXTS)
def test_the_distance_is_at_least_the_difference_of_lengths_and_at_most_all(a, b):
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


@pytest.mark.parametrize(
    ("a", "b", "cost"),
    [
        ("KA01", "KA01", 0),
        ("KA01", "KAO1", ALIKE_COST),
        ("KA01", "KAOI", 2 * ALIKE_COST),
        ("KA01", "KA1", 1),
        ("KA01", "MA01", 1),
        ("", "KA01", 4),
    ],
)
def test_a_similar_character_costs_little_and_any_other_edit_one(a, b, cost):
    assert distance(a, b) == cost


@given(st.text("AB01*?", max_size=6), st.text("AB01", max_size=7))
def test_a_pattern_matches_as_the_shell_would(pattern, text):
    assert matches(pattern, text) is fnmatch.fnmatchcase(text, pattern)


@given(st.text("AB01OI8", max_size=7), st.text("AB01OI8", max_size=7))
def test_without_wildcards_the_cost_is_the_distance(pattern, text):
    assert pattern_distance(pattern, text) == distance(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "cost"),
    [
        ("KA-01-*", "KA01AB1234", 0),
        ("ka 01 *", "KA01", 0),
        ("KA-01-*", "KAO1AB1234", ALIKE_COST),
        ("KA-01-*", "MH01AB1234", 2),
        ("*1234", "KA01AB1234", 0),
        ("*1234", "KA01AB1Z34", ALIKE_COST),
        ("??01*", "KA01AB", 0),
        ("*", "", 0),
        ("*", "KA01", 0),
    ],
)
def test_a_watchlist_pattern_allows_for_a_misread_character(pattern, text, cost):
    assert pattern_distance(pattern, text) == cost
    assert matches(pattern, text, max_cost=cost)
    assert cost == 0 or not matches(pattern, text)
