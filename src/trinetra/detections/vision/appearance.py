"""What somebody wears, as the mean colours of horizontal stripes of the box around them.

Clothes tell people of one view apart while they are in it: a shirt differs from trousers, and both
from those of whoever walks past. Stripes outlive turning about, which moves colours sideways but
not up or down (cf. Gray and Tao, ELF, ECCV 2008; Farenzena et al., SDALF, CVPR 2010). Brightness
goes as its square root, which evens out the noise of sensors, colour relative to brightness, which
light of another strength does not change. Nobody can be named by it.

The first byte says how the others are meant: a network's embedding would take another tag.
"""

import numpy as np
from numpy.typing import NDArray

from trinetra.values import ImageBgr

TAG = 1
"""Six stripes from head to feet, each as brightness, red-blue and green-magenta, one byte each."""
STRIPES = 6
_ROWS, _COLUMNS = 8, 8
"""Pixels looked at in each stripe: enough for a mean, wherever the box is large."""
_MIDDLE = 0.5
"""Of a box's width: what is beside it is mostly background."""
_DARK = 32.0
"""Added to brightness, so that the noise of dark clothes is not taken for colour."""
_BRIGHTNESS_GAIN, _COLOUR_GAIN, _GREY = 16.0, 100.0, 128.0

Floats = NDArray[np.float32]


def describe(image: ImageBgr, xyxy: Floats) -> list[bytes]:
    """Return the description of each box ``(n, 4)`` of an image, in the image's pixels."""
    if not len(xyxy):
        return []
    blue, green, red = np.moveaxis(_samples(image, xyxy), -1, 0)
    brightness = (red + 2 * green + blue) / 4
    relative = _COLOUR_GAIN / (brightness + _DARK)
    channels = (
        _BRIGHTNESS_GAIN * np.sqrt(brightness),
        _GREY + (red - blue) * relative,
        _GREY + (green - (red + blue) / 2) * relative,
    )
    means = np.stack([channel.mean(axis=2) for channel in channels], axis=2)
    values = np.clip(np.rint(means), 0, 255).astype(np.uint8).reshape(len(xyxy), -1)
    return [bytes([TAG]) + row.tobytes() for row in values]


def _samples(image: ImageBgr, xyxy: Floats) -> Floats:
    """Return pixels ``(n, stripes, pixels, 3)`` on a grid over the middle of each box."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (side[:, None] for side in xyxy.T)
    across = (np.arange(_COLUMNS, dtype=np.float32) + 0.5) / _COLUMNS - 0.5
    down = (np.arange(STRIPES * _ROWS, dtype=np.float32) + 0.5) / (STRIPES * _ROWS)
    column = np.clip((x1 + x2) / 2 + across * _MIDDLE * (x2 - x1), 0, width - 1).astype(np.intp)
    row = np.clip(y1 + down * (y2 - y1), 0, height - 1).astype(np.intp)
    pixels = image[row[:, :, None], column[:, None, :]].astype(np.float32)
    return np.asarray(pixels.reshape(len(xyxy), STRIPES, _ROWS * _COLUMNS, 3))
