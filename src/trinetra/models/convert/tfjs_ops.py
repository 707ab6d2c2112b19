"""ONNX translations of TensorFlow operations.

TensorFlow's spatial operations are channels-last, ONNX's channels-first: each one is wrapped in two
transpositions, which the runtimes' optimizers cancel out. Add an operation here when a graph needs
it; anything missing is reported by name, never skipped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trinetra.models.convert.graph import GraphBuilder

Tensor = NDArray[Any]

_TO_CHANNELS_FIRST = [0, 3, 1, 2]
_TO_CHANNELS_LAST = [0, 2, 3, 1]
_KERNEL_TO_ONNX = (3, 2, 0, 1)  # (height, width, in, out) -> (out, in, height, width)
# In the target of an ONNX Reshape, 0 copies the dimension of the input.
_COPY_FROM_INPUT = 0


@dataclass(frozen=True, slots=True)
class Node:
    """One TensorFlow operation with plain attribute values."""

    name: str
    op: str
    all_inputs: Sequence[str]
    attributes: Mapping[str, Any]

    @property
    def inputs(self) -> list[str]:
        """Tensors that the operation reads, without control inputs, which only order execution."""
        return [name for name in self.all_inputs if not name.startswith("^")]


@dataclass(slots=True)
class Translation:
    """The ONNX graph under construction, and the tensors with known values."""

    builder: GraphBuilder
    known: dict[str, Tensor]
    _stored: set[str] = field(default_factory=set)

    def reference(self, name: str) -> str:
        """Return the ONNX name of a TensorFlow tensor: ``a`` for ``a:0``, ``a__1`` for ``a:1``."""
        node, _, index = name.partition(":")
        return node if index in {"", "0"} else f"{node}__{index}"

    def is_known(self, name: str) -> bool:
        """Return whether the tensor depends only on weights."""
        return self.reference(name) in self.known

    def value(self, name: str) -> Tensor:
        """Return a known tensor. Raises ValueError for one that depends on the input."""
        if not self.is_known(name):
            raise ValueError(f"tensor {name} must be constant, but depends on the input")
        return self.known[self.reference(name)]

    def integers(self, name: str) -> NDArray[np.int64]:
        """Return a known tensor of sizes or axes as int64, the type that ONNX expects."""
        return self.value(name).astype(np.int64)

    def learn(self, node: Node, outputs: Sequence[Tensor]) -> None:
        """Store the outputs of a node that could be computed at conversion."""
        for index, value in enumerate(outputs):
            self.known[self.reference(f"{node.name}:{index}")] = value

    def tensor(self, name: str) -> str:
        """Return the ONNX name of a tensor; a known one is stored on first use."""
        reference = self.reference(name)
        if reference not in self.known:
            return reference
        stored_name = f"weights/{reference}"
        if reference not in self._stored:
            self._stored.add(reference)
            self.builder.constant(self.known[reference], stored_name)
        return stored_name

    def channels_first(self, name: str) -> str:
        """Return a tensor transposed for ONNX's spatial operations."""
        return self.builder.node("Transpose", [self.tensor(name)], perm=_TO_CHANNELS_FIRST)

    def channels_last(self, result: str, node: Node) -> None:
        """Transpose a spatial operation's result back as the node's own output."""
        self.builder.node("Transpose", [result], [node.name], perm=_TO_CHANNELS_LAST)


def _placeholder(translation: Translation, node: Node) -> None:
    _batch, *shape = node.attributes["shape"]
    translation.builder.input(node.name, ["N", *shape])


def _elementwise(onnx_op: str) -> Callable[[Translation, Node], None]:
    def translate(translation: Translation, node: Node) -> None:
        inputs = [translation.tensor(name) for name in node.inputs]
        translation.builder.node(onnx_op, inputs, [node.name])

    return translate


def _leaky_relu(translation: Translation, node: Node) -> None:
    features = translation.tensor(node.inputs[0])
    alpha = float(node.attributes["alpha"])
    translation.builder.node("LeakyRelu", [features], [node.name], alpha=alpha)


def _conv2d(translation: Translation, node: Node) -> None:
    _require_channels_last(node)
    features, kernel = node.inputs
    weights = translation.value(kernel).transpose(_KERNEL_TO_ONNX)
    result = translation.builder.node(
        "Conv",
        [translation.channels_first(features), translation.builder.constant(weights)],
        strides=_spatial(node.attributes["strides"]),
        dilations=_spatial(node.attributes.get("dilations") or [1, 1, 1, 1]),
        kernel_shape=list(weights.shape[2:]),
        **_padding(node),
    )
    translation.channels_last(result, node)


def _max_pool(translation: Translation, node: Node) -> None:
    _require_channels_last(node)
    result = translation.builder.node(
        "MaxPool",
        [translation.channels_first(node.inputs[0])],
        kernel_shape=_spatial(node.attributes["ksize"]),
        strides=_spatial(node.attributes["strides"]),
        **_padding(node),
    )
    translation.channels_last(result, node)


def _require_channels_last(node: Node) -> None:
    if node.attributes.get("data_format", "NHWC") != "NHWC":
        raise ValueError(f"node {node.name}: only channels-last {node.op} is supported")


def _spatial(per_axis: Sequence[int]) -> list[int]:
    """Return height and width of a value that TensorFlow gives for all four axes."""
    return list(per_axis[1:3])


def _padding(node: Node) -> dict[str, Any]:
    padding = node.attributes["padding"]
    match padding:
        case "VALID":
            return {}
        case "SAME":
            return {"auto_pad": "SAME_UPPER"}
        case "EXPLICIT":
            _, _, top, bottom, left, right, *_ = node.attributes["explicit_paddings"]
            return {"pads": [top, left, bottom, right]}
        case _:
            raise ValueError(f"node {node.name}: unknown padding {padding}")


def _pad(translation: Translation, node: Node) -> None:
    features, amounts, *fill = node.inputs
    before_then_after = translation.integers(amounts).T.reshape(-1)
    inputs = [translation.tensor(features), translation.builder.constant(before_then_after)]
    if fill:
        inputs.append(translation.builder.constant(translation.value(fill[0]).astype(np.float32)))
    translation.builder.node("Pad", inputs, [node.name])


def _resize_bilinear(translation: Translation, node: Node) -> None:
    features, size = node.inputs
    builder = translation.builder
    image = translation.channels_first(features)
    batch_and_channels = builder.node("Shape", [image], start=0, end=2)
    height_and_width = builder.constant(translation.integers(size))
    full_size = builder.node("Concat", [batch_and_channels, height_and_width], axis=0)
    result = builder.node(
        "Resize",
        [image, "", "", full_size],
        mode="linear",
        coordinate_transformation_mode=_coordinates(node),
    )
    translation.channels_last(result, node)


def _coordinates(node: Node) -> str:
    if node.attributes.get("align_corners"):
        return "align_corners"
    return "half_pixel" if node.attributes.get("half_pixel_centers") else "asymmetric"


def _transpose(translation: Translation, node: Node) -> None:
    features, order = node.inputs
    translation.builder.node(
        "Transpose",
        [translation.tensor(features)],
        [node.name],
        perm=translation.integers(order).tolist(),
    )


def _reshape(translation: Translation, node: Node) -> None:
    """Reshape, with a leading 1 read as the batch, which ONNX can copy from its input."""
    features, target = node.inputs
    shape = translation.integers(target).copy()
    if shape.size and shape[0] == 1:
        shape[0] = _COPY_FROM_INPUT
    inputs = [translation.tensor(features), translation.builder.constant(shape)]
    translation.builder.node("Reshape", inputs, [node.name])


def _concat(translation: Translation, node: Node) -> None:
    *parts, axis = node.inputs
    inputs = [translation.tensor(part) for part in parts]
    translation.builder.node("Concat", inputs, [node.name], axis=int(translation.value(axis)))


def _split(translation: Translation, node: Node) -> None:
    features, sizes, axis = node.inputs
    lengths = translation.integers(sizes)
    outputs = [translation.reference(f"{node.name}:{index}") for index in range(len(lengths))]
    inputs = [translation.tensor(features), translation.builder.constant(lengths)]
    translation.builder.node("Split", inputs, outputs, axis=int(translation.value(axis)))


TRANSLATIONS: dict[str, Callable[[Translation, Node], None]] = {
    "Placeholder": _placeholder,
    "Add": _elementwise("Add"),
    "AddV2": _elementwise("Add"),
    "Identity": _elementwise("Identity"),
    "Sigmoid": _elementwise("Sigmoid"),
    "LeakyRelu": _leaky_relu,
    "Conv2D": _conv2d,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "PadV2": _pad,
    "ResizeBilinear": _resize_bilinear,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "ConcatV2": _concat,
    "SplitV": _split,
}


def _fold_sparse(indices: Tensor, shape: Tensor, values: Tensor, default: Tensor) -> list[Tensor]:
    dense = np.full(shape.astype(int), default, dtype=values.dtype)
    places = indices.astype(int).reshape(-1, dense.ndim)
    for place, value in zip(places, np.atleast_1d(values), strict=True):
        dense[tuple(place)] = value
    return [dense]


def _fold_split(tensor: Tensor, sizes: Tensor, axis: Tensor) -> list[Tensor]:
    return np.split(tensor, np.cumsum(sizes)[:-1], axis=int(axis))


FOLDS: dict[str, Callable[..., list[Tensor]]] = {
    "Add": lambda left, right: [left + right],
    "AddV2": lambda left, right: [left + right],
    "Transpose": lambda tensor, order: [tensor.transpose(order)],
    "Reshape": lambda tensor, shape: [tensor.reshape(shape)],
    "SplitV": _fold_split,
    "SparseToDense": _fold_sparse,
}
"""Operations on weights alone, computed once at conversion."""
