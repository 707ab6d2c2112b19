"""Builds the boxes and faces of a frame's detection event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trinetra.detections.body_crops import BodyPolicy
from trinetra.detections.closer_look import CloserLook, closer_look
from trinetra.detections.plate_crops import PlatePolicy
from trinetra.detections.vision.align import align, similarity
from trinetra.detections.vision.appearance import describe
from trinetra.detections.vision.picture import Picture, PictureLimits, decode
from trinetra.detections.vision.quality import FaceMeasure, QualityPolicy, measure, unusable_reason
from trinetra.events.codec import pack_embedding
from trinetra.events.schema import Box, FaceBox, ObjectBox, Point
from trinetra.values import CameraId, Detections, Embedding, Faces, ImageBgr

_Landmarks = tuple[Point, Point, Point, Point, Point]
_PERSON = "person"
_LEAST_REDUCTION = 1.3
"""A frame reduced by less is looked at once: the landmarks would hardly change."""


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """Detection settings for one camera.

    A face with a shorter side below ``min_face_px`` is reported without an embedding. Old frames of
    a camera that ``is_live`` may be skipped in favor of current ones; recordings lose no frame.
    ``detector`` names the network that detects, in the whole picture and, if ``tiles`` is above 1,
    in that many tiles along its longer side. Without ``bodies`` none are embedded, and without
    ``plates`` none are read.
    """

    camera_id: CameraId
    labels: frozenset[str]
    reads_faces: bool
    min_face_px: float = 32.0
    min_score: float = 0.0
    min_face_score: float = 0.0
    is_live: bool = False
    detector: str = ""
    tiles: int = 1
    bodies: BodyPolicy | None = None
    plates: PlatePolicy | None = None


@dataclass(frozen=True, slots=True)
class FaceFinding:
    """One face, not embedded yet; ``aligned`` is None unless the face is usable."""

    score: float
    box: Box
    landmarks: _Landmarks
    measure: FaceMeasure
    unusable: str | None
    aligned: ImageBgr | None

    def to_event(self, embedding: Embedding | None, norm: float | None) -> FaceBox:
        """Return the face for the event; ``norm`` is that of the raw embedding."""
        return FaceBox(
            score=self.score,
            box=self.box,
            landmarks=self.landmarks,
            quality=self.measure.quality,
            embedding=None if embedding is None else pack_embedding(embedding),
            unusable=self.unusable,
            norm=None if norm is None else round(norm, 2),
        )


def object_boxes(picture: Picture, found: Detections, plan: CameraPlan) -> tuple[ObjectBox, ...]:
    """Return the objects with the plan's labels, in native pixels; people with their appearance."""
    rows = [
        row
        for row, (label, score) in enumerate(zip(found.label, found.score, strict=True))
        if label in plan.labels and score >= plan.min_score
    ]
    people = [row for row in rows if found.label[row] == _PERSON]
    clothes = dict(zip(people, describe(picture.content, found.xyxy[people]), strict=True))
    boxes = _boxes(_corners(picture, found.xyxy))
    return tuple(
        ObjectBox(found.label[row], round(float(found.score[row]), 3), boxes[row], clothes.get(row))
        for row in rows
    )


@dataclass(frozen=True, slots=True)
class SeenFaces:
    """The faces found in a frame, and the picture that they are measured and cropped in.

    ``native`` has them in native pixels, ``scale`` is that of the picture relative to those, and
    ``size_px`` the shorter side of each, rounded as in the event. Where ``is_reduced``, the face
    finder saw the frame smaller than the picture.
    """

    native: Faces
    size_px: NDArray[np.float64]
    image: ImageBgr
    scale: float
    is_native: bool
    is_reduced: bool

    def looks(self, min_face_px: float) -> dict[int, CloserLook]:
        """Return a closer look at each face that is large enough to be embedded, by its row."""
        if not (self.is_native and self.is_reduced):
            return {}
        boxes = self.native.xyxy * np.float32(self.scale)
        large = np.flatnonzero(self.size_px >= min_face_px)
        return {int(row): closer_look(self.image, boxes[row]) for row in large}

    def corrected(self, landmarks: Mapping[int, NDArray[np.float32]]) -> "SeenFaces":
        """Return the faces with some of their landmarks replaced, given in the picture."""
        points = self.native.landmarks.copy()
        for row, found in landmarks.items():
            points[row] = found / np.float32(self.scale)
        return replace(self, native=replace(self.native, landmarks=points))


def seen_faces(
    picture: Picture, found: Faces, plan: CameraPlan, limits: PictureLimits
) -> SeenFaces:
    """Return the certain faces of a frame with the picture to crop them from.

    The native picture is decoded only if a face is large enough; smaller ones are measured on the
    square picture. Raises FrameRejected when the native picture is damaged.
    """
    frame, certain = picture.frame, np.flatnonzero(found.score >= plan.min_face_score)
    native = Faces(
        _corners(picture, found.xyxy[certain]),
        found.score[certain],
        picture.to_native(found.landmarks[certain]),
    )
    sides_px = (native.xyxy[:, 2:] - native.xyxy[:, :2]) * frame.native_scale
    size_px = sides_px.min(axis=1).astype(np.float64).round(1)
    if frame.native_jpeg is None or not (size_px >= plan.min_face_px).any():
        return SeenFaces(native, size_px, picture.content, frame.letterbox.scale, False, False)
    image = decode(frame.native_jpeg, limits)
    is_reduced = frame.native_scale > _LEAST_REDUCTION * frame.letterbox.scale
    return SeenFaces(native, size_px, image, frame.native_scale, True, is_reduced)


def face_findings(seen: SeenFaces, plan: CameraPlan, policy: QualityPolicy) -> list[FaceFinding]:
    """Measure the quality of the faces in a frame and crop those that are usable."""
    return [_finding(seen, row, plan.min_face_px, policy) for row in range(len(seen.native))]


def _finding(seen: SeenFaces, row: int, min_face_px: float, policy: QualityPolicy) -> FaceFinding:
    native, scale, size_px = seen.native, np.float32(seen.scale), float(seen.size_px[row])
    points = native.landmarks[row] * scale
    judged = measure(seen.image, native.xyxy[row] * scale, points, size_px)
    unusable = unusable_reason(judged, min_face_px, policy)
    if not seen.is_native and unusable != "too_small":
        unusable = "no_native_image"
    return FaceFinding(
        score=round(float(native.score[row]), 3),
        box=_boxes(native.xyxy[row : row + 1])[0],
        landmarks=_points(native.landmarks[row]),
        measure=judged,
        unusable=unusable,
        aligned=None if unusable else align(seen.image, similarity(points[None])[0]),
    )


def _corners(picture: Picture, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return boxes ``(n, 4)`` of the content in native pixels, clipped to the native image."""
    limits = np.array([picture.frame.width, picture.frame.height] * 2, np.float32)
    return np.clip(picture.to_native(xyxy), 0, limits)


def _boxes(xyxy: NDArray[np.float32]) -> list[Box]:
    rounded = np.round(xyxy.astype(np.float64), 1).tolist()
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in rounded]


def _points(landmarks: NDArray[np.float32]) -> _Landmarks:
    rounded: Sequence[Sequence[float]] = np.round(landmarks.astype(np.float64), 1).tolist()
    first, second, third, fourth, fifth = ((x, y) for x, y in rounded)
    return first, second, third, fourth, fifth
