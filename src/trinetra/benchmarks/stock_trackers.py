"""Trackers of a public library, to compare ours with on the very same boxes.

Roboflow's ``trackers`` is not a dependency of the product: it is imported only here. Its settings
are its documented defaults, but for the score that starts a track: its 0.7 is for the scores of
another detector, with which few tracks would begin.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trinetra.errors import ConfigurationError
from trinetra.evaluation.boxes import Boxes, BoxesBuilder, Ints

BIRTH_SCORE = 0.45
_UNCONFIRMED = -1


@dataclass(frozen=True, slots=True)
class _Setup:
    """A class of the library, and the score from which it is given boxes."""

    kind: str
    min_score: float


STOCK_TRACKERS: Mapping[str, _Setup] = {
    "ByteTrack": _Setup("ByteTrackTracker", 0.0),
    "ByteTrack >= 0.45": _Setup("ByteTrackTracker", BIRTH_SCORE),
    "C-BIoU": _Setup("CBIoUTracker", 0.0),
    "SORT": _Setup("SORTTracker", BIRTH_SCORE),
}


def track(name: str, detections: Boxes, fps: float) -> Boxes:
    """Return the tracks of a stock tracker in the detections of one camera.

    Boxes that it does not assign to a confirmed track are left out. Raises ConfigurationError if
    the library is not installed.
    """
    supervision, trackers = _library()
    setup = STOCK_TRACKERS[name]
    tracker = getattr(trackers, setup.kind)(frame_rate=fps, track_activation_threshold=BIRTH_SCORE)
    boxes = detections.where(detections.score >= setup.min_score)
    found = BoxesBuilder()
    for at_us, rows in _frames(boxes):
        found.frame(at_us)
        tracked = tracker.update(
            supervision.Detections(
                xyxy=boxes.xyxy[rows].astype(np.float32).reshape(-1, 4),
                confidence=boxes.score[rows].astype(np.float32),
                class_id=np.zeros(len(rows), np.int64),
            )
        )
        for box, identity in zip(tracked.xyxy, tracked.tracker_id, strict=True):
            if identity != _UNCONFIRMED:
                x1, y1, x2, y2 = map(float, box)
                found.add(at_us, str(identity), (x1, y1, x2, y2))
    return found.build()


def _library() -> tuple[Any, Any]:
    try:
        import supervision  # noqa: PLC0415  a development dependency
        import trackers  # noqa: PLC0415
    except ImportError as cause:
        raise ConfigurationError(
            f"the stock trackers need the package `trackers` ({cause.name} is missing): "
            "`make setup` installs it; --no-stock leaves them out"
        ) from cause
    return supervision, trackers


def _frames(boxes: Boxes) -> Iterator[tuple[int, Ints]]:
    """Yield each frame's time and the rows of its boxes, also for frames without any."""
    starts = np.searchsorted(boxes.at_us, boxes.frames_us, side="left")
    ends = np.searchsorted(boxes.at_us, boxes.frames_us, side="right")
    for at_us, begin, end in zip(boxes.frames_us.tolist(), starts, ends, strict=True):
        yield at_us, np.arange(begin, end)
