"""Where people are now on the floor plan, from the tracks of calibrated cameras."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trinetra.events.schema import TrackPosition
from trinetra.geometry import Homography
from trinetra.values import CameraId, CustomerId, IdentityKind
from trinetra.web.live.view import PERSON, LiveTracks, LiveView

_SAME_M = 1.0
"""People seen by different cameras at most this far apart are taken for one."""
_FARTHEST_M = 1.5
"""A place is left out if one hundredth of the picture is more than this on the floor."""


class Dot(NamedTuple):
    """A person on the floor plan."""

    camera_id: CameraId
    x_m: float
    y_m: float
    kind: IdentityKind | None
    customer_id: CustomerId | None


def dots(view: LiveView, floors: Mapping[CameraId, Homography], now_s: float) -> list[Dot]:
    """Return the people on the floor, each once where the views of cameras overlap."""
    found: list[Dot] = []
    for camera_id, floor in floors.items():
        tracks = view.latest_tracks(camera_id, now_s)
        for dot in _of_camera(camera_id, floor, tracks) if tracks else ():
            if not any(_is_same(dot, other) for other in found):
                found.append(dot)
    return found


def _of_camera(camera_id: CameraId, floor: Homography, tracks: LiveTracks) -> Sequence[Dot]:
    size = tracks.event.frame_width, tracks.event.frame_height
    placed = ((t, _place(t, floor, size)) for t in tracks.tracks if t.label == PERSON)
    return [Dot(camera_id, *at, t.kind, t.customer_id) for t, at in placed if at]


def _place(
    track: TrackPosition, floor: Homography, size: tuple[int, int]
) -> tuple[float, float] | None:
    x1, _, x2, y2 = track.box
    place = floor.to_floor((x1 + x2) / 2 / size[0], min(y2 / size[1], 1.0))
    if place is None or max(place.right_m, place.down_m) / 100 > _FARTHEST_M:
        return None
    return round(place.x_m, 2), round(place.y_m, 2)


def _is_same(one: Dot, other: Dot) -> bool:
    if one.customer_id and one.customer_id == other.customer_id:
        return True
    near = (one.x_m - other.x_m) ** 2 + (one.y_m - other.y_m) ** 2 <= _SAME_M**2
    differ = one.customer_id and other.customer_id
    return near and one.camera_id != other.camera_id and not differ
