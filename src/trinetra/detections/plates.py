"""Reads license plates: a network that finds text, and one that reads the characters of a plate.

Any text on a vehicle is found and read, letters on a van too: the caller chooses by place and
confidence.

A picture fills the finder's input: its longer side gets a fixed length, the other one the next
multiple of a coarse step, so that networks are compiled for a few sizes only. It is not padded:
beside a large dark area the finder no longer separates the lines of a plate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from trinetra.detections.vision.letterbox import BatchBuilder, InputSpec
from trinetra.detections.vision.plates import (
    Characters,
    Region,
    TextRegions,
    characters,
    straightened,
    text_regions,
    with_margin,
)
from trinetra.errors import EngineFailure
from trinetra.ports import Engine
from trinetra.values import ImageBgr, PlateText

_STEPS = 5
_LEAST_STEPS = 2
_MARGIN = 0.045
"""The reader wants a plate with 3 to 6 % of margin; the finder's regions have none."""


@dataclass(frozen=True, slots=True)
class PlateFinderSpec:
    """Format of the network that finds text; ``input`` is its largest size."""

    input: InputSpec
    regions: TextRegions = field(default_factory=TextRegions)


@dataclass(frozen=True, slots=True)
class PlateReaderSpec:
    """Format of the network that reads a plate; ``alphabet`` has its characters in order."""

    input: InputSpec
    alphabet: str


class NetworkPlateReader:
    """A PlateReader on any two engines; not thread-safe."""

    def __init__(
        self, finder: Engine, find: PlateFinderSpec, reader: Engine, read: PlateReaderSpec
    ) -> None:
        self._finder, self._find = finder, find
        self._reader, self._read = reader, read
        self._pictures = {size: BatchBuilder(_of_size(find.input, size)) for size in _sizes(find)}
        self._plates = BatchBuilder(read.input)

    def warm_up(self) -> None:
        """Run both networks on a blank picture of every size. Raises EngineFailure."""
        for width, height in self._pictures:
            self.read([np.zeros((height, width, 3), np.uint8)])
        self._texts([np.zeros((1, 1, 3), np.uint8)])

    def read(self, crops: Sequence[ImageBgr]) -> list[list[PlateText]]:
        """Return the texts on each picture of a vehicle, in its pixels, surest first.

        Raises EngineFailure.
        """
        found = [self._regions(crop) for crop in crops]
        width, height = self._read.input.width, self._read.input.height
        plates = [
            straightened(crop, with_margin(region.corners, _MARGIN), width, height)
            for crop, regions in zip(crops, found, strict=True)
            for region in regions
        ]
        texts = iter(self._texts(plates))
        read = [[_plate(region, next(texts)) for region in regions] for regions in found]
        return [sorted(filter(_has_text, seen), key=lambda p: -p.confidence) for seen in read]

    def _regions(self, crop: ImageBgr) -> list[Region]:
        # One picture at a time: a batch takes as long, and its compilation for each size seconds.
        size = input_size(crop.shape[1], crop.shape[0], self._find.input.width)
        tensor, (fit,) = self._pictures[size].build([crop])
        (probability, *_) = self._finder.run(tensor)
        expected = (1, 1, *tensor.shape[2:])
        if probability.shape != expected:
            raise EngineFailure(
                f"the plate finder returned the shape {probability.shape}, not {expected}; "
                "check its file in the manifest"
            )
        regions = text_regions(probability[0, 0], self._find.regions)
        return [region._replace(corners=fit.to_native(region.corners)) for region in regions]

    def _texts(self, plates: Sequence[ImageBgr]) -> list[Characters]:
        if not plates:
            return []
        (output, *_) = self._reader.run(self._plates.build(plates)[0])
        return characters(output, self._read.alphabet)


def input_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the width and height to which a picture is brought: the longer one is ``side``.

    The other one is rounded up to a multiple of a fifth of it, at least two fifths.
    """
    step = side // _STEPS
    steps = max(_LEAST_STEPS, ceil(min(width, height) * _STEPS / max(width, height)))
    return (side, step * steps) if width >= height else (step * steps, side)


def _sizes(find: PlateFinderSpec) -> list[tuple[int, int]]:
    lengths = range(_LEAST_STEPS, _STEPS + 1)
    shapes = [(_STEPS, n) for n in lengths] + [(n, _STEPS) for n in lengths]
    return [input_size(width, height, find.input.width) for width, height in dict.fromkeys(shapes)]


def _of_size(spec: InputSpec, size: tuple[int, int]) -> InputSpec:
    return replace(spec, width=size[0], height=size[1], stretches=True)


def _plate(region: Region, read: Characters) -> PlateText:
    low, high = region.corners.min(axis=0), region.corners.max(axis=0)
    box: NDArray[np.float32] = np.concatenate([low, high])
    return PlateText(read.text, read.confidences, box)


def _has_text(plate: PlateText) -> bool:
    return bool(plate.text)
