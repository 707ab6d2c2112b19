"""Assignment: one partner each, and the greatest total gain, as by trying all combinations."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.tracking.assignment import best_pairs

gains = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), st.floats(0.01, 1.0), max_size=10
)


def best_total(gains: dict[tuple[int, int], float]) -> float:
    rows = sorted({row for row, _ in gains})
    columns = [*{column for _, column in gains}, *([-1] * len(rows))]
    return max(
        sum(gains.get(pair, 0.0) for pair in zip(rows, chosen, strict=True))
        for chosen in permutations(columns, len(rows))
    )


@given(gains)
def test_the_pairs_are_among_those_listed_and_nobody_has_two(
    gains: dict[tuple[int, int], float],
) -> None:
    pairs = best_pairs(gains)
    assert set(pairs.items()) <= gains.keys()
    assert len(set(pairs.values())) == len(pairs)


@given(gains.filter(lambda gains: len({row for row, _ in gains}) <= 3))
def test_no_other_choice_gains_more(gains: dict[tuple[int, int], float]) -> None:
    total = sum(gains[pair] for pair in best_pairs(gains).items())
    assert total == pytest.approx(best_total(gains))


def test_the_best_pair_gives_way_where_both_together_gain_more() -> None:
    assert best_pairs({(7, 3): 0.9, (7, 5): 0.8, (9, 3): 0.7}) == {7: 5, 9: 3}
    assert best_pairs({}) == {}
