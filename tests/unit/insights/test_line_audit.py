"""Audit of lines: tracks that begin or end at a line, or pass beside it, are found."""

import pytest
from tests.unit.insights.walks import CAMERA, frame

from trinetra.events.schema import TracksEvent
from trinetra.insights.config import Line
from trinetra.insights.footfall.line_audit import LEAST_TRACKS, LineAudit, LineReport

LINE = Line("door", (0.3, 0.5), (0.7, 0.5))
PEOPLE = LEAST_TRACKS + 5


def walk(number: int, x: float, start: float, end: float) -> list[TracksEvent]:
    """Return one walk of 4 s, from row ``start`` to row ``end``, after those with lower numbers."""
    steps = 20
    return [
        frame(
            10 + 10 * number + 0.2 * i, {f"t{number}": (x, start + (end - start) * i / (steps - 1))}
        )
        for i in range(steps)
    ]


def report(x: float, start: float, end: float, people: int = PEOPLE) -> LineReport:
    audit = LineAudit(CAMERA, (LINE,))
    for event in [frame(0), *[e for n in range(people) for e in walk(n, x, start, end)]]:
        audit.add(event)
    audit.add(frame(10 + 10 * people + 10))
    (found,) = audit.reports()
    return found


def test_a_line_that_people_walk_over_is_sound() -> None:
    found = report(0.5, 0.1, 0.9)
    assert (found.near, found.through, found.beside) == (PEOPLE, PEOPLE, 0)
    assert (found.born, found.lost) == (0, 0)
    assert list(found.findings()) == []


@pytest.mark.parametrize(
    ("x", "start", "end", "told"),
    [
        (0.5, 0.48, 0.9, "begin at it"),
        (0.5, 0.1, 0.52, "end at it"),
        (0.25, 0.1, 0.9, "passed beside its ends"),
        (0.5, 0.1, 0.4, "no track crossed it"),
    ],
)
def test_a_line_in_the_wrong_place_is_told(x: float, start: float, end: float, told: str) -> None:
    audit = LineAudit(CAMERA, (LINE,))
    for event in [frame(0), *[e for n in range(PEOPLE) for e in walk(n, x, start, end)]]:
        audit.add(event)
    # People who pass beside it are judged together with those who pass through.
    for event in [e for n in range(PEOPLE, 2 * PEOPLE) for e in walk(n, 0.5, 0.1, 0.4)]:
        audit.add(event)
    audit.add(frame(10 + 20 * PEOPLE + 10))
    (found,) = audit.reports()
    assert any(told in finding for finding in found.findings())


def test_a_few_tracks_do_not_judge_a_line() -> None:
    (finding,) = report(0.5, 0.48, 0.9, people=3).findings()
    assert "only 3 tracks" in finding


def test_tracks_in_view_when_recording_begins_or_ends_are_neither_born_nor_lost() -> None:
    audit = LineAudit(CAMERA, (LINE,))
    for event in [frame(0.2 * i, {"t": (0.5, 0.49)}) for i in range(20)]:
        audit.add(event)
    (found,) = audit.reports()
    assert (found.near, found.born, found.lost) == (1, 0, 0)
