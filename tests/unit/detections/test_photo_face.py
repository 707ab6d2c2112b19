"""Tests for enrollment photos: which are accepted, and the reasons for rejecting others."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from trinetra.detections.photo_face import PhotoFacePolicy, decode_photo, read_photo_face
from trinetra.detections.vision.align import TEMPLATE
from trinetra.detections.vision.quality import QualityPolicy
from trinetra.errors import PhotoRejected
from trinetra.values import Faces, FaceVectors, ImageBgr, no_faces

Face = tuple[float, float, float]
"""Left, top and side in pixels of the photo."""


class Reader:
    """Finds the given faces in a photo of ``width``, and returns the same embedding for all."""

    def __init__(self, width: int, *faces: Face, least_px: float = 0.0) -> None:
        self.width, self.faces, self.least_px = width, faces, least_px
        self.aligned: list[ImageBgr] = []

    def find(self, images: Sequence[ImageBgr]) -> list[Faces]:
        return [self._found(image.shape[1] / self.width) for image in images]

    def _found(self, scale: float) -> Faces:
        seen = [np.array(f) * scale for f in self.faces if f[2] * scale >= self.least_px]
        if not seen:
            return no_faces()
        boxes = [[x, y, x + side, y + side] for x, y, side in seen]
        landmarks = [TEMPLATE / 112 * side + [x, y] for x, y, side in seen]
        score = np.full(len(seen), 0.9, np.float32)
        return Faces(np.array(boxes, np.float32), score, np.array(landmarks, np.float32))

    def embed(self, aligned: Sequence[ImageBgr]) -> FaceVectors:
        self.aligned += aligned
        unit = np.full((len(aligned), 4), 0.5, np.float32)
        return FaceVectors(unit, np.ones(len(aligned), np.float32))


def photo(width: int = 400, height: int = 300, *, blur: bool = False) -> ImageBgr:
    noise = np.random.default_rng(1).integers(60, 190, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 9) if blur else noise


def test_the_one_face_of_a_photo_is_read() -> None:
    face = read_photo_face(
        "a.jpg", photo(), Reader(400, (100, 50, 120)), PhotoFacePolicy(), largest=False
    )

    assert (face.photo, face.size_px) == ("a.jpg", pytest.approx(120))
    assert face.quality > 0.5


def test_a_face_is_cut_from_the_photo_itself_not_from_the_copy_it_was_found_in() -> None:
    reader = Reader(4000, (1000, 500, 900))
    image = photo(4000, 3000)
    face = read_photo_face("big.jpg", image, reader, PhotoFacePolicy(), largest=False)

    assert face.size_px == pytest.approx(900, rel=0.01)
    [cut] = reader.aligned
    assert cut.std() < image.std()  # 900 pixels were averaged into 112, not sampled


def test_a_face_that_fills_the_photo_is_looked_for_in_a_smaller_copy() -> None:
    class NearSighted(Reader):
        def find(self, images: Sequence[ImageBgr]) -> list[Faces]:
            small = [image for image in images if max(image.shape) <= 480]
            return super().find(small) if small else [no_faces() for _ in images]

    face = read_photo_face(
        "near.jpg",
        photo(2000, 1500),
        NearSighted(2000, (300, 100, 1300)),
        PhotoFacePolicy(),
        largest=False,
    )

    assert face.size_px == pytest.approx(1300, rel=0.01)


def test_a_photo_without_a_face_is_refused() -> None:
    with pytest.raises(PhotoRejected, match=r"wall\.jpg: no face was found"):
        read_photo_face("wall.jpg", photo(), Reader(400), PhotoFacePolicy(), largest=False)


def test_of_several_faces_the_largest_is_taken_only_when_that_is_wanted() -> None:
    reader = Reader(400, (10, 10, 60), (200, 50, 130), (100, 100, 50))
    with pytest.raises(PhotoRejected, match=r"shows 3 faces.*--largest"):
        read_photo_face("party.jpg", photo(), reader, PhotoFacePolicy(), largest=False)

    face = read_photo_face("party.jpg", photo(), reader, PhotoFacePolicy(), largest=True)
    assert face.size_px == pytest.approx(130)


def test_a_small_face_is_refused_with_its_size_and_the_limit() -> None:
    reader = Reader(400, (10, 10, 40))
    with pytest.raises(PhotoRejected, match="40 px wide, but 48 px are required"):
        read_photo_face("far.jpg", photo(), reader, PhotoFacePolicy(), largest=False)


def test_a_poor_face_is_refused_with_the_reason() -> None:
    reader = Reader(400, (100, 50, 120))
    with pytest.raises(PhotoRejected, match="it is blurred"):
        read_photo_face("b.jpg", photo(blur=True), reader, PhotoFacePolicy(), largest=False)
    with pytest.raises(PhotoRejected, match="it is too dark"):
        read_photo_face("d.jpg", photo() // 30, reader, PhotoFacePolicy(), largest=False)


def test_only_a_face_that_is_poor_as_a_whole_is_told_its_quality() -> None:
    reader = Reader(400, (100, 50, 120))
    strict = PhotoFacePolicy(quality=QualityPolicy(min_total=0.99))
    with pytest.raises(PhotoRejected, match=r"quality is too low .0\.\d\d, at least 0\.99"):
        read_photo_face("a.jpg", photo(), reader, strict, largest=False)
    with pytest.raises(PhotoRejected, match=r"it is blurred; use another photo$"):
        read_photo_face("b.jpg", photo(blur=True), reader, strict, largest=False)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_is_not_upright_is_refused(turns: int) -> None:
    class Sure(Reader):
        """Gives a face a higher score the brighter the top of the photo, as if it were its brow."""

        def _found(self, scale: float) -> Faces:
            found = super()._found(scale)
            return Faces(found.xyxy, found.score * self.sure, found.landmarks)

        def find(self, images: Sequence[ImageBgr]) -> list[Faces]:
            self.sure = np.float32(images[0][:20].mean() / 255)
            return super().find(images)

    upright = photo(300, 300)
    upright[:20] = 200
    reader = Sure(300, (100, 50, 120))

    assert read_photo_face("a.jpg", upright, reader, PhotoFacePolicy(), largest=False)
    image = np.ascontiguousarray(np.rot90(upright, turns))
    with pytest.raises(PhotoRejected, match=r"b\.jpg is not upright: turn it"):
        read_photo_face("b.jpg", image, reader, PhotoFacePolicy(), largest=False)


def test_a_photo_is_turned_as_the_phone_noted() -> None:
    _, content = cv2.imencode(".jpg", photo(64, 48))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    noted = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    plain = content.tobytes()

    assert decode_photo("a.jpg", plain[:2] + noted + plain[2:]).shape == (64, 48, 3)


def test_an_empty_photo_is_told() -> None:
    with pytest.raises(PhotoRejected, match=r"a\.jpg is empty"):
        decode_photo("a.jpg", b"")


@pytest.mark.parametrize("content", [b"%PDF-1.7 no picture", b"\xff\xd8\xff\xe0broken"])
def test_a_file_that_is_not_an_image_is_refused(content: bytes) -> None:
    with pytest.raises(PhotoRejected, match=r"cv\.pdf"):
        decode_photo("cv.pdf", content)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_common_kinds_of_pictures_are_read(suffix: str) -> None:
    _, content = cv2.imencode(suffix, photo(64, 48))

    assert decode_photo(f"a{suffix}", content.tobytes()).shape == (48, 64, 3)


def test_a_photo_whose_face_yields_no_vector_is_rejected() -> None:
    class Blind(Reader):
        def embed(self, aligned: Sequence[ImageBgr]) -> FaceVectors:
            found = super().embed(aligned)
            return FaceVectors(0 * found.unit, 0 * found.norm)

    with pytest.raises(PhotoRejected, match=r"ann\.jpg: the face has no features"):
        read_photo_face(
            "ann.jpg",
            photo(),
            Blind(400, (150, 100, 80)),
            PhotoFacePolicy(),
            largest=False,
        )
