"""Comparison of runs: they differ by their decisions about tracks, not by the ids of identities."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.evaluation.change import differences, scores_beside, which_is_better
from trinetra.evaluation.outcome import Outcome, OutcomeGathering, Verdict
from trinetra.evaluation.scores import Score, ScoreSheet
from trinetra.events.schema import (
    AlertEvent,
    Evidence,
    IdentityEvent,
    LifecycleEvent,
    LineCrossing,
    Thresholds,
    Visit,
    ZoneStay,
)
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOOR = CameraId("door")
names = st.one_of(st.none(), st.integers(0, 4))
runs = st.dictionaries(st.integers(0, 12), names, max_size=12)


def run(tracks: dict[int, int | None], prefix: str = "cus") -> Outcome:
    """Return a run in which tracks were assigned to people by number, None for no person."""
    seen: set[int] = set()
    verdicts = {}
    for track, who in sorted(tracks.items()):
        status = "unknown" if who is None else "known" if who in seen else "new"
        seen |= set() if who is None else {who}
        verdicts[TrackId(f"trk_{track}")] = Verdict(
            DOOR,
            NOON + timedelta(seconds=track),
            EventId(f"idn_{track}"),
            status,  # type: ignore[arg-type]  # one of the three statuses
            None if who is None else CustomerId(f"{prefix}_{who}"),
            (),
        )
    return Outcome(verdicts, {("visits", ""): float(len(seen))})


@given(runs)
def test_a_run_does_not_differ_from_itself_under_other_names(tracks: dict[int, int | None]) -> None:
    found = differences(run(tracks), run(tracks, "person"))
    assert found.changes == ()
    assert (found.split, found.joined) == (0, 0)
    assert all(figure.before == figure.after for figure in found.figures)


@given(runs, runs)
def test_seen_from_the_other_side_splits_are_joins_and_as_many_tracks_change(
    one: dict[int, int | None], other: dict[int, int | None]
) -> None:
    there, back = differences(run(one), run(other)), differences(run(other), run(one))
    assert (there.split, there.joined) == (back.joined, back.split)
    assert there.tracks_in_both == back.tracks_in_both == len(one.keys() & other.keys())
    gone = {c.track for c in there.changes if c.kind == "removed"}
    assert gone == {c.track for c in back.changes if c.kind == "added"}
    named = {c.track for c in there.changes if c.kind == "named"}
    assert named == {c.track for c in back.changes if c.kind == "unnamed"}


def test_a_person_of_whom_two_are_made_is_split_and_only_the_second_part_is_split_off() -> None:
    found = differences(run({1: 1, 2: 1, 3: 1}), run({1: 1, 2: 1, 3: 2}))
    assert (found.split, found.joined) == (1, 0)
    assert [(c.track, c.kind) for c in found.changes] == [("trk_3", "split off")]
    assert found.by_camera() == {"door": {"split off": 1}}


def test_two_people_of_whom_one_is_made_are_joined_whatever_the_one_is_called() -> None:
    found = differences(run({1: 1, 2: 2, 3: 2}), run({1: 1, 2: 1, 3: 1}))
    assert (found.split, found.joined) == (0, 1)
    assert [(c.track, c.kind) for c in found.changes if c.kind != "recognized"] == [
        ("trk_1", "joined")
    ]


def test_a_track_that_goes_from_one_person_to_another_is_reassigned() -> None:
    found = differences(run({1: 1, 2: 1, 3: 1, 4: 2, 5: 2}), run({1: 1, 2: 1, 3: 2, 4: 2, 5: 2}))
    assert [(c.track, c.kind) for c in found.changes if c.kind == "reassigned"] == [
        ("trk_3", "reassigned")
    ]


@pytest.mark.parametrize(
    ("name", "before", "after", "better"),
    [
        ("identity_f1", 0.8, 0.9, "better"),
        ("splits", 3.0, 5.0, "worse"),
        ("footfall_error", -10.0, 2.0, "better"),
        ("false_match_rate", 0.1, 0.1, "same"),
    ],
)
def test_which_is_better_depends_on_what_a_score_counts(
    name: str, before: float, after: float, better: str
) -> None:
    assert which_is_better(name, before, after) == better


def test_only_scores_that_both_runs_have_stand_beside_each_other() -> None:
    before = ScoreSheet("tracks", (Score(name="hota", value=0.5), Score(name="idf1", value=None)))
    after = ScoreSheet("tracks", (Score(name="hota", value=0.6), Score(name="idf1", value=0.7)))
    (row,) = scores_beside([before], [after])
    assert (row.name, row.before, row.after, row.better) == ("hota", 0.5, 0.6, "better")


def head(event_id: str, after_s: float = 0.0) -> dict[str, object]:
    return {
        "event_id": EventId(event_id),
        "site_id": SiteId("shop"),
        "camera_id": DOOR,
        "captured_at": NOON + timedelta(seconds=after_s),
    }


def visit(who: str, after_s: float) -> Visit:
    return Visit(
        **head(f"visit_{who}", after_s + 10),  # the fields of head
        customer_id=CustomerId(who),
        kind=IdentityKind.ANONYMOUS,
        started_at=NOON + timedelta(seconds=after_s),
        cameras=(DOOR,),
        visit_number=1,
    )


def decided(event_id: str, who: str, after_s: float) -> IdentityEvent:
    return IdentityEvent(
        **head(event_id, after_s),  # the fields of head
        track_id=TrackId("trk_1"),
        status="known",
        reasons=("similar",),
        evidence=Evidence(1, 1, 50.0, 0.5, "reader@1", Thresholds(0.7, 0.1, 0.3, 32.0)),
        track_started_at=NOON,
        customer_id=CustomerId(who),
        kind=IdentityKind.ANONYMOUS,
    )


def merge(change: str, after_s: float) -> LifecycleEvent:
    return LifecycleEvent(
        **head(f"lif_{after_s}", after_s),  # the fields of head
        change=change,  # type: ignore[arg-type]  # merged or split
        customer_id=CustomerId("bert"),
        other=CustomerId("anna"),
    )


def test_what_was_said_last_counts_and_who_was_merged_is_one_person() -> None:
    gathering = OutcomeGathering(visit_gap_s=60)
    for event in (
        decided("idn_1", "anna", 0),
        decided("idn_2", "bert", 1),
        visit("anna", 0),
        visit("bert", 20),
        merge("merged", 30),
    ):
        gathering.add(event)
    outcome = gathering.outcome()
    assert outcome.verdicts[TrackId("trk_1")].customer == "anna"
    assert outcome.figures["visits", ""] == 1
    assert outcome.figures["unique visitors", ""] == 1
    gathering.add(merge("split", 40))
    assert gathering.outcome().figures["visits", ""] == 2


def test_crossings_stays_and_alerts_are_counted_once_each() -> None:
    gathering = OutcomeGathering(visit_gap_s=60)
    where = {"track_id": TrackId("trk_1"), "label": "person"}
    crossing = LineCrossing(**head("c"), line_id="step", direction="in", **where)  # type: ignore[arg-type]
    stay = ZoneStay(**head("s"), zone_id="till", entered_at=NOON, dwell_s=4.0, **where)  # type: ignore[arg-type]
    alert = AlertEvent(**head("a"), rule="vip", severity="info", message="here")  # type: ignore[arg-type]
    for event in (crossing, crossing, stay, stay, alert, alert):
        gathering.add(event)
    figures = gathering.outcome().figures
    assert figures["crossings", "step in"] == 1
    assert (figures["stays", "till"], figures["seconds of stay", "till"]) == (1, 4.0)
    assert figures["alerts", "vip"] == 1
