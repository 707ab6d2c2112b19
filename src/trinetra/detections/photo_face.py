"""Face of an enrollment photo: detection, quality check and embedding, as for camera frames.

A photo from a phone is far larger than a frame, and its faces are larger than the face detector can
handle. So faces are detected in a smaller copy, and cropped from the photo itself.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.detections.closer_look import closer_look, landmarks_in
from trinetra.detections.vision.align import align, similarity
from trinetra.detections.vision.photo_header import PhotoHeader, photo_header
from trinetra.detections.vision.quality import QualityPolicy, measure, unusable_reason
from trinetra.errors import PhotoRejected
from trinetra.ports import FaceReader
from trinetra.values import Embedding, Faces, ImageBgr

_SIDES_PX = (1280, 480)
"""Longest sides of the copies in which faces are detected; the second is for faces that fill the
photo."""
_TURNS = (1, 2, 3)
_MOST_PIXELS = 64_000_000
"""Phones take up to 50 million; a file of a few kB may declare a billion, which takes 3 GB."""
_MOST_SCANS = 100
"""Cameras write up to 10; each of them costs a pass over all pixels."""
_LEAST_SIDE_PX = 16
_ADVICE = {
    "too_dark": "it is too dark",
    "too_bright": "it is too bright",
    "turned_away": "it looks too far to the side",
    "blurred": "it is blurred",
}


@dataclass(frozen=True, slots=True)
class PhotoFacePolicy:
    """Quality thresholds of a photo; stricter than for frames, which are compared to it later."""

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
    """Return the pixels of a JPEG, PNG or WebP, rotated by its metadata. Raises PhotoRejected."""
    if not content:
        raise PhotoRejected(f"{photo} is empty: copy the photo again")
    if header := photo_header(content):
        _need_a_size_to_decode(photo, header)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as cause:
        raise PhotoRejected(f"{photo} cannot be read as an image; use a JPEG or PNG") from cause
    if image is None or min(image.shape[:2]) < _LEAST_SIDE_PX:
        raise PhotoRejected(f"{photo} is not a readable image; use a JPEG or PNG")
    pixels: ImageBgr = image
    return pixels


def need_a_photo(photo: str, content: bytes) -> None:
    """Raise PhotoRejected for what is no JPEG, PNG or WebP, or would need too much memory.

    For photos from strangers: other formats that the decoder knows are not checked before decoding.
    """
    header = photo_header(content)
    if header is None:
        raise PhotoRejected(f"{photo} is not a readable image; use a JPEG, PNG or WebP")
    _need_a_size_to_decode(photo, header)


def _need_a_size_to_decode(photo: str, header: PhotoHeader) -> None:
    if header.pixels > _MOST_PIXELS:
        raise PhotoRejected(
            f"{photo} has {header.width} x {header.height} pixels, the maximum is "
            f"{_MOST_PIXELS // 1_000_000} million: use a smaller copy"
        )
    if header.scans > _MOST_SCANS:
        raise PhotoRejected(f"{photo} is a JPEG of {header.scans} scans; save it as a plain JPEG")


def read_photo_face(
    photo: str, image: ImageBgr, faces: FaceReader, policy: PhotoFacePolicy, *, largest: bool
) -> PhotoFace:
    """Return the face in a photo; if it has several, the largest one if ``largest``.

    Raises PhotoRejected when the photo has no face, has several without ``largest``, or its face is
    unusable; EngineFailure.
    """
    found = faces_in(image, faces)
    _need_upright(photo, image, found, faces)
    if not len(found):
        raise PhotoRejected(f"{photo}: no face was found; use a photo that shows one face")
    if len(found) > 1 and not largest:
        raise PhotoRejected(
            f"{photo} shows {len(found)} faces; crop it to the right one, or take the largest "
            "(--largest)"
        )
    sizes_px = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1)
    row = int(np.argmax(sizes_px))
    quality = _quality(photo, image, found, row, policy)
    matrix = similarity(_looked_closer(image, found, row, faces)[None])[0]
    vectors = faces.embed([align(image, matrix)])
    if not vectors.norm[0]:
        raise PhotoRejected(f"{photo}: the face has no features to compare; use another photo")
    return PhotoFace(photo, vectors.unit[0], quality, float(sizes_px[row]))


def _looked_closer(
    image: ImageBgr, found: Faces, row: int, faces: FaceReader
) -> NDArray[np.float32]:
    """Return the landmarks ``(5, 2)`` of a face, found in the photo's own pixels if possible."""
    look = closer_look(image, found.xyxy[row])
    [in_crop] = faces.find([look.crop])
    points = landmarks_in(look, in_crop)
    return found.landmarks[row] if points is None else points


def faces_in(image: ImageBgr, faces: FaceReader) -> Faces:
    """Return the faces of a photo, in pixels of the photo."""
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
    """Raise PhotoRejected if faces are detected with a higher score in a rotated photo.

    The detector also finds a face that is upside down, but places the eyes where they would be in
    an upright one. So the landmarks do not reveal the rotation, and the embedding would be that of
    a different person.
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
            f"{photo}: the face is {size_px:.0f} px wide, but {policy.min_face_px:.0f} px are "
            "required; use a closer or larger photo"
        )
    if reason is not None:
        of_all = (
            f"its quality is too low ({face.quality.total:.2f}, at least "
            f"{policy.quality.min_total:.2f} is required)"
        )
        why = _ADVICE.get(reason, of_all)
        raise PhotoRejected(
            f"{photo}: the face cannot be recognized well: {why}; use another photo"
        )
    return face.quality.total
