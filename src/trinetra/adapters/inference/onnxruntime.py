"""Inference engine on ONNX Runtime, which runs on any CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from trinetra.errors import EngineFailure

_ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """One session; ``run`` is thread-safe."""

    def __init__(self, session: Any, path: Path, outputs: Sequence[str]) -> None:
        self._session = session
        self._path = path
        (declared, *_) = session.get_inputs()
        self._input = declared.name
        self._takes_bytes = declared.type == "tensor(uint8)"
        self._outputs = list(outputs)

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs for a batch. Raises EngineFailure when the network rejects it."""
        given = batch.astype(np.uint8) if self._takes_bytes else batch
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(
                self._outputs, {self._input: given}
            )
        except Exception as cause:  # ONNX Runtime's exceptions have no other common base
            raise EngineFailure(
                f"{self._path.name}: ONNX Runtime could not run a batch of shape {batch.shape}: "
                f"{_first_line(cause)}; check the model's input size in the manifest"
            ) from cause
        return outputs


def load(path: Path, *, threads: int, outputs: Sequence[str] | None = None) -> OnnxRuntimeEngine:
    """Return an engine for an ONNX file.

    ``outputs`` names the tensors that ``run`` returns, in that order; the default is all outputs in
    the file's order. Raises EngineFailure when the file is missing, damaged or not an ONNX model,
    or has no output of such a name.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Idle threads would otherwise spin and use the cores that decode the cameras.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # ONNX Runtime's exceptions have no other common base
        raise EngineFailure(
            f"{path}: ONNX Runtime cannot load this model: {_first_line(cause)}; "
            "fetch the file again with 'trinetra models fetch'"
        ) from cause
    own = [output.name for output in session.get_outputs()]
    if missing := [name for name in outputs or () if name not in own]:
        raise EngineFailure(
            f"{path}: the model has no output {', '.join(missing)}; it has {', '.join(own)}; "
            "correct the output names in the manifest"
        )
    return OnnxRuntimeEngine(session, path, outputs or own)


def _first_line(cause: Exception) -> str:
    return str(cause).strip().partition("\n")[0]
