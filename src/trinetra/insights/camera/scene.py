"""One frame as input of camera analytics: foot points and sizes, as struct of tuples."""

from dataclasses import dataclass

from trinetra.events.schema import Point, TracksEvent
from trinetra.insights.camera.geometry import foot_point
from trinetra.values import Instant, TrackId


@dataclass(frozen=True, slots=True)
class Scene:
    """The tracks of one frame, one row each.

    ``feet`` are normalized; ``height`` is the box height as a fraction of the frame's; ``aspect``
    is the frame's width / height. Plain numbers: for the few tracks of a frame NumPy is slower.
    """

    at: Instant
    aspect: float
    track_ids: tuple[TrackId, ...]
    labels: tuple[str, ...]
    feet: tuple[Point, ...]
    height: tuple[float, ...]


def scene_of(event: TracksEvent) -> Scene:
    """Return the scene of a tracks event; if a track is listed twice, the last row counts."""
    tracks = event.tracks
    if len(tracks) > 1:
        tracks = tuple({track.track_id: track for track in tracks}.values())
    width, height = event.frame_width, event.frame_height
    boxes = [track.box for track in tracks]
    return Scene(
        at=event.captured_at,
        aspect=width / height,
        track_ids=tuple([track.track_id for track in tracks]),
        labels=tuple([track.label for track in tracks]),
        feet=tuple([foot_point(box, width, height) for box in boxes]),
        height=tuple([max(low - high, 0.0) / height for _, high, _, low in boxes]),
    )
