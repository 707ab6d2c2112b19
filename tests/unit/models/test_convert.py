"""Conversions, on graphs small enough to compute the result by hand."""

import base64
import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from trinetra.errors import ModelUnavailable
from trinetra.models.convert import convert

RNG = np.random.default_rng(7)


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def integers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


def node(name: str, op: str, *inputs: str, **attr: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "input": list(inputs), "attr": attr}


def placeholder(*shape: int) -> dict[str, Any]:
    dims = [{"size": str(size)} for size in shape]
    return node("image", "Placeholder", shape={"shape": {"dim": dims}})


def graph_model(
    nodes: list[dict[str, Any]], weights: dict[str, np.ndarray], outputs: list[str]
) -> dict[str, bytes]:
    """Return the files of a TensorFlow.js model; float32 weights are stored unquantized."""
    constants = [node(name, "Const") for name in weights]
    manifest = [
        {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        for name, value in weights.items()
    ]
    document = {
        "format": "graph-model",
        "modelTopology": {"node": constants + nodes},
        "weightsManifest": [{"paths": ["tiny.bin"], "weights": manifest}],
        "signature": {"outputs": {name: {} for name in outputs}},
    }
    stored = b"".join(value.tobytes() for value in weights.values())
    return {"tiny.json": json.dumps(document).encode(), "tiny.bin": stored}


def run(model: bytes, image: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options)
    return session.run(None, {session.get_inputs()[0].name: image})


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_a_convolution_is_the_sum_over_its_window() -> None:
    kernel = np.ones((2, 2, 1, 1), np.float32)
    nodes = [
        placeholder(1, 4, 4, 1),
        node(
            "conv",
            "Conv2D",
            "image",
            "kernel",
            padding=text("VALID"),
            data_format=text("NHWC"),
            strides=integers(1, 2, 2, 1),
            dilations=integers(1, 1, 1, 1),
        ),
        node("sum", "AddV2", "conv", "bias"),
    ]
    weights = {"kernel": kernel, "bias": np.array([0.5], np.float32)}
    model = convert("tfjs_graph", graph_model(nodes, weights, ["sum:0"]))
    image = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
    (found,) = run(model, image)
    windows = image.reshape(2, 2, 2, 2, 2, 1).sum(axis=(2, 4)) + 0.5
    np.testing.assert_allclose(found, windows)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_max_pooling_pads_as_tensorflow_does(padding: str) -> None:
    nodes = [
        placeholder(1, 3, 3, 1),
        node(
            "pool",
            "MaxPool",
            "image",
            padding=text(padding),
            ksize=integers(1, 2, 2, 1),
            strides=integers(1, 2, 2, 1),
        ),
    ]
    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    (found,) = run(convert("tfjs_graph", graph_model(nodes, {}, ["pool:0"])), image)
    expected = {"VALID": [4], "SAME": [4, 5, 7, 8]}[padding]
    np.testing.assert_array_equal(found.ravel(), expected)


def test_resizing_takes_half_pixel_centers() -> None:
    nodes = [
        placeholder(1, 1, 2, 1),
        node("resized", "ResizeBilinear", "image", "size", half_pixel_centers={"b": True}),
    ]
    model = convert("tfjs_graph", graph_model(nodes, {"size": ints(1, 4)}, ["resized:0"]))
    (found,) = run(model, np.array([0, 4], np.float32).reshape(1, 1, 2, 1))
    np.testing.assert_allclose(found.ravel(), [0, 1, 3, 4])


def test_a_split_is_used_by_either_output_and_put_together_again() -> None:
    nodes = [
        placeholder(1, 3),
        node("parts", "SplitV", "image", "sizes", "axis"),
        node("active", "Sigmoid", "parts"),
        node("leaky", "LeakyRelu", "parts:1", alpha={"f": 0.25}),
        node("joined", "ConcatV2", "leaky", "active", "axis"),
        node("result", "Identity", "joined", "^parts"),
    ]
    weights = {"sizes": ints(1, 2), "axis": np.array(1, np.int32)}
    model = convert("tfjs_graph", graph_model(nodes, weights, ["result:0"]))
    (found,) = run(model, np.array([[0, -4, 8], [0, 4, -8]], np.float32))
    np.testing.assert_allclose(found, [[-1, 8, 0.5], [4, -2, 0.5]])


def test_padding_transposing_and_reshaping_keep_any_batch() -> None:
    nodes = [
        placeholder(1, 1, 2),
        node("padded", "PadV2", "image", "amounts", "fill"),
        node("turned", "Transpose", "padded", "order"),
        node("flat", "Reshape", "turned", "shape"),
    ]
    weights = {
        "amounts": np.array([[0, 0], [0, 0], [1, 0]], np.int32),
        "fill": np.array(9, np.float32),
        "order": ints(0, 2, 1),
        "shape": ints(1, 3),
    }
    model = convert("tfjs_graph", graph_model(nodes, weights, ["flat:0"]))
    image = RNG.random((5, 1, 2), np.float32)
    (found,) = run(model, image)
    np.testing.assert_array_equal(found[:, 0], np.full(5, 9))
    np.testing.assert_array_equal(found[:, 1:], image[:, 0])


def test_what_depends_on_weights_alone_is_computed_at_conversion() -> None:
    nodes = [
        placeholder(1, 4),
        node("dense", "SparseToDense", "places", "length", "values", "zero"),
        node("shape", "AddV2", "dense", "base"),
        node("square", "Reshape", "image", "shape"),
    ]
    weights = {
        "places": np.array([[1], [2]], np.int32),
        "length": ints(3),
        "values": ints(1, 1),
        "zero": np.array(0, np.int32),
        "base": ints(1, 1, 1),
    }
    model = convert("tfjs_graph", graph_model(nodes, weights, ["square:0"]))
    assert [n.op_type for n in onnx.load_model_from_string(model).graph.node] == ["Reshape"]
    (found,) = run(model, np.arange(12, dtype=np.float32).reshape(3, 4))
    assert found.shape == (3, 2, 2)


def test_half_precision_and_linear_quantization_are_undone() -> None:
    nodes = [placeholder(1, 2), node("sum", "Add", "image", "half"), node("end", "Add", "sum", "q")]
    files = graph_model(nodes, {"half": np.zeros(2, np.float32), "q": np.zeros(2, np.float32)}, [])
    document = json.loads(files["tiny.json"])
    half, linear = document["weightsManifest"][0]["weights"]
    half["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
    linear["quantization"] = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    document["signature"]["outputs"] = {"end:0": {}}
    stored = np.array([1.5, 2], np.float16).tobytes() + bytes([0, 4])
    model = convert("tfjs_graph", {"tiny.json": json.dumps(document).encode(), "tiny.bin": stored})
    (found,) = run(model, np.zeros((1, 2), np.float32))
    np.testing.assert_allclose(found, [[0.5, 3]])


def test_the_same_input_gives_the_same_bytes() -> None:
    files = graph_model([placeholder(1, 2), node("out", "Sigmoid", "image")], {}, ["out:0"])
    assert convert("tfjs_graph", files) == convert("tfjs_graph", files)


def test_an_operation_without_translation_is_named() -> None:
    files = graph_model([placeholder(1, 2), node("out", "Einsum", "image")], {}, ["out:0"])
    with pytest.raises(ModelUnavailable, match="node out: no translation for operation Einsum"):
        convert("tfjs_graph", files)


@pytest.mark.parametrize("change", [lambda stored: stored[:-1], lambda stored: stored + b"x"])
def test_weights_of_another_length_are_refused(change) -> None:
    nodes = [placeholder(1, 2), node("out", "Add", "image", "w")]
    files = graph_model(nodes, {"w": np.ones(2, np.float32)}, ["out:0"])
    files["tiny.bin"] = change(files["tiny.bin"])
    with pytest.raises(ModelUnavailable, match=r"tiny\.bin"):
        convert("tfjs_graph", files)


def test_a_kernel_that_depends_on_the_image_is_refused() -> None:
    nodes = [
        placeholder(1, 2, 2, 1),
        node(
            "conv", "Conv2D", "image", "image", padding=text("VALID"), strides=integers(1, 1, 1, 1)
        ),
    ]
    with pytest.raises(ModelUnavailable, match="image must be constant"):
        convert("tfjs_graph", graph_model(nodes, {}, ["conv:0"]))


def test_garbage_is_no_graph() -> None:
    with pytest.raises(ModelUnavailable, match="cannot be converted"):
        convert("tfjs_graph", {"tiny.json": b"<html>", "tiny.bin": b""})


def test_an_unknown_step_lists_the_known_ones() -> None:
    with pytest.raises(ModelUnavailable, match=r"'magic'.*tfjs_graph"):
        convert("magic", {})


def fixed_shape_export(*, resize_to_size: bool = False) -> bytes:
    """Return a network as PyTorch would export it: doubled, then flattened, for 1 x 1 x 2 x 2."""
    factor = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "factor")
    size = numpy_helper.from_array(np.array([1, 1, 4, 4], np.int64), "size")
    shape = numpy_helper.from_array(np.array([1, -1, 1], np.int64), "shape")
    how = ["image", "", "", "size"] if resize_to_size else ["image", "", "factor"]
    nodes = [
        helper.make_node("Resize", how, ["doubled"], mode="nearest"),
        helper.make_node("Constant", [], ["flat_shape"], value=shape),
        helper.make_node("Reshape", ["doubled", "flat_shape"], ["cells"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("cells", TensorProto.FLOAT, [1, 16, 1])],
        [size if resize_to_size else factor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


def test_a_traced_export_takes_any_batch() -> None:
    model = convert("dynamic_batch", {"tiny.onnx": fixed_shape_export()})
    (cells,) = run(model, RNG.random((7, 1, 2, 2), np.float32))
    assert cells.shape == (7, 16, 1)
    shape = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["N", 1, 2, 2]


def test_a_traced_export_takes_any_size() -> None:
    model = convert("dynamic_size", {"tiny.onnx": fixed_shape_export()})
    image = RNG.random((3, 1, 4, 6), np.float32)
    (cells,) = run(model, image)
    expected = image.repeat(2, axis=2).repeat(2, axis=3).reshape(3, -1, 1)
    np.testing.assert_array_equal(cells, expected)


def test_the_shape_it_was_traced_with_still_gives_the_same() -> None:
    image = RNG.random((1, 1, 2, 2), np.float32)
    (before,) = run(fixed_shape_export(), image)
    (after,) = run(convert("dynamic_size", {"tiny.onnx": fixed_shape_export()}), image)
    np.testing.assert_array_equal(before, after)


def test_a_resize_to_a_frozen_size_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="frozen output size"):
        convert("dynamic_size", {"tiny.onnx": fixed_shape_export(resize_to_size=True)})


@pytest.mark.parametrize("content", [b"", b"not a protobuf", fixed_shape_export()[:60]])
def test_a_file_that_is_no_network_is_refused(content: bytes) -> None:
    with pytest.raises(ModelUnavailable, match=r"tiny\.onnx cannot be converted"):
        convert("dynamic_batch", {"tiny.onnx": content})
