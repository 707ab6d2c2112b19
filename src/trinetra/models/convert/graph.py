"""Builds an ONNX graph node by node."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

_OPSET = 17
_IR_VERSION = 8  # the oldest version with this opset, so that older runtimes read the file too


class GraphBuilder:
    """Collects nodes and constants, and generates missing names."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int | str]) -> None:
        """Declare a float32 input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def constant(self, value: NDArray[np.generic], name: str | None = None) -> str:
        """Store a tensor and return its name."""
        name = name or f"const_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str] = (),
        **attributes: object,
    ) -> str:
        """Add a node and return the name of its first output."""
        outputs = outputs or [f"tensor_{len(self._nodes)}"]
        node = helper.make_node(op, inputs, outputs, name=f"{outputs[0]}/{op}", **attributes)
        self._nodes.append(node)
        return outputs[0]

    def build(self, outputs: Sequence[str], *, name: str) -> ModelProto:
        """Return the checked model with only the nodes that the float32 outputs need.

        Raises ``onnx.checker.ValidationError`` if the graph is malformed.
        """
        nodes, used = self._needed_for(outputs)
        graph = helper.make_graph(
            nodes,
            name,
            self._inputs,
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
            [constant for constant in self._constants if constant.name in used],
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="trinetra")
        model.ir_version = _IR_VERSION
        inferred: ModelProto = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(inferred)
        return inferred

    def _needed_for(self, outputs: Iterable[str]) -> tuple[list[NodeProto], set[str]]:
        used = set(outputs)
        kept = []
        # Nodes are added in topological order, so walking backward sees consumers before producers.
        for node in reversed(self._nodes):
            if used.intersection(node.output):
                kept.append(node)
                used.update(node.input)
        return kept[::-1], used
