"""Counts in real labels: those of the tool that came with the recordings (tools/counts.py)."""

from dataclasses import replace
from pathlib import Path

import pytest

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.video.sources import SourceKind, SourceSpec, open_source
from trinetra.evaluation.label_counts import counted_in_labels
from trinetra.evaluation.reading.footage import find_footage
from trinetra.evaluation.real import Recorded, read_labels

NOTES = Path(__file__).parents[2] / "benchmarks" / "real.toml"
SLACK_US = 100_000
"""The tool dates frames by their number, and two videos leave out the time of their second one."""


def picture_size(video: Path) -> tuple[int, int]:
    source = open_source(SourceSpec(SourceKind.FILE, str(video)), SystemClock())
    source.open()
    try:
        frame = source.read(key_frames_only=False)
    finally:
        source.close()
    assert frame is not None
    return frame.width, frame.height


@pytest.mark.parametrize(
    "name",
    ["tud_stadtmitte", "tud_campus", "caviar_oneleaveshop1/cor", "caviar_oneleaveshop1/front"],
)
def test_lines_and_zones_are_counted_as_by_the_tool(real_dir: Path, name: str) -> None:
    view = next(v for v in find_footage(real_dir, NOTES).views if v.name == name)
    size = picture_size(view.source)
    times_us = tuple(i * 40_000 for i in range(300))
    labels = read_labels(Recorded(view, 0, times_us, *size))
    assert labels is not None
    assert view.counts is not None
    uncounted = replace(
        view.counts,
        lines=tuple(replace(line, into_us=None, out_us=None) for line in view.counts.lines),
        zones=tuple(replace(zone, stays_us=None) for zone in view.counts.zones),
    )
    counted = counted_in_labels(uncounted, labels.boxes, size, 0)
    for ours, theirs in zip(counted.lines, view.counts.lines, strict=True):
        assert ours.into_us == pytest.approx(theirs.into_us, abs=SLACK_US)
        assert ours.out_us == pytest.approx(theirs.out_us, abs=SLACK_US)
    for zone, by_tool in zip(counted.zones, view.counts.zones, strict=True):
        assert sorted(zone.stays_us or ()) == [
            (pytest.approx(begin, abs=SLACK_US), pytest.approx(end, abs=SLACK_US))
            for begin, end in sorted(by_tool.stays_us or ())
        ]
