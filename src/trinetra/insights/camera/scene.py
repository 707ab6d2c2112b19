"""One frame as input of camera analytics: foot points and sizes, as struct-of-arrays."""

from dataclasses import dataclass

import numpy as np

from trinetra.events.schema import TracksEvent
from trinetra.insights.camera.geometry import Points, foot_points
from trinetra.values import Instant, TrackId


@dataclass(frozen=True, slots=True)
class Scene:
    """The tracks of one frame, one row each.

    ``feet (n, 2)`` is normalized; ``height (n,)`` is the box height as a fraction of the frame's;
    ``aspect`` is the frame's width / height.
    """

    at: Instant
    aspect: float
    track_ids: tuple[TrackId, ...]
    labels: tuple[str, ...]
    feet: Points
    height: Points


def scene_of(event: TracksEvent) -> Scene:
    """Return the scene of a tracks event; if a track is listed twice, the last row counts."""
    tracks = tuple({track.track_id: track for track in event.tracks}.values())
    xyxy = np.array([track.box for track in tracks], np.float64).reshape(-1, 4)
    return Scene(
        at=event.captured_at,
        aspect=event.frame_width / event.frame_height,
        track_ids=tuple(track.track_id for track in tracks),
        labels=tuple(track.label for track in tracks),
        feet=foot_points(xyxy, event.frame_width, event.frame_height),
        height=np.maximum(xyxy[:, 3] - xyxy[:, 1], 0.0) / event.frame_height,
    )
