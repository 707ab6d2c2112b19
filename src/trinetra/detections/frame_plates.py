"""Reads the plates of the vehicles in a batch of frames."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from trinetra.detections.plate_crops import (
    PlatePolicy,
    VehicleCrop,
    assign_plates,
    crop_vehicle,
    is_readable,
    to_native,
)
from trinetra.detections.vision.picture import Picture, PictureLimits, decode
from trinetra.errors import FrameRejected
from trinetra.events.plates import PlateCharacters, PlateKey
from trinetra.events.schema import Box, ObjectBox, PlateReading
from trinetra.ports import PlateReader
from trinetra.values import PlateText

Objects = tuple[ObjectBox, ...]


class ViewedVehicles(NamedTuple):
    """A frame's objects, and the positions of the vehicles among them whose plates are read."""

    picture: Picture
    objects: Objects
    policy: PlatePolicy
    rows: Sequence[int]


def vehicle_crops(seen: ViewedVehicles, limits: PictureLimits) -> dict[int, VehicleCrop]:
    """Return the pictures of the vehicles to read, by their positions among the objects.

    From the native picture, where the frame has one; it is decoded only if there is a vehicle to
    read. Raises FrameRejected when it is damaged.
    """
    if not seen.rows:
        return {}
    frame = seen.picture.frame
    if frame.native_jpeg is None:
        image, scale = seen.picture.content, frame.letterbox.scale
    else:
        image, scale = decode(frame.native_jpeg, limits), frame.native_scale
    return {row: crop_vehicle(image, seen.objects[row].box, scale) for row in seen.rows}


def read_plates(
    reader: PlateReader,
    key: PlateKey,
    frames: Sequence[ViewedVehicles],
    limits: PictureLimits,
) -> list[Objects | FrameRejected]:
    """Return each frame's objects with the plates that were read, or why it is unusable."""
    crops: dict[tuple[int, int], VehicleCrop] = {}
    rejected: dict[int, FrameRejected] = {}
    for index, seen in enumerate(frames):
        try:
            crops |= {(index, row): c for row, c in vehicle_crops(seen, limits).items()}
        except FrameRejected as rejection:
            rejected[index] = rejection
    found: defaultdict[int, dict[int, list[tuple[PlateText, Box]]]] = defaultdict(dict)
    texts = reader.read([crop.picture for crop in crops.values()])
    for ((index, row), crop), plates in zip(crops.items(), texts, strict=True):
        legible = [plate for plate in plates if is_readable(plate, frames[index].policy)]
        found[index][row] = [(plate, to_native(crop, plate)) for plate in legible]
    return [
        rejected.get(index, _with_plates(seen.objects, found[index], key))
        for index, seen in enumerate(frames)
    ]


def _with_plates(
    objects: Objects, read: Mapping[int, Sequence[tuple[PlateText, Box]]], key: PlateKey
) -> Objects:
    plates = assign_plates(objects, read)
    return tuple(
        replace(seen, plate=_reading(*plates[row], key)) if row in plates else seen
        for row, seen in enumerate(objects)
    )


def _reading(plate: PlateText, box: Box, key: PlateKey) -> PlateReading:
    sealed = key.seal(PlateCharacters.of(plate.text, plate.confidences))
    return PlateReading(sealed, round(plate.confidence, 3), box)
