"""Inference engine on OpenVINO, the fastest on CPUs with bfloat16 or VNNI instructions.

Networks are compiled for fixed shapes, which is 10 to 20 % faster here than one compilation with a
dynamic batch. A batch is split into parts of 4, 2 and 1, so that only a few shapes are compiled.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import properties
from openvino.properties import hint

from trinetra.adapters.inference.compiled_cache import CompiledNetworkCache
from trinetra.errors import EngineFailure
from trinetra.telemetry import get_logger

Precision = Literal["auto", "f32", "bf16"]
_log = get_logger("inference")
_PIECES = (4, 2, 1)
_MAX_COMPILED = 16


class OpenVinoEngine:
    """One network; ``run`` is thread-safe, a lock serializes the calls."""

    def __init__(
        self,
        core: Any,
        model: Any,
        path: Path,
        *,
        device: str,
        config: dict[str, Any],
        outputs: Sequence[int],
        cache: CompiledNetworkCache | None = None,
    ) -> None:
        self._core = core
        self._model = model
        self._path = path
        self._device = device
        self._config = config
        self._outputs = tuple(outputs)
        self._cache = cache
        self._takes_bytes = model.inputs[0].element_type == ov.Type.u8
        self._fixed_batch = _fixed_batch(model)
        self._max_rows = [_max_rows(model, index) for index in self._outputs]
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs for a batch. Raises EngineFailure when the network rejects it."""
        pieces = _PIECES if self._fixed_batch is None else (self._fixed_batch,)
        try:
            with self._lock:
                results = [self._infer(batch[part]) for part in _split(len(batch), pieces)]
        except (RuntimeError, ValueError, TypeError) as cause:
            raise EngineFailure(
                f"{self._path.name}: OpenVINO could not run a batch of shape {batch.shape}: "
                f"{_last_line(cause)}; check the model's input size in the manifest"
            ) from cause
        return (
            [np.concatenate(parts) for parts in zip(*results, strict=True)]
            if len(results) > 1
            else results[0]
        )

    def _infer(self, part: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        request = self._request(part.shape)
        given = part.astype(np.uint8) if self._takes_bytes else part
        request.infer([given], share_inputs=True)
        return [
            _copied(request.get_output_tensor(index).data, max_rows)
            for index, max_rows in zip(self._outputs, self._max_rows, strict=True)
        ]

    def _request(self, shape: tuple[int, ...]) -> Any:
        """Return the request for an input shape; compile the network for it at its first use."""
        if shape in self._requests:
            self._requests.move_to_end(shape)
            return self._requests[shape]
        declared = self._model.inputs[0].partial_shape
        if not declared.compatible(ov.PartialShape(list(shape))):
            # Reshaping would silently turn the file into another network.
            raise ValueError(f"the network accepts the shape {declared}")
        self._requests[shape] = self._compiled(shape).create_infer_request()
        if len(self._requests) > _MAX_COMPILED:
            self._requests.popitem(last=False)
        return self._requests[shape]

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        """Return the network compiled for an input shape, from the cache where that has it."""
        if self._cache is None:
            return self._compile(shape)
        name = "-".join([self._path.stem, "x".join(map(str, shape))])
        if kept := self._cache.read(name, self._origin):
            try:
                return self._core.import_model(kept, self._device, self._config)
            except RuntimeError as cause:
                _log.warning("compiled network refused", name=name, cause=_last_line(cause))
        compiled = self._compile(shape)
        self._cache.write(name, self._origin, compiled.export_model().getvalue())
        return compiled

    def _compile(self, shape: tuple[int, ...]) -> Any:
        fixed = self._model.clone()
        if self._fixed_batch is None:
            fixed.reshape(list(shape))
        return self._core.compile_model(fixed, self._device, self._config)

    @cached_property
    def _origin(self) -> str:
        """All that a compiled network depends on beside its input shape."""
        device = self._core.get_property(self._device, properties.device.full_name)
        able = self._core.get_property(self._device, properties.device.capabilities)
        files = [self._path, *_weights_of(self._path)]
        content = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        config = sorted((str(key), str(value)) for key, value in self._config.items())
        return repr((ov.get_version(), self._device, device, able, config, content))


def load(
    path: Path,
    *,
    threads: int,
    precision: Precision = "auto",
    device: str = "CPU",
    outputs: Sequence[str] | None = None,
    cache_dir: Path | None = None,
) -> OpenVinoEngine:
    """Return an engine for an ONNX, TFLite or OpenVINO IR file.

    ``precision`` is that of the arithmetic; ``auto`` selects bfloat16 if the device supports it.
    ``outputs`` names the tensors that ``run`` returns, in that order; the default is all outputs in
    the file's order. ``cache_dir`` keeps compiled networks; they are programs, so only this user
    may be able to write there. Raises EngineFailure when the file is missing, damaged or of another
    format, has no output of such a name, or when there is no such device.
    """
    core = _core(device)
    try:
        model = _model(device, path, path.stat().st_mtime_ns if path.exists() else 0)
        config = _config(core, device, threads, precision)
        engine = OpenVinoEngine(
            core,
            model,
            path,
            device=device,
            config=config,
            outputs=_output_indices(model, path, outputs),
            cache=CompiledNetworkCache(cache_dir) if cache_dir else None,
        )
    except RuntimeError as cause:
        raise EngineFailure(
            f"{path}: OpenVINO cannot load this model for {device}: {_last_line(cause)}; fetch the "
            "file again with 'trinetra models fetch', or choose another device"
        ) from cause
    return engine


@lru_cache(maxsize=16)
def _model(device: str, path: Path, modified_ns: int) -> Any:
    """Return a file's network; engines share it, since they compile clones of it.

    Raises RuntimeError when it cannot be read, or the device cannot run it: better now than at the
    first frame.
    """
    del modified_ns  # part of the key: a file that was replaced is read again
    core = _core(device)
    model = core.read_model(path)
    if not _weights_of(path):  # an IR was made for OpenVINO, and the query takes a second
        core.query_model(model, device, {})
    return model


@cache
def _core(device: str) -> Any:
    """Return the process-wide OpenVINO core, with the device's plugin loaded.

    OpenVINO's CPU plugin installs an alternate signal stack in the thread that loads it, and frees
    that stack with the last core. In the main thread, the next Ctrl-C would then crash the process.
    So a short-lived thread loads the plugin, and the core is cached.
    """
    core = ov.Core()
    # OpenVINO fills its table of types at the first use; two threads that do so at the same time
    # deadlock, one waiting for the table and the other for the GIL.
    ov.Type.f32.to_dtype()
    # A device that does not exist is reported by ``load``, with the name of the model.
    with ThreadPoolExecutor(1) as loader, suppress(RuntimeError):
        loader.submit(core.get_property, device, properties.supported_properties).result()
    return core


def _config(core: Any, device: str, threads: int, precision: Precision) -> dict[str, Any]:
    if precision == "auto":
        able = core.get_property(device, properties.device.capabilities)
        precision = "bf16" if "BF16" in able else "f32"
    config = {
        hint.inference_precision: ov.Type.bf16 if precision == "bf16" else ov.Type.f32,
        hint.performance_mode: hint.PerformanceMode.LATENCY,
    }
    if device == "CPU":
        config[properties.inference_num_threads] = threads
        # With pinning, every engine of a process would use the same first cores.
        config[hint.enable_cpu_pinning] = False
    return config


def _output_indices(model: Any, path: Path, names: Sequence[str] | None) -> list[int]:
    if names is None:
        return list(range(len(model.outputs)))
    index_of = {name: i for i, output in enumerate(model.outputs) for name in output.names}
    if missing := [name for name in names if name not in index_of]:
        raise EngineFailure(
            f"{path}: the model has no output {', '.join(missing)}; it has {', '.join(index_of)}; "
            "correct the output names in the manifest"
        )
    return [index_of[name] for name in names]


def _weights_of(path: Path) -> list[Path]:
    """Return the second file of an OpenVINO IR; other formats have only one."""
    return [path.with_suffix(".bin")] if path.suffix == ".xml" else []


def _fixed_batch(model: Any) -> int | None:
    batch = model.inputs[0].partial_shape[0]
    return None if batch.is_dynamic else int(batch.get_length())


def _max_rows(model: Any, output: int) -> int | None:
    """Return the most rows of an output that has one for each detection, not for each input."""
    rows = model.outputs[output].partial_shape[0]
    is_list = _fixed_batch(model) == 1 and rows.is_dynamic
    return int(rows.get_max_length()) if is_list else None


def _copied(data: NDArray[Any], max_rows: int | None) -> NDArray[np.float32]:
    """Return a copy of an output, since the request reuses its memory.

    A list of detections becomes one row of a batch, filled up with zeros.
    """
    if max_rows is None:
        return np.array(data, np.float32)
    rows = np.zeros((1, max_rows, *data.shape[1:]), np.float32)
    rows[0, : len(data)] = data
    return rows


def _split(count: int, pieces: Sequence[int]) -> Iterator[slice]:
    """Yield slices, as large as possible, that cover ``count`` rows exactly."""
    start = 0
    while start < count:
        fitting = [piece for piece in pieces if piece <= count - start]
        if not fitting:
            raise ValueError(f"the network only accepts batches of {min(pieces)}")
        yield slice(start, start + fitting[0])
        start += fitting[0]


def _last_line(cause: Exception) -> str:
    """Return the cause; OpenVINO's messages begin with locations in its source code."""
    return str(cause).strip().splitlines()[-1]
