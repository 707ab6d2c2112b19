"""Chooses the vehicles of a frame whose plates are read, and the plate of each.

Finding text takes most of the time, 40 to 110 ms of one core a vehicle (docs/vehicles.md), so only
the largest vehicles of a frame are read, and those that stand still rarely (``plate_turns``): over
a few frames each vehicle that comes near is among them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.events.schema import Box, ObjectBox
from trinetra.values import ImageBgr, PlateText

PLATED = frozenset({"car", "motorcycle", "bus", "truck"})
"""Labels of the objects that have plates."""
_ENLARGED_BY = 0.1
"""Detectors cut off bumpers: a box is enlarged by this share of its sides on each side."""
_MIN_ASPECT = 0.8
"""Width over height of a plate: motorcycles have plates of two lines, which are nearly square."""


@dataclass(frozen=True, slots=True)
class PlatePolicy:
    """Which plates are read and kept.

    The plates of the ``max_per_frame`` largest vehicles of at least ``min_width_px`` in the
    camera's image. A reading needs ``min_characters``, and ``min_confidence`` on the average of its
    characters; a plate lower than ``min_plate_px`` in the picture cannot be read and is left out.
    """

    max_per_frame: int = 2
    min_width_px: float = 80.0
    min_characters: int = 4
    min_confidence: float = 0.7
    min_plate_px: float = 8.0


@dataclass(frozen=True, slots=True)
class VehicleCrop:
    """The picture of a vehicle; a point of it is ``(point + origin) / scale`` in native pixels."""

    picture: ImageBgr
    origin: NDArray[np.float32]
    scale: float


def vehicles_to_read(objects: Sequence[ObjectBox], policy: PlatePolicy) -> list[int]:
    """Return the positions in ``objects`` of the vehicles large enough, largest first."""
    large = [
        row
        for row, seen in enumerate(objects)
        if seen.label in PLATED and seen.box[2] - seen.box[0] >= policy.min_width_px
    ]
    return sorted(large, key=lambda row: -_area(objects[row].box))


def crop_vehicle(picture: ImageBgr, box: Box, scale: float) -> VehicleCrop:
    """Return the enlarged box's pixels of a picture, at least one; ``scale`` is the picture's."""
    x1, y1, x2, y2 = box
    margin_x, margin_y = _ENLARGED_BY * (x2 - x1), _ENLARGED_BY * (y2 - y1)
    height, width = picture.shape[:2]
    left = min(max(0, int((x1 - margin_x) * scale)), width - 1)
    top = min(max(0, int((y1 - margin_y) * scale)), height - 1)
    right = max(left + 1, min(width, round((x2 + margin_x) * scale)))
    bottom = max(top + 1, min(height, round((y2 + margin_y) * scale)))
    origin = np.array([left, top], np.float32)
    return VehicleCrop(picture[top:bottom, left:right], origin, scale)


def to_native(crop: VehicleCrop, plate: PlateText) -> Box:
    """Return a plate's box in native pixels."""
    corners = (plate.xyxy.reshape(2, 2) + crop.origin) / np.float32(crop.scale)
    x1, y1, x2, y2 = np.round(corners.reshape(4).astype(np.float64), 1).tolist()
    return x1, y1, x2, y2


def is_readable(plate: PlateText, policy: PlatePolicy) -> bool:
    """Return whether a text is likely to be a plate and legible."""
    x1, y1, x2, y2 = plate.xyxy.tolist()
    return (
        len(plate.text) >= policy.min_characters
        and plate.confidence >= policy.min_confidence
        and y2 - y1 >= policy.min_plate_px
        and x2 - x1 >= _MIN_ASPECT * (y2 - y1)
    )


def assign_plates(
    objects: Sequence[ObjectBox], read: Mapping[int, Sequence[tuple[PlateText, Box]]]
) -> dict[int, tuple[PlateText, Box]]:
    """Return the plate of each vehicle that was read, by its position in ``objects``.

    Pictures of neighbors overlap: a plate belongs to the smallest vehicle around its center, or to
    the one in whose picture it was found. Of several on one vehicle, the surest counts.
    """
    best: dict[int, tuple[PlateText, Box]] = {}
    for row, plates in read.items():
        for plate, box in plates:
            owner = _owner(objects, box, row)
            if owner not in best or plate.confidence > best[owner][0].confidence:
                best[owner] = (plate, box)
    return best


def _owner(objects: Sequence[ObjectBox], plate: Box, found_on: int) -> int:
    x, y = (plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2
    around = [
        row
        for row, seen in enumerate(objects)
        if seen.label in PLATED
        and seen.box[0] <= x <= seen.box[2]
        and seen.box[1] <= y <= seen.box[3]
    ]
    return min(around, key=lambda row: _area(objects[row].box), default=found_on)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
