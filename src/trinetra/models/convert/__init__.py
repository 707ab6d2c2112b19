"""Converts foreign or fixed-shape graphs to ONNX files that take any batch size.

A conversion maps raw files by name to the bytes of the finished file. The modules behind it import
``onnx``, which is slow to load and needed only once per machine, so they are resolved by name.
"""

import pkgutil
from collections.abc import Callable, Mapping

from trinetra.errors import ModelUnavailable

Conversion = Callable[[Mapping[str, bytes]], bytes]

_CONVERSIONS = {
    "tfjs_graph": "trinetra.models.convert.tfjs:to_onnx",
    "dynamic_batch": "trinetra.models.convert.dynamic:with_any_batch",
    "dynamic_size": "trinetra.models.convert.dynamic:with_any_batch_and_size",
}


def convert(step: str, files: Mapping[str, bytes]) -> bytes:
    """Return the finished file that a conversion step makes from raw files.

    Raises ModelUnavailable if the step is unknown or the files cannot be converted.
    """
    if step not in _CONVERSIONS:
        raise ModelUnavailable(f"unknown conversion {step!r}; known: {', '.join(_CONVERSIONS)}")
    conversion: Conversion = pkgutil.resolve_name(_CONVERSIONS[step])
    return conversion(files)
