"""Small faces in a large picture are recognized, because their landmarks are found at full size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import unavailable

from trinetra.adapters.video.image_folder import ImageFolderSource
from trinetra.events.codec import unpack_embedding
from trinetra.models.progress import SilentProgress
from trinetra.settings import load_settings
from trinetra.site import Site
from trinetra.values import EPOCH
from trinetra.wiring.footage import Footage
from trinetra.wiring.networks import load_networks
from trinetra.wiring.profiles import choose_profile, ensure_models

pytestmark = [pytest.mark.weights, pytest.mark.clips]

_COLUMNS, _CELL = 9, 210
_SIZE = (1080, 1920, 3)
_SAME_COSINE = 0.44
_Vectors = dict[int, NDArray[np.float32]]


@pytest.fixture(scope="module")
def people(clips_dir: Path) -> list[list[NDArray[np.uint8]]]:
    """Return two photos of 250 x 250 of each of 40 people, whose faces have about 95 pixels."""
    folder = clips_dir.parent / "faces"
    if not folder.is_dir():
        unavailable(f"no folder of photographs beside {clips_dir.name}")
    photos = [sorted(person.glob("*.jpg"))[:2] for person in sorted(folder.iterdir())]
    return [[cv2.imread(str(path)) for path in pair] for pair in photos if len(pair) == 2]


@pytest.fixture(scope="module")
def footage(models_dir: Path) -> Footage:
    settings = load_settings()
    profile = choose_profile(settings)
    files = ensure_models(profile, settings, SilentProgress())
    camera = {"id": "door", "role": "face", "source": {"file": "none"}}
    site = Site.model_validate({"site": "shop", "timezone": "UTC", "cameras": [camera]})
    return Footage(site, load_networks(profile, files, settings))


def seen(footage: Footage, folder: Path, photos: list[NDArray[np.uint8]], scale: float) -> _Vectors:
    """Return the embedding of each photo, by its number, as seen in one picture of 1920 x 1080."""
    canvas = np.full(_SIZE, 110, np.uint8)
    for number, photo in enumerate(photos):
        small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = (_CELL * at for at in divmod(number, _COLUMNS))
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small[:_CELL, :_CELL]
    cv2.imwrite(str(folder / "1.png"), canvas)
    source = ImageFolderSource(folder, EPOCH, fps=1.0)
    source.open()
    picture = source.read(key_frames_only=False)
    assert picture is not None
    [event] = footage.of_pictures(footage.site.cameras[0], iter([(EPOCH, picture)]))
    found: _Vectors = {}
    for face in sorted(event.faces, key=lambda face: face.quality.size_px):
        if face.embedding is not None:  # the largest of a photo comes last
            column, row = int(face.box[0] // _CELL), int(face.box[1] // _CELL)
            found[row * _COLUMNS + column] = unpack_embedding(face.embedding)
    return found


@pytest.mark.parametrize(("scale", "share"), [(0.42, 0.85), (0.55, 0.9)])
def test_a_face_of_40_or_52_pixels_is_recognized_in_a_full_hd_picture(
    footage: Footage,
    people: list[list[NDArray[np.uint8]]],
    tmp_path: Path,
    scale: float,
    share: float,
) -> None:
    photos = people[:40]
    for name in ("large", "small"):
        (tmp_path / name).mkdir()
    large = seen(footage, tmp_path / "large", [pair[0] for pair in photos], _CELL / 250)
    small = seen(footage, tmp_path / "small", [pair[1] for pair in photos], scale)
    both = large.keys() & small.keys()
    assert len(both) >= len(photos) / 2
    cosines = [float(large[number] @ small[number]) for number in sorted(both)]
    assert np.mean(np.array(cosines) >= _SAME_COSINE) >= share
