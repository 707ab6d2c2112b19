"""Unique visitors: estimates from simulated days, whose people are known, against the truth.

The days share nothing with the estimator: people come in parties, return a few times, are missed
alone or in twos, and are recognized by chance.
"""

import numpy as np
import pytest

from trinetra.insights.footfall.visitors import (
    CountingQuality,
    Entries,
    LinkQuality,
    repeat_share,
    unique_visitors,
)

SEEDS = 100


def day(rng: np.random.Generator, people: float, returns: float) -> list[int]:
    """Return the entries of a day in order of person: parties of one to six, some come again."""
    entries, person = [], 0
    for _ in range(rng.poisson(people / 1.33)):
        for _ in range(min(6, max(1, rng.poisson(0.6)))):
            entries += [person] * int(rng.geometric(1 - returns))
            person += 1
    return entries


def counted(
    rng: np.random.Generator, entries: list[int], recall: float, false: float
) -> tuple[list[int], int]:
    """Return the entries that a line finds, and how many it invents; every other miss takes two."""
    kept, hidden = [], 0
    for entry in entries:
        if hidden:
            hidden -= 1
        elif rng.random() < (1 - recall) / 1.5:
            hidden = int(rng.integers(2))
        else:
            kept.append(entry)
    return kept, int(rng.poisson(false * len(entries)))


def observed(rng: np.random.Generator, entries: list[int], shown: float, linked: float) -> Entries:
    """Return what cameras tell of a day: some faces are shown, and some returns are recognized."""
    found, invented = counted(rng, entries, 0.955, 0.01)
    names: dict[int, int] = {}
    ids: set[int] = set()
    recognized = 0
    for person in found:
        if rng.random() >= shown:
            continue
        recognized += 1
        if person not in names or rng.random() >= linked:
            names[person] = len(ids)
            ids.add(names[person])
    return Entries(len(found) + invented, recognized, len(ids))


def audited(rng: np.random.Generator) -> CountingQuality:
    """Return a count by hand of 300 entries, with the errors that a day has."""
    hits, invented = counted(rng, list(range(300)), 0.955, 0.01)
    return CountingQuality(300, len(hits) + invented, len(hits))


@pytest.mark.parametrize(("people", "error"), [(160, 0.05), (480, 0.04), (1900, 0.03)])
@pytest.mark.parametrize("shown", [0.6, 0.85])
def test_the_estimate_is_near_the_truth_and_its_interval_holds_it(
    people: float, error: float, shown: float
) -> None:
    errors, holds = [], 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        quality, links = audited(rng), LinkQuality(60, int(rng.binomial(60, 0.85)))
        entries = day(rng, people, returns=0.08)
        truth = len(set(entries))
        estimate = unique_visitors(observed(rng, entries, shown, 0.85), quality, links)
        assert estimate is not None
        errors.append(abs(estimate.value / truth - 1))
        holds += estimate.low <= truth <= estimate.high
    assert np.mean(errors) < error
    assert 0.9 <= holds / SEEDS <= 0.99


EXACT, ALWAYS = CountingQuality(10_000, 10_000, 10_000), LinkQuality(10_000, 10_000)


def test_without_reentries_there_are_as_many_people_as_entries() -> None:
    estimate = unique_visitors(Entries(200, 100, 100), EXACT, ALWAYS)
    assert estimate is not None
    assert estimate.value == pytest.approx(200)
    assert estimate.low < 199
    assert estimate.high < 204


def test_if_everyone_is_recognized_the_customers_are_the_people() -> None:
    estimate = unique_visitors(Entries(200, 200, 150), EXACT, ALWAYS)
    assert estimate is not None
    assert estimate.value == pytest.approx(150, rel=0.001)


def test_an_unreliable_link_hides_reentries() -> None:
    exact, half = (
        unique_visitors(Entries(200, 100, 95), EXACT, links)
        for links in (ALWAYS, LinkQuality(100, 50))
    )
    assert exact is not None
    assert half is not None
    assert half.value < exact.value


def test_nothing_is_claimed_if_no_one_was_recognized() -> None:
    assert unique_visitors(Entries(200, 0, 0), EXACT, ALWAYS) is None
    empty = unique_visitors(Entries(0, 0, 0), EXACT, ALWAYS)
    assert empty is not None
    assert empty.value == 0


def test_a_count_that_misses_people_is_corrected() -> None:
    estimate = unique_visitors(Entries(90, 90, 90), CountingQuality(100, 90, 90), ALWAYS)
    assert estimate is not None
    assert estimate.value == pytest.approx(100)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_share_of_repeat_customers_allows_for_those_who_were_not_known_again(
    share: float,
) -> None:
    values, holds = [], 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        links = LinkQuality(60, int(rng.binomial(60, 0.7)))
        known = int(rng.binomial(rng.binomial(300, share), 0.7))
        estimate = repeat_share(known, 300, links)
        assert estimate is not None
        values.append(estimate.value)
        holds += estimate.low <= share <= estimate.high
    assert np.mean(values) == pytest.approx(share, rel=0.05)
    assert 0.9 <= holds / SEEDS <= 0.99
    assert repeat_share(0, 0, links) is None
