"""``trinetra models calibrate``: unusable folders, and the resulting calibration."""

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from trinetra.commands import calibrate
from trinetra.errors import ConfigurationError
from trinetra.models.calibration import CalibrationFile
from trinetra.ports import FaceReader
from trinetra.values import Faces, FaceVectors, ImageBgr, no_faces


class Reader:
    """Finds a face in every picture that is not black; its color identifies the person."""

    def find(self, images: list[ImageBgr]) -> list[Faces]:
        return [self._faces(image) for image in images]

    def embed(self, aligned: list[ImageBgr]) -> FaceVectors:
        color = np.stack([crop.reshape(-1, 3).mean(axis=0) for crop in aligned])
        unit = color / np.maximum(np.linalg.norm(color, axis=1, keepdims=True), 1e-6)
        return FaceVectors(unit.astype(np.float32), np.ones(len(aligned), np.float32))

    def _faces(self, image: ImageBgr) -> Faces:
        if not image.any():
            return no_faces()
        points = np.array([[[45, 50], [75, 50], [60, 65], [48, 80], [72, 80]]], np.float32)
        box = np.array([[30, 30, 90, 100]], np.float32)
        return Faces(box, np.ones(1, np.float32), points)


def picture(path: Path, bgr: tuple[int, int, int]) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((128, 128, 3), bgr, np.uint8))


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reader:
    network = tmp_path / "network"
    network.write_bytes(b"weights")
    found = Reader()
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    files = {"mobilefacenet-fr": network}

    def ensure(profile: object, *_: object) -> dict[str, Path]:
        return {profile.face_embedder.name: network} | files

    def load(*_: object) -> FaceReader:
        return found

    monkeypatch.setattr(calibrate, "ensure_models", ensure)
    monkeypatch.setattr(calibrate, "load_face_reader", load)
    return found


def album(folder: Path) -> Path:
    for name, bgr in (("anna", (200, 10, 10)), ("ben", (10, 200, 10)), ("cleo", (10, 10, 200))):
        picture(folder / name / "1.png", bgr)
        picture(folder / name / "2.png", tuple(v + 5 for v in bgr))
    return folder


def run(folder: Path, **options: object) -> None:
    given = {"target": 0.01, "sizes": "", "fpir": 0.001, "as_json": False, **options}
    calibrate.calibrate(folders=[folder], **given)


def test_labeled_pictures_become_a_threshold_that_is_kept(
    tmp_path: Path, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people").mkdir()
    run(album(tmp_path / "people"), sizes="32")
    told = capsys.readouterr()
    assert "at 32 px" in told.out
    assert "3 people, 6 pictures, 3 genuine and 12 impostor pairs" in told.err.replace("\n", " ")
    assert "below the manifest's" in told.err.replace("\n", " ")  # 12 pairs cannot show such a rate
    assert list((tmp_path / "data" / "calibration").glob("*.json"))


def test_a_dry_run_keeps_nothing(tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "people").mkdir()
    run(album(tmp_path / "people"), dry_run=True)
    assert not (tmp_path / "data" / "calibration").exists()


def test_folders_that_tell_nothing_are_refused_with_the_reason(
    tmp_path: Path, reader: Reader
) -> None:
    folder = tmp_path / "people"
    with pytest.raises(ConfigurationError, match="is not a folder"):
        run(folder)
    folder.mkdir()
    picture(folder / "anna" / "1.png", (200, 10, 10))
    with pytest.raises(ConfigurationError, match="pictures of 1 people"):
        run(folder)
    (folder / "ben").mkdir()
    with pytest.raises(ConfigurationError, match=r"ben has no pictures"):
        run(folder)
    picture(folder / "ben" / "1.png", (10, 200, 10))
    with pytest.raises(ConfigurationError, match="only one picture of each person"):
        run(folder)
    with pytest.raises(ConfigurationError, match="whole pixels"):
        run(folder, sizes="tiny")


def test_a_person_without_a_face_and_a_file_that_is_no_picture_are_named(
    tmp_path: Path, reader: Reader
) -> None:
    (tmp_path / "people").mkdir()
    folder = album(tmp_path / "people")
    picture(folder / "dora" / "1.png", (0, 0, 0))
    with pytest.raises(ConfigurationError, match=r"dora: no face was found"):
        run(folder)
    (folder / "dora" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(Exception, match=r"dora/1.png is not a readable image"):
        run(folder)


def test_enough_people_show_the_errors_of_galleries_of_any_size_and_of_people_held_out(
    tmp_path: Path, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    random = np.random.default_rng(0)
    for person in range(30):
        color = random.integers(20, 230, size=3)
        for number in range(3):
            noisy = np.clip(color + random.integers(-15, 15, size=3), 1, 255)
            picture(folder / f"p{person:02}" / f"{number}.png", tuple(map(int, noisy)))
    run(folder, held_out=True)
    told = " ".join(capsys.readouterr().out.split())
    assert "1,000,000" in told
    assert "1,000*" in told
    assert "FNIR" in told
    [path] = (tmp_path / "data" / "calibration").glob("*.json")
    found = msgspec.json.decode(path.read_bytes(), type=CalibrationFile)
    assert found.impostors is not None
    assert (found.impostors.people, found.impostors.pictures) == (30, 90)
    assert {sized.face_px for sized in found.impostors.tails} == {32, 48}
    rates = [row.similarity for row in found.identification if row.face_px == 48]
    assert rates == sorted(rates)
    assert [r.people for r in found.identification if not r.extrapolated] == [10, 20, 10, 20]
