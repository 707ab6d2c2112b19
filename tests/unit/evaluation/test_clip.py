"""Audit of a user's own clip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evaluation.worlds import T0_US, decision, walk

from trinetra.errors import ConfigurationError
from trinetra.evaluation.causes import CROSSINGS, PEOPLE, RECOGNIZED, STAYS
from trinetra.evaluation.clip import (
    ClipFindings,
    Counts,
    LineCounts,
    ZoneCounts,
    audit,
    check_counts,
    seconds_of,
    trials_for,
    wrong_counts,
)
from trinetra.evaluation.intervals import wilson
from trinetra.evaluation.scores import Score
from trinetra.evaluation.truth import Crossing, Facts, Findings, Stay

SECOND = 1_000_000


def clip(**facts: object) -> ClipFindings:
    """Return findings with three people, two of them recognized, and these facts."""
    findings = Findings(
        detections={},
        tracks={"cam": walk(3, 5)},
        decisions=(decision("p0", "c0"), decision("p1", "c1"), decision("p2", None)),
        facts=Facts(**facts),
    )
    return ClipFindings("cam", T0_US, reads_faces=True, findings=findings)


def crossings(*times_s: float, direction: str = "in") -> tuple[Crossing, ...]:
    return tuple(Crossing("cam", "door", direction, T0_US + round(t * SECOND)) for t in times_s)


def scored(counts: Counts, found: ClipFindings) -> dict[tuple[str, str], Score]:
    return {(s.name, s.of): s for s in audit(counts, found).scores}


def test_people_are_compared_with_those_followed_and_those_recognized() -> None:
    scores = scored(Counts(people=3, most_at_once=3), clip())
    assert scores["agreement", "people followed (tracks)"].value == 1.0
    assert scores["agreement", "people recognized (customers)"].value == pytest.approx(2 / 3)
    assert scores["agreement", "most at once"].value == 1.0


def test_a_camera_that_reads_no_faces_is_not_asked_for_customers() -> None:
    found = ClipFindings("cam", T0_US, reads_faces=False, findings=clip().findings)
    assert [s.of for s in audit(Counts(people=3), found).scores] == ["people followed (tracks)"]


def test_sums_that_are_equal_agree_though_single_crossings_may_not() -> None:
    counts = Counts(lines={"door": LineCounts(into=2)})
    scores = scored(counts, clip(crossings=crossings(1, 50)))
    assert scores["agreement", "door in"].value == 1.0
    assert ("recall", "door in") not in scores


def test_times_tell_a_miss_and_a_false_crossing_apart() -> None:
    counts = Counts(lines={"door": LineCounts(into=["0:01", "0:10"])})
    scores = scored(counts, clip(crossings=crossings(1.5, 50)))
    assert scores["agreement", "door in"].value == 1.0
    assert scores["recall", "door in"].value == 0.5
    assert scores["precision", "door in"].value == 0.5


def test_stays_and_their_mean_dwell_are_compared() -> None:
    stays = tuple(
        Stay("cam", "shelf", T0_US + i * 30 * SECOND, T0_US + (i * 30 + 8) * SECOND)
        for i in range(4)
    )
    counts = Counts(zones={"shelf": ZoneCounts(stays=5, mean_dwell_s=10.0)})
    scores = scored(counts, clip(stays=stays))
    assert scores["agreement", "stays at shelf"].value == 0.8
    assert scores["mean_dwell_error", "dwell at shelf"].value == pytest.approx(-2.0)


def test_all_crossings_and_stays_are_added_up() -> None:
    counts = Counts(lines={"door": LineCounts(into=4, out=1)})
    found = clip(crossings=(*crossings(1, 2, 3), *crossings(4, 5, direction="out")))
    whole = scored(counts, found)["agreement", "all crossings and stays"]
    assert whole.value == pytest.approx((3 + 1) / (4 + 2))
    assert whole.interval == wilson(4, 6)


def test_a_clip_in_which_nothing_happens_cannot_tell() -> None:
    score = scored(Counts(lines={"door": LineCounts(into=0)}), clip())["agreement", "door in"]
    assert score.value is None
    assert "not measured" in score.note


def test_few_counts_come_with_the_number_that_would_be_enough() -> None:
    score = scored(Counts(people=3), clip())["agreement", "people followed (tracks)"]
    assert score.interval is not None
    assert score.interval.low < 0.5
    assert "count about" in score.note


@given(st.integers(0, 400), st.integers(1, 400))
def test_so_many_trials_do_narrow_the_interval(hits: int, misses: int) -> None:
    needed = trials_for(hits, hits + misses)
    low, high = wilson(round(needed * hits / (hits + misses)), needed)
    if needed >= hits + misses:
        assert high - low <= 0.12


@given(st.integers(0, 3), st.integers(0, 59), st.integers(0, 59))
def test_times_are_read_as_clocks_show_them(hours: int, minutes: int, seconds: int) -> None:
    assert seconds_of(f"{hours}:{minutes:02}:{seconds:02}") == 3600 * hours + 60 * minutes + seconds
    assert seconds_of(f"{minutes}:{seconds:02}.5") == 60 * minutes + seconds + 0.5


@pytest.mark.parametrize("text", ["", "noon", "1:2:3:4", "-3", "1:", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a time"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (Counts(), "no counts given"),
        (Counts(people=-1), "people: -1"),
        (Counts(lines={"gate": LineCounts(into=1)}), "line gate is not in the site file"),
        (Counts(zones={"sofa": ZoneCounts(stays=1)}), "zone sofa is not in the site file"),
        (Counts(lines={"door": LineCounts(out=["soon"])}), "'soon' is not a time"),
    ],
)
def test_impossible_counts_are_refused(counts: Counts, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_counts(counts, {"door"}, {"shelf"})


def test_sensible_counts_are_accepted() -> None:
    check_counts(Counts(people=0, lines={"door": LineCounts(into=["1:00"])}), {"door"}, set())


def test_wrong_counts_are_told_by_kind_and_place() -> None:
    counts = Counts(
        people=3,
        lines={"door": LineCounts(into=["0:01"]), "gate": LineCounts(out=0)},
        zones={"shelf": ZoneCounts(stays=1, mean_dwell_s=10.0)},
    )
    stay = Stay("cam", "shelf", T0_US, T0_US + 5 * SECOND)
    found = clip(crossings=crossings(1.0), stays=(stay,))
    wrong = wrong_counts(counts, audit(counts, found))
    assert wrong.kinds == {RECOGNIZED, STAYS}, "two of three recognized; half the dwell"
    assert wrong.places == {"shelf"}


def test_a_crossing_at_another_time_is_wrong_though_the_sums_agree() -> None:
    counts = Counts(people=6, lines={"door": LineCounts(into=["0:20"])})
    wrong = wrong_counts(counts, audit(counts, clip(crossings=crossings(1.0), stays=())))
    assert wrong.kinds == {PEOPLE, RECOGNIZED, CROSSINGS}
    assert wrong.places == {"door"}
