"""Face quality: size, sharpness, frontality and exposure, each 0..1, and their geometric mean."""

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
"""Standard deviation of the Laplacian divided by mean luma: 0.11 for press photos, 0.036 when
blurred with sigma 2."""
_LUMA_DARK: Range = (15.0, 60.0)
_LUMA_BRIGHT: Range = (250.0, 190.0)
_NOSE_HEIGHT = 0.55
"""Position of the nose of an upright face, between eyes (0) and mouth (1)."""
_NOSE_HEIGHT_REACH = 0.45
_MID_LUMA = 128.0


@dataclass(frozen=True, slots=True)
class QualityPolicy:
    """Minimum quality for an embedding; all values are on the 0..1 scale of ``FaceQuality``."""

    min_sharpness: float = 0.2
    min_frontality: float = 0.25
    min_exposure: float = 0.2
    min_total: float = 0.3


@dataclass(frozen=True, slots=True)
class FaceMeasure:
    """The quality of a face; ``bright`` tells whether it is too bright rather than too dark."""

    quality: FaceQuality
    bright: bool


def measure(
    image: ImageBgr, xyxy: NDArray[np.float32], landmarks: NDArray[np.float32], size_px: float
) -> FaceMeasure:
    """Measure the quality of one face.

    ``xyxy (4,)`` and ``landmarks (5, 2)`` are in pixels of the image; ``size_px`` is the shorter
    side of the face in the picture with the highest resolution.
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
    """Return the reason why a face is unusable, the most certain one first, or None."""
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
    down between them; both are measured after the in-plane rotation is removed.
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
    """Return the face in gray, no larger than the network's input, at least one pixel."""
    limits = np.array([image.shape[1], image.shape[0]])
    x1, y1 = np.clip(np.floor(xyxy[:2]).astype(int), 0, limits - 1)
    x2, y2 = np.clip(np.ceil(xyxy[2:]).astype(int), (x1 + 1, y1 + 1), limits)
    luma: NDArray[np.uint8] = cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY)
    if (longest := max(luma.shape)) > SIDE:
        size = [max(1, round(side * SIDE / longest)) for side in reversed(luma.shape)]
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return luma


def _ramp(value: float, between: Range) -> float:
    """Interpolate linearly from 0 at the first end to 1 at the second, clipped to that range."""
    return float(np.clip((value - between[0]) / (between[1] - between[0]), 0, 1))
