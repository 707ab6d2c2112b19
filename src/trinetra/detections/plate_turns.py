"""Decides in which frames a plate is read: that of a vehicle which stands still only in a few.

A parked car is in view for hours, and finding its plate takes 40 to 110 ms of a core each time. At
one place it is read again after half a second, and each time after twice as long as before, at
most a minute. A vehicle that moves is soon at another place, and read as often as there is room.
"""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from trinetra.detections.plate_crops import PlatePolicy, vehicles_to_read
from trinetra.detections.vision.decode import iou
from trinetra.events.schema import Box, ObjectBox
from trinetra.values import CameraId, Instant, seconds_between

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_SAME_PLACE = 0.85
"""Intersection over union from which on two boxes are at one place: boxes of parked cars jitter."""


class _Place(msgspec.Struct):
    """Where a vehicle was when it was last read, and how long it is not read there."""

    box: Box
    read_at: Instant
    seen_at: Instant
    pause_s: float = _FIRST_PAUSE_S


class PlateTurns:
    """Remembers of each camera where vehicles were read lately; not thread-safe."""

    def __init__(self) -> None:
        self._places: dict[CameraId, list[_Place]] = defaultdict(list)

    def take(
        self, camera_id: CameraId, at: Instant, objects: Sequence[ObjectBox], policy: PlatePolicy
    ) -> list[int]:
        """Return the positions of the vehicles to read in a frame, and note that they are read."""
        known = [p for p in self._places[camera_id] if _is_recent(p, at)]
        chosen: list[int] = []
        for row in vehicles_to_read(objects, policy):
            place = _place_of(known, objects[row].box)
            if place is not None:
                place.seen_at = at
            if len(chosen) < policy.max_per_frame and _is_due(place, at):
                chosen.append(row)
                _note(known, place, objects[row].box, at)
        self._places[camera_id] = known
        return chosen


def _is_recent(place: _Place, at: Instant) -> bool:
    """Return whether a place is still of use; the clock of a recording may begin anew."""
    return 0 <= seconds_between(place.seen_at, at) <= _LONGEST_PAUSE_S


def _is_due(place: _Place | None, at: Instant) -> bool:
    return place is None or seconds_between(place.read_at, at) >= place.pause_s


def _place_of(known: Sequence[_Place], box: Box) -> _Place | None:
    """Return the place of a box, None if no vehicle was read there."""
    if not known:
        return None
    overlaps = iou(np.array([box]), np.array([place.box for place in known]))[0]
    best = int(overlaps.argmax())
    return known[best] if overlaps[best] >= _SAME_PLACE else None


def _note(known: list[_Place], place: _Place | None, box: Box, at: Instant) -> None:
    if place is None:
        known.append(_Place(box, at, at))
    else:
        place.box, place.read_at = box, at
        place.pause_s = min(2 * place.pause_s, _LONGEST_PAUSE_S)
