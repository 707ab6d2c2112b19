"""The readings of a track elect its plate."""

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.plates.voting import vote


class Read(NamedTuple):
    text: str
    confidences: tuple[float, ...]


def read(text, confidence=0.9):
    return Read(text, (confidence,) * len(text))


@st.composite
def readings(draw, min_size=0):
    text = draw(st.text("AB01", min_size=min_size, max_size=6))
    return Read(text, tuple(draw(st.floats(0, 1)) for _ in text))


@given(readings(min_size=1))
def test_a_single_reading_elects_itself_with_its_own_confidence(only):
    found = vote([only])
    assert (found.text, found.agreeing, found.readings) == (only.text, 1, 1)
    assert found.confidence == pytest.approx(sum(only.confidences) / len(only.text), abs=1e-5)


@given(st.lists(readings(), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_the_readings_does_not_matter(cast, random):
    shuffled = list(cast)
    random.shuffle(shuffled)
    assert vote(shuffled) == vote(cast)


@given(st.lists(readings(), max_size=8))
def test_an_elected_character_was_read_at_its_place(cast):
    found = vote(cast)
    if found is None:
        assert not any(each.text for each in cast)
        return
    assert 0 <= found.confidence <= 1
    assert 0 <= found.agreeing <= found.readings
    same = [each.text for each in cast if len(each.text) == len(found.text)]
    assert all(c in {text[place] for text in same} for place, c in enumerate(found.text))


@given(
    st.text("ABC123", min_size=4, max_size=8),
    st.lists(st.integers(0, 20), min_size=2, max_size=6),
)
def test_different_single_errors_cancel_out(truth, places):
    """Each reading errs at one place; no place is wrong in half of the readings."""
    places = [place % len(truth) for place in places]
    wrong = [truth[:place] + "X" + truth[place + 1 :] for place in places]
    if max(Counter(places).values()) * 2 < len(wrong):
        assert vote([read(text) for text in wrong]).text == truth


def test_sure_readings_outvote_more_unsure_ones():
    cast = [read("AB8", 0.9), read("ABB", 0.4), read("ABB", 0.4)]
    assert vote(cast).text == "AB8"
    assert vote([*cast, read("ABB", 0.4)]).text == "ABB"


def test_a_character_lost_in_one_reading_is_outvoted_and_lowers_the_confidence():
    found = vote([read("KA01"), read("KA01"), read("A01")])
    assert (found.text, found.agreeing, found.readings) == ("KA01", 2, 3)
    assert found.confidence == pytest.approx(0.6, abs=1e-5)


def test_of_two_lengths_with_equal_weight_the_longer_one_is_elected():
    assert vote([read("KA0"), read("KA01")]).text == "KA01"


def test_without_a_character_there_is_no_election():
    assert vote([]) is None
    assert vote([read(""), read("")]) is None
    assert vote([read(""), read("A1")]).text == "A1"
