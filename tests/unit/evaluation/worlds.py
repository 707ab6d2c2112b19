"""Small worlds for tests: people walking through views, as ground truth boxes."""

from collections.abc import Callable, Iterable

import numpy as np
from hypothesis import strategies as st

from trinetra.evaluation.boxes import Boxes, BoxesBuilder
from trinetra.evaluation.comparison import Comparison, compare
from trinetra.evaluation.truth import Decision

FRAME_US = 200_000
T0_US = 1_763_812_800_000_000
Row = tuple[int, str | None, tuple[float, float, float, float], float]


def walk(people: int, frames: int, *, seed: int = 0, prefix: str = "p") -> Boxes:
    """Return people who walk side by side and never overlap."""
    random, boxes = np.random.default_rng(seed), BoxesBuilder()
    for frame in range(frames):
        at_us = T0_US + frame * FRAME_US
        boxes.frame(at_us)
        for person in range(people):
            x, y = 200.0 * person + 2.0 * frame, float(random.uniform(100, 110))
            boxes.add(at_us, f"{prefix}{person}", (x, y, x + 60, y + 150))
    return boxes.build()


def rows_of(boxes: Boxes) -> list[Row]:
    """Return the boxes as rows, so that a test can plant errors."""
    return [
        (int(at), boxes.names[name] if name >= 0 else None, tuple(map(float, box)), float(score))
        for at, name, box, score in zip(
            boxes.at_us, boxes.name, boxes.xyxy, boxes.score, strict=True
        )
    ]


def boxes_of(rows: Iterable[Row], frames_us: Iterable[int]) -> Boxes:
    """Return rows as boxes."""
    builder = BoxesBuilder()
    for at_us in frames_us:
        builder.frame(int(at_us))
    for at_us, name, box, score in rows:
        builder.add(at_us, name, box, score)
    return builder.build()


def changed(boxes: Boxes, change: Callable[[list[Row]], Iterable[Row]]) -> Boxes:
    """Return the boxes with a change applied to their rows."""
    return boxes_of(change(rows_of(boxes)), boxes.frames_us)


def against(truth: Boxes, found: Boxes) -> Comparison:
    """Align one camera's ground truth and findings."""
    return compare([(truth, found)], tolerance_us=1000)


def decision(
    track: str, customer: str | None, at_s: float = 0.0, *, searched: bool = True
) -> Decision:
    """Return a decision about a track."""
    status = "new" if customer else "unknown"
    return Decision("cam", track, status, customer, T0_US + round(at_s * 1e6), searched)


worlds = st.builds(walk, st.integers(1, 5), st.integers(2, 12), seed=st.integers(0, 100))
"""The ground truth of one camera."""
