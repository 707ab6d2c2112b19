"""Alignment of faces to the template that ArcFace-type networks were trained on."""

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.values import ImageBgr

SIDE = 112
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
"""Positions of eyes, nose and mouth corners (Deng et al., ArcFace, arXiv:1801.07698)."""
RETAIL_SIDE = 128
RETAIL_TEMPLATE = RETAIL_SIDE * np.array(
    [
        [0.31556875, 0.46157411],
        [0.68262292, 0.46157411],
        [0.5002625, 0.64050536],
        [0.34947188, 0.82469196],
        [0.65343645, 0.82469196],
    ],
    np.float32,
)
"""The same of face-reidentification-retail-0095 (Open Model Zoo, its description of the model)."""

_ALIASING_SCALE = 0.5
"""Bilinear sampling reads 2 x 2 pixels, so stronger reduction needs averaging first."""


def similarity(
    landmarks: NDArray[np.float32], template: NDArray[np.float32] = TEMPLATE
) -> NDArray[np.float32]:
    """Return the matrices ``(n, 2, 3)`` that map landmarks ``(n, 5, 2)`` to the template.

    This is the least-squares rotation, scale and translation of Umeyama (1991,
    doi:10.1109/34.88573). In the plane, a rotation with scale is a product with one complex number,
    which gives the solution in closed form. Landmarks that all coincide yield scale 0.
    """
    points = landmarks[..., 0] + 1j * landmarks[..., 1]
    target = template[:, 0] + 1j * template[:, 1]
    middle, target_middle = points.mean(axis=1, keepdims=True), target.mean()
    spread = points - middle
    energy = (np.abs(spread) ** 2).sum(axis=1)
    fit = (np.conj(spread) * (target - target_middle)).sum(axis=1)
    turn = np.divide(fit, energy, out=np.zeros_like(fit), where=energy > 0)
    shift = target_middle - turn * middle[:, 0]
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.array(rows, np.float32).transpose(2, 0, 1)


def retail_crop(aligned: ImageBgr) -> ImageBgr:
    """Return the ``128 x 128`` crop of RETAIL_TEMPLATE from a face that ``align`` has cropped.

    It is as good as one from the camera's image: on 400 faces of LFW and AT&T at full size, 32 and
    24 pixels, misses at equal false matches differ by chance only.
    """
    side = (RETAIL_SIDE, RETAIL_SIDE)
    face: ImageBgr = cv2.warpAffine(aligned, _TO_RETAIL, side, flags=cv2.INTER_LINEAR)
    return face


def align(image: ImageBgr, matrix: NDArray[np.float32]) -> ImageBgr:
    """Return the ``112 x 112`` face that ``matrix (2, 3)`` crops from the image.

    Only the pixels under the face are read; pixels outside the image are black.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if 0 < scale < _ALIASING_SCALE:
        image, matrix = _reduced(image, matrix, scale)
    face: ImageBgr = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return face


def _reduced(
    image: ImageBgr, matrix: NDArray[np.float32], scale: float
) -> tuple[ImageBgr, NDArray[np.float32]]:
    """Return the region under the face, averaged down to about its final size, and its matrix."""
    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]], np.float32)
    under = corners @ cv2.invertAffineTransform(matrix).T
    limits = np.array([image.shape[1], image.shape[0]])
    x1, y1 = np.clip(np.floor(under.min(axis=0)).astype(int), 0, limits - 1)
    x2, y2 = np.clip(np.ceil(under.max(axis=0)).astype(int), (x1 + 1, y1 + 1), limits)
    width, height = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
    small = cv2.resize(image[y1:y2, x1:x2], (width, height), interpolation=cv2.INTER_AREA)
    # Pixel centers: image = small * step + origin, hence M(image) = (M * step) small + M(origin).
    step = np.array([(x2 - x1) / width, (y2 - y1) / height], np.float32)
    origin = np.array([x1, y1], np.float32) + (step - 1) / 2
    moved = matrix[:, :2] @ origin + matrix[:, 2]
    return small, np.column_stack([matrix[:, :2] * step, moved]).astype(np.float32)


_TO_RETAIL = similarity(TEMPLATE[None], RETAIL_TEMPLATE)[0]
