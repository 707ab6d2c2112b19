"""Clothing appearance: comparison, occlusion and averaging."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision import appearance as writer
from trinetra.identities.tracking.appearance import Look, blended, difference, read_look

BOX = (100.0, 100.0, 160.0, 280.0)
packed = st.binary(min_size=18, max_size=18).map(lambda rest: b"\x01" + rest)


def look(value: int, *others: tuple[float, float, float, float]) -> Look:
    found = read_look(bytes([1]) + bytes([value]) * 18, BOX, [BOX, *others])
    assert found is not None
    return found


@given(packed, packed)
def test_a_difference_is_symmetric_not_negative_and_none_from_itself(a: bytes, b: bytes) -> None:
    one, other = read_look(a, BOX, [BOX]), read_look(b, BOX, [BOX])
    there, back = difference(one, other), difference(other, one)
    assert there == back
    assert there is not None
    assert there >= 0
    assert difference(one, one) == 0


@given(packed, packed, st.floats(0, 1))
def test_what_is_learnt_lies_between_what_was_known_and_what_was_seen(
    a: bytes, b: bytes, share: float
) -> None:
    one, other = read_look(a, BOX, [BOX]), read_look(b, BOX, [BOX])
    apart, left = difference(one, other), difference(blended(one, other, share), other)
    assert apart is not None
    assert left is not None
    assert left == pytest.approx(apart * (1 - share) ** 2, abs=1e-6)


def test_the_resolver_reads_what_the_worker_writes() -> None:
    image = np.full((300, 200, 3), 90, np.uint8)
    [description] = writer.describe(image, np.array([BOX], np.float32))
    assert read_look(description, BOX, [BOX]) is not None


@pytest.mark.parametrize("unknown", [None, b"", b"\x01", b"\x02" + bytes(18), b"\x01" + bytes(19)])
def test_what_is_not_understood_is_as_good_as_nothing(unknown: bytes | None) -> None:
    assert read_look(unknown, BOX, [BOX]) is None
    assert difference(None, look(10)) is None
    assert blended(None, look(10), 0.5) == look(10)
    assert blended(look(10), None, 0.5) == look(10)


def test_a_nearer_body_hides_the_stripes_it_covers() -> None:
    before_the_legs = (100.0, 190.0, 160.0, 380.0)
    assert look(10, before_the_legs).clear == (True, True, True, False, False, False)
    behind = (100.0, 50.0, 160.0, 270.0)
    beside = (170.0, 100.0, 230.0, 300.0)
    assert all(look(10, behind, beside).clear)


def test_hidden_stripes_are_neither_compared_nor_learnt() -> None:
    hidden = look(200, (100.0, 160.0, 160.0, 380.0))
    known = look(10)
    assert hidden.clear == (True, True, False, False, False, False)
    learnt = blended(known, hidden, 1.0)
    assert learnt is not None
    assert learnt.values[:6] == hidden.values[:6]
    assert learnt.values[6:] == known.values[6:]


def test_one_clear_stripe_is_not_enough_to_tell() -> None:
    nearly_hidden = look(200, (100.0, 130.0, 160.0, 380.0))
    assert sum(nearly_hidden.clear) == 1
    assert difference(look(10), nearly_hidden) is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_only_a_body_before_the_middle_of_another_hides_it(mirrored: bool) -> None:
    # The middle half of the box reaches from 115 to 145.
    for edge, hides in ((114.0, False), (120.0, False), (123.0, True), (130.0, True)):
        nearer = (260.0 - edge, 100.0, 240.0, 300.0) if mirrored else (20.0, 100.0, edge, 300.0)
        assert (not all(look(10, nearer).clear)) is hides


def test_a_stripe_that_is_seen_for_the_first_time_is_taken_over_as_it_is() -> None:
    hidden = look(10, (100.0, 160.0, 160.0, 380.0))
    learnt = blended(hidden, look(200), 0.25)
    assert learnt is not None
    assert all(learnt.clear)
    assert learnt.values[6:] == look(200).values[6:]
    assert learnt.values[0] == pytest.approx(0.75 * look(10).values[0] + 0.25 * look(200).values[0])


def test_the_difference_is_the_mean_over_the_stripes_that_both_show() -> None:
    one, other = look(100), look(120)
    all_stripes = np.mean(np.square(np.subtract(one.values, other.values)))
    assert difference(one, other) == pytest.approx(all_stripes)
    hidden = look(120, (100.0, 160.0, 160.0, 380.0))
    upper = np.mean(np.square(np.subtract(one.values[:6], other.values[:6])))
    assert difference(one, hidden) == pytest.approx(upper)
