"""Shows the photos of a labeled face set to the networks of a worker, as a camera would see them.

Photos are shrunk to the size of faces in a view, blurred, relit, and laid out side by side in
pictures of a camera's size. These take the way of every frame: JPEG at both resolutions, face
finder, quality, alignment, embedder. One pass takes minutes, so its result is kept on disk.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.video.image_folder import ImageFolderSource
from trinetra.detections.photo_face import decode_photo
from trinetra.errors import ConfigurationError
from trinetra.events.schema import FaceBox
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.twin.portraits import BLURS, MEASURES, SIZES_PX, TAKES, Portraits
from trinetra.values import EPOCH, ImageBgr
from trinetra.wiring.footage import Footage
from trinetra.wiring.networks import Networks

_RECIPE = 2
"""Part of the key of a kept result: raise it when the rendering or the worker's code changes."""
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".pgm", ".bmp"})
_WIDTH, _HEIGHT = 1920, 1080
_SURROUND = 2.2
"""Side of a tile, in units of the face's size: a head and shoulders."""
_MARGIN = 0.3
"""Border around a photo, in which faces that fill it are found."""
_TURN_DEG, _SHIFT, _GAIN, _GRAIN = 4.0, 0.04, 0.15, 3.0
"""Deviations between takes: turn, place in units of the face, brightness, and sensor noise."""
_BACKDROP = 110
_NEAR = 0.5
"""A face belongs to a tile if its center is within this fraction of the tile's side."""


@dataclass(frozen=True, slots=True)
class _Photo:
    person: int
    image: ImageBgr
    center: tuple[float, float]
    size_px: float


@dataclass(frozen=True, slots=True)
class _Tile:
    """A rendering and its place: photo, size, blur and take."""

    key: tuple[int, int, int, int]
    image: ImageBgr


def load_portraits(
    folders: Sequence[Path], networks: Networks, settings: Settings
) -> tuple[Portraits, int]:
    """Return the portraits of all people in the folders, and the number of photos without a face.

    Each folder has a folder of photos for each person. Raises ConfigurationError if there are none,
    PhotoRejected for a damaged one, EngineFailure.
    """
    paths = [people for folder in folders for people in _people(folder)]
    kept = settings.cache_dir / "twin-faces" / f"{_key(paths, networks)}.npz"
    if kept.is_file():
        return _read(kept)
    found = _Studio(networks).portraits(paths)
    kept.parent.mkdir(parents=True, exist_ok=True)
    _write(kept, *found)
    return found


def _people(folder: Path) -> list[list[Path]]:
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is not a folder; give one with a folder of photos for each person"
        )
    people = [
        sorted(p for p in person.iterdir() if p.suffix.lower() in _PICTURES)
        for person in sorted(folder.iterdir())
        if person.is_dir()
    ]
    if not any(people):
        raise ConfigurationError(f"{folder} has no folder with photos of a person")
    return [photos for photos in people if photos]


def _key(people: Sequence[Sequence[Path]], networks: Networks) -> str:
    digest = hashlib.sha256(repr((_RECIPE, SIZES_PX, BLURS, TAKES)).encode())
    digest.update(repr(sorted(networks.versions.items())).encode())
    for photos in people:
        for path in photos:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        digest.update(b"next person")
    return digest.hexdigest()[:24]


class _Studio:
    def __init__(self, networks: Networks) -> None:
        self._site = Site.model_validate(
            {
                "site": "studio",
                "timezone": "UTC",
                "cameras": [{"id": "view", "role": "face", "source": {"file": "none"}}],
            }
        )
        self._footage = Footage(self._site, networks)

    def portraits(self, people: Sequence[Sequence[Path]]) -> tuple[Portraits, int]:
        images = [
            (person, decode_photo(str(path), path.read_bytes()))
            for person, paths in enumerate(people)
            for path in paths
        ]
        photos = list(self._with_faces(images))
        seen = _Seen(len(photos))
        for tile, face in self._shown(tile for i, p in enumerate(photos) for tile in _tiles(i, p)):
            seen.add(tile.key, face)
        persons = {p: n for n, p in enumerate(dict.fromkeys(photo.person for photo in photos))}
        numbers = np.array([persons[photo.person] for photo in photos], np.intp)
        return seen.portraits(numbers), len(images) - len(photos)

    def _with_faces(self, images: Sequence[tuple[int, ImageBgr]]) -> Iterator[_Photo]:
        tiles = (_Tile((i, 0, 0, 0), _bordered(image)) for i, (_, image) in enumerate(images))
        for tile, face in self._shown(tiles):
            person, image = images[tile.key[0]]
            if face is not None:
                x1, y1, x2, y2 = face.box
                border_y, border_x = (round(_MARGIN * side) for side in image.shape[:2])
                center = (x1 + x2) / 2 - border_x, (y1 + y2) / 2 - border_y
                yield _Photo(person, image, center, min(x2 - x1, y2 - y1))

    def _shown(self, tiles: Iterator[_Tile]) -> Iterator[tuple[_Tile, FaceBox | None]]:
        """Yield each tile with the largest face found in it, in pixels of the tile."""
        for placed in _laid_out(tiles):
            canvas = np.full((_HEIGHT, _WIDTH, 3), _BACKDROP, np.uint8)
            for x, y, tile in placed:
                height, width = tile.image.shape[:2]
                canvas[y : y + height, x : x + width] = tile.image
            faces = self._faces(canvas)
            for x, y, tile in placed:
                yield tile, _in_tile(faces, x, y, tile.image)

    def _faces(self, picture: ImageBgr) -> tuple[FaceBox, ...]:
        [camera] = self._site.cameras
        with tempfile.TemporaryDirectory(prefix="trinetra-twin-faces-") as folder:
            cv2.imwrite(str(Path(folder) / "0.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 0])
            source = ImageFolderSource(Path(folder), EPOCH, fps=1.0)
            source.open()
            try:
                shown = source.read(key_frames_only=False)
            finally:
                source.close()
            if shown is None:
                raise ConfigurationError("a rendered picture cannot be read back")
            [event] = self._footage.of_pictures(camera, iter([(EPOCH, shown)]))
        return event.faces


def _bordered(image: ImageBgr) -> ImageBgr:
    y, x = (round(_MARGIN * side) for side in image.shape[:2])
    bordered: ImageBgr = cv2.copyMakeBorder(
        image, y, y, x, x, cv2.BORDER_CONSTANT, value=(_BACKDROP,) * 3
    )
    return bordered


def _laid_out(tiles: Iterator[_Tile]) -> Iterator[list[tuple[int, int, _Tile]]]:
    """Yield pictures: tiles with their place, in rows from left to right."""
    placed: list[tuple[int, int, _Tile]] = []
    x = y = row = 0
    for tile in tiles:
        height, width = tile.image.shape[:2]
        if x + width > _WIDTH:
            x, y, row = 0, y + row, 0
        if y + height > _HEIGHT:
            yield placed
            placed, x, y, row = [], 0, 0, 0
        placed.append((x, y, tile))
        x, row = x + width, max(row, height)
    if placed:
        yield placed


def _in_tile(faces: Sequence[FaceBox], x: int, y: int, image: ImageBgr) -> FaceBox | None:
    height, width = image.shape[:2]
    inside = []
    for face in faces:
        x1, y1, x2, y2 = face.box
        u, v = ((x1 + x2) / 2 - x) / width, ((y1 + y2) / 2 - y) / height
        if abs(u - 0.5) < _NEAR and abs(v - 0.5) < _NEAR:
            inside.append(face)
    if not inside:
        return None
    best = max(inside, key=lambda face: face.quality.size_px)
    x1, y1, x2, y2 = best.box
    points = tuple((px - x, py - y) for px, py in best.landmarks)
    moved = {"box": (x1 - x, y1 - y, x2 - x, y2 - y), "landmarks": points}
    return FaceBox(**({f: getattr(best, f) for f in best.__struct_fields__} | moved))


def _tiles(number: int, photo: _Photo) -> Iterator[_Tile]:
    for s, size_px in enumerate(SIZES_PX):
        for b, blur in enumerate(BLURS):
            for take in range(TAKES):
                rng = np.random.default_rng([number, s, b, take])
                yield _Tile((number, s, b, take), _rendered(photo, size_px, blur, rng))


def _rendered(photo: _Photo, size_px: float, blur: float, rng: np.random.Generator) -> ImageBgr:
    """Return a photo as a camera would show it: turned, moved, blurred, shrunk, relit, grainy."""
    side_px = photo.size_px * _SURROUND
    turn = cv2.getRotationMatrix2D(photo.center, float(rng.normal(0, _TURN_DEG)), 1.0)
    turn[:, 2] += side_px / 2 - np.array(photo.center)
    turn[:, 2] += rng.normal(0, _SHIFT, 2) * photo.size_px
    side = round(side_px)
    image = cv2.warpAffine(
        photo.image,
        turn,
        (side, side),
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(_BACKDROP,) * 3,
    )
    length = max(1, round(blur * photo.size_px))
    if length > 1:
        image = cv2.filter2D(image, -1, np.full((1, length), 1 / length, np.float32))
    target = max(8, round(size_px * _SURROUND))
    small = cv2.resize(image, (target, target), interpolation=cv2.INTER_AREA)
    lit = small * np.exp(rng.normal(0, _GAIN)) + rng.normal(0, _GRAIN, small.shape)
    return np.asarray(np.clip(np.rint(lit), 0, 255), np.uint8)


class _Seen:
    """Collects what was found in the tiles."""

    def __init__(self, photos: int) -> None:
        shape = (photos, len(SIZES_PX), len(BLURS), TAKES)
        self._shape = shape
        self._found = np.zeros(shape, np.bool_)
        self._measures = np.zeros((*shape, len(MEASURES)), np.float32)
        self._box = np.zeros((*shape, 4), np.float32)
        self._points = np.zeros((*shape, 5, 2), np.float32)
        self._reason = np.zeros(shape, np.int8)
        self._reasons = [""]
        self._embedding: NDArray[np.float16] | None = None

    def add(self, key: tuple[int, int, int, int], face: FaceBox | None) -> None:
        if face is None:
            return
        quality = face.quality
        x1, y1, x2, y2 = face.box
        center, size = np.array([(x1 + x2) / 2, (y1 + y2) / 2]), min(x2 - x1, y2 - y1)
        self._found[key] = True
        measures: dict[str, Any] = {f: getattr(quality, f) for f in quality.__struct_fields__}
        measures |= {"score": face.score, "norm": face.norm or 0.0}
        self._measures[key] = [measures[name] for name in MEASURES]
        self._box[key] = (np.array(face.box) - np.tile(center, 2)) / size
        self._points[key] = (np.array(face.landmarks) - center) / size
        reason = face.unusable or ""
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._reason[key] = self._reasons.index(reason)
        if face.embedding is not None:
            vector = np.frombuffer(face.embedding, "<f2")
            if self._embedding is None:
                self._embedding = np.zeros((*self._shape, len(vector)), np.float16)
            self._embedding[key] = vector

    def portraits(self, person: NDArray[np.intp]) -> Portraits:
        if self._embedding is None:
            raise ConfigurationError("no photo shows a face that can be recognized; add others")
        return Portraits(
            person,
            tuple(self._reasons),
            self._found,
            self._measures,
            self._box,
            self._points,
            self._reason,
            self._embedding,
        )


def _write(path: Path, portraits: Portraits, without_face: int) -> None:
    partial = path.with_suffix(".partial.npz")
    columns = {name: getattr(portraits, name) for name in portraits.__dataclass_fields__}
    np.savez(partial, without_face=without_face, **columns)
    partial.replace(path)


def _read(path: Path) -> tuple[Portraits, int]:
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in Portraits.__dataclass_fields__}
        reasons = tuple(str(reason) for reason in columns.pop("reasons"))
        return Portraits(reasons=reasons, **columns), int(file["without_face"])
