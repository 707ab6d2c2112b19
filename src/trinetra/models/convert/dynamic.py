"""Makes the traced, fixed shape of an ONNX export dynamic.

PyTorch's exporter freezes the traced shape in the declared inputs and outputs and in the targets of
Reshape (and, in some versions, of Resize: such a graph is refused). Convolutions do not depend on
it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no stubs
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, ValueInfoProto, numpy_helper

from trinetra.errors import ModelUnavailable

Dimension = int | str

_BATCH = "N"
_CELLS = "d1"
_RESIZE_TO_SIZE_INPUTS = 4
# In the target of an ONNX Reshape, 0 copies the dimension of the input.
_COPY_FROM_INPUT = 0


def with_any_batch(files: Mapping[str, bytes]) -> bytes:
    """Return the given ONNX file with a dynamic batch dimension. Raises ModelUnavailable."""
    return _rewrite(files, free_size=False)


def with_any_batch_and_size(files: Mapping[str, bytes]) -> bytes:
    """Return the given ONNX file with dynamic batch, height and width. Raises ModelUnavailable.

    Every Resize of the graph must scale by a factor, as those of a feature pyramid do.
    """
    return _rewrite(files, free_size=True)


def _rewrite(files: Mapping[str, bytes], *, free_size: bool) -> bytes:
    (name, content), *others = files.items()
    if others:
        raise ModelUnavailable(f"expected one ONNX file to convert, got {', '.join(files)}")
    try:
        model = onnx.load_model_from_string(content)
        _free_shapes(model, free_size=free_size)
        onnx.checker.check_model(model)
    except (ValueError, IndexError, DecodeError, onnx.checker.ValidationError) as cause:
        raise ModelUnavailable(f"{name} cannot be converted: {cause}") from cause
    serialized: bytes = model.SerializeToString()
    return serialized


def _free_shapes(model: ModelProto, *, free_size: bool) -> None:
    constants = _constants(model)
    for node in model.graph.node:
        if node.op_type == "Reshape":
            _free_reshape(model, node, constants)
        elif node.op_type == "Resize" and free_size:
            _require_factor(node)
    _declare_input(model.graph.input[0], free_size=free_size)
    for output in model.graph.output:
        _declare_output(output, free_size=free_size)
    del model.graph.value_info[:]


def _constants(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    computed = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in model.graph.node
        if node.op_type == "Constant"
    }
    return stored | computed


def _free_reshape(
    model: ModelProto, node: NodeProto, constants: Mapping[str, NDArray[np.generic]]
) -> None:
    """Make a Reshape to ``(1, .., -1, ..)`` copy its batch dimension from its input."""
    shape = constants.get(node.input[1])
    if shape is None or len(shape) < len(("batch", "rest")) or shape[0] != 1 or -1 not in shape:
        return
    freed = shape.copy()
    freed[0] = _COPY_FROM_INPUT
    name = f"shp_{sum(tensor.name.startswith('shp_') for tensor in model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(freed, name))
    node.input[1] = name


def _require_factor(node: NodeProto) -> None:
    """Refuse a Resize to a frozen size; a Resize by a factor follows the size of its input."""
    if len(node.input) == _RESIZE_TO_SIZE_INPUTS:
        raise ModelUnavailable(f"Resize {node.name} has a frozen output size, not a factor")


def _declare_input(value: ValueInfoProto, *, free_size: bool) -> None:
    _batch, channels, height, width = _dimensions(value)
    size: Sequence[Dimension] = ("H", "W") if free_size else (height, width)
    _declare(value, [_BATCH, channels, *size])


def _declare_output(value: ValueInfoProto, *, free_size: bool) -> None:
    """Make the batch and, for dynamic sizes, the number of cells dynamic."""
    _batch, *rest = _dimensions(value)
    if free_size:
        rest[0] = _CELLS
    _declare(value, [_BATCH, *rest])


def _dimensions(value: ValueInfoProto) -> list[Dimension]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _declare(value: ValueInfoProto, dimensions: Sequence[Dimension]) -> None:
    for dim, size in zip(value.type.tensor_type.shape.dim, dimensions, strict=True):
        dim.Clear()
        if isinstance(size, str):
            dim.dim_param = size
        else:
            dim.dim_value = size
