"""Decodes the networks that read license plates: text regions, their crops, and characters.

Text regions are decoded as in differentiable binarization (DB, Liao et al. 2020, arXiv:1911.08947):
a probability map is thresholded, each connected region gets its smallest rotated rectangle, and the
rectangle is enlarged, because the network marks shrunken text. Thresholds are those that PP-OCR
ships with its weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.errors import EngineFailure
from trinetra.values import ImageBgr

Floats = NDArray[np.float32]
PAD = "_"
"""The character that stands for no character."""
_MIN_SIDE_PX = 3
_MAX_REGIONS = 20
"""Regions of one picture that are read, the most certain first: a poster must not take seconds."""


@dataclass(frozen=True, slots=True)
class TextRegions:
    """How a probability map becomes regions of text."""

    threshold: float = 0.3
    min_score: float = 0.5
    unclip_ratio: float = 1.6


class Region(NamedTuple):
    """A rotated rectangle of text: ``corners (4, 2)`` from the top left one, clockwise."""

    corners: Floats
    score: float


class Characters(NamedTuple):
    """The text in a crop, and the probability of each of its characters."""

    text: str
    confidences: tuple[float, ...]


def text_regions(probability: Floats, how: TextRegions) -> list[Region]:
    """Return the regions of text in a map ``(height, width)``, in its pixels, surest first."""
    # The dilation joins characters that a single pixel separates, as PP-OCR does.
    marked = cv2.dilate((probability > how.threshold).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(marked, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = (_region(probability, contour, how) for contour in contours)
    regions = [region for region in found if region is not None]
    return sorted(regions, key=lambda region: -region.score)[:_MAX_REGIONS]


def _region(probability: Floats, contour: NDArray[np.int32], how: TextRegions) -> Region | None:
    center, (width, height), angle = cv2.minAreaRect(contour)
    if min(width, height) < _MIN_SIDE_PX:
        return None
    score = _mean_inside(probability, cv2.boxPoints((center, (width, height), angle)))
    if score < how.min_score:
        return None
    margin = width * height * how.unclip_ratio / (2 * (width + height))
    grown = (center, (width + 2 * margin, height + 2 * margin), angle)
    return Region(clockwise(np.asarray(cv2.boxPoints(grown), np.float32)), score)


def _mean_inside(probability: Floats, corners: Floats) -> float:
    limits = np.array(probability.shape[::-1]) - 1
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, limits)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, limits)
    part = probability[low[1] : high[1] + 1, low[0] : high[0] + 1]
    mask = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(mask, [np.asarray(corners - low, np.int32)], 1)
    return float(cv2.mean(part, mask)[0])


def clockwise(corners: Floats) -> Floats:
    """Return the corners ``(4, 2)`` of a rectangle from the top left one, clockwise."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.array([left[0], right[0], right[1], left[1]], np.float32)


def with_margin(corners: Floats, share: float) -> Floats:
    """Return the corners of a rectangle enlarged on each side by a share of its sides."""
    along, down = (corners[1] - corners[0]) * share, (corners[3] - corners[0]) * share
    outward = np.array([-along - down, along - down, along + down, down - along], np.float32)
    return np.asarray(corners + outward, np.float32)


def straightened(image: ImageBgr, corners: Floats, width: int, height: int) -> ImageBgr:
    """Return the rectangle with these corners as an upright picture of the given size."""
    upright = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    to_upright = cv2.getPerspectiveTransform(corners, upright)
    crop: ImageBgr = cv2.warpPerspective(
        image, to_upright, (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return crop


def characters(output: Floats, alphabet: str) -> list[Characters]:
    """Return the text in each row of ``output (n, slots, characters)``; padding is left out.

    Raises EngineFailure for an output of another shape.
    """
    if output.ndim != 3 or output.shape[2] != len(alphabet):  # noqa: PLR2004  row, slot, character
        raise EngineFailure(
            f"the plate reader returned the shape {output.shape}, not {len(alphabet)} characters "
            "per slot; check the alphabet in the manifest"
        )
    best, sure = output.argmax(axis=2), output.max(axis=2)
    return [_text(row, probs, alphabet) for row, probs in zip(best, sure, strict=True)]


def _text(best: NDArray[np.intp], sure: Floats, alphabet: str) -> Characters:
    slots: Sequence[tuple[str, float]] = [
        (alphabet[index], float(probability))
        for index, probability in zip(best.tolist(), sure.tolist(), strict=True)
        if alphabet[index] != PAD
    ]
    return Characters("".join(c for c, _ in slots), tuple(p for _, p in slots))
