"""How usable a face is: size, sharpness, frontality and exposure, each 0..1, and their mean."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.detections.vision.align import SIDE, similarity
from trinetra.events.schema import FaceQuality
from trinetra.values import ImageBgr

Range = tuple[float, float]

_SIZE_PX: Range = (16.0, 64.0)
_ROUGHNESS: Range = (0.015, 0.09)
"""Deviation of the Laplacian over mean luma: 0.11 for press photos, 0.036 blurred by sigma 2."""
_LUMA_DARK: Range = (15.0, 60.0)
_LUMA_BRIGHT: Range = (250.0, 190.0)
_NOSE_HEIGHT = 0.55
"""Where the nose of an upright face lies between eyes (0) and mouth (1)."""
_NOSE_HEIGHT_REACH = 0.45
_MID_LUMA = 128.0


@dataclass(frozen=True, slots=True)
class QualityPolicy:
    """Below these a face gets no embedding; all are on the 0..1 scale of ``FaceQuality``."""

    min_sharpness: float = 0.2
    min_frontality: float = 0.25
    min_exposure: float = 0.2
    min_total: float = 0.3


@dataclass(frozen=True, slots=True)
class FaceMeasure:
    """The quality of a face, and whether its exposure errs on the bright side."""

    quality: FaceQuality
    bright: bool


def measure(
    image: ImageBgr, xyxy: NDArray[np.float32], landmarks: NDArray[np.float32], size_px: float
) -> FaceMeasure:
    """Judge one face from its pixels.

    ``xyxy (4,)`` and ``landmarks (5, 2)`` are in the image's pixels; ``size_px`` is the shorter
    side of the face in the best picture there is of it.
    """
    luma = _luma_of(image, xyxy)
    mean_luma = float(luma.mean())
    roughness = float(cv2.Laplacian(luma, cv2.CV_32F).std()) / max(mean_luma, 1.0)
    sharpness = _ramp(roughness, _ROUGHNESS)
    frontality = frontality_of(landmarks)
    exposure = min(_ramp(mean_luma, _LUMA_DARK), _ramp(mean_luma, _LUMA_BRIGHT))
    parts = (_ramp(size_px, _SIZE_PX), sharpness, frontality, exposure)
    total = float(np.prod(parts)) ** (1 / len(parts))
    quality = FaceQuality(
        total=round(total, 3),
        size_px=round(size_px, 1),
        sharpness=round(sharpness, 3),
        frontality=round(frontality, 3),
        exposure=round(exposure, 3),
    )
    return FaceMeasure(quality, bright=mean_luma > _MID_LUMA)


def unusable_reason(face: FaceMeasure, min_face_px: float, policy: QualityPolicy) -> str | None:
    """Return why a face cannot be recognised, the most certain reason first, or None."""
    quality = face.quality
    verdicts = (
        (quality.size_px < min_face_px, "too_small"),
        (quality.exposure < policy.min_exposure, "too_bright" if face.bright else "too_dark"),
        (quality.frontality < policy.min_frontality, "turned_away"),
        (quality.sharpness < policy.min_sharpness, "blurred"),
        (quality.total < policy.min_total, "poor"),
    )
    return next((reason for fails, reason in verdicts if fails), None)


def frontality_of(landmarks: NDArray[np.float32]) -> float:
    """Return 1 for a face that looks into the camera, 0 for one seen from the side.

    Turning the head moves the nose away from the middle of eyes and mouth, nodding moves it up or
    down between them; both are measured after the rotation in the plane is taken out.
    """
    matrix = similarity(landmarks[None])[0]
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks @ matrix[:, :2].T + matrix[:, 2]
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    half_width = max(float(right_eye[0] - left_eye[0]) / 2, 1.0)
    face_height = max(float(mouth[1] - eyes[1]), 1.0)
    turned = abs(float(nose[0] - (eyes[0] + mouth[0]) / 2)) / half_width
    nodded = abs(float(nose[1] - eyes[1]) / face_height - _NOSE_HEIGHT) / _NOSE_HEIGHT_REACH
    return min(max(1 - turned, 0.0), max(1 - nodded, 0.0))


def _luma_of(image: ImageBgr, xyxy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the face in grey, no larger than the network will see it, at least one pixel."""
    limits = np.array([image.shape[1], image.shape[0]])
    x1, y1 = np.clip(np.floor(xyxy[:2]).astype(int), 0, limits - 1)
    x2, y2 = np.clip(np.ceil(xyxy[2:]).astype(int), (x1 + 1, y1 + 1), limits)
    luma: NDArray[np.uint8] = cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY)
    if (longest := max(luma.shape)) > SIDE:
        size = [max(1, round(side * SIDE / longest)) for side in reversed(luma.shape)]
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return luma


def _ramp(value: float, between: Range) -> float:
    """Return 0 at the first end and beyond it, 1 at the second, and in proportion in between."""
    return float(np.clip((value - between[0]) / (between[1] - between[0]), 0, 1))
