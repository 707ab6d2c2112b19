"""Contract of every BodyEmbedder, with real weights and a real clip of three people."""

from itertools import combinations

import av
import numpy as np
import pytest

from trinetra.adapters.inference import onnxruntime, openvino
from trinetra.detections.bodies import BodyEmbedderSpec, NetworkBodyEmbedder
from trinetra.detections.detector import NetworkDetector
from trinetra.errors import EngineFailure
from trinetra.models.fetch import ensure_model
from trinetra.models.manifest import load_manifest
from trinetra.models.progress import SilentProgress
from trinetra.wiring import networks

pytestmark = [pytest.mark.weights, pytest.mark.clips]

LARGE, SMALL = (f"person-reidentification-retail-028{digit}" for digit in "78")
KINDS = [(LARGE, openvino.load), (SMALL, openvino.load), (SMALL, onnxruntime.load)]


def declared(name, models_dir, tmp_path):
    model = load_manifest().find(name)
    path = ensure_model(model, models_dir=models_dir, cache_dir=tmp_path, progress=SilentProgress())
    return model, path


def embedder(model, engine):
    return NetworkBodyEmbedder(
        engine, BodyEmbedderSpec(networks._input(model.input), model.dimension)
    )


@pytest.fixture(scope="module", params=KINDS, ids=["0287-openvino", "0288-openvino", "0288-ort"])
def bodies(request, models_dir, tmp_path_factory):
    name, load = request.param
    model, path = declared(name, models_dir, tmp_path_factory.mktemp("cache"))
    return embedder(model, load(path, threads=2))


@pytest.fixture(scope="module")
def walkers(models_dir, clips_dir, tmp_path_factory):
    """Return crops of each of three people who walk side by side, left to right."""
    model, path = declared("nanodet-g-416", models_dir, tmp_path_factory.mktemp("cache"))
    engine = openvino.load(path, threads=2, outputs=model.output_names)
    detector = NetworkDetector(engine, networks._detector_spec(model))
    clip = clips_dir / "face-demographics-walking-and-pause.mp4"
    with av.open(str(clip)) as container:
        frames = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)][::5]
    seen = []
    for frame in frames:
        (found,) = detector.detect([frame])
        boxes = found.xyxy[found.score >= 0.45]
        assert len(boxes) == 3
        rows = boxes[np.argsort(boxes[:, 0])].round().astype(int)
        seen.append([frame[y1:y2, x1:x2] for x1, y1, x2, y2 in rows])
    return [list(crops) for crops in zip(*seen, strict=True)]


def test_one_person_is_more_like_herself_than_like_any_other(bodies, walkers):
    vectors = [bodies.embed(crops) for crops in walkers]
    same = np.concatenate([(v @ v.T)[np.triu_indices(len(v), 1)] for v in vectors])
    other = np.concatenate([(a @ b.T).ravel() for a, b in combinations(vectors, 2)])
    assert np.quantile(same, 0.05) > np.quantile(other, 0.95)
    assert same.mean() - other.mean() > 0.3


def test_vectors_are_of_unit_length_and_a_batch_has_those_of_its_rows(bodies, walkers):
    crops = walkers[0][:5]
    together = bodies.embed(crops)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    alone = np.concatenate([bodies.embed([crop]) for crop in crops])
    assert (together * alone).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_no_body_has_no_vector_and_a_single_pixel_has_one(bodies):
    assert bodies.embed([]).shape == (0, 256)
    assert bodies.embed([np.zeros((1, 1, 3), np.uint8)]).shape == (1, 256)


def test_a_network_of_another_dimension_is_refused(models_dir, tmp_path):
    model, path = declared(SMALL, models_dir, tmp_path)
    engine = openvino.load(path, threads=2)
    spec = BodyEmbedderSpec(networks._input(model.input), 512)
    with pytest.raises(EngineFailure, match="512 dimensions"):
        NetworkBodyEmbedder(engine, spec).embed([np.zeros((20, 10, 3), np.uint8)])


@pytest.mark.parametrize("cut", [True, False], ids=["truncated", "missing"])
def test_an_ir_without_its_weights_is_an_engine_failure(models_dir, tmp_path, cut):
    _, path = declared(LARGE, models_dir, tmp_path)
    graph = tmp_path / "cut.xml"
    graph.write_bytes(path.read_bytes())
    if cut:
        graph.with_suffix(".bin").write_bytes(path.with_suffix(".bin").read_bytes()[:-5000])
    with pytest.raises(EngineFailure, match=r"cut\.xml.*models fetch"):
        openvino.load(graph, threads=1)
