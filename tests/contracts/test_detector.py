"""Contract of every Detector and FaceReader, with real weights, clips and photographs."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.conftest import unavailable

from trinetra.adapters.inference import onnxruntime, openvino
from trinetra.detections.detector import SURE_SCORE, DetectorSpec, NetworkDetector
from trinetra.detections.vision.align import align, similarity
from trinetra.detections.vision.decode import iou
from trinetra.detections.vision.letterbox import InputSpec
from trinetra.errors import EngineFailure
from trinetra.models.manifest import load_manifest
from trinetra.models.storage import sha256_of
from trinetra.settings import Settings
from trinetra.wiring import networks

pytestmark = [pytest.mark.weights, pytest.mark.clips]

CLASSES = ("person", "bicycle", "car", *(f"class {i}" for i in range(3, 80)))
KEEP = frozenset({"person", "car"})
NANODET = DetectorSpec(
    "nanodet",
    InputSpec(416, 416, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395)),
    CLASSES,
    KEEP,
    min_score=0.45,
    nms_iou=0.6,
)
YOLO_INPUT = InputSpec(640, 640, "NHWC", "RGB", std=(255.0, 255.0, 255.0), pad=114)
YOLOV8 = DetectorSpec("yolov8", YOLO_INPUT, CLASSES, KEEP, 0.4, 0.6, normalized_boxes=True)
NANODET_OUTPUTS = tuple(f"Identity{suffix}" for suffix in ("", "_1", "_2", "_3", "_4", "_5"))
ENGINES = {"onnxruntime": onnxruntime.load, "openvino": openvino.load}


def nanodet(models: Path, engine: str) -> NetworkDetector:
    file = models / "nanodet_g_416.onnx"
    return NetworkDetector(ENGINES[engine](file, threads=2, outputs=NANODET_OUTPUTS), NANODET)


def yolov8(models: Path, _engine: str) -> NetworkDetector:
    return NetworkDetector(openvino.load(models / "yolov8n_int8.tflite", threads=2), YOLOV8)


def file_of(model, models_dir):
    (path,) = (p for p in models_dir.rglob(model.file) if sha256_of(p) in model.sha256)
    return path


def declared(name):
    """Return how to make a network of the manifest as the worker does."""

    def make(models_dir, engine):
        model = load_manifest().find(name)
        path = file_of(model, models_dir)
        loaded = ENGINES[engine](path, threads=2, outputs=model.output_names or None)
        return NetworkDetector(loaded, networks._detector_spec(model))

    make.__name__ = name
    return make


def case(make, engine="openvino"):
    return pytest.param((make, engine), id=f"{make.__name__}-{engine}")


CLOSE = [
    case(nanodet, "onnxruntime"),
    case(nanodet),
    case(yolov8),
    case(declared("person-detection-0201")),
]
"""Those that find people who are close to the camera; at a crossroad there are none."""
CROSSROAD = [case(declared(f"person-vehicle-bike-detection-{n}")) for n in (2002, 2004)]
ROAD = [*CLOSE[:3], *CROSSROAD]
"""Those that find vehicles."""


@pytest.fixture(scope="module", params=[*CLOSE, *CROSSROAD])
def detector(request, models_dir):
    make, engine = request.param
    return make(models_dir, engine)


def reader(models_dir, profile, backend):
    chosen = load_manifest().profile(profile)
    files = {model.name: file_of(model, models_dir) for model in chosen.required}
    settings = Settings(backend=backend, threads=2)
    return networks.load_face_reader(chosen, files, settings), chosen.face_embedder


@pytest.fixture(
    scope="module",
    params=[
        ("default", "onnxruntime"),
        ("default", "openvino"),
        ("small", "openvino"),
        ("accurate", "openvino"),
    ],
    ids=["mobilefacenet-ort", "mobilefacenet", "0095", "pair"],
)
def face_networks(request, models_dir):
    return reader(models_dir, *request.param)


@pytest.fixture(scope="module")
def faces(face_networks):
    return face_networks[0]


@pytest.fixture(scope="module")
def faces_dir(clips_dir):
    folder = clips_dir.parent / "faces"
    if not folder.is_dir():
        unavailable(f"no folder of photographs beside {clips_dir.name}")
    return folder


def pictures(clip, step=1, width=None):
    with av.open(str(clip)) as container:
        frames = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)][::step]
    if width is None:
        return frames
    return [cv2.resize(f, (width, f.shape[0] * width // f.shape[1])) for f in frames]


@pytest.fixture(scope="module")
def aisle(clips_dir):
    return pictures(clips_dir / "store-aisle-detection.mp4", step=8)


@pytest.fixture(scope="module")
def three_people(clips_dir):
    return pictures(clips_dir / "face-demographics-walking-and-pause.mp4", step=4, width=640)


@pytest.mark.parametrize("detector", CLOSE, indirect=True)
def test_all_three_people_are_found_in_every_frame(detector, three_people):
    found = [detector.detect([picture])[0] for picture in three_people]
    assert [seen.label.count("person") for seen in found] == [3] * len(three_people)


def test_shoppers_in_an_aisle_seen_from_above_are_found(detector, aisle):
    people = [seen.label.count("person") for seen in detector.detect(aisle)]
    assert sum(people) >= len(aisle)


@pytest.mark.parametrize("detector", ROAD, indirect=True)
def test_cars_are_found_on_the_road(detector, clips_dir):
    road = pictures(clips_dir / "car-detection.mp4", step=15)
    assert any("car" in seen.label for seen in detector.detect(road))


def test_a_batch_finds_what_single_images_do(detector, aisle):
    mixed = [*aisle[:2], cv2.resize(aisle[2], (300, 600))]
    together = detector.detect(mixed)
    for picture, seen in zip(mixed, together, strict=True):
        (alone,) = detector.detect([picture])
        assert seen.label == alone.label
        assert seen.xyxy == pytest.approx(alone.xyxy, abs=1.0)


def test_boxes_lie_within_their_image_best_first(detector, aisle):
    for picture, seen in zip(aisle, detector.detect(aisle), strict=True):
        assert (seen.xyxy >= 0).all()
        assert (seen.xyxy <= [picture.shape[1], picture.shape[0]] * 2).all()
        assert (np.diff(seen.score) <= 0).all()


def test_boxes_move_with_the_picture(detector, three_people):
    shifted = np.zeros_like(three_people[0])
    shifted[:, 40:] = three_people[0][:, :-40]
    before, after = (detector.detect([p])[0] for p in (three_people[0], shifted))
    sure = before.xyxy[before.score >= SURE_SCORE]
    overlap = iou(sure + np.array([40, 0, 40, 0], np.float32), after.xyxy)
    assert (overlap.max(axis=1) > 0.7).all()


def test_nothing_is_found_in_nothing(detector):
    assert detector.detect([]) == []
    blank = np.full((360, 640, 3), 114, np.uint8)
    assert [len(seen) for seen in detector.detect([blank, blank])] == [0, 0]


def test_a_picture_of_one_pixel_does_no_harm(detector):
    assert len(detector.detect([np.zeros((1, 1, 3), np.uint8)])) == 1


@pytest.mark.parametrize("detector", CLOSE, indirect=True)
def test_detectors_agree_where_the_people_are(detector, models_dir, three_people):
    other = yolov8(models_dir, "openvino")
    pairs = zip(detector.detect(three_people), other.detect(three_people), strict=True)
    overlaps = np.concatenate([iou(a.xyxy, b.xyxy).max(axis=1) for a, b in pairs])
    assert np.median(overlaps) > 0.7


def test_a_network_with_other_outputs_is_refused(models_dir):
    file = models_dir / "nanodet_g_416.onnx"
    scrambled = onnxruntime.load(file, threads=2, outputs=NANODET_OUTPUTS[::-1])
    with pytest.raises(EngineFailure, match="decoder"):
        NetworkDetector(scrambled, NANODET).detect([np.zeros((90, 160, 3), np.uint8)])


def test_a_class_that_the_network_does_not_know_is_refused():
    with pytest.raises(ValueError, match="dragon"):
        DetectorSpec("yolov8", YOLO_INPUT, CLASSES, frozenset({"dragon"}), 0.4, 0.6)


def test_three_faces_are_found_in_every_frame_eyes_above_mouth(faces, three_people):
    found = faces.find(three_people)
    assert [len(seen) for seen in found] == [3] * len(three_people)
    marks = np.concatenate([seen.landmarks for seen in found])
    assert (marks[:, :2, 1].max(axis=1) < marks[:, 3:, 1].min(axis=1)).all()
    assert (marks[:, 0, 0] < marks[:, 1, 0]).all()


def test_faces_of_a_batch_of_several_sizes_are_those_of_its_images(faces, three_people):
    tall = cv2.rotate(three_people[0], cv2.ROTATE_90_CLOCKWISE)
    mixed = [three_people[0], tall, three_people[1]]
    for picture, seen in zip(mixed, faces.find(mixed), strict=True):
        (alone,) = faces.find([picture])
        assert seen.landmarks == pytest.approx(alone.landmarks, abs=1.0)


def test_no_face_is_found_in_nothing_and_none_is_embedded(faces):
    blank = np.zeros((100, 70, 3), np.uint8)
    assert [len(seen) for seen in faces.find([blank])] == [0]
    assert faces.find([]) == []
    assert len(faces.embed([]).unit) == 0


def aligned_photographs(faces, folder):
    """Return the face nearest the center of each photograph, and the person it belongs to."""
    paths = sorted(folder.glob("*/*.jpg"))
    photos = [cv2.imread(str(path)) for path in paths]
    crops = []
    for photo, seen in zip(photos, faces.find(photos), strict=True):
        centers = seen.xyxy.reshape(-1, 2, 2).mean(axis=1)
        middle = np.array([photo.shape[1], photo.shape[0]]) / 2
        nearest = np.linalg.norm(centers - middle, axis=1).argmin()
        crops.append(align(photo, similarity(seen.landmarks[nearest : nearest + 1])[0]))
    return crops, np.array([path.parent.name for path in paths])


def test_photographs_of_one_person_are_alike_and_those_of_two_are_not(face_networks, faces_dir):
    faces, model = face_networks
    threshold = model.calibration.to_cosine(model.calibration.min_similarity)
    crops, names = aligned_photographs(faces, faces_dir)
    embeddings, norms = faces.embed(crops)
    assert norms.shape == (len(crops),)
    assert (norms > 0).all()
    cosine = (embeddings @ embeddings.T)[np.triu_indices(len(names), 1)]
    same = (names[:, None] == names[None])[np.triu_indices(len(names), 1)]
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-5)
    assert embeddings.shape == (len(crops), model.dimension)
    assert (cosine[same] >= threshold).mean() > 0.95
    assert (cosine[~same] >= threshold).mean() < 1e-4


def test_a_batch_of_faces_has_the_embeddings_of_its_faces(faces, faces_dir):
    crops, _ = aligned_photographs(faces, faces_dir)
    together = faces.embed(crops[:5]).unit
    alone = np.concatenate([faces.embed([crop]).unit for crop in crops[:5]])
    assert (together * alone).sum(axis=1) == pytest.approx(1, abs=1e-3)
