"""The one face of a photo that somebody hands in, as cameras' faces are read: found, judged, cut.

A photo from a phone is far larger than a frame, and a face in it larger than the finder knows. So
faces are looked for in a smaller copy, and cut from the photo itself.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from trinetra.detections.vision.align import align, similarity
from trinetra.detections.vision.quality import QualityPolicy, measure, unusable_reason
from trinetra.errors import PhotoRejected
from trinetra.ports import FaceReader
from trinetra.values import Embedding, Faces, ImageBgr

_SIDES_PX = (1280, 480)
"""Longest sides in which faces are looked for; in the second those that fill the photo."""
_TURNS = (1, 2, 3)
_LEAST_SIDE_PX = 16
_ADVICE = {
    "too_dark": "it is too dark",
    "too_bright": "it is too bright",
    "turned_away": "it looks too far to the side",
    "blurred": "it is blurred",
}


@dataclass(frozen=True, slots=True)
class PhotoFacePolicy:
    """What a photo must show; stricter than a frame, for everything later is compared to it."""

    min_face_px: float = 48.0
    quality: QualityPolicy = field(default_factory=QualityPolicy)


@dataclass(frozen=True, slots=True)
class PhotoFace:
    """The face of one photo; ``quality`` is on the scale of ``FaceQuality.total``."""

    photo: str
    embedding: Embedding
    quality: float
    size_px: float


def decode_photo(photo: str, content: bytes) -> ImageBgr:
    """Return the pixels of a JPEG, PNG or WebP, upright; raises PhotoRejected."""
    if not content:
        raise PhotoRejected(f"{photo} is empty: copy the photo again")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as cause:
        raise PhotoRejected(f"{photo} cannot be read as a picture; use a JPEG or PNG") from cause
    if image is None or min(image.shape[:2]) < _LEAST_SIDE_PX:
        raise PhotoRejected(f"{photo} is no picture that can be read; use a JPEG or PNG")
    pixels: ImageBgr = image
    return pixels


def read_photo_face(
    photo: str, image: ImageBgr, faces: FaceReader, policy: PhotoFacePolicy, *, largest: bool
) -> PhotoFace:
    """Return the face in a photo, of several the ``largest`` if that is wanted.

    Raises PhotoRejected when there is none, there are several, or it cannot be recognised; and
    EngineFailure.
    """
    found = faces_in(image, faces)
    _need_upright(photo, image, found, faces)
    if not len(found):
        raise PhotoRejected(f"{photo}: no face was found in it")
    if len(found) > 1 and not largest:
        raise PhotoRejected(
            f"{photo} shows {len(found)} faces; cut out the right one, or take the largest "
            "with --largest"
        )
    sizes_px = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1)
    row = int(np.argmax(sizes_px))
    quality = _quality(photo, image, found, row, policy)
    matrix = similarity(found.landmarks[row : row + 1])[0]
    vector = faces.embed([align(image, matrix)]).unit[0]
    return PhotoFace(photo, vector, quality, float(sizes_px[row]))


def faces_in(image: ImageBgr, faces: FaceReader) -> Faces:
    """Return the faces of a photo, in its pixels."""
    longest = max(image.shape[:2])
    for side in _SIDES_PX:
        scale = min(1.0, side / longest)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        [found] = faces.find([small if scale < 1 else image])
        if len(found):
            break
    grown = np.float32(1 / scale)
    return Faces(found.xyxy * grown, found.score, found.landmarks * grown)


def _need_upright(photo: str, image: ImageBgr, found: Faces, faces: FaceReader) -> None:
    """Refuse a photo whose faces are surer when it is turned.

    The finder sees a face that stands on its head, too, but puts the eyes where they are in an
    upright one. So the landmarks do not tell, and what is read of it is somebody else's face.
    """
    sure = found.score.max(initial=0.0)
    for turns in _TURNS:
        turned = faces_in(np.ascontiguousarray(np.rot90(image, turns)), faces)
        if turned.score.max(initial=0.0) > sure:
            raise PhotoRejected(f"{photo} is not upright: turn it so that the eyes are level")


def _quality(photo: str, image: ImageBgr, found: Faces, row: int, policy: PhotoFacePolicy) -> float:
    box = found.xyxy[row]
    size_px = float((box[2:] - box[:2]).min())
    face = measure(image, box, found.landmarks[row], size_px)
    reason = unusable_reason(face, policy.min_face_px, policy.quality)
    if reason == "too_small":
        raise PhotoRejected(
            f"{photo}: the face is {size_px:.0f} px wide, and {policy.min_face_px:.0f} px are "
            "needed; take a closer or larger photo"
        )
    if reason is not None:
        of_all = (
            f"too little of it can be made out (quality {face.quality.total:.2f} of at least "
            f"{policy.quality.min_total:.2f})"
        )
        why = _ADVICE.get(reason, of_all)
        raise PhotoRejected(f"{photo}: the face cannot be recognised well: {why}")
    return face.quality.total
