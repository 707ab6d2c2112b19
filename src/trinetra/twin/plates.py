"""Readings of license plates in simulated frames, with the errors that real readers make.

The rates are assumptions around published ones: of 60 photos of the OpenALPR benchmark a reader of
this kind gets 55 right, which is 1.3 % of wrong characters in sharp pictures, most of them letters
for digits of similar shape. Small plates are read less often and worse. An error may stay with a
car for a whole view, as dirt or a screw does: such errors no vote can correct.
"""

import numpy as np
from numpy.typing import NDArray

from trinetra.events.plates import PlateCharacters, PlateKey
from trinetra.events.schema import Box, PlateReading
from trinetra.twin.detector import Found
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Drive

Array = NDArray[np.float64]
_WIDTH_SHARE = 0.24
"""Width of a plate as a share of its car's box, seen from the front or the back."""
_HALF_LEGIBLE_PX, _SPREAD_PX = 52.0, 9.0
_FACES_CAMERA = 0.55
"""Share of frames in which front or back is turned to the camera and nothing hides the plate."""
_WRONG, _WRONG_WHEN_SMALL = 0.013, 0.11
_LOST = 0.008
_STAYS_WRONG = 0.04
_TO_ALIKE = 0.7
_SHAPES = ("O0", "I1", "Z2", "S5", "B8", "G6", "D0", "T7", "A4", "MN", "VY", "EF", "PR", "CG")
_ALIKE = {
    character: "".join(pair.replace(character, "") for pair in _SHAPES if character in pair)
    for character in sorted({character for pair in _SHAPES for character in pair})
}
_ALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class PlateCamera:
    """What one camera reads of the plates of cars."""

    def __init__(self, seed: int, camera: int, key: PlateKey) -> None:
        self._seed = seed
        self._camera = camera
        self._key = key

    def seen(
        self, found: Found, who: NDArray[np.intp], drives: list[Drive], rng: np.random.Generator
    ) -> list[PlateReading | None]:
        """Return the reading of each detected car; ``who`` is the drive of each body's row."""
        readings: list[PlateReading | None] = []
        for row, (x1, y1, x2, y2) in zip(found.row.tolist(), found.xyxy.tolist(), strict=True):
            box = (x1, y1, x2, y2)
            drive = drives[int(who[row])] if row >= 0 else None
            readings.append(self._reading(drive, box, rng) if drive else None)
        return readings

    def _reading(self, drive: Drive, box: Box, rng: np.random.Generator) -> PlateReading | None:
        width_px = _WIDTH_SHARE * (box[2] - box[0])
        legible = _FACES_CAMERA / (1 + np.exp((_HALF_LEGIBLE_PX - width_px) / _SPREAD_PX))
        draws = rng.random(3)
        if draws[0] >= legible:
            return None
        small = float(np.exp(-max(0.0, width_px - _HALF_LEGIBLE_PX / 2) / _HALF_LEGIBLE_PX))
        text, sure = self._read(drive, _WRONG + _WRONG_WHEN_SMALL * small**2, rng)
        if not text:
            return None
        confidences = tuple(float(share) for share in sure)
        sealed = self._key.seal(PlateCharacters.of(text, confidences))
        return PlateReading(sealed, round(float(np.mean(sure)), 3), _at(box, draws[1]))

    def _read(self, drive: Drive, wrong: float, rng: np.random.Generator) -> tuple[str, Array]:
        plate = self._worn(drive)
        errs = rng.random(len(plate)) < wrong
        characters = [_mistaken(c, rng) if e else c for c, e in zip(plate, errs, strict=True)]
        sure = np.where(errs, rng.uniform(0.35, 0.97, len(plate)), rng.beta(40, 1, len(plate)))
        edge_lost = rng.random(2) < _LOST
        first, last = int(edge_lost[0]), len(plate) - int(edge_lost[1])
        return "".join(characters[first:last]), sure[first:last]

    def _worn(self, drive: Drive) -> str:
        """Return the plate as this camera sees it during the whole drive."""
        plate = "".join(c for c in drive.plate if c.isalnum())
        rng = stream(self._seed, Part.PLATES, self._camera, drive.party)
        if rng.random() >= _STAYS_WRONG:
            return plate
        place = int(rng.integers(len(plate)))
        return plate[:place] + _mistaken(plate[place], rng) + plate[place + 1 :]


def _mistaken(character: str, rng: np.random.Generator) -> str:
    alike = _ALIKE.get(character, "")
    choices = alike if alike and rng.random() < _TO_ALIKE else _ALL.replace(character, "")
    return choices[int(rng.integers(len(choices)))]


def _at(box: Box, aside: float) -> Box:
    """Return where the plate is: low on the car."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    left = x1 + width * (0.3 + 0.15 * aside)
    top, plate_w = y1 + 0.68 * height, _WIDTH_SHARE * width
    corners = np.round([left, top, left + plate_w, top + plate_w / 4], 1).tolist()
    return corners[0], corners[1], corners[2], corners[3]
