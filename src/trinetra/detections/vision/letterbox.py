"""Converts images to a network's input tensor: scale, pad, color order, normalization, layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.values import ImageBgr, Letterbox

Channels = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Input format of a network; ``mean``, ``std`` and ``pad`` are 0..255, in ``color`` order.

    ``stretches`` images to the input's shape instead of padding them.
    """

    width: int
    height: int
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    color: Literal["BGR", "RGB"] = "BGR"
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    pad: float = 0.0
    stretches: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """Scales of an image that fills the input of a network: ``input = image * scale``."""

    scale_x: float
    scale_y: float

    def to_native(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points ``(..., 2)`` from the input to the image."""
        return xy * np.array([1 / self.scale_x, 1 / self.scale_y], np.float32)


@dataclass(frozen=True, slots=True)
class _Region:
    """The position of a scaled image within the network's input."""

    x: int
    y: int
    width: int
    height: int


def fit(width: int, height: int, spec: InputSpec) -> Letterbox:
    """Return the centered letterbox that fits ``width x height`` into the network's input."""
    scale = min(spec.width / width, spec.height / height)
    region_w, region_h = max(1, round(width * scale)), max(1, round(height * scale))
    return Letterbox(
        scale, float((spec.width - region_w) // 2), float((spec.height - region_h) // 2)
    )


class BatchBuilder:
    """Fills a reused array with letterboxed or stretched images; not thread-safe."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._scale = np.float32(1) / np.array(spec.std, np.float32)
        self._offset = -np.array(spec.mean, np.float32) * self._scale
        self._padding = np.float32(spec.pad) * self._scale + self._offset
        self._plain = bool(np.all(self._scale == 1) and np.all(self._offset == 0))
        self._tensor = np.empty((0, *self._slot_shape()), np.float32)
        self._regions: list[_Region | None] = []

    def build(
        self, images: Sequence[ImageBgr]
    ) -> tuple[NDArray[np.float32], list[Letterbox | Stretch]]:
        """Return the batch tensor and how each image was brought to the size of the input.

        The tensor is a view that the next call overwrites.
        """
        self._reserve(len(images))
        fits = [self._place(slot, image) for slot, image in enumerate(images)]
        return self._tensor[: len(images)], fits

    def _slot_shape(self) -> tuple[int, int, int]:
        height, width = self._spec.height, self._spec.width
        return (3, height, width) if self._spec.layout == "NCHW" else (height, width, 3)

    def _reserve(self, slots: int) -> None:
        if slots > len(self._tensor):
            self._tensor = np.empty((slots, *self._slot_shape()), np.float32)
            self._regions = [None] * slots

    def _place(self, slot: int, image: ImageBgr) -> Letterbox | Stretch:
        box, region = self._fit(image.shape[1], image.shape[0])
        if self._regions[slot] != region:
            self._hwc(slot)[:] = self._padding
            self._regions[slot] = region
        self._write(self._hwc(slot), _resize(image, region), region)
        return box

    def _fit(self, width: int, height: int) -> tuple[Letterbox | Stretch, _Region]:
        spec = self._spec
        if spec.stretches:
            whole = _Region(0, 0, spec.width, spec.height)
            return Stretch(spec.width / width, spec.height / height), whole
        box = fit(width, height, spec)
        scaled_w, scaled_h = max(1, round(width * box.scale)), max(1, round(height * box.scale))
        return box, _Region(int(box.pad_x), int(box.pad_y), scaled_w, scaled_h)

    def _hwc(self, slot: int) -> NDArray[np.float32]:
        tensor: NDArray[np.float32] = self._tensor[slot]
        return tensor.transpose(1, 2, 0) if self._spec.layout == "NCHW" else tensor

    def _write(self, target: NDArray[np.float32], scaled: ImageBgr, region: _Region) -> None:
        inside = target[region.y : region.y + region.height, region.x : region.x + region.width]
        # Split into channels while they are bytes: the following steps then read and, in NCHW,
        # write contiguous memory, which is several times as fast.
        channels = cv2.split(scaled)
        for channel, values in enumerate(channels if self._spec.color == "BGR" else channels[::-1]):
            plane = inside[..., channel]
            if self._plain:
                plane[:] = values
            else:
                np.multiply(values, self._scale[channel], out=plane, dtype=np.float32)
                plane += self._offset[channel]


def _resize(image: ImageBgr, region: _Region) -> ImageBgr:
    if image.shape[:2] == (region.height, region.width):
        return image
    # Plain area averaging costs eight times as much and only matters for strong reduction.
    reduction = max(image.shape[1] / region.width, image.shape[0] / region.height)
    method = cv2.INTER_AREA if reduction > 2 else cv2.INTER_LINEAR  # noqa: PLR2004 -- bilinear reads 2 x 2
    resized: ImageBgr = cv2.resize(image, (region.width, region.height), interpolation=method)
    return resized
