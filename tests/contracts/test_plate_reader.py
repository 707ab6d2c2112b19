"""Contract of every PlateReader, with real weights and real photos of cars."""

import cv2
import numpy as np
import pytest

from trinetra.adapters.inference import onnxruntime, openvino
from trinetra.detections.plates import NetworkPlateReader
from trinetra.detections.vision.plates import PAD
from trinetra.errors import EngineFailure
from trinetra.models.fetch import ensure_model
from trinetra.models.manifest import profile
from trinetra.models.progress import SilentProgress
from trinetra.settings import load_settings
from trinetra.wiring import networks

pytestmark = [pytest.mark.weights]

ENGINES = {"openvino": openvino.load, "onnxruntime": onnxruntime.load}
PLAIN = ("eu/test_002.jpg", "eu/test_046.jpg", "us/wts-lg-000033.jpg")


@pytest.fixture(scope="module")
def files(models_dir):
    declared = profile("default")
    return {
        model.name: ensure_model(
            model,
            models_dir=models_dir,
            cache_dir=load_settings().cache_dir,
            progress=SilentProgress(),
        )
        for model in (declared.plate_finder, declared.plate_reader)
    }


@pytest.fixture(scope="module", params=list(ENGINES))
def reader(request, files) -> NetworkPlateReader:
    load = ENGINES[request.param]
    return networks._plate_reader(
        profile("default"), lambda model: load(files[model.name], threads=2)
    )


@pytest.fixture(scope="module")
def cars(plates_dir):
    """Return photos of cars with the label of their plate: its box and text."""
    cars = {}
    for name in PLAIN:
        photo = plates_dir / name
        _, *box, text = photo.with_suffix(".txt").read_text().split()
        cars[text] = (cv2.imread(str(photo)), [int(value) for value in box])
    return cars


def test_plates_are_read_where_they_are(reader, cars):
    read = reader.read([photo for photo, _ in cars.values()])
    for (text, (_, box)), plates in zip(cars.items(), read, strict=True):
        best = plates[0]
        assert best.text == text
        assert best.confidence > 0.9
        x, y, width, height = box
        center = (best.xyxy[:2] + best.xyxy[2:]) / 2
        assert center == pytest.approx([x + width / 2, y + height / 2], abs=0.3 * width)


def test_a_batch_is_its_pictures_one_by_one(reader, cars):
    photos = [photo for photo, _ in cars.values()]
    together = reader.read(photos)
    alone = [reader.read([photo])[0] for photo in photos]
    assert [[p.text for p in plates] for plates in together] == [
        [p.text for p in plates] for plates in alone
    ]


def test_texts_are_sorted_by_confidence_never_empty_and_without_padding(reader, cars):
    for plates in reader.read([photo for photo, _ in cars.values()]):
        assert [p.confidence for p in plates] == sorted(
            (p.confidence for p in plates), reverse=True
        )
        assert all(p.text and PAD not in p.text for p in plates)
        assert all(len(p.text) == len(p.confidences) for p in plates)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (700, 900)])
def test_a_blank_picture_of_any_shape_has_no_plate(reader, shape):
    assert reader.read([np.full((*shape, 3), 90, np.uint8)]) == [[]]
    assert reader.read([]) == []


def test_warming_up_covers_every_shape(reader, cars):
    reader.warm_up()
    assert reader.read([next(iter(cars.values()))[0]])[0][0].text == next(iter(cars))


def test_another_network_in_place_of_the_finder_is_an_engine_failure(files):
    declared = profile("default")
    wrong = onnxruntime.load(files[declared.plate_finder.name], threads=1)

    class TwoChannels:
        def run(self, batch):
            return [np.repeat(wrong.run(batch)[0], 2, axis=1)]

    whole = networks._plate_reader(
        declared, lambda model: onnxruntime.load(files[model.name], threads=1)
    )
    broken = NetworkPlateReader(TwoChannels(), whole._find, whole._reader, whole._read)
    with pytest.raises(EngineFailure, match="plate finder returned the shape"):
        broken.read([np.zeros((100, 100, 3), np.uint8)])
