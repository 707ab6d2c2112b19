"""Contract of every Engine: order of outputs, independence of rows, and reported failures."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trinetra.adapters.inference import onnxruntime, openvino
from trinetra.errors import EngineFailure

# bfloat16 has 8 significant bits.
ENGINES = [
    pytest.param(onnxruntime.load, {}, 1e-4, id="onnxruntime"),
    pytest.param(openvino.load, {"precision": "f32"}, 1e-4, id="openvino-f32"),
    pytest.param(openvino.load, {"precision": "auto"}, 0.05, id="openvino-auto"),
]
WEIGHTS = [
    ("nanodet_g_416.onnx", (3, 416, 416)),
    ("yunet_2023mar_dyn.onnx", (3, 96, 160)),
    ("fr_feature_dyn.onnx", (3, 112, 112)),
]


@pytest.fixture
def small_model(tmp_path):
    """Return a model file with a convolution; its outputs are the channels and their mean."""
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "weights"], ["channels"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["channels"], ["mean"]),
        ],
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [
            helper.make_tensor_value_info("channels", TensorProto.FLOAT, ["n", 4, 16, 16]),
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 4, 1, 1]),
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    path = tmp_path / "small.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def random_batch(rows, shape=(3, 16, 16), seed=1):
    return np.random.default_rng(seed).random((rows, *shape), np.float32)


@pytest.mark.parametrize(("load", "options", "tolerance"), ENGINES)
class TestEngine:
    def test_outputs_come_in_the_files_own_order(self, small_model, load, options, tolerance):
        channels, mean = load(small_model, threads=1, **options).run(random_batch(2))
        assert (channels.shape, mean.shape) == ((2, 4, 16, 16), (2, 4, 1, 1))
        assert (channels.dtype, mean.dtype) == (np.float32, np.float32)
        assert mean == pytest.approx(channels.mean((2, 3), keepdims=True), abs=tolerance)

    def test_outputs_come_in_the_order_asked_for(self, small_model, load, options, tolerance):
        engine = load(small_model, threads=1, outputs=("mean", "channels"), **options)
        mean, channels = engine.run(random_batch(1))
        assert (mean.shape, channels.shape) == ((1, 4, 1, 1), (1, 4, 16, 16))

    @pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 9])
    def test_a_batch_is_its_rows_one_by_one(self, small_model, load, options, tolerance, rows):
        engine, batch = load(small_model, threads=2, **options), random_batch(rows)
        together = engine.run(batch)
        singles = [engine.run(batch[row : row + 1]) for row in range(rows)]
        for index, output in enumerate(together):
            alone = np.concatenate([single[index] for single in singles])
            assert output == pytest.approx(alone, abs=tolerance)

    def test_a_result_outlives_the_next_run(self, small_model, load, options, tolerance):
        engine = load(small_model, threads=1, **options)
        first = engine.run(random_batch(1, seed=1))[0]
        before = first.copy()
        engine.run(random_batch(1, seed=2))
        assert np.array_equal(first, before)

    def test_a_view_of_a_larger_array_is_read_as_it_looks(
        self, small_model, load, options, tolerance
    ):
        engine, whole = load(small_model, threads=1, **options), random_batch(4)
        strided = whole[::2, ::-1]
        expected = engine.run(np.ascontiguousarray(strided))[0]
        assert engine.run(strided)[0] == pytest.approx(expected, abs=tolerance)

    @pytest.mark.parametrize("shape", [(1, 3, 8, 16), (1, 4, 16, 16), (3, 16, 16)])
    def test_a_wrong_shape_is_an_engine_failure(self, small_model, load, options, tolerance, shape):
        engine = load(small_model, threads=1, **options)
        with pytest.raises(EngineFailure, match=r"small\.onnx.*shape"):
            engine.run(np.zeros(shape, np.float32))
        assert len(engine.run(random_batch(1))) == 2

    def test_an_output_that_is_not_there_is_named(self, small_model, load, options, tolerance):
        with pytest.raises(EngineFailure, match="no output boxes; it has channels, mean"):
            load(small_model, threads=1, outputs=("boxes", "mean"), **options)

    @pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "truncated"])
    def test_a_bad_file_is_an_engine_failure_that_names_it(
        self, small_model, load, options, tolerance, damage
    ):
        path = small_model.with_name("bad.onnx")
        content = {
            "empty": b"",
            "garbage": b"this is no network" * 50,
            "truncated": small_model.read_bytes()[:-150],
        }
        if damage in content:
            path.write_bytes(content[damage])
        with pytest.raises(EngineFailure, match=r"bad\.onnx.*models fetch"):
            load(path, threads=1, **options)


@pytest.mark.weights
@pytest.mark.parametrize(("file", "shape"), WEIGHTS)
def test_both_engines_compute_the_same_in_full_precision(models_dir, file, shape):
    batch = random_batch(3, shape)
    reference = onnxruntime.load(models_dir / file, threads=2).run(batch)
    other = openvino.load(models_dir / file, threads=2, precision="f32").run(batch)
    for expected, found in zip(reference, other, strict=True):
        assert found == pytest.approx(expected, abs=2e-3, rel=2e-3)


@pytest.mark.weights
@pytest.mark.parametrize("load", [onnxruntime.load, openvino.load])
def test_truncated_real_weights_are_an_engine_failure(models_dir, tmp_path, load):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((models_dir / "fr_feature_dyn.onnx").read_bytes()[:1_000_000])
    with pytest.raises(EngineFailure, match=r"cut\.onnx"):
        load(cut, threads=1)


@pytest.mark.weights
def test_a_network_with_a_fixed_batch_of_one_takes_any_batch(models_dir):
    engine = openvino.load(models_dir / "yolov8n_int8.tflite", threads=2)
    batch = random_batch(2, (640, 640, 3))
    (together,) = engine.run(batch)
    assert together.shape == (2, 84, 8400)
    assert np.array_equal(together[1], engine.run(batch[1:])[0][0])


def test_a_device_that_is_not_there_is_an_engine_failure(small_model):
    with pytest.raises(EngineFailure, match="choose another device"):
        openvino.load(small_model, threads=1, precision="f32", device="GPU.7")
