"""Embeddings of a labeled image at several sizes, for calibrating a face embedder."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from trinetra.detections.photo_face import faces_in
from trinetra.detections.vision.align import align, similarity
from trinetra.detections.vision.quality import measure
from trinetra.ports import FaceReader
from trinetra.values import FaceVectors, ImageBgr

_JPEG_QUALITY = 75
"""Stands for the camera's video compression and the ingestor's JPEG of 90."""


class CalibrationSample(NamedTuple):
    """``vectors`` has a row for the original image and one for each reduced size."""

    vectors: FaceVectors
    quality: float
    size_px: float


def read_calibration_sample(
    image: ImageBgr, faces: FaceReader, shrink_to_px: Sequence[int] = ()
) -> CalibrationSample | None:
    """Return the largest face of an image, or None if there is none that can be embedded.

    Raises EngineFailure.

    Reduced images are compressed as a camera's are, and cropped at the same landmarks, so that the
    samples measure the effect of fewer pixels on the embedding, and not on face detection.
    """
    found = faces_in(image, faces)
    if not len(found):
        return None
    sizes_px = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1)
    row = int(np.argmax(sizes_px))
    size_px, points = float(sizes_px[row]), found.landmarks[row : row + 1]
    crops = [align(image, similarity(points)[0])]
    for target_px in shrink_to_px:
        factor = min(1.0, target_px / size_px)
        small = _compressed(
            cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        )
        crops.append(align(small, similarity(points * np.float32(factor))[0]))
    judged = measure(image, found.xyxy[row], found.landmarks[row], size_px)
    vectors = faces.embed(crops)
    if not vectors.norm.all():
        return None
    return CalibrationSample(vectors, judged.quality.total, size_px)


def _compressed(image: ImageBgr) -> ImageBgr:
    _, jpeg = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    decoded: ImageBgr = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return decoded
