"""Photos of real people, shown to the worker's own networks as a camera would see them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import unavailable

from trinetra.commands.portraits import networks_of
from trinetra.errors import ConfigurationError
from trinetra.settings import Settings, load_settings
from trinetra.twin.portraits import SIZES_PX, Portraits, nearest
from trinetra.wiring.networks import Networks
from trinetra.wiring.portraits import load_portraits

PEOPLE = ("Ana_Guevara", "Al_Gore", "Bill_Gates")


def test_the_nearest_size_is_taken() -> None:
    assert nearest(np.array([1.0, 39.0, 500.0]), SIZES_PX).tolist() == [0, 5, len(SIZES_PX) - 1]


@pytest.fixture(scope="module")
def networks(models_dir: Path) -> Networks:
    return networks_of(load_settings())


@pytest.fixture(scope="module")
def album(clips_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two photos of each of three people."""
    folder = clips_dir.parent / "faces"
    if not folder.is_dir():
        unavailable(f"no folder of photographs beside {clips_dir.name}")
    album = tmp_path_factory.mktemp("album")
    for name in PEOPLE:
        (album / name).mkdir()
        for path in sorted((folder / name).glob("*.jpg"))[:2]:
            (album / name / path.name).symlink_to(path)
    return album


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings().model_copy(update={"cache_dir": tmp_path_factory.mktemp("cache")})


@pytest.fixture(scope="module")
def portraits(album: Path, networks: Networks, settings: Settings) -> Portraits:
    return load_portraits([album], networks, settings)[0]


@pytest.mark.weights
@pytest.mark.clips
def test_large_faces_are_usable_and_tiny_ones_are_not_found(portraits: Portraits) -> None:
    assert portraits.people == len(PEOPLE)
    assert len(portraits.person) == 2 * len(PEOPLE)
    assert portraits.found[:, 0].sum() == 0
    usable = portraits.found[:, -1, 0] & (portraits.reason[:, -1, 0] == 0)
    assert usable.mean() > 0.8


@pytest.mark.weights
@pytest.mark.clips
def test_photos_of_one_person_are_more_alike_than_of_two(portraits: Portraits) -> None:
    faces = portraits.embedding[:, -1, 0, 0].astype(np.float32)
    cosine = faces @ faces.T
    same = portraits.person[:, None] == portraits.person[None]
    other = ~np.eye(len(faces), dtype=bool)
    assert cosine[same & other].min() > cosine[~same].max()


@pytest.mark.weights
@pytest.mark.clips
def test_blur_makes_faces_less_alike(portraits: Portraits) -> None:
    sharp, blurred = (portraits.embedding[:, -1, blur, 0].astype(np.float32) for blur in (0, 2))
    takes = portraits.embedding[:, -1, 0, 1].astype(np.float32)
    assert (sharp * blurred).sum(axis=1).mean() < (sharp * takes).sum(axis=1).mean()


@pytest.mark.weights
@pytest.mark.clips
def test_a_second_run_reads_what_the_first_one_kept(
    portraits: Portraits, album: Path, networks: Networks, settings: Settings
) -> None:
    [kept] = (settings.cache_dir / "twin-faces").iterdir()
    written = kept.stat().st_mtime_ns
    again, _ = load_portraits([album], networks, settings)
    assert kept.stat().st_mtime_ns == written
    assert (again.embedding == portraits.embedding).all()
    assert again.reasons == portraits.reasons


@pytest.mark.weights
def test_folders_without_photos_of_people_are_refused(
    tmp_path: Path, networks: Networks, settings: Settings
) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder"):
        load_portraits([tmp_path / "none"], networks, settings)
    with pytest.raises(ConfigurationError, match="no folder with photos"):
        load_portraits([tmp_path], networks, settings)
    (tmp_path / "anna").mkdir()
    cv2.imwrite(str(tmp_path / "anna" / "1.png"), np.full((80, 80, 3), 90, np.uint8))
    with pytest.raises(ConfigurationError, match="no photo shows a face"):
        load_portraits([tmp_path], networks, settings)
