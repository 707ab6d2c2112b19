"""Ground truth and events on one clock, and complete score sheets."""

import numpy as np
import pytest
from tests.unit.evaluation.worlds import FRAME_US, T0_US, boxes_of, decision, rows_of, walk

from trinetra.errors import ConfigurationError
from trinetra.evaluation.boxes import Boxes, no_boxes
from trinetra.evaluation.scoring import (
    Choices,
    detections_sheet,
    identities_sheet,
    insights_sheet,
    place,
    tracks_sheet,
)
from trinetra.evaluation.truth import Crossing, Facts, Findings, Presence, Stay, Truth

NO_FACTS = Facts()


def found(tracks: dict[str, Boxes], **more: object) -> Findings:
    return Findings(detections=tracks, tracks=tracks, decisions=(), facts=NO_FACTS, **more)


def undated(boxes: Boxes) -> Truth:
    return Truth({"": boxes.shifted(-T0_US)}, is_dated=False, frame_us=FRAME_US)


def sampled(boxes: Boxes, every: int, late_us: int = 0) -> Boxes:
    """Return the boxes of a camera that processes every n-th frame, slightly late."""
    frames = boxes.frames_us[::every]
    rows = [row for row in rows_of(boxes) if row[0] in frames]
    return boxes_of(rows, frames).shifted(late_us)


def test_a_truth_without_dates_begins_with_the_first_frame_that_was_looked_at() -> None:
    whole = walk(3, 20)
    sheet = tracks_sheet(undated(whole), found({"cam": sampled(whole, 3, 40_000)}), Choices())
    assert sheet.value("hota") == pytest.approx(1.0)
    assert sheet.basis["frames"] == 7
    assert sheet.basis["unseen_frames"] == 13


def test_a_start_puts_a_recording_where_it_belongs() -> None:
    whole = walk(1, 20)
    second_half = boxes_of(
        [r for r in rows_of(whole) if r[0] >= whole.frames_us[10]], whole.frames_us[10:]
    )
    events = found({"cam": second_half})
    told = tracks_sheet(undated(whole), events, Choices(start_us=T0_US))
    assert told.value("idf1") == 1.0
    assert told.value("missed") == 0.0


def test_a_truth_of_one_camera_needs_to_know_which() -> None:
    whole = walk(1, 4)
    events = found({"a": whole, "b": no_boxes()})
    with pytest.raises(ConfigurationError, match="choose with --camera"):
        place(undated(whole), events.tracks, Choices())
    assert list(place(undated(whole), events.tracks, Choices(camera="a"))) == ["a"]
    with pytest.raises(ConfigurationError, match="no frame of camera b"):
        place(undated(whole), events.tracks, Choices(camera="b"))


def test_a_camera_that_the_truth_lacks_is_told() -> None:
    with pytest.raises(ConfigurationError, match="no camera x; it has a"):
        place(Truth({"a": walk(1, 2)}), {}, Choices(camera="x"))


def test_recordings_of_two_times_are_not_compared() -> None:
    whole = walk(1, 4)
    with pytest.raises(ConfigurationError, match="both in the truth and in the events"):
        tracks_sheet(Truth({"a": whole}), found({"a": whole.shifted(10**9)}), Choices())


def test_frames_of_nobody_count_where_the_truth_is_complete() -> None:
    whole = walk(1, 4)
    before = boxes_of([(T0_US - FRAME_US, "ghost", (0, 0, 9, 9), 1.0)], [])
    events = found({"a": boxes_of([*rows_of(before), *rows_of(whole)], [])})
    sparse, complete = (
        detections_sheet(Truth({"a": whole}, windows_us=windows), events, Choices())
        for windows in ((), ((T0_US - FRAME_US, T0_US + 10**7),))
    )
    assert sparse.value("false") == 0
    assert complete.value("false") == 1


def test_every_camera_has_its_own_track_scores() -> None:
    good, bad = walk(2, 5), walk(2, 5, seed=1)
    truth = Truth({"good": good, "bad": bad})
    events = found({"good": good, "bad": boxes_of([], bad.frames_us)})
    sheet = tracks_sheet(truth, events, Choices())
    assert sheet.value("idf1", "good") == 1.0
    assert sheet.value("idf1", "bad") == 0.0
    assert sheet.value("idf1") == pytest.approx(2 * 10 / 30)


def test_tracks_are_compared_with_walks_and_identities_with_people() -> None:
    whole = walk(1, 10)
    walks = whole.by_presence(FRAME_US // 2)  # every frame is a walk of its own
    truth = Truth({"cam": whole}, walks={"cam": walks})
    assert tracks_sheet(truth, found({"cam": walks}), Choices()).value("idf1") == 1.0
    said = tuple(decision(name, "c0") for name in walks.names)
    events = Findings({}, {"cam": walks}, said, NO_FACTS)
    assert identities_sheet(truth, events, Choices()).value("identity_f1") == 1.0


def test_a_presence_ends_with_an_absence() -> None:
    whole = walk(2, 10)
    gap = whole.where((whole.at_us < T0_US + 3 * FRAME_US) | (whole.at_us > T0_US + 6 * FRAME_US))
    names = gap.by_presence(2 * FRAME_US).names
    assert sorted(name.partition("#")[0] for name in names) == ["p0", "p0", "p1", "p1"]
    assert len(np.unique(whole.by_presence(2 * FRAME_US).name)) == 2


def test_insights_of_one_camera_leave_the_sites_own_out() -> None:
    facts = Facts(
        crossings=(Crossing("a", "l", "in", T0_US), Crossing("b", "m", "in", T0_US)),
        stays=(Stay("b", "z", T0_US, T0_US + 5_000_000),),
        visits=(Presence("p", T0_US, T0_US + 10**7),),
    )
    truth = Truth({}, facts=facts)
    sheet = insights_sheet(truth, Findings({}, {}, (), facts), Choices(camera="a"))
    assert {s.of for s in sheet.scores if s.name == "footfall_error"} == {"a/l in", "a/l out"}
    with pytest.raises(KeyError):
        sheet.value("unique_visitors_error")


def test_stays_shorter_than_asked_for_are_not_missed() -> None:
    stays = (Stay("a", "z", T0_US, T0_US + 5_000_000), Stay("a", "z", T0_US, T0_US + 900_000))
    truth = Truth({}, facts=Facts(stays=stays))
    events = Findings({}, {}, (), Facts(stays=stays[:1]))
    assert insights_sheet(truth, events, Choices(min_dwell_s=2.0)).value("stay_recall", "a/z") == 1
    assert insights_sheet(truth, events, Choices()).value("stay_recall", "a/z") == 0.5


def test_a_truth_of_boxes_alone_has_no_insights() -> None:
    with pytest.raises(ConfigurationError, match="contains only boxes"):
        insights_sheet(undated(walk(1, 2)), found({}), Choices())
