"""Converts TensorFlow.js graph models (a JSON topology and binary weights) to ONNX.

Format: the ``model.json`` of TensorFlow.js, a TensorFlow GraphDef in JSON plus a weights manifest.
The result takes any batch size. Its image size is the one the model was exported with.
"""

import base64
import graphlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import checker

from trinetra.errors import ModelUnavailable
from trinetra.models.convert.graph import GraphBuilder
from trinetra.models.convert.tfjs_ops import FOLDS, TRANSLATIONS, Node, Translation

_DTYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_, "uint8": np.uint8}
_QUANTIZED = {"float16": np.float16, "uint8": np.uint8, "uint16": np.uint16}


class Quantization(msgspec.Struct, frozen=True):
    """Dequantization of stored values: ``stored * scale + min``, or a plain half float."""

    dtype: str
    scale: float = 1.0
    min: float = 0.0


class Weight(msgspec.Struct, frozen=True):
    """One tensor in the binary files, which are concatenated in the manifest's order."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None


class WeightGroup(msgspec.Struct, frozen=True):
    """Tensors that share a sequence of binary files."""

    paths: tuple[str, ...]
    weights: tuple[Weight, ...]


class GraphNode(msgspec.Struct, frozen=True):
    """One TensorFlow operation; an input ``name:2`` is the third output of node ``name``."""

    name: str
    op: str
    input: tuple[str, ...] = ()
    attr: dict[str, dict[str, Any]] = {}


class Topology(msgspec.Struct, frozen=True):
    """All operations, in no particular order."""

    node: tuple[GraphNode, ...]


class Signature(msgspec.Struct, frozen=True):
    """Outputs of the graph, by tensor name."""

    outputs: dict[str, Any]


class GraphModel(msgspec.Struct, frozen=True, rename="camel"):
    """The part of ``model.json`` that a converter needs."""

    model_topology: Topology
    weights_manifest: tuple[WeightGroup, ...]
    signature: Signature


def to_onnx(files: Mapping[str, bytes]) -> bytes:
    """Return the ONNX file of a graph model given as one ``.json`` and its binary files.

    Raises ModelUnavailable, naming the operation or tensor, if it cannot be converted.
    """
    try:
        return _convert(files)
    except (ValueError, KeyError, TypeError, IndexError, checker.ValidationError) as cause:
        raise ModelUnavailable(
            f"the TensorFlow.js graph {', '.join(files)} cannot be converted: {cause!r}"
        ) from cause


def _convert(files: Mapping[str, bytes]) -> bytes:
    document = next(content for name, content in files.items() if name.endswith(".json"))
    model = msgspec.json.decode(document, type=GraphModel)
    translation = Translation(GraphBuilder(), known=read_weights(model.weights_manifest, files))
    for node in _in_order(model.model_topology.node):
        _translate(translation, node)
    outputs = [translation.reference(name) for name in model.signature.outputs]
    serialized: bytes = translation.builder.build(outputs, name="tfjs").SerializeToString()
    return serialized


def _translate(translation: Translation, node: Node) -> None:
    if node.op == "Const":
        return
    if node.op in FOLDS and all(translation.is_known(name) for name in node.inputs):
        translation.learn(node, FOLDS[node.op](*map(translation.value, node.inputs)))
    elif node.op in TRANSLATIONS:
        TRANSLATIONS[node.op](translation, node)
    else:
        raise ModelUnavailable(f"node {node.name}: no translation for operation {node.op}")


def _in_order(graph: Sequence[GraphNode]) -> Iterator[Node]:
    """Yield the nodes in topological order."""
    by_name = {node.name: _to_node(node) for node in graph}
    reads = {
        name: [source.split(":")[0].lstrip("^") for source in node.all_inputs]
        for name, node in by_name.items()
    }
    for name in graphlib.TopologicalSorter(reads).static_order():
        yield by_name[name]


def _to_node(node: GraphNode) -> Node:
    return Node(node.name, node.op, node.input, {k: _attribute(v) for k, v in node.attr.items()})


def _attribute(tagged: Mapping[str, Any]) -> object:
    """Return the plain value of a TensorFlow attribute such as ``{"list": {"i": ["1", "2"]}}``."""
    for kind, value in tagged.items():
        return _ATTRIBUTE_READERS.get(kind, _as_it_is)(value)
    return None


def _as_it_is(value: object) -> object:
    return value


def _text(value: str) -> str:
    return base64.b64decode(value).decode()


def _shape(value: Mapping[str, Any]) -> list[int]:
    return [int(dim["size"]) for dim in value.get("dim", [])]


def _list(value: Mapping[str, Any]) -> list[object]:
    return [_attribute({kind: item}) for kind, items in value.items() for item in items]


_ATTRIBUTE_READERS: dict[str, Callable[[Any], object]] = {
    "i": int,
    "f": float,
    "s": _text,
    "shape": _shape,
    "list": _list,
}


def read_weights(
    groups: Sequence[WeightGroup], files: Mapping[str, bytes]
) -> dict[str, NDArray[np.generic]]:
    """Return every tensor by name. Raises ValueError if bytes are missing or left over."""
    return {
        name: tensor
        for group in groups
        for name, tensor in _read_group(group, b"".join(files[path] for path in group.paths))
    }


def _read_group(group: WeightGroup, stored: bytes) -> Iterator[tuple[str, NDArray[np.generic]]]:
    offset = 0
    for weight in group.weights:
        dtype = _stored_dtype(weight)
        count = int(np.prod(weight.shape))
        raw = np.frombuffer(stored, dtype, count, offset)
        offset += raw.nbytes
        yield weight.name, _real_values(weight, raw).reshape(weight.shape)
    if offset != len(stored):
        raise ValueError(f"{', '.join(group.paths)}: {len(stored) - offset} bytes left over")


def _stored_dtype(weight: Weight) -> np.dtype[Any]:
    if weight.quantization is None:
        return np.dtype(_DTYPES[weight.dtype])
    return np.dtype(_QUANTIZED[weight.quantization.dtype])


def _real_values(weight: Weight, raw: NDArray[Any]) -> NDArray[Any]:
    if weight.quantization is None:
        return raw.copy()
    values = raw.astype(np.float32) * weight.quantization.scale + weight.quantization.min
    return values.round().astype(np.int32) if weight.dtype == "int32" else values
