"""Crossings and stays counted in labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.evaluation.boxes import Boxes, BoxesBuilder
from trinetra.evaluation.footage import CountedLine, CountedZone, HandCounts
from trinetra.evaluation.label_counts import counted_in_labels

SIZE = (200, 100)
START = 7_000_000
STEP_US = 100_000
DOOR = CountedLine("door", (0.5, 0.9), (0.5, 0.1))
TABLE = CountedZone("table", ((0.4, 0.4), (0.6, 0.4), (0.6, 0.8), (0.4, 0.8)))


def labels(*walks: list[tuple[float, float] | None]) -> Boxes:
    """Return boxes whose feet are at these points, one in each frame, in pixels."""
    builder = BoxesBuilder()
    for name, walk in enumerate(walks):
        for frame, foot in enumerate(walk):
            if foot is not None:
                x, y = foot
                box = (x - 5, y - 30, x + 5, y)
                builder.add(START + frame * STEP_US, str(name), box)
    return builder.build()


def across(x1: float, x2: float, y: float = 50.0, steps: int = 11) -> list[tuple[float, float]]:
    return [(float(x), y) for x in np.linspace(x1, x2, steps)]


def counted(boxes: Boxes) -> HandCounts:
    return counted_in_labels(HandCounts((DOOR,), (TABLE,)), boxes, SIZE, START)


def ways(boxes: Boxes) -> tuple[int, int]:
    (line,) = counted(boxes).lines
    assert line.into_us is not None
    assert line.out_us is not None
    return len(line.into_us), len(line.out_us)


def test_people_come_in_from_the_left_of_a_to_b_and_go_out_from_the_right() -> None:
    """From the bottom of the picture to its top, right is where x grows."""
    assert ways(labels(across(60, 140))) == (1, 0)
    assert ways(labels(across(140, 60))) == (0, 1)
    assert ways(labels(across(60, 140), across(140, 60))) == (1, 1)
    assert ways(labels(across(60, 140) + across(140, 60))) == (1, 1)


def test_a_crossing_is_dated_to_the_frame_that_is_clearly_beyond() -> None:
    (line,) = counted(labels(across(60, 140))).lines
    assert line.into_us == (6 * STEP_US,)


def test_a_walk_around_the_end_of_a_line_is_no_crossing() -> None:
    assert ways(labels(across(60, 140, y=99.0))) == (0, 0)


@given(st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=20))
def test_jitter_within_the_margin_is_no_crossing(steps: list[float]) -> None:
    still = [(100.0 + step, 50.0) for step in steps]
    assert ways(labels([(60.0, 50.0), *still, (60.0, 50.0)])) == (0, 0)


def test_a_stay_lasts_from_the_first_to_the_last_frame_inside() -> None:
    (zone,) = counted(labels(across(60, 140, y=60.0, steps=41))).zones
    assert zone.stays_us is not None
    ((entered, left),) = zone.stays_us
    assert (entered, left) == (10 * STEP_US, 29 * STEP_US)


@pytest.mark.parametrize(("gap", "stays"), [(9, 1), (11, 2)])
def test_a_short_absence_does_not_end_a_stay(gap: int, stays: int) -> None:
    inside = [(100.0, 60.0)] * 5
    (zone,) = counted(labels([*inside, *[None] * gap, *inside])).zones
    assert zone.stays_us is not None
    assert len(zone.stays_us) == stays


def test_counts_by_eye_are_kept() -> None:
    by_eye = HandCounts(
        (CountedLine("door", DOOR.a, DOOR.b, (1,), ()),),
        (CountedZone("table", TABLE.polygon, ()),),
    )
    assert counted_in_labels(by_eye, labels(across(60, 140)), SIZE, START) == by_eye
