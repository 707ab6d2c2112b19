"""Appearance descriptor of a person: mean colors of horizontal stripes of the bounding box.

Clothes distinguish people within one view: a shirt differs from trousers, and both from those of
other people. Stripes are robust to a person turning around, which moves colors sideways but not up
or down (cf. Gray and Tao, ELF, ECCV 2008; Farenzena et al., SDALF, CVPR 2010). Brightness is stored
as its square root, which evens out sensor noise, and color relative to brightness, which does not
change with the intensity of the light. The descriptor does not identify a person.

The first byte is a tag for the format; a network's embedding would use another tag.
"""

import numpy as np
from numpy.typing import NDArray

from trinetra.values import ImageBgr

TAG = 1
"""Six stripes from head to feet, each as brightness, red-blue and green-magenta, one byte each."""
STRIPES = 6
_ROWS, _COLUMNS = 8, 8
"""Sampling grid of each stripe: enough pixels for a mean, even in a large box."""
_MIDDLE = 0.5
"""Share of the box's width that is sampled; the rest is mostly background."""
_DARK = 32.0
"""Added to brightness, so that noise in dark clothes does not look like color."""
_BRIGHTNESS_GAIN, _COLOR_GAIN, _GRAY = 16.0, 100.0, 128.0

Floats = NDArray[np.float32]


def describe(image: ImageBgr, xyxy: Floats) -> list[bytes]:
    """Return the descriptor of each box ``(n, 4)``, given in pixels of the image."""
    if not len(xyxy):
        return []
    blue, green, red = np.moveaxis(_samples(image, xyxy), -1, 0)
    brightness = (red + 2 * green + blue) / 4
    relative = _COLOR_GAIN / (brightness + _DARK)
    channels = (
        _BRIGHTNESS_GAIN * np.sqrt(brightness),
        _GRAY + (red - blue) * relative,
        _GRAY + (green - (red + blue) / 2) * relative,
    )
    means = np.stack([channel.mean(axis=2) for channel in channels], axis=2)
    values = np.clip(np.rint(means), 0, 255).astype(np.uint8).reshape(len(xyxy), -1)
    return [bytes([TAG]) + row.tobytes() for row in values]


def _samples(image: ImageBgr, xyxy: Floats) -> Floats:
    """Return the pixels ``(n, stripes, pixels, 3)`` of a grid over the middle of each box."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (side[:, None] for side in xyxy.T)
    across = (np.arange(_COLUMNS, dtype=np.float32) + 0.5) / _COLUMNS - 0.5
    down = (np.arange(STRIPES * _ROWS, dtype=np.float32) + 0.5) / (STRIPES * _ROWS)
    column = np.clip((x1 + x2) / 2 + across * _MIDDLE * (x2 - x1), 0, width - 1).astype(np.intp)
    row = np.clip(y1 + down * (y2 - y1), 0, height - 1).astype(np.intp)
    pixels = image[row[:, :, None], column[:, None, :]].astype(np.float32)
    return np.asarray(pixels.reshape(len(xyxy), STRIPES, _ROWS * _COLUMNS, 3))
