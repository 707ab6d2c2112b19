"""Accuracy of reading license plates on labeled photos: ``measure_plates``.

The folder has a folder of photos for each region, each photo with a text file: its name, the box
of the plate (x, y, width, height) and the plate, separated by tabs. Photos pass through encoder,
detector and reader as the frames of a live vehicle camera do.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import cv2
import numpy as np

from trinetra.adapters.video.image_folder import ImageFolderSource
from trinetra.benchmarks.stock_reader import stock_reader
from trinetra.errors import ConfigurationError
from trinetra.evaluation.intervals import wilson
from trinetra.evaluation.scores import Score, ScoreSheet
from trinetra.events.plates import PlateKey
from trinetra.events.schema import DetectionEvent
from trinetra.frames.encode import Picture
from trinetra.models.manifest import Profile
from trinetra.plates.confusion import letters_and_digits
from trinetra.plates.countries import FORMATS, fit_country
from trinetra.plates.matching import distance
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import EPOCH, ImageBgr, Role
from trinetra.wiring.footage import Footage
from trinetra.wiring.networks import Networks, load_networks

OURS, AS_READ, STOCK = "trinetra", "without formats", "rapidocr alone"
ALL = "all"
_SECRET = b"photos of a benchmark, not secret"
_REGIONS = {
    "us": tuple(country for country in FORMATS if country.startswith("US-")),
    "eu": tuple(c for c in FORMATS if not c.startswith("US-") and c not in {"BR", "IN"}),
    "br": ("BR",),
    "in": ("IN",),
}
"""The countries of a region, whose formats a site there would name."""
_FIELDS = 6
_Photo = TypeVar("_Photo")


@dataclass(frozen=True, slots=True)
class PlatePhoto:
    """A labeled photo."""

    region: str
    path: Path
    plate: str


@dataclass(frozen=True, slots=True)
class PlateResult:
    """What one reader made of a photo, and the CPU seconds that it took."""

    photo: PlatePhoto
    reader: str
    text: str
    took_s: float

    @property
    def is_exact(self) -> bool:
        """True if every character is right."""
        return self.text == self.photo.plate

    @property
    def errors(self) -> int:
        """Characters that are wrong, missing or too many, at most as many as the plate has."""
        edits = distance(self.text, self.photo.plate, alike_cost=1.0)
        return min(len(self.photo.plate), round(edits))


def measure_plates(
    folder: Path,
    profile: Profile,
    files: Mapping[str, Path],
    settings: Settings,
    *,
    stock: bool = True,
) -> list[ScoreSheet]:
    """Return the scores of each region and of all photos, with a score for each reader.

    Raises ConfigurationError for a folder without labeled photos or without networks, or
    EngineFailure.
    """
    photos, site = find_photos(folder), _site(folder)
    # One thread, as the stock reader has.
    one = settings.model_copy(update={"inference_lanes": 1, "threads": 1})
    networks = load_networks(profile, files, one, site)
    if networks.lanes[0].plates is None:
        raise ConfigurationError(
            "the networks that read plates are missing: run 'trinetra models fetch', or set "
            "TRINETRA_MODELS_DIR"
        )
    return _sheets(list(_results(photos, site, networks, with_stock=stock)))


def find_photos(folder: Path) -> list[PlatePhoto]:
    """Return the labeled photos in a folder. Raises ConfigurationError if there are none."""
    labels = sorted(folder.glob("*/*.txt")) if folder.is_dir() else []
    photos = [_photo(label) for label in labels]
    if not photos:
        raise ConfigurationError(f"{folder} has no REGION/PHOTO.txt: docs/evaluation.md tells more")
    return photos


def _photo(label: Path) -> PlatePhoto:
    fields = label.read_text(encoding="utf-8").strip().split("\t")
    if len(fields) != _FIELDS:
        raise ConfigurationError(
            f"{label}:1: {len(fields)} fields instead of name, x, y, width, height and plate"
        )
    return PlatePhoto(label.parent.name, label.parent / fields[0], letters_and_digits(fields[-1]))


def _site(folder: Path) -> Site:
    camera = {"id": "photos", "role": Role.VEHICLE, "source": {"images": folder, "fps": 1.0}}
    return Site.model_validate({"site": "plates", "timezone": "UTC", "cameras": [camera]})


def _results(
    photos: Sequence[PlatePhoto], site: Site, networks: Networks, *, with_stock: bool
) -> Iterator[PlateResult]:
    """Yield the results of all readers, photo by photo, so that they see the same machine."""
    key = PlateKey(_SECRET)
    footage, [camera] = Footage(site, networks, key), site.cameras
    other = stock_reader() if with_stock else None

    def ours(picture: Picture) -> str:
        [event] = footage.of_pictures(camera, iter([(EPOCH, picture)]))
        return _plate_in(event, key)

    for number, photo in enumerate(photos):
        picture, pixels = _open(photo.path)
        if number == 0:  # the first run compiles, of ours as of theirs
            ours(picture)
            if other:
                other(pixels)
        text, took_s = _timed(ours, picture)
        fitted = fit_country(text, _REGIONS.get(photo.region, ())).text
        yield PlateResult(photo, OURS, fitted, took_s)
        yield PlateResult(photo, AS_READ, text, took_s)
        if other:
            yield PlateResult(photo, STOCK, *_timed(other, pixels))


def _open(path: Path) -> tuple[Picture, ImageBgr]:
    source = ImageFolderSource(path.parent, EPOCH, fps=1.0, only=path.name)
    source.open()
    picture, pixels = source.read(key_frames_only=False), cv2.imread(str(path))
    source.close()
    if picture is None or pixels is None:
        raise ConfigurationError(f"{path} cannot be read as a photo")
    return picture, np.asarray(pixels)


def _timed(read: Callable[[_Photo], str], photo: _Photo) -> tuple[str, float]:
    begun = time.process_time()
    return read(photo), time.process_time() - begun


def _plate_in(event: DetectionEvent, key: PlateKey) -> str:
    """Return the surest plate in a frame, as read; empty without any."""
    plates = [seen.plate for seen in event.objects if seen.plate]
    best = max(plates, key=lambda plate: plate.confidence, default=None)
    return letters_and_digits(key.unseal(best.sealed).text) if best else ""


def _sheets(results: Sequence[PlateResult]) -> list[ScoreSheet]:
    regions = dict.fromkeys(result.photo.region for result in results)
    groups = {name: [r for r in results if r.photo.region == name] for name in regions}
    return [_sheet(name, group) for name, group in {**groups, ALL: results}.items()]


def _sheet(region: str, results: Sequence[PlateResult]) -> ScoreSheet:
    readers = dict.fromkeys(result.reader for result in results)
    scores = [
        score
        for name in readers
        for score in _scores(name, [result for result in results if result.reader == name])
    ]
    photos = len({result.photo.path for result in results})
    return ScoreSheet("plates", tuple(scores), {"region": region, "photos": photos})


def _scores(reader: str, results: Sequence[PlateResult]) -> Iterator[Score]:
    exact, photos = sum(result.is_exact for result in results), len(results)
    characters = sum(len(result.photo.plate) for result in results)
    right = characters - sum(result.errors for result in results)
    yield Score(
        name="exact",
        of=reader,
        value=exact / photos,
        interval=wilson(exact, photos),
        found=exact,
        n=photos,
    )
    yield Score(name="characters", of=reader, value=right / characters, found=right, n=characters)
    took_s = median(result.took_s for result in results)
    yield Score(name="time", of=reader, value=round(took_s, 3), unit="s", n=photos)


def plate_shortfalls(measured: Sequence[ScoreSheet], baseline: Sequence[ScoreSheet]) -> list[str]:
    """Return a message for each region in which our exact readings fell by more than one photo."""
    before = {sheet.basis["region"]: _exact(sheet) for sheet in baseline}
    found = ((sheet.basis["region"], _exact(sheet)) for sheet in measured)
    return [
        f"exact plates of {region} are {now}, were {before[region]}"
        for region, now in found
        if region in before and now < before[region] - 1
    ]


def _exact(sheet: ScoreSheet) -> int:
    scores = (score for score in sheet.scores if (score.name, score.of) == ("exact", OURS))
    return int(next(scores).found or 0)
